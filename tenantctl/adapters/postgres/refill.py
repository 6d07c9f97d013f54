"""A tenant's database filled from an archive, as the tenant's own login and with no more rights than it has.

Whatever the archive's functions do, the customer could have done itself. What a customer may not do is done before by
us: extensions and schemas. What names the roles of the database that was dumped (privileges and policies) is rewritten
for the tenant's own and carried out last, each by itself if all of it together fails: a restore never fails for the
sake of a grant, and says what it left out. Publications, subscriptions and event triggers are left out: they reach
beyond the database, or take rights that no customer has.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from tenantctl.adapters.google.sessions import Sessions
from tenantctl.adapters.postgres import roles
from tenantctl.adapters.postgres.archive import Archive, Entry
from tenantctl.adapters.postgres.control import ControlSessions, Session, first_line
from tenantctl.adapters.postgres.customer_session import customer_session, let_in
from tenantctl.adapters.postgres.markers import refuse_unless_ours
from tenantctl.adapters.postgres.restoring import RESTORE_SECONDS_MAX, run_restore
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.tenant import Hosting

_MADE_BEFORE: Final = ("EXTENSION - ", "SCHEMA - ", "COMMENT - EXTENSION ")
_NAMES_ROLES: Final = ("ACL ", "DEFAULT ACL ", "POLICY ")
_RUN_LAST: Final = ("MATERIALIZED VIEW DATA ",)
_BEYOND: Final = ("PUBLICATION ", "SUBSCRIPTION ", "EVENT TRIGGER ")
_OF_THE_SERVER: Final = ("STATISTICS DATA ",)  # it gathers them anew
_LATER_OR_NEVER: Final = (*_MADE_BEFORE, *_NAMES_ROLES, *_RUN_LAST, *_BEYOND, *_OF_THE_SERVER)
_LONG_SECONDS: Final = 900.0
_LONG_STATEMENT: Final = "10min"

# What a customer made: whatever its two roles own, but for the schema that `prepare` gave them.
_EMPTY: Final = """
    SELECT NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' AND NOT EXISTS (
                SELECT FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i')))
        AND NOT EXISTS (SELECT FROM pg_largeobject_metadata)
        AND NOT EXISTS (SELECT FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
            WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND r.rolname = ANY (%s)
                AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND NOT (s.classid = 'pg_namespace'::regclass
                    AND s.objid = (SELECT oid FROM pg_namespace WHERE nspname = 'public')))
"""


def is_empty(session: Session, hosting: Hosting) -> bool:
    """Whether nothing but what `prepare` made is in the session's database, which is the tenant's."""
    return session.execute(_EMPTY, [[hosting.owner, hosting.login]]).fetchone() == (True,)


def refill(
    sessions: Sessions, control: ControlSessions, hosting: Hosting, chunks: Iterator[bytes], *, source: Hosting
) -> Sequence[str]:
    """Fills the tenant's empty database; see `restore` of the port.

    Args:
        sessions: The way to the instance.
        control: Our own sessions on it.
        hosting: Whose database it is.
        chunks: The archive.
        source: Where the database that was dumped lay, for the names of its roles.
    """
    archive = Archive.begin(chunks)
    patient = control.inside(
        hosting.instance, hosting.database, seconds=_LONG_SECONDS, statement_timeout=_LONG_STATEMENT
    )
    with patient as session:
        refuse_unless_ours(session, hosting)
        if not is_empty(session, hosting):
            raise Refused(
                f"The database {hosting.database} on {hosting.instance} is not empty.",
                hint="Backups are restored into empty databases only; nothing was changed.",
            )
        _make_before(session, hosting, archive)
    with let_in(control, hosting) as password:
        run_restore(
            sessions,
            hosting.instance,
            hosting.database,
            archive,
            [entry for entry in archive.entries if not entry.what.startswith(_LATER_OR_NEVER)],
            login=hosting.login,
            password=password,
            leaving_out=(),
            seconds=RESTORE_SECONDS_MAX,
        )
        with control.on(hosting.instance) as session:
            roles.end_sessions(session, hosting.login)  # it may be allowed a single one
        failed = list(_run_last(sessions, hosting, password, archive, source))
    return (*failed, *(entry.what for entry in archive.chosen(*_BEYOND)))


def _make_before(session: Session, hosting: Hosting, archive: Archive) -> None:
    """Makes schemas, which are the tenant's, and extensions, which are ours, as the archive has them."""
    owner = sql.Identifier(hosting.owner)
    extensions = archive.extensions()
    for name in {*archive.schemas(), *(extension.schema for extension in extensions)} - {"public"}:
        statement = sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}")
        session.execute(statement.format(sql.Identifier(name), owner))
    for extension in extensions:
        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}")
        session.execute(statement.format(sql.Identifier(extension.name), sql.Identifier(extension.schema)))


def _run_last(sessions: Sessions, hosting: Hosting, password: str, archive: Archive, source: Hosting) -> Iterator[str]:
    """Carries out what names roles, then fills materialized views, in a session of the customer's own.

    Yields:
        The entries that failed, as the archive lists them.
    """
    named, views = archive.chosen(*_NAMES_ROLES), archive.chosen(*_RUN_LAST)
    if not (named or views):
        return
    with customer_session(sessions, hosting, password) as session:
        if named and not _carried_out(session, archive, named, hosting, source):
            yield from (entry.what for entry in named if not _carried_out(session, archive, [entry], hosting, source))
        yield from (entry.what for entry in views if not _carried_out(session, archive, [entry], hosting, source))


def _carried_out(
    session: psycopg.Connection[Any], archive: Archive, entries: Sequence[Entry], hosting: Hosting, source: Hosting
) -> bool:
    """Whether these went through, all of them or none.

    Raises:
        Transient: the session was lost.
    """
    script = archive.statements(entries)
    for former, now in ((source.owner, hosting.owner), (source.login, hosting.login)):
        script = re.sub(rf"{former}(?!\d)", now, script)
    try:
        with session.transaction():
            session.execute(script.encode())
            session.execute("RESET ALL")
    except psycopg.OperationalError as error:
        if session.closed:
            raise Transient(f"The restore into {hosting.database} was interrupted: {first_line(error)}") from error
        return False
    except psycopg.Error:
        return False
    return True
