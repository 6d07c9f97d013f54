"""Throw-away databases that backups are restored into, to prove that they are whole.

An archive is somebody else's program, and is restored by a role that is a member of nothing (see `restoring.py`).
Extensions are the one thing that such a role may not make; ours are made beforehand. What names the customer's roles,
which are not here, is left out: owners, privileges, policies and comments on them; so is what holds no rows of its own:
the content of materialized views.

Memory stays flat: the archive passes through, but for its table of contents.
"""

import contextlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from psycopg import sql

from tenantctl.adapters.google.sessions import Sessions
from tenantctl.adapters.postgres import roles
from tenantctl.adapters.postgres.archive import Archive, Entry, Extension, read_through
from tenantctl.adapters.postgres.control import HOME, OnInstances, Session
from tenantctl.adapters.postgres.digests import digest, list_tables
from tenantctl.adapters.postgres.restoring import RESTORE_SECONDS_MAX, run_restore
from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import Refused, TenantctlError
from tenantctl.model.sighting import Present, Sighting, Unreachable

_NAME: Final = re.compile(r"s_[a-z0-9_]{1,60}")
_LONG_SECONDS: Final = 900.0
_LONG_STATEMENT: Final = "10min"
_LEFT_OUT: Final = (
    "EXTENSION - ",
    "POLICY ",
    "ROW SECURITY ",
    "MATERIALIZED VIEW DATA ",
    "STATISTICS DATA ",
    "PUBLICATION ",
    "SUBSCRIPTION ",
    "EVENT TRIGGER ",
)


class PostgresScratch(OnInstances):
    """The port `Scratch`; safe to share between threads.

    Args:
        sessions: The way to the instances, as a login that is a member of `cloudsqlsuperuser`.
        restore_seconds: After how long a restore is ended: an archive may hold a function that never returns.
    """

    def __init__(self, sessions: Sessions, *, restore_seconds: float = RESTORE_SECONDS_MAX) -> None:
        super().__init__(sessions)
        self._restore_seconds = restore_seconds

    def create(self, instance: str, name: str) -> None:
        """See the port."""
        _check(name)
        database = role = sql.Identifier(name)
        with self._patient(instance, HOME) as session:
            roles.close_to_the_public(session)
            roles.create_throw_away(session, name)
            if not session.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
                session.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(database))
            session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
            grant = sql.SQL("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {}")
            session.execute(grant.format(database, role))
        with self._control.inside(instance, name) as session:
            session.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(role))

    def restore(self, instance: str, name: str, chunks: Iterator[bytes]) -> None:
        """See the port; the role can log in only meanwhile."""
        _check(name)
        archive = Archive.begin(chunks)
        extensions = archive.extensions()
        self._make_extensions(instance, name, extensions)
        schemas = {f"SCHEMA - {extension.schema} " for extension in extensions}
        kept = [entry for entry in archive.entries if not _is_left_out(entry, schemas)]
        password = secrets.token_urlsafe(32)
        with self._control.on(instance) as session:
            roles.set_password(session, name, password)
            roles.set_login(session, name, allowed=True)
        try:
            run_restore(
                self._sessions,
                instance,
                name,
                archive,
                kept,
                login=name,
                password=password,
                leaving_out=("--no-comments",),
                seconds=self._restore_seconds,
            )
        finally:
            self._close(instance, name)

    def read_through(self, chunks: Iterator[bytes]) -> None:
        """See the port."""
        read_through(chunks)

    def digests(self, instance: str, name: str) -> Mapping[str, TableDigest]:
        """See the port."""
        _check(name)
        seconds = self._restore_seconds
        with self._control.inside(instance, name, seconds=seconds, statement_timeout="0") as session:
            return digest(session, list_tables(session))

    def drop(self, instance: str, name: str) -> None:
        """See the port."""
        _check(name)
        with self._patient(instance, HOME) as session:
            roles.set_login(session, name, allowed=False)
            roles.end_sessions(session, name)
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        roles.drop(self._control, instance, name)

    def names(self, instance: str) -> Sighting[tuple[str, ...]]:
        """See the port."""
        try:
            with self._control.on(instance) as session:
                found = session.execute(
                    "SELECT datname FROM pg_database WHERE datname LIKE 's\\_%'"
                    " UNION SELECT rolname FROM pg_roles WHERE rolname LIKE 's\\_%' ORDER BY 1"
                )
                return Present(tuple(name for (name,) in found))
        except TenantctlError as error:
            return Unreachable(error.sentence)

    def _make_extensions(self, instance: str, name: str, extensions: Sequence[Extension]) -> None:
        role = sql.Identifier(name)
        with self._patient(instance, name) as session:
            for extension in extensions:
                schema = sql.Identifier(extension.schema)
                there = session.execute("SELECT FROM pg_namespace WHERE nspname = %s", [extension.schema]).fetchall()
                if not there:
                    session.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(schema, role))
                statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}")
                session.execute(statement.format(sql.Identifier(extension.name), schema))

    def _close(self, instance: str, name: str) -> None:
        """Let the role in no more; a failure must not hide why the restore failed, and `drop` closes it again."""
        with contextlib.suppress(TenantctlError), self._control.on(instance) as session:
            roles.set_login(session, name, allowed=False)
            roles.end_sessions(session, name)

    def _patient(self, instance: str, database: str) -> contextlib.AbstractContextManager[Session]:
        return self._control.inside(instance, database, seconds=_LONG_SECONDS, statement_timeout=_LONG_STATEMENT)


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Refused(f"{name!r} is no scratch database's name.", hint="They begin with s_; nothing else is touched.")


def _is_left_out(entry: Entry, schemas: set[str]) -> bool:
    return entry.what.startswith((*_LEFT_OUT, *schemas))
