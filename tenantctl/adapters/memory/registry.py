"""The registry in memory: the port as the tests of every room use it, held to the same contract as PostgreSQL's.

It is safe to share between threads. A tenant has one writer at a time; a transaction is seen as a whole or not at all.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tenantctl.adapters.memory.audits import MemoryAuditBook
from tenantctl.adapters.memory.changed import changed
from tenantctl.adapters.memory.registry_books import Book, Shelf
from tenantctl.adapters.memory.registry_fence import MemoryFencedWrites
from tenantctl.adapters.memory.registry_work import MemoryWorkBook, brought_forward
from tenantctl.adapters.registry_rules import (
    REQUEST_EVENTS,
    TRIAL_ENDED,
    WANTED_BY,
    database_residue,
    instance_differs,
    name_taken,
    requested_body,
    superseded,
    uid_used,
    unknown_backup,
    unknown_instance,
    unknown_tenant,
)
from tenantctl.model.backup import Backup, Residue
from tenantctl.model.capacity import Demand
from tenantctl.model.journal import Entry, Head
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move
from tenantctl.model.tenant import Hosting, Instance, InstanceRole, InstanceState, Intent, IntentKind, Tenant
from tenantctl.ports.registry import Alarm, FencedWrites, Lease, NewTenant, Waiting


class MemoryRegistry(MemoryAuditBook, MemoryWorkBook):
    """A registry that lives as long as its object.

    Args:
        clock: the registry's time, aware.
        actor: who all requests and entries are by.
    """

    def __init__(self, clock: Callable[[], datetime], actor: str = "operator@example.com") -> None:
        super().__init__(Shelf(lambda: clock().astimezone(UTC)), actor)

    def as_actor(self, actor: str) -> "MemoryRegistry":
        """The same registry as another person reaches it."""
        other = copy.copy(self)
        other._actor = actor
        return other

    @property
    def shelf(self) -> Shelf:
        """What it is kept on, for whatever else stands there."""
        return self._shelf

    def close(self) -> None:
        """Nothing is held that must be let go of."""

    # Requests

    def request_tenant(self, new: NewTenant) -> Tenant:
        """Writes a tenant in state requested, on the emptiest instance of its region, or waiting for one."""
        with self._shelf.placing, self._shelf.lock:
            if self._shelf.bearer_of(new.name) is not None:
                raise name_taken(new.name)
            if new.uid in self._shelf.books:
                raise uid_used(new.uid)
            now = self.now()
            demand = Demand(new.connection_limit, new.size, new.headroom_percent)
            instance = "" if new.waits else self._shelf.emptiest_instance(new.region, demand, only=new.instance).name
            tenant = _requested(new, instance, now)
            kind = IntentKind.CREATE
            intent = Intent(1, new.uid, kind, new.cause, new.instructing_party, now, now, self._actor)
            residues = [database_residue(tenant.hosting, now)] if instance else []
            book = Book(tenant, dict(new.explanation), (intent,), open_residues={one.id: one for one in residues})
            body = {**new.evidence, **requested_body(tenant)}
            self._shelf.replace(book.with_entry(REQUEST_EVENTS[kind], body, at=now, actor=self._actor))
            if new.trial_ends_at is None:
                return tenant
            self.record_intent(
                tenant,
                IntentKind.TRIAL,
                cause=TRIAL_ENDED,
                instructing_party=new.instructing_party,
                effective_at=new.trial_ends_at,
            )
            return self.tenant(new.uid)

    def record_intent(
        self, tenant: Tenant, kind: IntentKind, *, cause: str, instructing_party: str, effective_at: datetime | None
    ) -> Intent:
        """Sets what is wanted of a tenant, if it is still as it was read."""
        with self._shelf.writing(tenant.uid) as book:
            known, now = book.tenant, self.now()
            if (known.intent_id, known.state) != (tenant.intent_id, tenant.state):
                raise superseded(tenant)
            effective = effective_at or now
            intent = Intent(
                known.intent_id + 1, tenant.uid, kind, cause, instructing_party, effective, now, self._actor
            )
            wanting = changed(known, intent_id=intent.id, intent_effective_at=effective, wanted=WANTED_BY[kind])
            asked = changed(book, tenant=wanting, intents=(*book.intents, intent))
            if not book.is_leased(now):
                asked = brought_forward(asked, effective)
            body = {"intent": intent.id, "effective_at": effective.astimezone(UTC).isoformat()}
            self._shelf.replace(asked.with_entry(REQUEST_EVENTS[kind], body, at=now, actor=self._actor))
            return intent

    def append_entry(self, uid: str, event: str, body: Mapping[str, Any]) -> None:
        """Adds an entry to a tenant's chain, and changes nothing else."""
        with self._shelf.writing(uid) as book:
            self._shelf.replace(book.with_entry(event, body, at=self.now(), actor=self._actor))

    def make_due(self, uid: str, at: datetime | None = None) -> None:
        """Has the tenant looked at, at `at` or at once."""
        with self._shelf.writing(uid) as book:
            wanted = at or self.now()
            if book.is_leased(self.now()):
                self._shelf.replace(changed(book, wake_at=min(wanted, book.wake_at or wanted)))
            else:
                self._shelf.replace(brought_forward(book, wanted))

    # What is known

    def find(self, name_or_uid: str) -> Tenant:
        """The living tenant of this name, else the tenant of this uid."""
        with self._shelf.lock:
            found = self._shelf.bearer_of(name_or_uid)
            if found is None and name_or_uid in self._shelf.books:
                found = self._shelf.books[name_or_uid].tenant
            if found is None:
                former = (book.tenant for book in self._shelf.books.values() if book.tenant.name == name_or_uid)
                in_order = sorted(former, key=lambda tenant: tenant.created_at)
                raise unknown_tenant(name_or_uid, [tenant.uid for tenant in in_order])
            return found

    def tenant(self, uid: str) -> Tenant:
        """The tenant of this uid."""
        return self._shelf.book(uid).tenant

    def tenants(self, *, states: Sequence[State] = ()) -> Sequence[Tenant]:
        """Tenants by name and uid, those without a name last."""
        with self._shelf.lock:
            found = [book.tenant for book in self._shelf.books.values() if not states or book.tenant.state in states]
        return sorted(found, key=lambda tenant: (tenant.name is None, tenant.name or "", tenant.uid))

    def waiting(self) -> Sequence[Waiting]:
        """Those that wait for room, in order."""
        with self._shelf.lock:
            books = [book for book in self._shelf.books.values() if book.tenant.state is State.REQUESTED]
        found = [Waiting(book.tenant, copy.deepcopy(book.explanation)) for book in books if not book.tenant.is_placed]
        return sorted(found, key=lambda one: (one.tenant.created_at, one.tenant.uid))

    def owner_of(self, backup_id: str) -> Tenant:
        """The tenant whose backup has this id."""
        with self._shelf.lock:
            for book in self._shelf.books.values():
                if backup_id in book.backups:
                    return book.tenant
        raise unknown_backup(backup_id)

    def lease_of(self, uid: str) -> Lease | None:
        """Who holds the tenant now, if anyone."""
        book = self._known(uid)
        return book.lease if book and book.is_leased(self.now()) else None

    def explanation(self, uid: str) -> Mapping[str, Any]:
        """The placement's explanation; empty once blanked."""
        book = self._known(uid)
        return copy.deepcopy(book.explanation) if book else {}

    def intents(self, uid: str) -> Sequence[Intent]:
        """The tenant's intents, oldest first."""
        book = self._known(uid)
        return list(book.intents) if book else []

    def backups(self, uid: str) -> Sequence[Backup]:
        """The tenant's backups with their copies, oldest first."""
        book = self._known(uid)
        return list(book.backups.values()) if book else []

    def residues(self, uid: str) -> Sequence[Residue]:
        """The tenant's residue inventory, oldest first."""
        book = self._known(uid)
        return list(book.residues) if book else []

    def open_residues(self, uid: str) -> Sequence[Residue]:
        """The lines of it that have not lapsed, oldest first."""
        book = self._known(uid)
        return list(book.open_residues.values()) if book else []

    def moves(self, uid: str) -> Sequence[Move]:
        """The tenant's moves, oldest first."""
        book = self._known(uid)
        return list(book.moves.values()) if book else []

    def alarms(self, uid: str | None = None) -> Sequence[Alarm]:
        """Open alarms, of one tenant or of all, oldest first."""
        with self._shelf.lock:
            books = [book for book in self._shelf.books.values() if uid in {None, book.tenant.uid}]
        found = [alarm for book in books for alarm in book.alarms.values()]
        return sorted(found, key=lambda alarm: (alarm.since, alarm.tenant_uid, alarm.code))

    def entries(self, uid: str) -> Sequence[Entry]:
        """The tenant's journal, in order."""
        book = self._known(uid)
        return list(book.entries) if book else []

    def head(self, uid: str) -> Head | None:
        """The newest link of the tenant's chain."""
        book = self._known(uid)
        return book.head if book else None

    def chains(self) -> Sequence[str]:
        """The uids that have a journal."""
        with self._shelf.lock:
            return sorted(uid for uid, book in self._shelf.books.items() if book.entries)

    # Instances

    def instances(self, *, role: InstanceRole | None = None) -> Sequence[Instance]:
        """The instances that tenantctl uses, by name."""
        return [one for one in self._shelf.counted_instances() if role in {None, one.role}]

    def add_instance(self, instance: Instance) -> None:
        """Writes an instance, or other limits of one that is known."""
        with self._shelf.lock:
            known = self._shelf.instances.get(instance.name, instance)
            if (known.region, known.role) != (instance.region, instance.role):
                raise instance_differs(known)
            bare = changed(instance, databases=0, connections=0, bytes_seen=0, state=known.state)
            self._shelf.instances[instance.name] = bare

    def set_instance_state(self, name: str, state: InstanceState) -> None:
        """Has an instance take more tenants, or no more."""
        with self._shelf.placing, self._shelf.lock:
            if name not in self._shelf.instances:
                raise unknown_instance(name)
            self._shelf.instances[name] = changed(self._shelf.instances[name], state=state)

    # Work under a lease

    @contextmanager
    def fenced(self, lease: Lease, *, plan_digest: str = "") -> Iterator[FencedWrites]:
        """One transaction under the lease."""
        with self._shelf.writing(lease.tenant_uid) as book:
            writes = MemoryFencedWrites(self._shelf, book, lease, plan_digest, self._actor)
            try:
                yield writes
                writes.finish()
            finally:
                writes.let_go()

    def _known(self, uid: str) -> Book | None:
        with self._shelf.lock:
            return self._shelf.books.get(uid)


def _requested(new: NewTenant, instance: str, now: datetime) -> Tenant:
    return Tenant(
        uid=new.uid,
        name=new.name,
        state=State.REQUESTED,
        wanted=WANTED_BY[IntentKind.CREATE],
        intent_id=1,
        intent_effective_at=now,
        time_zone=new.time_zone,
        hosting=Hosting(new.uid, instance, new.region, 1),
        connection_limit=new.connection_limit,
        extensions=tuple(new.extensions),
        created_at=now,
        due_at=now,
        restored_from=new.restored_from,
        kept_in=new.kept_in,
        size=new.size,
    )
