"""Tables whose rows a key names, and rows found again by their keys' texts, as the log of changes writes them.

A key is the table's replica identity, if all of its columns are of PostgreSQL's own plain types, or of domains over
them. Its texts come back as array literals of the columns' base types, which the types' own input functions read: to
check a domain, to read a customer's type or to cast a text to it would run what the customer put there, with our
rights. For the same reason enums, composites, arrays and the types of extensions are no keys here, and neither are
texts whose collation takes several spellings for the same.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tenantctl.adapters.postgres.control import Session
from tenantctl.adapters.postgres.digests import Table, hash_of
from tenantctl.model.backup import TableDigest
from tenantctl.model.row_sets import Key

_AT_ONCE: Final = 64  # tables in one statement

# The shape of a table is its number, its file, and the numbers of its columns and of those of its key: no row changes
# outside the log unless one of these does. A table without a log, or of which nothing is published, has none.
_DESCRIBED: Final = """
    SELECT named.name, c.oid::bigint,
        CASE WHEN c.relpersistence = 'p' AND EXISTS (
            SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
            WHERE r.prrelid = c.oid AND p.pubname = ANY (%(publications)s))
        THEN concat_ws(' ', c.oid, c.relfilenode, columns.numbers, '/', key.numbers) END,
        CASE WHEN key.usable THEN key.names ELSE '{}' END, key.quoted, key.arrays, key.collations
    FROM unnest(%(tables)s::text[]) AS named (name) JOIN pg_class c ON c.oid = to_regclass(named.name), LATERAL (
        SELECT string_agg(attnum::text, ' ' ORDER BY attnum) AS numbers
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) columns, LATERAL (
        SELECT string_agg(a.attnum::text, ' ' ORDER BY a.attnum) AS numbers,
            array_agg(a.attname::text ORDER BY a.attnum) AS names,
            array_agg('t.' || quote_ident(a.attname) ORDER BY a.attnum) AS quoted,
            array_agg(format_type(base.typarray, -1) ORDER BY a.attnum) AS arrays,
            array_agg(CASE WHEN co.oid IS NULL THEN '' ELSE format(' COLLATE %%I.%%I', cn.nspname, co.collname) END
                ORDER BY a.attnum) AS collations,
            bool_and(base.typnamespace = 'pg_catalog'::regnamespace AND base.typtype = 'b' AND base.typcategory <> 'A'
                AND base.typarray <> 0 AND base.typdelim = ',' AND base.typname NOT LIKE 'reg%%'
                AND coalesce(co.collisdeterministic, true)) AS usable
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
            AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
        JOIN pg_type own ON own.oid = a.atttypid
        JOIN pg_type base ON base.oid = CASE own.typtype WHEN 'd' THEN own.typbasetype ELSE own.oid END
        LEFT JOIN (pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace) ON co.oid = a.attcollation
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
            AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END) key
"""


@dataclass(frozen=True)
class KeyedTable:
    """A table as the server describes it: its number, its shape, and its key's columns, if it has a key.

    `shape` is None where no log tells of the table. `key` are the names of the key's columns, and `columns` the same as
    `t.quoted_name`; `arrays` the types of arrays of their values, `collations` the clauses by which they are compared.
    """

    name: str
    number: int
    shape: str | None
    key: tuple[str, ...]
    columns: tuple[str, ...]
    arrays: tuple[str, ...]
    collations: tuple[str, ...]


def describe(session: Session, tables: Sequence[Table], publications: Sequence[str]) -> dict[str, KeyedTable]:
    """These tables by their quoted names, as the session's transaction sees them; those that are gone are left out."""
    asked = {"tables": [table.name for table in tables], "publications": list(publications)}
    return {
        name: KeyedTable(name, number, shape, *map(tuple, (key, quoted or (), arrays or (), collations or ())))
        for name, number, shape, key, quoted, arrays, collations in session.execute(_DESCRIBED, asked)
    }


def digests_by_key(
    session: Session, rows: Sequence[tuple[Table, KeyedTable, Collection[Key]]]
) -> Mapping[str, TableDigest]:
    """Rows and checksum, of each of these tables, of the rows that have one of these keys."""
    digests: dict[str, TableDigest] = {}
    for start in range(0, len(rows), _AT_ONCE):
        several = rows[start : start + _AT_ONCE]
        selects, arrays = [], []
        for number, (table, keyed, keys) in enumerate(several):
            selects.append(_select(number, table, keyed))
            arrays += [_array(column) for column in zip(*keys, strict=True)]
        for number, count, checksum in session.execute(" UNION ALL ".join(selects).encode(), arrays).fetchall():
            digests[several[number][0].name] = TableDigest(count, checksum)
    return digests


def _select(number: int, table: Table, keyed: KeyedTable) -> str:
    """The server quoted every name; the arrays' places are psycopg's."""
    arrays = ", ".join(f"%s::{kind}" for kind in keyed.arrays)
    names = ", ".join(f"c{position}" for position in range(len(keyed.key)))
    same = " AND ".join(
        f"{column} = k.c{position}{collation}"
        for position, (column, collation) in enumerate(zip(keyed.columns, keyed.collations, strict=True))
    )
    quoted = [part.replace("%", "%%") for part in (hash_of(table), table.name, same)]
    return (
        f"SELECT {number}, count(*), coalesce(sum({quoted[0]}), 0)::text FROM ONLY {quoted[1]} AS t"  # noqa: S608 - see above
        f" WHERE EXISTS (SELECT FROM unnest({arrays}) AS k ({names}) WHERE {quoted[2]})"
    )


def _array(texts: Sequence[str]) -> str:
    """An array literal of these texts, whatever they contain."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"
