"""Rows and checksum of each table, in a form that a restored copy reproduces.

A row counts by its columns in the order of their names (a restore may reorder inherited ones), without generated
columns, which are no part of a dump; a table's checksum is the sum of its rows' hashes, so their order does not count.

Columns of the common built-in types are hashed as they are, by the functions that hash partitioning relies on: they
give the same in every release and on every machine, and take a third of the time that writing the row as text does.
They are for noticing accidents: they have 32 bits for eight-byte numbers and times, and none for what SQL takes for the
same value, such as 1.0 and 1.00. All other columns are written as text first: the hash of an enum or a regclass depends
on numbers that another database gives anew, that of a text under a collation which knows several spellings of a word
depends on a library. They are written by the types' own output functions: a cast to text would run whatever function
the customer put in its place, with our rights. Nobody but a superuser can put one in the place of a type's hash
function.

Partitions count each for itself, their parents not; neither do views, materialized or not, foreign tables, and what
belongs to extensions: a dump carries none of their rows. Large objects count together, as one table. Sequences do not:
they move outside of any snapshot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import not_
from typing import Final

from tenantctl.adapters.postgres.control import Session
from tenantctl.model.backup import TableDigest

LARGE_OBJECTS: Final = "pg_catalog.pg_largeobject"
_TABLES_AT_ONCE: Final = 64  # in one statement: over a distance, round trips are what takes long
_SMALL_BYTES: Final = 64 * 1024  # some hundreds of rows: about as much work as planning a query for them
_EMPTY: Final = TableDigest(0, "0")

HASHED_TYPES: Final = (
    *("bool", "bytea", "int2", "int4", "int8", "oid", "float4", "float8", "numeric"),
    *("text", "varchar", "bpchar", "name", "date", "time", "timestamp", "timestamptz", "uuid", "jsonb"),
)
_TABLES: Final = """
    SELECT format('%%I.%%I', n.nspname, c.relname), coalesce(columns.names, '{}'), coalesce(columns.hashed, '{}')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (
        SELECT array_agg('t.' || quote_ident(attname) ORDER BY attname COLLATE "C") AS names,
            array_agg(atttypid IN (SELECT oid FROM pg_type
                    WHERE typnamespace = 'pg_catalog'::regnamespace AND typname = ANY (%s))
                AND attcollation NOT IN (SELECT oid FROM pg_collation WHERE NOT collisdeterministic)
                ORDER BY attname COLLATE "C") AS hashed
        FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') columns
    WHERE c.relkind = 'r' AND c.relpersistence <> 't'
        AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1
"""
# How large tables are that lie in PostgreSQL's own way; what others have in their file says nothing.
_SIZES: Final = """
    SELECT number - 1, pg_relation_size(c.oid) FROM unnest(%s::text[]) WITH ORDINALITY AS named (name, number)
    JOIN pg_class c ON c.oid = named.name::regclass AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'heap')
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
    """A table with rows of its own: its quoted name with schema, and its columns as `t.quoted_name`.

    `hashed` are the columns that are hashed as they are, `written` those that are written as text first.
    """

    name: str
    hashed: tuple[str, ...]
    written: tuple[str, ...]


def list_tables(session: Session) -> tuple[Table, ...]:
    """The tables of the session's database, in order of their names."""
    found = session.execute(_TABLES, [list(HASHED_TYPES)]).fetchall()
    return tuple(
        Table(
            name,
            hashed=tuple(compress(columns, as_they_are)),
            written=tuple(compress(columns, map(not_, as_they_are))),
        )
        for name, columns, as_they_are in found
    )


def lock(session: Session, tables: Sequence[Table]) -> None:
    """Keep tables from being emptied, rewritten or dropped until the transaction ends; reading and writing go on."""
    if tables:
        names = ", ".join(f"ONLY {table.name}" for table in tables)
        session.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE".encode())


def digest(session: Session, tables: Sequence[Table]) -> dict[str, TableDigest]:
    """Rows and checksum of each of these tables, and of the large objects if there are any.

    What a small table costs is the planning of its query. So a table whose file is empty has none: no row that a
    snapshot sees is ever taken out of the file before that snapshot ends, and `lock` keeps the file itself. And small
    tables have one query together, which is planned in less time, and takes longer for each row.
    """
    digests: dict[str, TableDigest] = {}
    sizes = dict(session.execute(_SIZES, [[table.name for table in tables]]).fetchall()) if tables else {}
    small, large = [], []
    for number, table in enumerate(tables):
        match sizes.get(number):
            case 0:
                digests[table.name] = _EMPTY
            case int(size) if size <= _SMALL_BYTES:
                small.append(table)
            case _:
                large.append(table)
    digests |= _digests(session, small, _grouped) | _digests(session, large, _one_by_one)
    for rows, checksum in session.execute(_LARGE_OBJECTS):
        if rows:
            digests[LARGE_OBJECTS] = TableDigest(rows, checksum)
    return dict(sorted(digests.items()))


def _digests(
    session: Session, tables: Sequence[Table], statement: Callable[[Sequence[Table]], str]
) -> dict[str, TableDigest]:
    digests: dict[str, TableDigest] = {}
    for start in range(0, len(tables), _TABLES_AT_ONCE):
        several = tables[start : start + _TABLES_AT_ONCE]
        digests |= {table.name: _EMPTY for table in several}  # a group without rows is no group
        for number, rows, checksum in session.execute(statement(several).encode()).fetchall():
            digests[several[number].name] = TableDigest(rows, checksum)
    return digests


def _one_by_one(tables: Sequence[Table]) -> str:
    return " UNION ALL ".join(
        f"SELECT {number}, count(*), coalesce(sum({hash_of(table)}), 0)::text FROM ONLY {table.name} AS t"  # noqa: S608 - the server quoted them
        for number, table in enumerate(tables)
    )


def _grouped(tables: Sequence[Table]) -> str:
    hashes = " UNION ALL ".join(
        f"SELECT {number}, {hash_of(table)} FROM ONLY {table.name} AS t"  # noqa: S608 - the server quoted them
        for number, table in enumerate(tables)
    )
    return f"SELECT number, count(*), sum(hash)::text FROM ({hashes}) AS hashed (number, hash) GROUP BY number"  # noqa: S608 - as above


def hash_of(table: Table) -> str:
    """The hash of a row of a table that the statement names `t`."""
    columns = list(table.hashed)
    if table.written:
        columns.append(f"record_out(ROW({', '.join(table.written)}))::text")
    return f"hash_record_extended(ROW({', '.join(columns)}), 0)"
