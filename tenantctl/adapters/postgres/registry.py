"""The registry on PostgreSQL: the port, each call in a transaction of its own.

Calls of one statement commit by themselves, which saves two round trips. Times, actors and the journal's chain are the
database's own; what this module adds is SQL and the translation of failures.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Text, literal_column, select

from tenantctl.adapters.postgres import registry_claims, registry_moves, registry_reads, registry_requests
from tenantctl.adapters.postgres.audits import PostgresAuditBook
from tenantctl.adapters.postgres.registry_fence import PostgresFencedWrites
from tenantctl.adapters.postgres.registry_work import PostgresWorkBook
from tenantctl.model.backup import Backup, Residue
from tenantctl.model.journal import Entry, Head
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move
from tenantctl.model.tenant import Instance, InstanceRole, InstanceState, Intent, IntentKind, Tenant
from tenantctl.ports.registry import Alarm, FencedWrites, Lease, NewTenant, Waiting


class PostgresRegistry(PostgresAuditBook, PostgresWorkBook):
    """The registry that `engine` reaches, as the login that its connections have.

    Args:
        engine: made by `registry_engine`; the login is a member of `registry_app`.
    """

    def now(self) -> datetime:
        """The registry's time, UTC."""
        with self._statement() as connection:
            return registry_claims.now(connection)

    def actor(self) -> str:
        """The `session_user` of our connections."""
        return self._actor

    @functools.cached_property
    def _actor(self) -> str:
        with self._statement() as connection:
            return connection.scalars(select(literal_column("session_user", Text))).one()

    def close(self) -> None:
        """Lets go of all connections."""
        self._engine.dispose()

    # Requests

    def request_tenant(self, new: NewTenant) -> Tenant:
        """Writes a tenant in state requested, on the emptiest instance of its region, or waiting for one."""
        with self._transaction() as connection:
            return registry_requests.request_tenant(connection, new)

    def record_intent(
        self, tenant: Tenant, kind: IntentKind, *, cause: str, instructing_party: str, effective_at: datetime | None
    ) -> Intent:
        """Sets what is wanted of a tenant, if it is still as it was read."""
        with self._transaction() as connection:
            return registry_requests.record_intent(
                connection,
                tenant,
                kind,
                cause=cause,
                instructing_party=instructing_party,
                effective_at=effective_at,
            )

    def append_entry(self, uid: str, event: str, body: Mapping[str, Any]) -> None:
        """Adds an entry to a tenant's chain, and changes nothing else."""
        with self._transaction() as connection:
            registry_reads.tenant(connection, uid)
            registry_requests.append(connection, uid, event, body)

    def make_due(self, uid: str, at: datetime | None = None) -> None:
        """Has the tenant looked at, at `at` or at once."""
        with self._statement() as connection:
            registry_claims.make_due(connection, uid, at)

    # What is known

    def find(self, name_or_uid: str) -> Tenant:
        """The living tenant of this name, else the tenant of this uid."""
        with self._statement() as connection:
            return registry_reads.find(connection, name_or_uid)

    def tenant(self, uid: str) -> Tenant:
        """The tenant of this uid."""
        with self._statement() as connection:
            return registry_reads.tenant(connection, uid)

    def tenants(self, *, states: Sequence[State] = ()) -> Sequence[Tenant]:
        """Tenants by name and uid."""
        with self._statement() as connection:
            return registry_reads.tenants(connection, states)

    def waiting(self) -> Sequence[Waiting]:
        """Those that wait for room, in order."""
        with self._statement() as connection:
            return registry_reads.waiting(connection)

    def owner_of(self, backup_id: str) -> Tenant:
        """The tenant whose backup has this id."""
        with self._statement() as connection:
            return registry_reads.owner_of(connection, backup_id)

    def lease_of(self, uid: str) -> Lease | None:
        """Who holds the tenant now, if anyone."""
        with self._statement() as connection:
            return registry_reads.lease_of(connection, uid)

    def explanation(self, uid: str) -> Mapping[str, Any]:
        """The placement's explanation; empty once blanked."""
        with self._statement() as connection:
            return registry_reads.explanation(connection, uid)

    def intents(self, uid: str) -> Sequence[Intent]:
        """The tenant's intents, oldest first."""
        with self._statement() as connection:
            return registry_reads.intents(connection, uid)

    def backups(self, uid: str) -> Sequence[Backup]:
        """The tenant's backups with their copies, oldest first."""
        with self._statement() as connection:
            return registry_reads.backups(connection, uid)

    def residues(self, uid: str) -> Sequence[Residue]:
        """The tenant's residue inventory, oldest first."""
        with self._statement() as connection:
            return registry_reads.residues(connection, uid)

    def open_residues(self, uid: str) -> Sequence[Residue]:
        """The lines of it that have not lapsed, oldest first."""
        with self._statement() as connection:
            return registry_reads.open_residues(connection, uid)

    def moves(self, uid: str) -> Sequence[Move]:
        """The tenant's moves, oldest first."""
        with self._statement() as connection:
            return registry_moves.moves_of(connection, [uid]).get(uid, [])

    def alarms(self, uid: str | None = None) -> Sequence[Alarm]:
        """Open alarms, of one tenant or of all, oldest first."""
        with self._statement() as connection:
            return registry_reads.alarms(connection, uid)

    def entries(self, uid: str) -> Sequence[Entry]:
        """The tenant's journal, in order."""
        with self._statement() as connection:
            return registry_reads.entries(connection, uid)

    def head(self, uid: str) -> Head | None:
        """The newest link of the tenant's chain."""
        with self._statement() as connection:
            return registry_reads.head(connection, uid)

    def chains(self) -> Sequence[str]:
        """The uids that have a journal."""
        with self._statement() as connection:
            return registry_reads.chains(connection)

    # Instances

    def instances(self, *, role: InstanceRole | None = None) -> Sequence[Instance]:
        """The instances that tenantctl uses, by name."""
        with self._statement() as connection:
            return registry_reads.instances(connection, role=role)

    def add_instance(self, instance: Instance) -> None:
        """Writes an instance, or other limits of one that is known."""
        with self._transaction() as connection:
            registry_requests.add_instance(connection, instance)

    def set_instance_state(self, name: str, state: InstanceState) -> None:
        """Has an instance take more tenants, or no more."""
        with self._statement() as connection:
            registry_requests.set_instance_state(connection, name, state)

    # Work under a lease

    @contextmanager
    def fenced(self, lease: Lease, *, plan_digest: str = "") -> Iterator[FencedWrites]:
        """One transaction under the lease."""
        with self._transaction() as connection:
            writes = PostgresFencedWrites(connection, lease, plan_digest)
            yield writes
            writes.finish()
