"""Rows and checksum of each table, in a form that a restored copy reproduces.

A row counts as the text of its columns in the order of their names (a restore may reorder inherited ones), without
generated columns, which are no part of a dump; a table's checksum is the sum of its rows' hashes, so their order does
not count. Rows are written by the types' own output functions: a cast to text would run whatever function the
customer put in its place, with our rights. Partitions count each for itself, their parents not; neither do views,
materialized or not, foreign tables, and what belongs to extensions: a dump carries none of their rows. Large objects
count together, as one table. Sequences do not: they move outside of any snapshot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tenantctl.adapters.postgres.control import Session
from tenantctl.model.backup import TableDigest

LARGE_OBJECTS: Final = "pg_catalog.pg_largeobject"
_TABLES_AT_ONCE: Final = 64  # in one statement: over a distance, round trips are what takes long

_TABLES: Final = """
    SELECT format('%I.%I', n.nspname, c.relname), coalesce((
        SELECT array_agg(format('t.%I', a.attname) ORDER BY a.attname COLLATE "C") FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '{}')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't'
        AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1
"""
_LARGE_OBJECTS: Final = """
    SELECT count(*), sum(hash)::text FROM pg_largeobject_metadata m, LATERAL (
        WITH RECURSIVE piece (number, bytes) AS (
            SELECT 0::bigint, lo_get(m.oid, 0, 1048576)
            UNION ALL
            SELECT number + 1, lo_get(m.oid, (number + 1) * 1048576, 1048576) FROM piece
            WHERE length(bytes) = 1048576)
        SELECT sum(hashtextextended(
            concat_ws(':', m.oid, number, encode(sha256(bytes), 'hex')), 0)) AS hash FROM piece) object
"""


@dataclass(frozen=True)
class Table:
    """A table with rows of its own: its quoted name with schema, and its columns as `t.quoted_name`."""

    name: str
    columns: tuple[str, ...]


def list_tables(session: Session) -> tuple[Table, ...]:
    """The tables of the session's database, in order of their names."""
    return tuple(Table(name, tuple(columns)) for name, columns in session.execute(_TABLES))


def lock(session: Session, tables: Sequence[Table]) -> None:
    """Keep tables from being emptied, rewritten or dropped until the transaction ends; reading and writing go on."""
    if tables:
        names = ", ".join(f"ONLY {table.name}" for table in tables)
        session.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE".encode())


def digest(session: Session, tables: Sequence[Table]) -> dict[str, TableDigest]:
    """Rows and checksum of each of these tables, and of the large objects if there are any."""
    digests: dict[str, TableDigest] = {}
    for start in range(0, len(tables), _TABLES_AT_ONCE):
        several = tables[start : start + _TABLES_AT_ONCE]
        statement = " UNION ALL ".join(_digest_of(number, table) for number, table in enumerate(several))
        for number, rows, checksum in session.execute(statement.encode()):
            digests[several[number].name] = TableDigest(rows, checksum)
    for rows, checksum in session.execute(_LARGE_OBJECTS):
        if rows:
            digests[LARGE_OBJECTS] = TableDigest(rows, checksum)
    return dict(sorted(digests.items()))


def _digest_of(number: int, table: Table) -> str:
    row = f"record_out(ROW({', '.join(table.columns)}))::text"
    checksum = f"coalesce(sum(hashtextextended({row}, 0)), 0)::text"
    return f"SELECT {number}, count(*), {checksum} FROM ONLY {table.name} AS t"  # noqa: S608 - the server quoted them
