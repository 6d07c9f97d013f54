"""Makes a living database a tenant's, its data as it is: its marker, name and owners, and who may enter.

The marker is written first, so that from then on the database is found as the tenant's, whatever it is called; after a
crash the rest is done again. Objects come to the tenant's owner by `REASSIGN OWNED`, which is why a role that owns
anything beside this database is refused beforehand.
"""

from typing import Final

import psycopg
from psycopg import sql

from tenantctl.adapters.postgres import roles
from tenantctl.adapters.postgres.control import HOME, OUR_ROLE, ControlSessions, Session
from tenantctl.adapters.postgres.markers import exists, refuse_unless_ours
from tenantctl.model.adoption import ForeignSeen, OwnerSeen
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.tenant import Hosting

_LONG_SECONDS: Final = 900.0
_OWNERS: Final = """
    SELECT r.rolname, pg_has_role(r.oid, 'USAGE'),
        ARRAY(SELECT DISTINCT coalesce(other.datname, owned.datname, 'something of the instance')
            FROM pg_shdepend e
            LEFT JOIN pg_database other ON other.oid = e.dbid
            LEFT JOIN pg_database owned ON e.classid = 'pg_database'::regclass AND owned.oid = e.objid
            WHERE e.refclassid = 'pg_authid'::regclass AND e.refobjid = r.oid AND e.deptype = 'o'
                AND e.dbid <> d.oid AND NOT (e.classid = 'pg_database'::regclass AND e.objid = d.oid))
    FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba AND r.rolname <> %(ours)s
        OR EXISTS (SELECT FROM pg_shdepend s WHERE s.dbid = d.oid AND s.refclassid = 'pg_authid'::regclass
            AND s.refobjid = r.oid AND s.deptype = 'o')
    WHERE d.datname = %(database)s ORDER BY 1
"""
_STRANGE: Final = """
    SELECT 'the foreign server ' || srvname FROM pg_foreign_server
    UNION ALL SELECT 'the event trigger ' || evtname FROM pg_event_trigger
    UNION ALL SELECT 'the publication ' || pubname FROM pg_publication
    UNION ALL SELECT 'the subscription ' || subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
        WHERE d.datname = current_database()
    UNION ALL SELECT 'the prepared transaction ' || gid FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL SELECT 'the tablespace ' || t.spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
        WHERE t.spcname <> 'pg_global'
    ORDER BY 1
"""
_ENTERING: Final = """
    SELECT coalesce(r.rolname, '') FROM pg_database d,
        aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE d.datname = %s AND coalesce(r.rolname, '') <> ALL (%s)
"""


def inspect_foreign(control: ControlSessions, instance: str, database: str) -> ForeignSeen:
    """What is in the database.

    Raises:
        NotFound: the instance has none of this name.
        Transient: the instance does not answer.
    """
    with control.inside(instance, database) as session:
        found = session.execute(
            "SELECT coalesce(shobj_description(oid, 'pg_database'), ''), pg_database_size(oid),"
            " current_setting('server_version_num')::int / 10000, pg_encoding_to_char(encoding)::text,"
            " ARRAY(SELECT extname::text FROM pg_extension ORDER BY 1), (SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid())"
            " FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert found is not None, "a session's own database is there"
        marker, size, major, encoding, extensions, sessions = found
        owners = session.execute(_OWNERS, {"database": database, "ours": OUR_ROLE}).fetchall()
        strange = session.execute(_STRANGE).fetchall()
    return ForeignSeen(
        marker,
        size,
        major,
        encoding,
        extensions=tuple(extensions),
        owners=tuple(OwnerSeen(name, ours, tuple(elsewhere)) for name, ours, elsewhere in owners),
        strange=tuple(one for (one,) in strange),
        sessions=sessions,
    )


def look_adopted(control: ControlSessions, hosting: Hosting) -> bool:
    """Whether nothing in the tenant's database is anybody else's, and nobody else may enter it."""
    with control.on(hosting.instance) as session:
        if not exists(session, hosting):
            return False
        refuse_unless_ours(session, hosting)
        return not _others(session, hosting) and not _entering(session, hosting.database, hosting)


def adopt(control: ControlSessions, hosting: Hosting, database: str) -> None:
    """Carries the adoption out, from wherever it stands; the tenant's roles must be there.

    Raises:
        Refused: the database bears another's comment, or is gone.
        Transient: its sessions do not end.
    """
    with control.inside(hosting.instance, HOME, seconds=_LONG_SECONDS, statement_timeout="10min") as session:
        if not exists(session, hosting):
            _claim(session, hosting, database)
            for name in _entering(session, database, hosting):
                who = sql.Identifier(name) if name else sql.SQL("PUBLIC")
                revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM {}")
                session.execute(revoke.format(sql.Identifier(database), who))
            roles.end_found(
                session, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", database
            )
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            try:
                session.execute(rename.format(sql.Identifier(database), sql.Identifier(hosting.database)))
            except psycopg.errors.ObjectInUse as error:
                raise Transient(f"Somebody is still in the database {database}.", hint="Try again.") from error
        refuse_unless_ours(session, hosting)
        grant = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}")
        session.execute(grant.format(sql.Identifier(hosting.database), sql.Identifier(hosting.owner)))
        others = _others(session, hosting)
    with control.inside(
        hosting.instance, hosting.database, seconds=_LONG_SECONDS, statement_timeout="10min"
    ) as session:
        refuse_unless_ours(session, hosting)
        for name in others:
            reassign = sql.SQL("REASSIGN OWNED BY {} TO {}")
            session.execute(reassign.format(sql.Identifier(name), sql.Identifier(hosting.owner)))


def _claim(session: Session, hosting: Hosting, database: str) -> None:
    """Write the marker on a database that has no comment, and make it ours."""
    found = session.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [database]
    ).fetchone()
    if found is None:
        raise Refused(f"The instance {hosting.instance} has no database {database} any more.")
    if found[0] not in {None, hosting.marker}:
        raise Refused(f"The database {database} on {hosting.instance} is somebody's: it has the comment {found[0]!r}.")
    named = sql.Identifier(database)
    with session.transaction():
        session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(named, sql.Literal(hosting.marker)))
        session.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(named, sql.Identifier(OUR_ROLE)))


def _others(session: Session, hosting: Hosting) -> list[str]:
    found = session.execute(_OWNERS, {"database": hosting.database, "ours": OUR_ROLE}).fetchall()
    return [name for name, _, _ in found if name not in {hosting.owner, OUR_ROLE}]


def _entering(session: Session, database: str, hosting: Hosting) -> list[str]:
    """Who may do anything with the database, beside us and the tenant; "" is everybody."""
    found = session.execute(_ENTERING, [database, [hosting.owner, OUR_ROLE]]).fetchall()
    return sorted({name for (name,) in found})
