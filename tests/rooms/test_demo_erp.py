"""The demo's ERP: the same from the same seed, loaded by an ordinary role, and full of what real schemas hold."""

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.contracts.postgres import PostgresCluster, postgres_cluster
from tests.demo import erp
from tests.demo.customers import Content, content_of, load_pgbench, load_shop, trade

SEED = 7


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    """A cluster of this module's own."""
    with postgres_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def loaded(cluster) -> Iterator[psycopg.Connection[Any]]:
    """A session of a customer whose database holds the ERP."""
    with customer(cluster, "erp", erp.EXTENSIONS) as session:
        erp.load(session, erp.generate(SEED))
        yield session


def customer(cluster: PostgresCluster, name: str, extensions: tuple[str, ...] = ()) -> psycopg.Connection[Any]:
    """A session of an ordinary role that owns the schema public of a new database, as a tenant's owner does."""
    cluster.create_database(name)
    with cluster.superuser(name) as session:
        session.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'a password'".encode())
        session.execute(f"ALTER SCHEMA public OWNER TO {name}".encode())
        for extension in extensions:
            session.execute(f"CREATE EXTENSION {extension} SCHEMA public".encode())
    return psycopg.connect(
        host=str(cluster.cluster.setup.sockets),
        port=cluster.cluster.port,
        user=name,
        password="a password",
        dbname=name,
        autocommit=True,
    )


def count(session: psycopg.Connection[Any], question: str) -> int:
    """The one number that answers a question."""
    row = session.execute(question.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_a_seed_gives_the_same_rows_again_and_another_seed_others() -> None:
    """Nothing depends on the clock, the process or the order in which tables are asked."""
    one, same, other = erp.generate(SEED), erp.generate(SEED), erp.generate(SEED + 1)
    assert (one.before, one.after) == (same.before, same.after)
    differing = 0
    again = {twin.name: list(twin.content(SEED)) for twin in reversed(same.tables)}
    for table in one.tables:
        rows = list(table.content(SEED))
        assert rows == again[table.name]
        assert len(rows) == table.rows
        differing += rows != list(table.content(other.seed))
    assert differing > 90


def test_tables_are_named_once() -> None:
    """Some hundred tables, none of them twice."""
    names = [table.name for table in erp.generate(SEED).tables]
    assert len(names) == len(set(names))
    assert len(names) >= 100


def test_an_ordinary_role_loads_it_and_finds_every_row(loaded) -> None:
    """What was generated is what is there."""
    tables = erp.generate(SEED).tables
    for table in tables:
        assert count(loaded, f"SELECT count(*) FROM {table.name}") == table.rows, table.name


@pytest.mark.parametrize(
    ("what", "fewest", "question"),
    [
        ("tables with rows of their own", 130, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid > 16384"),
        ("partitioned tables", 15, "SELECT count(*) FROM pg_partitioned_table"),
        ("partitions two levels down", 1, "SELECT max(level) - 1 FROM pg_partition_tree('odd_by_list')"),
        ("foreign keys", 100, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"),
        ("deferred foreign keys", 1, "SELECT count(*) FROM pg_constraint WHERE condeferred"),
        ("exclusion constraints", 1, "SELECT count(*) FROM pg_constraint WHERE contype = 'x'"),
        ("enums", 8, "SELECT count(*) FROM pg_type WHERE typtype = 'e'"),
        ("domains", 3, "SELECT count(*) FROM pg_type WHERE typtype = 'd' AND oid > 16384"),
        ("composite types", 1, "SELECT count(*) FROM pg_class WHERE relkind = 'c' AND oid > 16384"),
        ("generated columns", 15, "SELECT count(*) FROM pg_attribute WHERE attgenerated <> ''"),
        ("identity columns", 1, "SELECT count(*) FROM pg_attribute WHERE attidentity <> ''"),
        ("dropped columns", 2, "SELECT count(*) FROM pg_attribute WHERE attisdropped AND attrelid > 16384"),
        ("views", 15, "SELECT count(*) FROM pg_views WHERE schemaname = 'public'"),
        ("materialized views", 1, "SELECT count(*) FROM pg_matviews"),
        ("sequences", 3, "SELECT count(*) FROM pg_sequences"),
        ("triggers", 14, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"),
        ("policies", 1, "SELECT count(*) FROM pg_policies"),
        ("names that must be quoted", 8, "SELECT count(*) FROM pg_attribute WHERE quote_ident(attname) <> attname"),
        (
            "nested JSON documents",
            500,
            "SELECT count(*) FROM base_partner WHERE details -> 'nested' -> '' = '[[], {}]'",
        ),
        ("texts stored out of line", 1, "SELECT count(*) FROM sales_order_note WHERE octet_length(note) > 20000"),
        ("large objects", 1, "SELECT count(*) FROM pg_largeobject_metadata"),
    ],
)
def test_it_holds_what_real_schemas_hold(loaded, what, fewest, question) -> None:
    """Each kind of thing is there; a dump that loses one of them is noticed."""
    assert count(loaded, question) >= fewest, what


def test_the_extremes_survive_their_way_in(loaded) -> None:
    """Values that a careless loader rounds, folds or drops."""
    row = loaded.execute("SELECT array_agg(DISTINCT n::text), array_agg(DISTINCT d::text) FROM odd_extremes").fetchone()
    assert set(row[0]) <= {"NaN", "-Infinity", "1" + "0" * 200 + ".0000001"}
    assert set(row[1]) <= {"infinity", "4713-01-01 BC", "5874897-12-31"}
    texts = loaded.execute('SELECT "with ""quotes"" and.dots" FROM "Ordre ""N°"" 7.select"').fetchall()
    assert {text for (text,) in texts} == {"\\N", "\\."}
    empty = 'SELECT count(*) FROM "Ordre ""N°"" 7.select" WHERE "100%" = \'\''
    assert count(loaded, empty) == count(loaded, empty.replace("= ''", "IS NULL")) == 25


def test_what_a_customer_counts_tells_every_change(loaded) -> None:
    """Each change of a row or a large object gives another checksum; undone, the first one comes back."""
    first = content_of(loaded)
    assert (first.tables, first.rows) > (130, 28_000)
    changes = (
        "UPDATE base_currency SET name = name || ' ' WHERE id = 1",
        "INSERT INTO odd_no_columns DEFAULT VALUES",
        (
            "DELETE FROM sales_order_event WHERE ctid = (SELECT min(ctid) FROM sales_order_event_rest)"
            " AND tableoid = 'sales_order_event_rest'::regclass"
        ),
        "SELECT lo_put(77001, 5, 'x')",
        "UPDATE odd_ancestor SET name = 'x' WHERE id = 1 AND tableoid = 'odd_ancestor'::regclass",
    )
    seen: list[Content] = [first]
    for change in changes:
        with loaded.transaction(force_rollback=True):
            loaded.execute(change.encode())
            seen.append(content_of(loaded))
    assert all(a.checksum != b.checksum for a, b in itertools.combinations(seen, 2))
    assert content_of(loaded) == first


def test_the_other_customers_data_is_loaded_by_pgbenchs_rules(cluster) -> None:
    """A branch, ten tellers and a hundred thousand accounts for each of the scale; trade keeps the books balanced."""
    with customer(cluster, "bench") as session:
        load_pgbench(session, 1)
        empty = content_of(session)
        assert (empty.tables, empty.rows) == (4, 100_011)
        trade(session, 50)
        assert count(session, "SELECT count(*) FROM pgbench_history") == 50
        sums = [
            count(session, f"SELECT coalesce(sum({column}), 0) FROM pgbench_{table}")
            for table, column in (
                ("accounts", "abalance"),
                ("tellers", "tbalance"),
                ("branches", "bbalance"),
                ("history", "delta"),
            )
        ]
        assert len(set(sums)) == 1
        assert content_of(session).checksum != empty.checksum


def test_the_small_shop_is_the_same_each_time(cluster) -> None:
    """Two shops hold the same."""
    contents = []
    for name in ("shop_one", "shop_two"):
        with customer(cluster, name) as session:
            load_shop(session)
            contents.append(content_of(session))
    assert contents[0] == contents[1]
    assert (contents[0].tables, contents[0].rows) == (2, 5500)
