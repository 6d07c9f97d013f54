"""One tenant's database replicated into another instance, by PostgreSQL's own logical replication.

On the source stand two publications (tables whose rows something tells apart, and tables where all of a row does, for
the time being), a slot, and a login of the moment for the target's server; on the target a subscription. All of them
bear the tenant's uid and the source's generation, so that what broke off half-way is found again; every slot that reads
the tenant's database is the move's, since no customer can make one. The schema's digest stands in the publication's
comment, which is ours.

Rows are written into the target as the owner of each table, whose triggers and foreign keys do not fire. The comparison
of contents that ends every move is what proves the rows; nothing here is trusted to have carried them.
"""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

from psycopg import conninfo, sql

from tenantctl.adapters.postgres import inspection, roles
from tenantctl.adapters.postgres import replication_objects as objects
from tenantctl.adapters.postgres.changed_keys import changed_keys
from tenantctl.adapters.postgres.control import OnInstances, Session
from tenantctl.adapters.postgres.customer_session import customer_session, let_in
from tenantctl.adapters.postgres.frozen import frozen
from tenantctl.adapters.postgres.markers import exists, refuse_unless_ours
from tenantctl.adapters.postgres.refill import refill
from tenantctl.adapters.postgres.schema_copy import schema_chunks, schema_digest
from tenantctl.model.errors import NotFound, Refused, TenantctlError
from tenantctl.model.replication import Inspection, Readiness, ReplicationSeen
from tenantctl.model.sighting import Present, Sighting, Unreachable
from tenantctl.model.tenant import Hosting
from tenantctl.ports.replication import Changes, Frozen

_LONG_SECONDS: Final = 900.0
_LONG_STATEMENT: Final = "10min"
_COMPARING_SECONDS: Final = 6 * 3600.0
_AT_ONCE: Final = 64
_CONNECT_SECONDS: Final = 10
_SEQUENCES: Final = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1
"""
_VIEWS: Final = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid
"""


class PostgresReplication(OnInstances):
    """The port `Replication`."""

    def inspect(self, source: Hosting) -> Inspection:
        """See the port."""
        with self._inside(source) as session:
            return inspection.inspected(session, source)

    def readiness(self, instance: str) -> Readiness:
        """See the port."""
        with self._control.on(instance) as session:
            return inspection.readiness(session)

    def schema_digest(self, source: Hosting) -> str:
        """See the port."""
        with self._inside(source):
            return schema_digest(self._sessions, source)

    def copy_schema(self, source: Hosting, target: Hosting) -> Sequence[str]:
        """See the port."""
        with self._inside(source):
            return refill(self._sessions, self._control, target, schema_chunks(self._sessions, source), source=source)

    def publish(self, source: Hosting, digest: str) -> None:
        """See the port; publications, comment and identities come about together or not at all."""
        with self._inside(source) as session:
            if objects.schema_on_record(session, source) is None:
                with session.transaction():
                    objects.publish(session, source, digest)
            objects.make_replicator(session, source)
            if not objects.slots(session):
                with objects.as_replicator(session, source):
                    session.execute(
                        "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [objects.move_name(source)]
                    )

    def subscribe(self, source: Hosting, target: Hosting) -> None:
        """See the port; the password is made anew until a subscription has it."""
        with self._inside(target) as inside:
            if objects.is_subscribed(inside, source):
                return
            password = secrets.token_urlsafe(32)
            place = self._place(source)
            with self._inside(source) as session:
                roles.set_password(session, objects.replicator(source), password)
            objects.make_replicator(inside, target)
            how_to_come = conninfo.make_conninfo(
                **place,
                user=objects.replicator(source),
                password=password,
                dbname=source.database,
                connect_timeout=_CONNECT_SECONDS,
            )
            with inside.transaction():
                objects.subscribe(inside, source, target, how_to_come)

    def look(self, source: Hosting, target: Hosting) -> Sighting[ReplicationSeen]:
        """See the port; a target's database that is not there yet subscribes to nothing."""
        try:
            with self._control.inside(source.instance, source.database) as session:
                refuse_unless_ours(session, source)
                digest = objects.schema_on_record(session, source)
                slot = session.execute(
                    "SELECT wal_status IN ('lost', 'unreserved'),"
                    " (pg_current_wal_lsn() - confirmed_flush_lsn)::bigint, active"
                    " FROM pg_replication_slots WHERE slot_name = %s",
                    [objects.move_name(source)],
                ).fetchone()
            subscribed, tables, ready = self._look_at_target(source, target)
        except TenantctlError as error:
            return Unreachable(error.sentence)
        lost, lag, active = slot or (False, None, False)
        return Present(
            ReplicationSeen(
                digest=digest,
                slot=slot is not None,
                lost=lost,
                subscribed=subscribed,
                tables=tables,
                ready=ready,
                lag=lag if active else None,
            )
        )

    def mark(self, source: Hosting) -> str:
        """See the port; a message of our own is committed, so that there is something to confirm."""
        with self._inside(source) as session:
            session.execute("SELECT pg_logical_emit_message(true, 'tenantctl', 'fence')")
            found = session.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
        assert found is not None, "a function has a value"
        return str(found[0])

    def has_reached(self, source: Hosting, position: str) -> bool:
        """See the port."""
        with self._control.on(source.instance) as session:
            found = session.execute(
                "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s",
                [position, objects.move_name(source)],
            ).fetchone()
        if found is None:
            raise NotFound(f"The instance {source.instance} has no slot {objects.move_name(source)}.")
        return bool(found[0])

    def changes(self, source: Hosting) -> AbstractContextManager[Changes]:
        """See the port."""
        return self._changes(source)

    def frozen(self, hosting: Hosting) -> AbstractContextManager[Frozen]:
        """See the port."""
        return self._frozen(hosting)

    def settle(self, source: Hosting, target: Hosting) -> None:
        """See the port; as the customer's own login, which is closed again."""
        with self._inside(source) as session:
            views = [name for (name,) in session.execute(_VIEWS.encode())]
        with (
            let_in(self._control, target) as password,
            customer_session(self._sessions, target, password) as session,
        ):
            session.execute("SET search_path = ''")
            for view in views:
                session.execute(f"REFRESH MATERIALIZED VIEW {view}".encode())
            session.execute("ANALYZE")

    def copy_sequences(self, source: Hosting, target: Hosting) -> None:
        """See the port."""
        with self._inside(source) as session:
            names = [name for (name,) in session.execute(_SEQUENCES.encode())]
            values: list[tuple[str, int, bool]] = []
            for start in range(0, len(names), _AT_ONCE):
                several = [
                    sql.SQL("SELECT {}, last_value, is_called FROM {}").format(sql.Literal(name), sql.SQL(name))
                    for name in names[start : start + _AT_ONCE]
                ]
                values += session.execute(sql.SQL(" UNION ALL ").join(several)).fetchall()
        with self._inside(target) as session:
            for start in range(0, len(values), _AT_ONCE):
                calls = [
                    sql.SQL("setval({}::regclass, {}, {})").format(*map(sql.Literal, value))
                    for value in values[start : start + _AT_ONCE]
                ]
                session.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls)))

    def set_verifier(self, hosting: Hosting, verifier: str) -> None:
        """See the port."""
        if not verifier.startswith("SCRAM-SHA-256$"):
            raise Refused("This is no SCRAM verifier.")
        with self._control.on(hosting.instance) as session:
            refuse_unless_ours(session, hosting)
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            session.execute(statement.format(sql.Identifier(hosting.login), sql.Literal(verifier)))

    def remove(self, source: Hosting, target: Hosting) -> None:
        """See the port; one side's silence does not keep the other's from being cleared, least of all its slot."""
        troubles: list[TenantctlError] = []
        for clear, hosting in ((self._clear_target, target), (self._clear_source, source)):
            try:
                clear(source, target)
                roles.drop(self._control, hosting.instance, objects.replicator(hosting))
            except TenantctlError as trouble:
                troubles.append(trouble)
        if troubles:
            raise troubles[0]

    def _clear_target(self, source: Hosting, target: Hosting) -> None:
        if self._is_there(target):
            with self._inside(target) as session:
                objects.unsubscribe(session, source)

    def _clear_source(self, source: Hosting, _target: Hosting) -> None:
        if not self._is_there(source):
            return
        with self._inside(source) as session:
            roles.set_login(session, objects.replicator(source), allowed=False)
            roles.end_sessions(session, objects.replicator(source))
            objects.end_checking(session)
            for slot in objects.slots(session):
                with objects.as_replicator(session, source):
                    session.execute("SELECT pg_drop_replication_slot(%s)", [slot])
            with session.transaction():
                objects.unpublish(session, source)

    @contextlib.contextmanager
    def _changes(self, source: Hosting) -> Iterator[Changes]:
        with self._inside(source, seconds=_COMPARING_SECONDS) as session, changed_keys(session, source) as changes:
            yield changes

    @contextlib.contextmanager
    def _frozen(self, hosting: Hosting) -> Iterator[Frozen]:
        with (
            self._inside(hosting, seconds=_COMPARING_SECONDS, statement_timeout="0") as session,
            frozen(session, objects.publications(hosting)) as found,
        ):
            yield found

    def _look_at_target(self, source: Hosting, target: Hosting) -> tuple[bool, int, int]:
        if not self._is_there(target):
            return False, 0, 0
        with self._inside(target) as session:
            found = session.execute(
                "SELECT count(r.srrelid), count(r.srrelid) FILTER (WHERE r.srsubstate = 'r')"
                " FROM pg_subscription s LEFT JOIN pg_subscription_rel r ON r.srsubid = s.oid"
                " WHERE s.subname = %s GROUP BY s.oid",
                [objects.move_name(source)],
            ).fetchone()
        return (True, *found) if found else (False, 0, 0)

    def _is_there(self, hosting: Hosting) -> bool:
        """Whether the instance has the database; one that is not found itself says nothing of the kind."""
        with self._control.on(hosting.instance) as session:
            return exists(session, hosting)

    def _place(self, source: Hosting) -> dict[str, str]:
        """Where the target's server finds the source's: at its private address; on a local cloud, in its folder."""
        address = self._sessions.private_address(source.instance)
        if address is not None:
            return {"host": address, "port": "5432", "sslmode": "require"}
        with self._control.on(source.instance) as session:
            found = session.execute(
                "SELECT current_setting('unix_socket_directories'), current_setting('port')"
            ).fetchone()
        assert found is not None, "a function has a value"
        return {"host": str(found[0]), "port": str(found[1])}

    @contextlib.contextmanager
    def _inside(
        self, hosting: Hosting, *, seconds: float = _LONG_SECONDS, statement_timeout: str = _LONG_STATEMENT
    ) -> Iterator[Session]:
        """A patient session on the tenant's database, once its comment was seen to be the tenant's."""
        patient = self._control.inside(
            hosting.instance, hosting.database, seconds=seconds, statement_timeout=statement_timeout
        )
        with patient as session:
            refuse_unless_ours(session, hosting)
            yield session
