"""A copy proved on two real clusters: what of a copy that is altered by hand is found, when, and what is not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.row_sets import keys_of, whole_tables
from tenantctl.relocation.proving import FEW_KEYS, Proving
from tests.contracts.databases_places import PASSWORD
from tests.contracts.moving import Move, moving

SCHEMA = """
    CREATE TABLE orders (id bigint PRIMARY KEY, said text NOT NULL, large text);
    ALTER TABLE orders ALTER large SET STORAGE EXTERNAL;
    CREATE TABLE parts (id int, half int, said text, PRIMARY KEY (id, half)) PARTITION BY LIST (half);
    CREATE TABLE parts_one PARTITION OF parts FOR VALUES IN (1);
    CREATE TABLE parts_two PARTITION OF parts FOR VALUES IN (2);
    CREATE TABLE whims (said text); CREATE TABLE calm (said text); CREATE TABLE kept (id int PRIMARY KEY, said text);
    INSERT INTO orders SELECT n, 'order ' || n, repeat('x', 3000) FROM generate_series(1, 2000) n;
    INSERT INTO parts SELECT n, 1 + n % 2 FROM generate_series(1, 100) n;
    INSERT INTO whims SELECT 'same' FROM generate_series(1, 5) n; INSERT INTO calm VALUES ('x'), ('x');
    INSERT INTO kept SELECT n, 'kept' FROM generate_series(1, 50) n;
"""
MEANWHILE = """
    UPDATE orders SET said = 'another' WHERE id = 1; UPDATE orders SET id = -2 WHERE id = 2;
    DELETE FROM orders WHERE id = 3; INSERT INTO orders VALUES (4000, 'new', repeat('y', 3000));
    UPDATE parts SET half = 1 WHERE id = 1; DELETE FROM whims WHERE ctid = '(0,1)'; TRUNCATE kept;
    INSERT INTO kept VALUES (1, 'again')
"""


@pytest.fixture(scope="module")
def move(local_cloud: LocalCloud) -> Iterator[Move]:
    """In step; every test leaves both sides the same."""
    with moving(local_cloud, SCHEMA) as found:
        found.begin()
        found.wait_until(lambda: found.seen().in_step(64_000))
        yield found


@contextmanager
def proving(move: Move) -> Iterator[Proving]:
    with move.replication.changes(move.source) as log:
        yield Proving(move.replication, move.source, move.target, log, catch_up=move.catch_up, check=lambda: None)


@contextmanager
def a_customer_who_writes(move: Move) -> Iterator[None]:
    """Hundreds of rows a second, until the end of the block."""
    stop, session = threading.Event(), move.place.customer(move.source, PASSWORD)

    def work() -> None:
        number = 10_000
        while not stop.is_set():
            number += 1
            session.execute("INSERT INTO orders VALUES (%s, 'busy')", [number])
            session.execute("UPDATE orders SET said = said || '.' WHERE id = %s", [number - 9_000])
            session.execute("DELETE FROM orders WHERE id = %s", [number - 5])

    writer = threading.Thread(target=work)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def test_a_copy_is_proved_while_its_customer_writes(move: Move) -> None:
    """Little is left for the fence, and what is done in the last moments is part of it."""
    with proving(move) as going:
        with a_customer_who_writes(move):
            assert going.beforehand() == ()
            assert (whole_tables(going.owed), keys_of(going.owed) <= 4 * FEW_KEYS) == (0, True)
        move.run(move.source, MEANWHILE)
        move.catch_up()
        going.read_on()
    assert {name for name, rows in going.owed.items() if rows.but} == {"public.whims", "public.kept"}
    assert ("-2",) in going.owed["public.orders"].keys >= {("1",), ("2",), ("3",), ("4000",)}
    assert going.rest() == ()


def test_a_row_that_was_altered_before_is_found_before_the_fence(move: Move) -> None:
    """Altered, missing or too much, on the side that nobody is let into yet."""
    for spoil, mend in (
        (
            "UPDATE orders SET large = large || 'y' WHERE id = 50",
            "UPDATE orders SET large = repeat('x', 3000) WHERE id = 50",
        ),
        ("DELETE FROM orders WHERE id = 50", "INSERT INTO orders VALUES (50, 'order 50', repeat('x', 3000))"),
        ("INSERT INTO parts VALUES (0, 1)", "DELETE FROM parts WHERE id = 0"),
    ):
        move.run(move.target, spoil)
        with proving(move) as going:
            assert len(going.beforehand()) == 1, spoil
        move.run(move.target, mend)
    with proving(move) as going:
        assert going.beforehand() == ()


def test_a_row_that_is_altered_later_is_found_if_the_log_names_it(move: Move) -> None:
    """Behind the fence the rows are compared that changed since, and no others: this is what is not seen again."""
    with proving(move) as going:
        assert going.beforehand() == ()
        move.run(move.source, "UPDATE orders SET said = 'new' WHERE id = 60")
        move.catch_up()
        going.read_on()
    move.run(move.target, "UPDATE orders SET said = 'by hand' WHERE id = 61")
    assert going.rest() == ()  # nothing names 61: nobody is let into the copy, and only we could write there
    move.run(move.target, "UPDATE orders SET said = 'by hand' WHERE id = 60")
    (fault,) = going.rest()
    assert "public.orders" in fault
    move.run(
        move.target, "UPDATE orders SET said = 'new' WHERE id = 60; UPDATE orders SET said = 'order 61' WHERE id = 61"
    )
    with proving(move) as going:
        assert going.beforehand() == ()


def test_a_table_that_the_log_lost_sight_of_is_compared_whole(move: Move) -> None:
    """One made anew under the same name replicates nothing, and the schema is what it was: its rows tell."""
    schema = move.replication.schema_digest(move.source)
    with proving(move) as going:
        assert going.beforehand() == ()
        move.run(move.source, "DROP TABLE calm; CREATE TABLE calm (said text); INSERT INTO calm VALUES ('x'), ('z')")
        move.run(move.source, "ALTER TABLE calm REPLICA IDENTITY FULL")
        move.catch_up()
        going.read_on()
    assert move.replication.schema_digest(move.source) == schema
    (fault,) = going.rest()
    assert "public.calm" in fault
