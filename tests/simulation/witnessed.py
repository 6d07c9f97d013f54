"""The memory fakes with a witness beside them, and a lifecycle that looks only at what is due."""

import heapq
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any

from tenantctl.adapters.memory.databases import MemoryDatabases, MemoryInstances
from tenantctl.adapters.memory.keys import MemoryKeyStore
from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.adapters.memory.registry_books import Book, Shelf
from tenantctl.adapters.memory.vault import MemoryVault
from tenantctl.model.calendar import add_months
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Duty
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting
from tenantctl.ports.databases import Dump
from tenantctl.ports.registry import Lease
from tenantctl.ports.vault import ObjectSeen
from tests.simulation.truth import Happening, Life, MadeBackup, SealedCopy, Truth

Tell = Callable[[Happening], None]


class WitnessedDatabases(MemoryDatabases):
    """Databases whose every change is known to the witness."""

    def __init__(self, instances: MemoryInstances, truth: Truth, tell: Tell, clock: Callable[[], datetime]) -> None:
        super().__init__(instances)
        self._truth, self._tell, self._clock = truth, tell, clock

    def create_database(self, hosting: Hosting) -> None:
        place = (hosting.instance, hosting.database)
        there = hosting.database in self.instances[hosting.instance].databases
        super().create_database(hosting)
        if not there:
            self._truth.owners[place] = hosting.uid
            self._happened("created", hosting)

    def open_logins(self, hosting: Hosting) -> None:
        super().open_logins(hosting)
        self._truth.lives[hosting.uid].closed_since = None
        self._happened("opened", hosting)

    def close_logins(self, hosting: Hosting) -> None:
        super().close_logins(hosting)
        life = self._truth.lives[hosting.uid]
        life.closed_since = life.closed_since or self._clock()
        self._happened("closed", hosting)

    def set_forced_row_security(self, hosting: Hosting, tables: Sequence[str], *, forced: bool) -> None:
        super().set_forced_row_security(hosting, tables, forced=forced)
        self._happened("altered", hosting)

    def drop_database(self, hosting: Hosting) -> None:
        instance = self.instances[hosting.instance]
        there = instance.databases.get(hosting.database)
        owner = self._truth.owners.get((hosting.instance, hosting.database))
        super().drop_database(hosting)
        if there is not None and hosting.database not in instance.databases:
            archive = _archive_of(there.tables)
            self._happened("dropped", hosting, owner=owner, archive=archive)
            del self._truth.owners[hosting.instance, hosting.database]
            self._truth.lives[hosting.uid].dropped_at = self._clock()

    @contextmanager
    def _dump(self, hosting: Hosting) -> Iterator[Dump]:
        with super()._dump(hosting) as dump:
            database = self.instances[hosting.instance].databases[hosting.database]
            self._truth.lives[hosting.uid].archive = _archive_of(database.tables)
            yield dump

    def _happened(self, kind: str, hosting: Hosting, **found: Any) -> None:
        self._tell(Happening(kind, self._clock(), hosting.uid, found))


def _archive_of(tables: dict[str, list[str]]) -> bytes:
    """The archive that a dump of these tables is, made without asking the fake's dump."""
    lines = [json.dumps([name, list(rows)]).encode() for name, rows in sorted(tables.items())]
    return b"\n".join([b"memory archive", *lines, b"end", b""])


class WitnessedVault(MemoryVault):
    """A vault that tells what was sealed and what went, each object as late as its own bucket is that day."""

    def __init__(self, clock: Callable[[], datetime], truth: Truth, tell: Tell) -> None:
        super().__init__(clock)
        self.resting_until: datetime | None = None
        """Until when no bucket deletes anything."""
        self._truth, self._tell = truth, tell
        self._due: list[tuple[datetime, str, str]] = []

    def _place(self, bucket: str, name: str, content: bytes) -> ObjectSeen:
        seen = super()._place(bucket, name, content)
        terms = self._buckets[bucket].terms
        assert terms.age_days is not None, "every bucket of a simulation has an age"
        term_ends = seen.created_at + timedelta(days=terms.age_days)
        late = timedelta(hours=Random(bucket + name).uniform(0, 60))
        heapq.heappush(self._due, (term_ends + late, bucket, name))
        if name.endswith("/dump.zst.age"):
            life, backup_id = self._known(name)
            made = life.backups[backup_id]
            made.archive = life.archive
            made.copies[terms.region] = SealedCopy(bucket, name, terms.region, seen.created_at, content, term_ends)
            self._tell(Happening("sealed", seen.created_at, life.uid, {"backup": made}))
        return seen

    def expire(self) -> int:
        """Lets the buckets delete what is due today."""
        now, gone = self._clock(), 0
        if self.resting_until is not None and now < self.resting_until:
            return 0
        with self._lock:
            while self._due and self._due[0][0] <= now:
                _, bucket, name = heapq.heappop(self._due)
                found = self._buckets[bucket].objects.get(name)
                if found is None:
                    continue
                if found.seen.held:
                    heapq.heappush(self._due, (now + timedelta(days=1), bucket, name))
                    continue
                del self._buckets[bucket].objects[name]
                gone += 1
                self._went(name, now)
        return gone

    def lose(self, bucket: str, name: str) -> None:
        super().lose(bucket, name)
        self._went(name, self._clock(), vanished=True, region=self._buckets[bucket].terms.region)

    def _went(self, name: str, now: datetime, *, vanished: bool = False, region: str | None = None) -> None:
        if name.endswith("/dump.zst.age"):
            life, backup_id = self._known(name)
            for copy in life.backups[backup_id].copies.values():
                gone = copy.name not in self._buckets[copy.bucket].objects
                if gone and copy.gone_at is None and region in {None, copy.region}:
                    copy.gone_at, copy.vanished = now, vanished

    def _known(self, name: str) -> tuple[Life, str]:
        known = self._truth.life_of_name(name)
        assert known is not None, f"{name} belongs to nobody"
        return known


class WitnessedKeyStore(MemoryKeyStore):
    """A key store that tells which keys came and went."""

    def __init__(self, regions: Sequence[str], clock: Callable[[], datetime], truth: Truth, tell: Tell) -> None:
        super().__init__(regions, clock)
        self._truth, self._tell = truth, tell

    def put(self, region: str, name: str, content: bytes) -> ObjectSeen:
        seen = super().put(region, name, content)
        life, backup_id = self._known(name)
        life.backups[backup_id].keys[region] = content
        self._tell(Happening("key-kept", seen.created_at, life.uid))
        return seen

    def remove(self, region: str, name: str) -> None:
        super().remove(region, name)
        life, backup_id = self._known(name)
        made = life.backups.get(backup_id)
        if made is not None and region in made.keys:
            del made.keys[region]
            self._tell(Happening("key-removed", self._clock(), life.uid, {"backup": made, "region": region}))

    def _known(self, name: str) -> tuple[Life, str]:
        known = self._truth.life_of_name(name)
        assert known is not None, f"{name} belongs to nobody"
        return known


class WitnessedRegistry(MemoryRegistry):
    """A registry of which each change is seen when it is written, with the row before and after."""

    def __init__(self, clock: Callable[[], datetime], truth: Truth, tell: Tell) -> None:
        super().__init__(clock)
        self._truth, self._tell = truth, tell
        self._shelf = WitnessedShelf(self._shelf.clock, self._changed)

    def claim(
        self, owner: str, *, lease: timedelta, duty: Duty | None = None, tenant: str | None = None
    ) -> Lease | None:
        claimed = super().claim(owner, lease=lease, duty=duty, tenant=tenant)
        self._truth.turn = claimed.tenant_uid if claimed else None
        self._truth.renewed_at = self.now()
        return claimed

    def renew(self, lease: Lease, *, lease_for: timedelta) -> Lease:
        renewed = super().renew(lease, lease_for=lease_for)
        self._truth.renewed_at = self.now()
        return renewed

    def book(self, uid: str) -> Book:
        """All that the registry has on a tenant."""
        return self._shelf.books[uid]

    def books(self) -> dict[str, Book]:
        """The same of all, by uid."""
        return self._shelf.books

    def _changed(self, before: Book | None, after: Book) -> None:
        tenant, now = after.tenant, self._shelf.clock()
        if before is None:
            place = (tenant.hosting.instance, tenant.hosting.database)
            self._truth.lives[tenant.uid] = Life(tenant.uid, place, now, tenant.created_at)
        life = self._truth.lives[tenant.uid]
        if before is not None and before.tenant is not tenant:
            self._tell(Happening("row", now, tenant.uid, {"before": before.tenant, "after": tenant}))
            _take_over(life, tenant.state, now)
            if tenant.destroy_after is None:
                life.promised = None
            elif life.promised is None or tenant.destroy_after > life.promised:
                life.promised = tenant.destroy_after
        if before is not None and before.backups is not after.backups:
            for backup in reversed(after.backups.values()):
                if backup.id in life.backups:
                    break
                made = MadeBackup(backup.id, tenant.uid, backup.begun_at, backup.retention_class)
                life.backups[backup.id] = made
                self._truth.promises.append((add_months(backup.begun_at, 12), tenant.uid, backup.id))
        known = len(before.entries) if before else 0
        for entry in after.entries[known:]:
            self._tell(Happening("entry", now, tenant.uid, {"entry": entry, "book": after}))


class WitnessedShelf(Shelf):
    """A shelf that hands each book that is put on it to the witness first."""

    def __init__(self, clock: Callable[[], datetime], changed: Callable[[Book | None, Book], None]) -> None:
        super().__init__(clock)
        self._changed = changed

    def replace(self, book: Book) -> None:
        before = self.books.get(book.tenant.uid)
        super().replace(book)
        self._changed(before, book)


def _take_over(life: Life, state: State, now: datetime) -> None:
    """Which state the registry says that the tenant is in, and since when, where an invariant asks."""
    if state is life.state:
        return
    life.state = state
    if state is State.ACTIVE:
        life.came_at = now
    elif state is State.DESTROYING:
        life.grace_ended_at = now
    elif state is State.FORGOTTEN:
        life.forgotten_at = now


def is_there(vault: MemoryVault, bucket: str, name: str) -> bool:
    """Whether the bucket really has it, though its region may not answer just now."""
    found = vault._buckets.get(bucket)
    return found is not None and name in found.objects


def is_kept(store: MemoryKeyStore, region: str, name: str) -> bool:
    """Whether the key bucket really has it."""
    found = store._buckets.get(region)
    return found is not None and name in found.keys


def present(sight: object) -> bool:
    """Whether it is a sight of something that is there."""
    return isinstance(sight, Present)
