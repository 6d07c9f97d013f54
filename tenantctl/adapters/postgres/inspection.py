"""What is in a database, and what an instance offers, for who would carry the one into the other."""

from typing import Final

from tenantctl.adapters.postgres.control import Session
from tenantctl.adapters.postgres.digests import list_tables
from tenantctl.adapters.postgres.keyed_tables import describe
from tenantctl.model.replication import Inspection, Readiness
from tenantctl.model.tenant import Hosting

# Types whose values cannot be compared for equality: a row that has one is found again by no replication.
_INCOMPARABLE: Final = ("json", "xml", "point", "line", "lseg", "path", "box", "polygon", "circle")

# The tables with rows of their own, as in `digests`; whether something tells their rows apart, or all of a row does.
TABLES: Final = """
    SELECT format('%%I.%%I', n.nspname, c.relname) AS name, c.relpersistence = 'u' AS unlogged,
        pg_total_relation_size(c.oid) AS size, c.relrowsecurity AND c.relforcerowsecurity AS forced,
        CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false
            WHEN 'i' THEN EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisreplident AND indisvalid)
            ELSE EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary AND indimmediate AND indisvalid)
        END AS identified,
        c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_type e ON e.oid = t.typelem
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND (t.typname = ANY (%(incomparable)s) OR e.typname = ANY (%(incomparable)s))) AS matchable
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't'
        AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1
"""
_STRANGERS: Final = """
    SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
        AND pg_get_userbyid(c.relowner) <> ALL (%(ours)s)
        AND NOT EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i'))
        AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    ORDER BY 1
"""
_LOCALE: Final = """
    SELECT concat_ws(' ', pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype,
        to_jsonb(pg_database) ->> 'datlocale')
    FROM pg_database WHERE datname = %(database)s
"""


def tables(session: Session) -> list[tuple[str, bool, int, bool, bool, bool]]:
    """Name, unlogged, size, forced, identified, matchable; of each table with rows of its own."""
    return session.execute(TABLES, {"incomparable": list(_INCOMPARABLE)}).fetchall()


def inspected(session: Session, hosting: Hosting) -> Inspection:
    """What is in the session's database."""
    found = tables(session)
    unlogged = [row[0] for row in found if row[1]]
    filled = tuple(name for name in unlogged if _has_rows(session, name))
    logged = [row for row in found if not row[1]]
    keyed = describe(session, list_tables(session), ())
    counted = session.execute(
        "SELECT pg_database_size(current_database()), (SELECT count(*) FROM pg_largeobject_metadata),"
        " (SELECT count(*) FROM pg_class WHERE relkind = 'S' AND relpersistence <> 't'),"
        " (SELECT array_agg(extname::text ORDER BY extname) FROM pg_extension WHERE extname <> 'plpgsql'),"
        " current_setting('server_version_num')::int / 10000"
    ).fetchone()
    assert counted is not None, "a query without a table has one row"
    size, large_objects, sequences, extensions, major = counted
    strangers = session.execute(_STRANGERS, {"ours": [hosting.owner, hosting.login]}).fetchall()
    return Inspection(
        server_major=major,
        size=size,
        tables=len(found),
        without_identity=tuple((row[0], row[2]) for row in logged if not row[4]),
        beyond_matching=tuple(row[0] for row in logged if not row[4] and not row[5]),
        without_keys=sum(row[2] for row in logged if row[0] not in keyed or not keyed[row[0]].key),
        large_objects=large_objects,
        unlogged=filled,
        forced=tuple(row[0] for row in found if row[3]),
        of_strangers=tuple(name for (name,) in strangers),
        sequences=sequences,
        extensions=tuple(extensions or ()),
        locale=locale(session, hosting.database),
    )


def readiness(session: Session) -> Readiness:
    """What the session's instance offers; the locale is that of a database that it would make."""
    found = session.execute(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('wal_level') = 'logical',"
        " current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),"
        " (SELECT array_agg(name::text) FROM pg_available_extensions)"
    ).fetchone()
    assert found is not None, "a query without a table has one row"
    major, logical, slots, extensions = found
    return Readiness(major, frozenset(extensions or ()), locale(session, "template0"), logical, slots)


def locale(session: Session, database: str) -> str:
    """Encoding, provider and locale of a database, in one line."""
    found = session.execute(_LOCALE, {"database": database}).fetchone()
    return str(found[0]) if found else ""


def _has_rows(session: Session, name: str) -> bool:
    return bool(session.execute(f"SELECT FROM ONLY {name} LIMIT 1".encode()).fetchall())  # the server quoted it
