"""What the digests of tables notice, for each kind of column: hashed as it is, or written as text first."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest

from tenantctl.adapters.postgres.digests import HASHED_TYPES, Table, digest, list_tables, lock
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.tenant import Hosting
from tests.contracts.databases_places import PostgresPlace, given, local_place

VERIFY = "two"
VALUES = {
    "bool": ("true", "false"),
    "bytea": (r"\\x00ff", r"\\x00fe"),
    "int2": ("1", "-1"),
    "int4": ("1", "2"),
    "int8": ("1099511627776", "1"),
    "oid": ("1", "2"),
    "float4": ("0.1", "0.10000001"),
    "float8": ("0.1", "0.10000000000000002"),
    "numeric": ("1.1", "1.10000000000000000000001"),
    "text": ("a", "a "),
    "varchar": ("", " "),
    "bpchar": ("a", "b"),
    "name": ("a", "b"),
    "date": ("2026-01-01", "infinity"),
    "time": ("00:00", "24:00"),
    "timestamp": ("2026-01-01 00:00", "2026-01-01 00:00:00.000001"),
    "timestamptz": ("2026-01-01 00:00Z", "2026-01-01 00:00+01"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"),
    "jsonb": ('{"a": null}', '{"a": "null"}'),
}
WRITTEN = {
    "json": ('{"a":1}', '{"a": 1}'),
    "xid": ("1", "2"),
    "interval": ("1 month", "30 days"),
    "int4[]": ("{1,2}", "[2:3]={1,2}"),
    "point": ("(0,1)", "(1,0)"),
    "public.mood": ("sad", "glad"),
    "public.positive": ("1", "2"),
    "regclass": ("public.one", "public.two"),
}


@pytest.fixture
def place(local_cloud: LocalCloud) -> Iterator[PostgresPlace]:
    """The adapters on the local cloud."""
    with local_place(local_cloud) as made:
        yield made


@pytest.fixture
def hosting(place: PostgresPlace) -> Hosting:
    """A database with types of the customer's own."""
    made = given(place)
    session = place.customer(made)
    session.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    session.execute("CREATE DOMAIN positive AS int CHECK (value > 0)")
    session.execute("CREATE TABLE one ()")
    session.execute("CREATE TABLE two ()")
    return made


def tables_of(session: psycopg.Connection) -> dict[str, Table]:
    return {table.name: table for table in list_tables(session)}


def test_every_hashed_type_is_tried() -> None:
    assert set(VALUES) == set(HASHED_TYPES)


@pytest.mark.parametrize("kind", [*VALUES, *WRITTEN])
def test_another_value_is_noticed(place: PostgresPlace, hosting: Hosting, kind: str) -> None:
    """Other values of every type have other checksums, and so has NULL."""
    one, other = {**VALUES, **WRITTEN}[kind]
    with place.ours(hosting) as session:
        session.execute(f'SET ROLE "{hosting.owner}"'.encode())
        session.execute(f"CREATE TABLE public.t (c {kind})".encode())
        assert (tables_of(session)["public.t"].hashed == ("t.c",)) == (kind in VALUES)
        seen = set()
        for value in (one, other, None):
            session.execute("TRUNCATE public.t")
            session.execute(f"INSERT INTO public.t SELECT CAST(%s AS text)::{kind}".encode(), [value])
            seen.add(digest(session, list_tables(session))["public.t"].checksum)
    assert len(seen) == 3


def test_a_restored_row_of_all_types_counts_the_same(place: PostgresPlace, hosting: Hosting) -> None:
    """Also where enums, domains and tables have other numbers in the other database."""
    columns = {**VALUES, **WRITTEN}
    with place.ours(hosting) as session:
        session.execute(f'SET ROLE "{hosting.owner}"'.encode())
        definitions = ", ".join(f'"{number}" {kind}' for number, kind in enumerate(columns))
        session.execute(f"CREATE TABLE public.t ({definitions})".encode())
        for position in (0, 1):
            values = ", ".join(f"CAST(%s AS text)::{kind}" for kind in columns)
            row = [pair[position] for pair in columns.values()]
            session.execute(f"INSERT INTO public.t SELECT {values}".encode(), row)
        table = tables_of(session)["public.t"]
    assert (len(table.hashed), len(table.written)) == (len(VALUES), len(WRITTEN))
    with place.databases.dump(hosting) as dump:
        archive, tables = list(dump.chunks()), dict(dump.tables)
    scratch = f"s_{secrets.token_hex(6)}"
    place.scratch.create(VERIFY, scratch)
    try:
        place.scratch.restore(VERIFY, scratch, iter(archive))
        assert place.scratch.digests(VERIFY, scratch) == tables
    finally:
        place.scratch.drop(VERIFY, scratch)
    assert tables["public.t"].rows == 2


def test_small_large_and_empty_tables_are_summed_up_alike(place: PostgresPlace, hosting: Hosting) -> None:
    """However a table is read: its file empty, a few pages of many tables together, or large and alone."""
    with place.ours(hosting) as session:
        session.execute(f'SET ROLE "{hosting.owner}"'.encode())
        for number in range(70):  # more than one statement takes
            session.execute(f'CREATE TABLE public."t {number:02}" (a int, b text)'.encode())
            session.execute(
                f"INSERT INTO public.\"t {number:02}\" SELECT n, 'x' FROM generate_series(1, {number % 3}) n".encode()
            )
        small = digest(session, list_tables(session))
        assert [small[f'public."t {number:02}"'].rows for number in range(70)] == [number % 3 for number in range(70)]
        for number in (0, 1, 2):
            alone = f'SELECT coalesce(sum(hash_record_extended(ROW(a, b), 0)), 0)::text FROM public."t {number:02}"'
            assert session.execute(alone.encode()).fetchone() == (small[f'public."t {number:02}"'].checksum,)
            session.execute(
                f"INSERT INTO public.\"t {number:02}\" SELECT -n, 'y' FROM generate_series(1, 5000) n".encode()
            )
            session.execute(f'DELETE FROM public."t {number:02}" WHERE a < 0'.encode())
        assert digest(session, list_tables(session)) == small


def test_a_snapshot_sees_the_rows_that_are_deleted_after_it(place: PostgresPlace, hosting: Hosting) -> None:
    """No vacuum empties the file of a table while a snapshot may want to read it."""
    with place.ours(hosting) as session, place.ours(hosting) as other:
        other.execute(f'SET ROLE "{hosting.owner}"'.encode())
        other.execute("CREATE TABLE public.t (a int)")
        other.execute("INSERT INTO public.t VALUES (1)")
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        tables = list_tables(session)
        lock(session, tables)
        before = digest(session, tables)
        other.execute("DELETE FROM public.t")
        other.execute("VACUUM public.t")
        assert digest(session, tables) == before
        session.execute("ROLLBACK")
    assert before["public.t"].rows == 1
