"""A tenant's two roles on its instance, in SQL.

The owner cannot log in; the login, made closed, is its member and acts as it. Both belong to the role that all our
logins work as. Whatever a role may have left outside its own database is swept when it is dropped: a login can leave
large objects in any database that it may enter, and a neighbour can grant it something to keep it from being dropped.
"""

import time
from collections.abc import Iterable
from typing import Final

from psycopg import sql

from tenantctl.adapters.postgres.control import HOME, OUR_ROLE, ControlSessions, Session
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.tenant import Hosting

_OPEN_DATABASES: Final = (HOME, "template1")  # what PostgreSQL lets everybody enter unless told otherwise
_ENDING_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02


def present(session: Session, names: Iterable[str]) -> tuple[str, ...]:
    """Those of these roles that exist, in order."""
    found = session.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) ORDER BY rolname", [list(names)])
    return tuple(name for (name,) in found)


def create(session: Session, hosting: Hosting, connection_limit: int) -> None:
    """Make what is missing of a tenant's roles, the login closed; all or nothing."""
    owner, login, ours = sql.Identifier(hosting.owner), sql.Identifier(hosting.login), sql.Identifier(OUR_ROLE)
    with session.transaction():
        there = present(session, (hosting.owner, hosting.login))
        if hosting.owner not in there:
            session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(owner))
            _make_ours(session, owner, ours)
        if hosting.login not in there:
            session.execute(sql.SQL("CREATE ROLE {} NOLOGIN IN ROLE {}").format(login, owner))
            session.execute(sql.SQL("ALTER ROLE {} SET role = {}").format(login, sql.Literal(hosting.owner)))
            _make_ours(session, login, ours)
        limit = sql.Literal(connection_limit)
        session.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(login, limit))


def create_throw_away(session: Session, name: str) -> None:
    """Make a role for a scratch database, closed, a member of nothing."""
    with session.transaction():
        if not present(session, (name,)):
            role = sql.Identifier(name)
            session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
            _make_ours(session, role, sql.Identifier(OUR_ROLE))


def close_to_the_public(session: Session) -> None:
    """Let customers' logins into no database but their own, as far as the others are ours to close."""
    if not _open_to_the_public(session):
        return
    with session.transaction():
        # Of two sessions that close the same database, PostgreSQL would tell one that the row was changed under it.
        session.execute("SELECT pg_advisory_xact_lock(hashtextextended('close to the public', 0))")
        for name in _open_to_the_public(session):
            session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def set_login(session: Session, name: str, *, allowed: bool) -> None:
    """Let a role log in, or no longer; one that is not there stays away."""
    found = session.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    if found is not None and found[0] != allowed:
        word = sql.SQL("LOGIN" if allowed else "NOLOGIN")
        session.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(name), word))


def set_password(session: Session, name: str, password: str) -> None:
    """Give a role a password, of which the server sees the SCRAM verifier only."""
    verifier = session.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    session.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier)))


def end_sessions(session: Session, name: str) -> None:
    """End every session of a role, and wait until there is none: one may have come in while it was being closed.

    Raises:
        Transient: they do not end.
    """
    end_found(
        session,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usesysid = (SELECT oid FROM pg_roles WHERE rolname = %s)",
        name,
    )


def end_found(session: Session, statement: str, *of: str) -> None:
    """End the sessions that a statement finds and ends, until it finds none.

    Raises:
        Transient: they do not end.
    """
    deadline = time.monotonic() + _ENDING_SECONDS
    while ended := session.execute(statement.encode(), of).fetchall():
        if time.monotonic() > deadline:
            whose = f" of {of[0]}" if of else ""
            raise Transient(f"{len(ended)} sessions{whose} do not end.", hint="Try again later.")
        time.sleep(_POLL_SECONDS)


def drop(control: ControlSessions, instance: str, name: str) -> None:
    """Drop a role with whatever it left in databases that are not its own; nothing if it is gone.

    Raises:
        Refused: it owns something in another tenant's database.
        Transient: its sessions do not end.
    """
    with control.on(instance) as session:
        if not present(session, (name,)):
            return
        set_login(session, name, allowed=False)
        end_sessions(session, name)
        leftovers = _leftovers(session, name)
    for database, owns in leftovers:
        if owns and database not in _OPEN_DATABASES:
            raise Refused(
                f"The role {name} owns something in the database {database} on {instance}, which is not its own.",
                hint="Look at it there; nothing was dropped.",
            )
    for database, _ in leftovers:
        with control.inside(instance, database) as session:
            session.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    with control.on(instance) as session:
        session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def _open_to_the_public(session: Session) -> list[str]:
    found = session.execute(
        """
        SELECT datname FROM pg_database
        WHERE datname = ANY(%s) AND pg_has_role(datdba, 'USAGE') AND EXISTS (
            SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0)
        """,
        [list(_OPEN_DATABASES)],
    )
    return [name for (name,) in found.fetchall()]


def _leftovers(session: Session, name: str) -> list[tuple[str, bool]]:
    """The databases in which a role is named by something, and whether it owns something there."""
    found = session.execute(
        """
        SELECT d.datname, bool_or(s.deptype = 'o') FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
        WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)
        GROUP BY d.datname ORDER BY d.datname
        """,
        [name],
    )
    return [(database, owns) for database, owns in found]


def _make_ours(session: Session, role: sql.Identifier, ours: sql.Identifier) -> None:
    session.execute(sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE").format(role, ours))
