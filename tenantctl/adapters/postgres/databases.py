"""The tenants' databases on Cloud SQL instances, in SQL through the Cloud SQL connector.

A database is a tenant's if its comment says so. Whatever changes or drops one reads the comment in the same session
just before, and refuses when it is another's or none. Only `create_database` may adopt a database without a comment,
which is what a crash between making and marking leaves behind.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

import psycopg
from psycopg import sql

from tenantctl.adapters.postgres import adopting, roles
from tenantctl.adapters.postgres.control import HOME, OnInstances, Session
from tenantctl.adapters.postgres.digests import digest, list_tables
from tenantctl.adapters.postgres.dump import dump_database
from tenantctl.adapters.postgres.markers import (
    exists,
    mark,
    refuse_anothers,
    refuse_unless_adoptable,
    refuse_unless_ours,
)
from tenantctl.adapters.postgres.refill import is_empty, refill
from tenantctl.model.adoption import ForeignSeen
from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import NotFound, Refused, TenantctlError
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.model.tenant import Hosting, tenants_role
from tenantctl.ports.databases import Census, DatabaseSeen, Dump, LoginsSeen

Seen = TypeVar("Seen")

_LONG_SECONDS: Final = 900.0  # to make a database, to remove the files of a large one
_LONG_STATEMENT: Final = "10min"
_SCHEMA: Final = "public"
_DIGEST_SECONDS: Final = 6 * 3600.0


class PostgresDatabases(OnInstances):
    """The port `Databases`."""

    def look(self, hosting: Hosting) -> Sighting[DatabaseSeen]:
        """See the port; a database without a comment has an empty marker."""

        def ask(session: Session) -> Sighting[DatabaseSeen]:
            found = session.execute(
                "SELECT coalesce(shobj_description(oid, 'pg_database'), ''), coalesce(pg_database_size(oid), 0)"
                " FROM pg_database WHERE datname = %s",
                [hosting.database],
            ).fetchone()
            return Gone() if found is None else Present(DatabaseSeen(*found))

        return self._look(hosting, ask)

    def census(self, instance: str) -> Sighting[Census]:
        """See the port."""
        try:
            with self._control.on(instance) as session:
                databases = session.execute(
                    "SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database"
                ).fetchall()
                found = session.execute("SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname ~ '^[lo]_'").fetchall()
        except TenantctlError as error:
            return Unreachable(error.sentence)
        return Present(Census(dict(databases), {name: can for name, can in found if tenants_role(name)}))

    def look_at_roles(self, hosting: Hosting) -> Sighting[tuple[str, ...]]:
        """See the port."""

        def ask(session: Session) -> Sighting[tuple[str, ...]]:
            found = roles.present(session, (hosting.owner, hosting.login))
            return Present(found) if found else Gone()

        return self._look(hosting, ask)

    def look_at_logins(self, hosting: Hosting) -> Sighting[LoginsSeen]:
        """See the port."""

        def ask(session: Session) -> Sighting[LoginsSeen]:
            found = session.execute(
                "SELECT rolcanlogin, (SELECT count(*) FROM pg_stat_activity WHERE usesysid = pg_roles.oid)"
                " FROM pg_roles WHERE rolname = %s",
                [hosting.login],
            ).fetchone()
            return Gone() if found is None else Present(LoginsSeen(*found))

        return self._look(hosting, ask)

    def create_roles(self, hosting: Hosting, *, connection_limit: int) -> None:
        """See the port; closes the databases that are open to everybody, before anybody can come."""
        with self._control.on(hosting.instance) as session:
            roles.close_to_the_public(session)
            roles.create(session, hosting, connection_limit)

    def create_database(self, hosting: Hosting) -> None:
        """See the port; the roles must be there."""
        database = sql.Identifier(hosting.database)
        with self._patient(hosting, HOME) as session:
            self._refuse_without_role(session, hosting, hosting.owner)
            if not exists(session, hosting):
                # Never from template1: a customer may have left something in it, or be connected to it.
                session.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(database))
                self._take_over(session, hosting)
            elif self._unmarked(session, hosting):
                with self._control.inside(hosting.instance, hosting.database) as inside:
                    refuse_unless_adoptable(session, inside, hosting)
                self._take_over(session, hosting)
            refuse_unless_ours(session, hosting)

    def prepare(self, hosting: Hosting, *, extensions: Sequence[str]) -> None:
        """See the port."""
        schema, owner = sql.Identifier(_SCHEMA), sql.Identifier(hosting.owner)
        with self._patient(hosting, hosting.database) as session:
            refuse_unless_ours(session, hosting)
            self._let_in_its_own_alone(session, hosting)
            session.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))  # its owner may have dropped it
            session.execute(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(schema, owner))
            for extension in extensions:
                statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}")
                session.execute(statement.format(sql.Identifier(extension), schema))

    def look_prepared(self, hosting: Hosting, *, extensions: Sequence[str]) -> bool:
        """See the port; a database that is not there is not prepared."""
        with contextlib.suppress(NotFound), self._control.inside(hosting.instance, hosting.database) as session:
            found = session.execute(
                """
                SELECT FROM pg_database d JOIN pg_roles l ON l.rolname = %(login)s
                WHERE datname = current_database() AND shobj_description(d.oid, 'pg_database') = %(marker)s
                    AND EXISTS (SELECT FROM pg_namespace
                        WHERE nspname = %(schema)s AND pg_get_userbyid(nspowner) = %(owner)s)
                    AND NOT EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0)
                    AND has_database_privilege(l.oid, d.oid, 'CONNECT')
                    AND %(extensions)s::text[] <@ (SELECT array_agg(extname::text) FROM pg_extension)
                """,
                {
                    "marker": hosting.marker,
                    "schema": _SCHEMA,
                    "owner": hosting.owner,
                    "login": hosting.login,
                    "extensions": list(extensions),
                },
            )
            return found.fetchone() is not None
        return False

    def open_logins(self, hosting: Hosting) -> None:
        """See the port."""
        with self._control.on(hosting.instance) as session:
            refuse_unless_ours(session, hosting)
            self._refuse_without_role(session, hosting, hosting.login)
            roles.set_login(session, hosting.login, allowed=True)

    def close_logins(self, hosting: Hosting) -> None:
        """See the port; also where the database is gone."""
        with self._control.on(hosting.instance) as session:
            refuse_anothers(session, hosting)
            roles.set_login(session, hosting.login, allowed=False)
            roles.end_sessions(session, hosting.login)

    def set_password(self, hosting: Hosting, password: str) -> None:
        """See the port."""
        with self._control.on(hosting.instance) as session:
            refuse_unless_ours(session, hosting)
            self._refuse_without_role(session, hosting, hosting.login)
            roles.set_password(session, hosting.login, password)

    def forced_row_security(self, hosting: Hosting) -> Sequence[str]:
        """See the port."""
        with self._inside(hosting) as session:
            found = session.execute(_FORCED + "AND relrowsecurity AND relforcerowsecurity ORDER BY 1")
            return tuple(name for (name,) in found)

    def set_forced_row_security(self, hosting: Hosting, tables: Sequence[str], *, forced: bool) -> None:
        """See the port."""
        word = "FORCE" if forced else "NO FORCE"
        with self._inside(hosting) as session:
            known = session.execute(
                _FORCED + "AND quote_ident(nspname) || '.' || quote_ident(relname) = ANY(%s)", [list(tables)]
            )
            for (name,) in known.fetchall():
                with contextlib.suppress(psycopg.errors.UndefinedTable):  # dropped since
                    session.execute(f"ALTER TABLE {name} {word} ROW LEVEL SECURITY".encode())

    def drop_database(self, hosting: Hosting) -> None:
        """See the port."""
        database = sql.Identifier(hosting.database)
        with self._patient(hosting, HOME) as session, contextlib.suppress(psycopg.errors.InvalidCatalogName):
            if not exists(session, hosting):
                return
            refuse_unless_ours(session, hosting)
            try:
                session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
            except psycopg.errors.InsufficientPrivilege:
                # The service itself was in it, whom we may not send away. Dropping without force waits some seconds for
                # it to leave, but does not end the customer's sessions.
                roles.end_sessions(session, hosting.login)
                session.execute(sql.SQL("DROP DATABASE {}").format(database))

    def drop_roles(self, hosting: Hosting) -> None:
        """See the port."""
        with self._control.on(hosting.instance) as session:
            if exists(session, hosting):
                raise Refused(f"The database {hosting.database} on {hosting.instance} is still there.")
        for role in (hosting.login, hosting.owner):
            roles.drop(self._control, hosting.instance, role)

    def look_empty(self, hosting: Hosting) -> bool:
        """See the port."""
        with self._inside(hosting) as session:
            return is_empty(session, hosting)

    def restore(self, hosting: Hosting, chunks: Iterator[bytes], *, source: Hosting) -> Sequence[str]:
        """See the port."""
        return refill(self._sessions, self._control, hosting, chunks, source=source)

    def inspect_foreign(self, instance: str, database: str) -> Sighting[ForeignSeen]:
        """See the port."""
        try:
            return Present(adopting.inspect_foreign(self._control, instance, database))
        except NotFound:
            return Gone()
        except TenantctlError as error:
            return Unreachable(error.sentence)

    def look_adopted(self, hosting: Hosting) -> bool:
        """See the port."""
        return adopting.look_adopted(self._control, hosting)

    def adopt(self, hosting: Hosting, database: str) -> None:
        """See the port."""
        with self._control.on(hosting.instance) as session:
            self._refuse_without_role(session, hosting, hosting.owner)
        adopting.adopt(self._control, hosting, database)

    def digests(self, hosting: Hosting) -> Mapping[str, TableDigest]:
        """See the port."""
        with self._control.inside(
            hosting.instance, hosting.database, seconds=_DIGEST_SECONDS, statement_timeout="0"
        ) as session:
            refuse_unless_ours(session, hosting)
            return digest(session, list_tables(session))

    def dump(self, hosting: Hosting) -> AbstractContextManager[Dump]:
        """See the port; the marker is read in the session whose snapshot is dumped."""

        def prepare(session: Session) -> None:
            refuse_unless_ours(session, hosting)
            _make_large_objects_readable(session)

        return dump_database(self._sessions, hosting.instance, hosting.database, prepare=prepare)

    def _look(self, hosting: Hosting, ask: Callable[[Session], Sighting[Seen]]) -> Sighting[Seen]:
        """What the instance answers; whatever keeps it from answering makes it Unreachable."""
        try:
            with self._control.on(hosting.instance) as session:
                return ask(session)
        except TenantctlError as error:
            return Unreachable(error.sentence)

    @contextlib.contextmanager
    def _inside(self, hosting: Hosting) -> Iterator[Session]:
        """A session on the tenant's database, once its comment was seen to be the tenant's."""
        with self._control.inside(hosting.instance, hosting.database) as session:
            refuse_unless_ours(session, hosting)
            yield session

    def _patient(self, hosting: Hosting, database: str) -> AbstractContextManager[Session]:
        return self._control.inside(
            hosting.instance, database, seconds=_LONG_SECONDS, statement_timeout=_LONG_STATEMENT
        )

    def _take_over(self, session: Session, hosting: Hosting) -> None:
        """Write the marker, and with it what is to hold of a database that bears it: all or nothing."""
        with session.transaction():
            self._let_in_its_own_alone(session, hosting)
            mark(session, hosting)

    @staticmethod
    def _let_in_its_own_alone(session: Session, hosting: Hosting) -> None:
        database, owner = sql.Identifier(hosting.database), sql.Identifier(hosting.owner)
        session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        session.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, owner))

    @staticmethod
    def _unmarked(session: Session, hosting: Hosting) -> bool:
        found = session.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [hosting.database]
        )
        return found.fetchone() == (None,)

    @staticmethod
    def _refuse_without_role(session: Session, hosting: Hosting, role: str) -> None:
        if not roles.present(session, (role,)):
            raise NotFound(f"The instance {hosting.instance} has no role {role}.")


_FORCED: Final = (
    "SELECT quote_ident(nspname) || '.' || quote_ident(relname)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relkind = 'r' AND relpersistence <> 't' "
)


def _make_large_objects_readable(session: Session) -> None:
    """Give owners back the right to read their large objects: `pg_dump` fails on one whose owner took it from itself.

    Tables need nothing of the kind, since we may read all data; in large objects that does not count.
    """
    found: list[tuple[Any, Any]] = session.execute(
        """
        SELECT oid, pg_get_userbyid(lomowner) FROM pg_largeobject_metadata
        WHERE lomacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(lomacl) a
            WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
        """
    ).fetchall()
    for number, owner in found:
        statement = sql.SQL("GRANT SELECT ON LARGE OBJECT {} TO {}")
        session.execute(statement.format(sql.Literal(number), sql.Identifier(owner)))
