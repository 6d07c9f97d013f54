"""What the registry in memory keeps: a book for each tenant, never changed but replaced as a whole.

Whoever writes a tenant holds that tenant's lock, as a transaction on PostgreSQL holds the lock of its row, and puts a
new book in the place of the old one at its end. Readers take whatever book is there.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Any, Final, TypeVar, overload

from tenantctl.adapters.memory.billing_ledger import BillingLedger
from tenantctl.adapters.memory.changed import changed
from tenantctl.adapters.memory.decisions_ledger import Ledger
from tenantctl.adapters.registry_rules import body_text, busy, emptiest_or_refuse, unknown_tenant
from tenantctl.model.backup import Backup, Residue
from tenantctl.model.capacity import Demand, with_one_more
from tenantctl.model.journal import FIRST_LINK, Entry, Head
from tenantctl.model.lifecycle import DEAD, State
from tenantctl.model.move import Move, open_move
from tenantctl.model.plan import Duty
from tenantctl.model.tenant import Instance, InstanceRole, Intent, Tenant
from tenantctl.model.work import Danger
from tenantctl.ports.registry import Alarm
from tenantctl.ports.work import Lease, Parking

LOCK_WAIT_SECONDS: Final = 5.0

Row = TypeVar("Row", Backup, Residue)

BEGUN: Final[Callable[[Backup], tuple[datetime, str]]] = attrgetter("begun_at", "id")
MADE: Final[Callable[[Residue], tuple[datetime, str]]] = attrgetter("made_at", "id")


class Pages(Sequence[Entry]):
    """A journal as it was when its last entry was written; whatever is written later stands on the same sheets.

    Args:
        sheets: the entries, and perhaps more.
        count: how many of them there are.
    """

    def __init__(self, sheets: list[Entry], count: int) -> None:
        self._sheets, self._count = sheets, count

    @classmethod
    def after(cls, entries: Sequence[Entry], entry: Entry) -> "Pages":
        """These entries and one more; what a transaction that was given up has written after them is left out."""
        written = isinstance(entries, Pages) and len(entries._sheets) == entries._count
        sheets = entries._sheets if isinstance(entries, Pages) and written else list(entries)
        sheets.append(entry)
        return cls(sheets, len(sheets))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        return islice(self._sheets, self._count)

    @overload
    def __getitem__(self, which: int) -> Entry: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[Entry]: ...
    def __getitem__(self, which: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(which, slice):
            return self._sheets[slice(*which.indices(self._count))]
        return self._sheets[range(self._count)[which]]


@dataclass(frozen=True)
class Book:
    """All that is known of one tenant.

    `duty` None means that the next step is not known yet; `lease_intent` is the newest intent when the lease was taken,
    and `wake_at` when somebody wants the tenant looked at after the look that is under way. Backups, each with its
    copies by region, and open residues stand oldest first: they are read far more often than written.
    """

    tenant: Tenant
    explanation: Mapping[str, Any]
    intents: tuple[Intent, ...]
    duty: Duty | None = None
    wake_at: datetime | None = None
    lease: Lease | None = None
    leased_at: datetime | None = None
    lease_intent: int = 0
    epoch: int = 0
    backups: dict[str, Backup] = field(default_factory=dict)
    open_residues: dict[str, Residue] = field(default_factory=dict)
    lapsed_residues: dict[str, Residue] = field(default_factory=dict)
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    entries: Sequence[Entry] = ()
    moves: Mapping[int, Move] = field(default_factory=dict)
    danger: Danger = Danger.TERM  # of a look that nobody has made yet, the worst
    failures: int = 0
    parking: Parking | None = None

    @property
    def residues(self) -> Sequence[Residue]:
        """The whole inventory, oldest first."""
        return sorted((*self.lapsed_residues.values(), *self.open_residues.values()), key=MADE)

    @property
    def head(self) -> Head | None:
        """The newest link of the chain."""
        if not self.entries:
            return None
        newest = self.entries[-1]
        return Head(newest.tenant_uid, newest.sequence, newest.hash)

    @property
    def is_done_with(self) -> bool:
        """Whether nobody needs to look at the tenant any more."""
        return self.tenant.state is State.FORGOTTEN and self.tenant.name is None

    @property
    def is_dead(self) -> bool:
        """Whether the tenant has given its name back."""
        return self.tenant.state in DEAD

    def is_parked(self, now: datetime) -> bool:
        """Whether the tenant is set aside."""
        return self.parking is not None and (self.parking.until is None or self.parking.until > now)

    def is_leased(self, now: datetime) -> bool:
        """Whether somebody holds the tenant."""
        return self.lease is not None and self.lease.until > now

    def is_held_by(self, lease: Lease, now: datetime) -> bool:
        """Whether this very lease still runs, however often it was renewed."""
        mine = self.lease is not None and (self.lease.owner, self.lease.epoch) == (lease.owner, lease.epoch)
        return mine and self.is_leased(now)

    def with_entry(
        self, event: str, body: Mapping[str, Any], *, at: datetime, actor: str, plan_digest: str = ""
    ) -> "Book":
        """The book with one more entry, sealed into the chain as the database does it."""
        head = self.head
        entry = Entry(
            tenant_uid=self.tenant.uid,
            sequence=head.sequence + 1 if head else 1,
            at=at,
            actor=actor,
            event=event,
            plan_digest=plan_digest,
            body=body_text(body),
            previous=head.hash if head else FIRST_LINK,
            hash="",
        )
        return changed(self, entries=Pages.after(self.entries, changed(entry, hash=entry.expected_hash())))

    def with_alarm(self, code: str, reason: str, *, at: datetime) -> "Book":
        """The book with this alarm open, since before if it was."""
        known = self.alarms.get(code)
        alarm = changed(known, reason=reason) if known else Alarm(self.tenant.uid, code, reason, at)
        return changed(self, alarms={**self.alarms, code: alarm})

    def without_alarm(self, code: str) -> "Book":
        """The book with this alarm closed."""
        return changed(self, alarms={name: alarm for name, alarm in self.alarms.items() if name != code})


class Shelf:
    """The books by uid and the instances by name, and who may write them now.

    Args:
        clock: the registry's time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.lock = threading.RLock()  # held for as long as it takes to look or to replace, never longer
        self.books: dict[str, Book] = {}
        self.instances: dict[str, Instance] = {}
        self.ledger = Ledger()
        self.billing = BillingLedger()
        self.placing = threading.Lock()  # held from the choice of an instance to the end of what chose it
        self.quotas: dict[str, tuple[float, datetime]] = {}
        self._row_locks: dict[str, threading.Lock] = {}

    def book(self, uid: str) -> Book:
        """The tenant's book.

        Raises:
            NotFound: there is none.
        """
        with self.lock:
            if uid not in self.books:
                raise unknown_tenant(uid)
            return self.books[uid]

    @contextmanager
    def writing(self, uid: str) -> Iterator[Book]:
        """The tenant's book, which nobody else replaces until the block ends.

        Raises:
            NotFound: there is none.
            Transient: somebody else has been writing it for too long.
        """
        self.book(uid)
        row_lock = self.row_lock(uid)
        if not row_lock.acquire(timeout=LOCK_WAIT_SECONDS):
            raise busy(uid)
        try:
            yield self.book(uid)
        finally:
            row_lock.release()

    def replace(self, book: Book) -> None:
        """Puts a book in the place of the tenant's old one; called inside `writing`."""
        with self.lock:
            self.books[book.tenant.uid] = book

    def row_lock(self, uid: str) -> threading.Lock:
        """The lock of one tenant's book."""
        with self.lock:
            return self._row_locks.setdefault(uid, threading.Lock())

    def bearer_of(self, name: str) -> Tenant | None:
        """The tenant that has this name and has not given it back."""
        with self.lock:
            tenants = (book.tenant for book in self.books.values())
            return next((one for one in tenants if one.name == name and one.state not in DEAD), None)

    def emptiest_instance(self, region: str, demand: Demand, *, leaves: str = "", only: str = "") -> Instance:
        """The instance that a tenant of a region goes to, by what is placed there now; `lock` keeps it so.

        Raises:
            NoRoom: none has any.
        """
        hosting = [one for one in self.counted_instances() if one.region == region and one.role is InstanceRole.TENANTS]
        hosting = [one for one in hosting if only in {"", one.name}]
        return emptiest_or_refuse(region, hosting, demand, leaves=leaves)

    def counted_instances(self) -> list[Instance]:
        """The instances by name, each with what the tenants placed on it take."""
        with self.lock:
            counted = dict(sorted(self.instances.items()))
            for book in list(self.books.values()):
                tenant, move = book.tenant, open_move(book.moves.values())
                if not tenant.is_placed or tenant.state in DEAD:
                    continue
                taken = Demand(tenant.connection_limit, tenant.size)
                for name in {tenant.hosting.instance, move.instance if move else tenant.hosting.instance}:
                    if name in counted:
                        counted[name] = with_one_more(counted[name], taken)
            return list(counted.values())


def put_in_order(rows: dict[str, Row], row: Row, *, by: Callable[[Row], tuple[datetime, str]]) -> None:
    """Puts a row among rows, which is a new one or another word on one of them; they stay oldest first.

    A dictionary keeps its order when a value is changed, so that only a new row may have to find its place.
    """
    before = rows.get(row.id)
    newest = next(reversed(rows.values()), None)
    rows[row.id] = row
    if before is not None and by(before) == by(row):
        return
    if before is None and (newest is None or by(newest) < by(row)):
        return
    in_order = sorted(rows.values(), key=by)
    rows.clear()
    rows.update((one.id, one) for one in in_order)
