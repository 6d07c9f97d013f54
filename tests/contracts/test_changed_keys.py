"""What the log tells of changes on two real clusters, which rows are found by it, and what it does not tell of."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest

from tenantctl.adapters.postgres import changed_keys
from tenantctl.adapters.postgres.changed_keys import Seen
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import NotFound, Transient
from tenantctl.model.row_sets import ALL_ROWS, Rows, known_by
from tests.contracts.databases_places import PASSWORD
from tests.contracts.moving import Move, moving

LONG = secrets.token_hex(1200)  # as long as a key may be
SCHEMA = f"""
    CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE orders (id bigint PRIMARY KEY, said text NOT NULL DEFAULT 'x', large text);
    ALTER TABLE orders ALTER large SET STORAGE EXTERNAL;
    CREATE TABLE "Odd %s ""Näme" (gone int, "Kéy %" text, "at" timestamptz, n numeric, b bytea, f float8, c char(5),
        d positive, rest int, twice int GENERATED ALWAYS AS (rest * 2) STORED,
        PRIMARY KEY (d, "Kéy %", "at", n, b, f, c));
    ALTER TABLE "Odd %s ""Näme" DROP COLUMN gone;
    CREATE TABLE parts (id int, half int, said text, PRIMARY KEY (id, half)) PARTITION BY LIST (half);
    CREATE TABLE parts_one PARTITION OF parts FOR VALUES IN (1);
    CREATE TABLE parts_two PARTITION OF parts FOR VALUES IN (2);
    CREATE TABLE whims (said text); CREATE TABLE calm (said text); CREATE TABLE moods (it mood PRIMARY KEY, said text);
    CREATE TABLE indexed (id int NOT NULL, code text COLLATE "C" NOT NULL);
    CREATE UNIQUE INDEX by_code ON indexed (code) INCLUDE (id);
    ALTER TABLE indexed REPLICA IDENTITY USING INDEX by_code;
    CREATE TABLE long (key text PRIMARY KEY, large text); ALTER TABLE long ALTER key SET STORAGE EXTERNAL;
    INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 2000) n;
    UPDATE orders SET large = repeat('x', 9000) WHERE id <= 3;
    INSERT INTO "Odd %s ""Näme"
        SELECT 'a"b\\{{}},''%s ' || n, '2026-01-01 00:00:00.000001Z', n / 7.0, '\\x00ff5c', 0.1, 'ab', n, n
        FROM generate_series(1, 50) n;
    INSERT INTO parts SELECT n, 1 + n % 2 FROM generate_series(1, 10) n;
    INSERT INTO whims SELECT 'same' FROM generate_series(1, 5) n; INSERT INTO calm VALUES ('x'), ('x');
    INSERT INTO moods VALUES ('sad'), ('glad'); INSERT INTO indexed VALUES (1, 'one'), (2, 'two');
    INSERT INTO long VALUES ('{LONG}', repeat('y', 3000));
"""
ODD = 'public."Odd %s ""Näme"'
STEPS: tuple[tuple[str, dict[str, Rows]], ...] = (
    ("SELECT 1", {}),
    ("INSERT INTO orders VALUES (5000, 'new')", {"public.orders": Rows(frozenset({("5000",)}))}),
    ("UPDATE orders SET said = 'y' WHERE id <= 3", {"public.orders": Rows(frozenset({("1",), ("2",), ("3",)}))}),
    ("UPDATE orders SET id = 6000 WHERE id = 2", {"public.orders": Rows(frozenset({("2",), ("6000",)}))}),
    ("DELETE FROM orders WHERE id = 3", {"public.orders": Rows(frozenset({("3",)}))}),
    (
        "UPDATE parts SET half = 1 WHERE id = 1",  # from one partition into the other
        {"public.parts_two": Rows(frozenset({("1", "2")})), "public.parts_one": Rows(frozenset({("1", "1")}))},
    ),
    (
        'UPDATE "Odd %s ""Näme" SET rest = 0 WHERE d = 7',
        {
            ODD: Rows(
                frozenset(
                    {
                        (
                            "a\"b\\{},'%s 7",
                            "2026-01-01 00:00:00.000001+00",
                            "1.00000000000000000000",
                            "\\x00ff5c",
                            "0.1",
                            "ab   ",
                            "7",
                        )
                    }
                )
            )
        },
    ),
    ("UPDATE whims SET said = 'x' WHERE ctid = '(0,1)'", {"public.whims": ALL_ROWS}),
    ("INSERT INTO whims VALUES ('y')", {"public.whims": ALL_ROWS}),
    ("UPDATE moods SET said = 'x' WHERE it = 'sad'", {"public.moods": ALL_ROWS}),
    ("UPDATE indexed SET id = 3 WHERE code = 'one'", {"public.indexed": Rows(frozenset({("one",)}))}),
    ("UPDATE long SET large = 'z'", {"public.long": Rows(frozenset({(LONG,)}))}),
    ("BEGIN; INSERT INTO orders VALUES (7000); ROLLBACK", {}),
    ("BEGIN; SAVEPOINT a; DELETE FROM orders WHERE id = 9; COMMIT", {"public.orders": Rows(frozenset({("9",)}))}),
    ("TRUNCATE calm", {"public.calm": ALL_ROWS}),
)


@pytest.fixture(scope="module")
def move(local_cloud: LocalCloud) -> Iterator[Move]:
    """In step; every test leaves both sides the same."""
    with moving(local_cloud, SCHEMA) as found:
        found.begin()
        found.wait_until(lambda: found.seen().in_step(64_000))
        yield found


def test_what_changes_is_told_by_its_key(move: Move) -> None:
    """Also by the key that a row had before, of rows that lie in pieces, and of keys of many types."""
    with move.replication.changes(move.source) as log:
        for statement, expected in STEPS:
            move.run(move.source, statement)
            assert log.read() == expected, statement
        move.run(move.source, "UPDATE orders SET said = 'all'; DELETE FROM orders WHERE id > 1990 AND id <= 2000")
        told = log.read()["public.orders"]
    assert len(told.keys) == len(move.run(move.source, "SELECT id FROM orders")) + 10
    move.catch_up()


def test_rows_are_found_by_what_the_log_tells(move: Move) -> None:
    """On both sides, whatever their keys are made of: those of the keys and all others make the whole."""
    with move.replication.changes(move.source) as log:
        for table in ("orders", '"Odd %s ""Näme"', "parts", "indexed", "long"):
            column = {"indexed": "id", "long": "large", '"Odd %s ""Näme"': "rest"}.get(table, "said")
            move.run(move.source, f"UPDATE {table} SET {column} = {column} WHERE ctid IN ('(0,1)', '(0,2)', '(0,30)')")
            move.run(move.source, f"UPDATE {table} SET {column} = {column}")
            told = log.read()
            some = {name: Rows(frozenset(sorted(rows.keys)[::2])) for name, rows in told.items()}
            move.catch_up()
            for side in (move.source, move.target):
                with move.replication.frozen(side) as frozen:
                    found = frozen.sums(some)
                    others = frozen.sums({name: ALL_ROWS - rows for name, rows in some.items()})
                    whole = frozen.sums(dict.fromkeys(some, ALL_ROWS))
                for name, rows in some.items():
                    assert found[name].rows == len(rows.keys) > 0
                    sums = [int(one[name].checksum) for one in (found, others, whole)]
                    assert (others[name].rows + found[name].rows, sums[0] + sums[1]) == (whole[name].rows, sums[2])


def test_what_no_log_tells_of_is_seen_by_the_tables_shape(move: Move) -> None:
    """A table that was made anew, rewritten, or has other columns under the same names is all to be compared."""
    with move.replication.changes(move.source) as log:
        shapes = log.shapes

        def unknown() -> set[str]:
            with move.replication.frozen(move.source) as now:
                known = known_by(shapes, now.shapes, {})
            return {name for name, rows in known.items() if rows == ALL_ROWS}

        assert unknown() == set()
        assert ODD in shapes
        move.run(move.source, "VACUUM FULL calm")
        assert unknown() == {"public.calm"}
        move.run(move.source, "CREATE UNLOGGED TABLE quick (id int PRIMARY KEY); CREATE TABLE later (id int)")
        assert unknown() == {"public.calm", "public.quick", "public.later"}
        move.run(move.source, "DROP TABLE quick, later")
        move.run(move.source, "ALTER TABLE long DROP COLUMN large; ALTER TABLE long ADD COLUMN large text DEFAULT 'z'")
        move.run(move.source, "ALTER TABLE long ALTER large DROP DEFAULT")
        assert unknown() == {"public.calm", "public.long"}
        assert log.read() == {}


def test_more_keys_than_are_remembered_are_all_rows(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also within one transaction, which may be a large one."""
    monkeypatch.setattr(changed_keys, "KEYS_MAX", 100)
    with move.replication.changes(move.source) as log:
        move.run(move.source, "UPDATE orders SET said = 'many' WHERE id <= 1000; UPDATE parts SET said = 'few'")
        told = log.read()
    assert (told["public.orders"], told["public.parts_one"].but) == (ALL_ROWS, False)
    move.catch_up()


def test_open_transactions_are_waited_for(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for ever; and one that ended while it was waited for is in every snapshot after it."""
    monkeypatch.setattr(changed_keys, "_BEGIN_SECONDS", 0.3)
    with move.place.customer(move.source, PASSWORD) as customer:
        customer.execute("BEGIN; INSERT INTO orders VALUES (-1)")
        with pytest.raises(Transient, match="has stayed open"), move.replication.changes(move.source):
            pass
        customer.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("snapshot", "number", "sees"),
    [
        ("10:20:12,15", 9, True),
        ("10:20:12,15", 12, False),
        ("10:20:12,15", 13, True),
        ("10:20:12,15", 20, False),
        (f"{2**32 + 5}:{2**32 + 5}:", 2**32 - 1, True),  # from before the numbers' last 32 bits began again
        (f"{2**32 - 5}:{2**32 - 5}:", 3, False),  # and from after it
        (f"{2**32 + 3}:{2**32 + 9}:{2**32 + 4}", 4, False),
    ],
)
def test_a_snapshot_sees_what_had_ended(snapshot: str, number: int, sees: bool) -> None:
    assert Seen(snapshot).sees(number) is sees


def test_nothing_is_told_of_what_is_not_published(move: Move) -> None:
    """It would be told that nothing changes."""
    with pytest.raises(NotFound, match="publishes nothing"), move.replication.changes(move.target):
        pass


def test_nothing_of_it_outlives_its_session(move: Move) -> None:
    """Its end leaves no slot; who begins anew, or takes all away, ends the session of one who is gone."""

    def slots() -> list[tuple[str]]:
        return move.run(move.source, "SELECT slot_name FROM pg_replication_slots WHERE temporary AND slot_name ~ '^m_'")

    with move.replication.changes(move.source):
        assert len(slots()) == 1
    assert slots() == []
    gone = move.replication.changes(move.source)
    log = gone.__enter__()
    with move.replication.changes(move.source):
        assert len(slots()) == 1
        with pytest.raises(psycopg.OperationalError):
            log.read()
    with pytest.raises(Transient):
        gone.__exit__(None, None, None)
    gone = move.replication.changes(move.source)
    gone.__enter__()
    move.replication.remove(move.source, move.target)
    with pytest.raises(Transient):
        gone.__exit__(None, None, None)
    move.wait_until(lambda: slots() == [])
