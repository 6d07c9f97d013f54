"""Claims, leases, what is set aside and quotas in memory, as a part of the registry in memory."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import islice

from tenantctl.adapters.memory.anchors import MemoryAnchorBook
from tenantctl.adapters.memory.changed import changed
from tenantctl.adapters.memory.registry_books import Book
from tenantctl.adapters.registry_rules import (
    ALARM_CLEARED,
    ALARM_RAISED,
    PARKED_EVENT,
    RETRIED,
    UNPARKED,
    check_count,
    check_duration,
    check_until,
    lease_lost,
    parked_body,
    parked_reason,
)
from tenantctl.model.decisions import Standing
from tenantctl.model.lifecycle import State
from tenantctl.model.look import Known, for_a_look, residues_for_a_look
from tenantctl.model.move import open_move
from tenantctl.model.plan import Duty
from tenantctl.model.tenant import Wanted
from tenantctl.model.work import PARKED, STUCK, TROUBLE, Danger, Limits, turn_at
from tenantctl.ports.work import Later, Lease, Parking, WorkItem, WorkState


class MemoryWorkBook(MemoryAnchorBook):
    """The port `WorkBook` over the books of a shelf."""

    def claim(
        self, owner: str, *, lease: timedelta, duty: Duty | None = None, tenant: str | None = None
    ) -> Lease | None:
        """The due tenant whose turn it is, leased to `owner`; tenants that are being written are passed over."""
        check_duration(lease)
        with self._shelf.lock:
            return next(self._claimed(owner, lease, duty, tenant, None), None)

    def claim_many(
        self, owner: str, *, lease: timedelta, count: int, limits: Limits | None, duty: Duty | None = None
    ) -> Sequence[Lease]:
        """Up to `count` due tenants, within the limits."""
        check_duration(lease)
        check_count(count)
        with self._shelf.lock:
            return list(islice(self._claimed(owner, lease, duty, None, limits), count))

    def _claimed(
        self, owner: str, lease: timedelta, duty: Duty | None, uid: str | None, limits: Limits | None
    ) -> Iterator[Lease]:
        """Leases one tenant after the other, for as long as it is asked for the next."""
        now = self.now()
        books = self._shelf.books
        among = list(books.values()) if uid is None else [books[uid]] if uid in books else []
        due = [book for book in among if _is_due(book, now, duty)]
        leased = [book.tenant.hosting for book in among if book.is_leased(now)] if limits else []
        in_region = Counter(hosting.region for hosting in leased)
        on_instance = Counter(hosting.instance for hosting in leased if hosting.instance)
        for book in sorted(due, key=_turn):
            hosting = book.tenant.hosting
            if limits and in_region[hosting.region] >= limits.per_region:
                continue
            if limits and hosting.instance and on_instance[hosting.instance] >= limits.per_instance:
                continue
            row_lock = self._shelf.row_lock(book.tenant.uid)
            if row_lock.acquire(blocking=False):
                try:
                    given = self._leased(book, owner, now, now + lease)
                finally:
                    row_lock.release()
                in_region[hosting.region] += 1
                on_instance[hosting.instance] += 1
                yield given

    def put_off(self, decide: Callable[[Sequence[Known]], Mapping[str, Later]], *, count: int) -> Sequence[str]:
        """Has those tenants looked at later of which nothing is to be done now."""
        check_count(count)
        now, ledger = self.now(), self._shelf.ledger
        with ExitStack() as locked:
            shown: list[Known] = []
            for uid in [book.tenant.uid for book in sorted(self._shelf.books.values(), key=_turn)]:
                row_lock = self._shelf.row_lock(uid)
                if len(shown) == count or not row_lock.acquire(blocking=False):
                    continue
                locked.callback(row_lock.release)
                book = self._shelf.book(uid)
                if not _is_ordinary(book, now) or ledger.open_holds(uid) or ledger.open_proposals(uid, now=now):
                    continue
                freezes = tuple(ledger.open_freezes(book.tenant.hosting.region))
                standing = Standing(freezes=freezes, notices=tuple(ledger.notices_of(uid)))
                backups, at_rest = for_a_look(tuple(book.backups.values()), now=now)
                residues, moves = residues_for_a_look(book.open_residues.values()), tuple(book.moves.values())
                shown.append(Known(book.tenant, backups, at_rest, residues, moves, standing))
            later = decide(shown) if shown else {}
            for uid, until in later.items():
                book = self._shelf.book(uid)
                tenant = changed(book.tenant, due_at=until.due_at)
                self._shelf.replace(changed(book, tenant=tenant, danger=until.danger))
            return [known.tenant.uid for known in shown if known.tenant.uid in later]

    def renew(self, lease: Lease, *, lease_for: timedelta) -> Lease:
        """The same lease, ending later."""
        check_duration(lease_for)
        with self._shelf.writing(lease.tenant_uid) as book:
            now = self.now()
            if not book.is_held_by(lease, now) or book.tenant.intent_id != book.lease_intent:
                raise lease_lost(lease)
            renewed = changed(lease, until=now + lease_for)
            self._shelf.replace(changed(book, lease=renewed, tenant=changed(book.tenant, due_at=renewed.until)))
            return renewed

    def release(
        self,
        lease: Lease,
        *,
        due_at: datetime,
        duty: Duty | None,
        danger: Danger | None = None,
        failures: int | None = None,
    ) -> None:
        """Lets go, due again at `due_at` by `duty`."""
        with self._shelf.writing(lease.tenant_uid) as book:
            now = self.now()
            if not book.is_held_by(lease, now):
                raise lease_lost(lease)
            let_go = changed(book, lease=None, wake_at=None, duty=duty, tenant=changed(book.tenant, due_at=due_at))
            known = book.danger if danger is None else danger
            let_go = changed(let_go, danger=known, failures=book.failures if failures is None else failures)
            if book.tenant.intent_id != book.lease_intent:
                let_go = changed(let_go, duty=None, danger=Danger.TERM, tenant=changed(book.tenant, due_at=now))
            elif book.wake_at is not None:
                let_go = brought_forward(let_go, book.wake_at)
            self._shelf.replace(let_go)

    def work_items(
        self, *, states: Sequence[WorkState] = (), region: str | None = None, limit: int | None = None
    ) -> Sequence[WorkItem]:
        """The tenants in any of these states, by turn."""
        asked = set(states or WorkState)
        with self._shelf.lock:
            now = self.now()
            books = sorted(self._shelf.books.values(), key=_turn)
            items = (_item(book, now) for book in books if region in {None, book.tenant.hosting.region})
            return [item for item in items if asked & set(item.states)][:limit]

    def work_item(self, uid: str) -> WorkItem:
        """One tenant as workers see it."""
        return _item(self._shelf.book(uid), self.now())

    def retry(self, uid: str) -> None:
        """Has a tenant looked at now, as if it had never failed."""
        with self._shelf.writing(uid) as book:
            now = self.now()
            body = {"failures": book.failures}
            fresh = changed(_without_parking(book, now, self._actor), failures=0, danger=Danger.TERM)
            if book.is_leased(now):
                fresh = changed(fresh, wake_at=min(now, book.wake_at or now))
            else:
                fresh = brought_forward(fresh, now)
            self._shelf.replace(fresh.with_entry(RETRIED, body, at=now, actor=self._actor))

    def park(self, uid: str, *, because: str, until: datetime | None) -> None:
        """Sets a tenant aside."""
        with self._shelf.writing(uid) as book:
            now = self.now()
            check_until(until, now)
            parked = changed(book, parking=Parking(now, because, until))
            self._shelf.replace(parked.with_entry(PARKED_EVENT, parked_body(because, until), at=now, actor=self._actor))

    def unpark(self, uid: str) -> bool:
        """Takes up a tenant that was parked."""
        with self._shelf.writing(uid) as book:
            if book.parking is None:
                return False
            now = self.now()
            taken_up = _without_parking(book, now, self._actor)
            self._shelf.replace(taken_up.with_entry(UNPARKED, {}, at=now, actor=self._actor))
            return True

    def alarm_parked(self, *, within: timedelta) -> Sequence[str]:
        """Alarms parked tenants whose destruction is long due."""
        now = self.now()
        with self._shelf.lock:
            parked = [book for book in self._shelf.books.values() if book.is_parked(now)]
        late = [book for book in parked if book.tenant.destroy_after and book.tenant.destroy_after + within <= now]
        uids = sorted(book.tenant.uid for book in late if not book.is_dead)
        for uid in uids:
            with self._shelf.writing(uid) as book:
                if book.parking is None:
                    continue
                alarmed = book.with_alarm(PARKED, parked_reason(book.parking), at=now)
                if PARKED not in book.alarms:
                    alarmed = alarmed.with_entry(ALARM_RAISED, {"code": PARKED}, at=now, actor=self._actor)
                self._shelf.replace(alarmed)
        return uids

    def take_token(self, quota: str, *, per_minute: int, burst: int, wait_max: timedelta) -> timedelta | None:
        """Takes one token of a quota that all share."""
        rate = per_minute / 60
        with self._shelf.lock:
            now = self.now()
            tokens, refilled_at = self._shelf.quotas.get(quota, (float(burst), now))
            elapsed = max(0.0, (now - refilled_at).total_seconds())
            left = min(float(burst), tokens + elapsed * rate) - 1
            wait = timedelta(seconds=max(0.0, -left / rate))
            if wait > wait_max:
                return None
            self._shelf.quotas[quota] = (left, max(now, refilled_at))
            return wait

    def _leased(self, book: Book, owner: str, now: datetime, until: datetime) -> Lease:
        taken_over = book.lease is not None
        lease = Lease(book.tenant.uid, owner, book.epoch + 1, until, taken_over=taken_over, failures=book.failures)
        tenant = changed(book.tenant, due_at=until)
        held = changed(book, tenant=tenant, lease=lease, lease_intent=tenant.intent_id, epoch=lease.epoch, wake_at=None)
        self._shelf.replace(changed(held, leased_at=now, parking=None))
        return lease


def brought_forward(book: Book, at: datetime) -> Book:
    """The book due at `at`, by whoever can tell its next step; unchanged if it is due by then anyway."""
    if book.tenant.due_at <= at:
        return book
    return changed(book, duty=None, danger=Danger.TERM, tenant=changed(book.tenant, due_at=at))


def _turn(book: Book) -> tuple[datetime, datetime]:
    return turn_at(book.danger, book.tenant.due_at), book.tenant.due_at


def _is_due(book: Book, now: datetime, duty: Duty | None) -> bool:
    is_asked_for = duty is None or book.duty in {None, duty}
    return is_asked_for and book.tenant.due_at <= now and not book.is_done_with and not book.is_parked(now)


def _is_ordinary(book: Book, now: datetime) -> bool:
    """Whether it is due for a look that is most often all that is done."""
    tenant = book.tenant
    usual = tenant.state is State.ACTIVE and tenant.wanted is Wanted.LIVING and book.danger is Danger.BACKUP
    strange = book.lease or book.failures or book.parking or book.alarms or open_move(book.moves.values())
    return tenant.due_at <= now and book.duty is None and usual and not strange


def _without_parking(book: Book, now: datetime, actor: str) -> Book:
    if PARKED not in book.alarms:
        return changed(book, parking=None)
    cleared = changed(book.without_alarm(PARKED), parking=None)
    return cleared.with_entry(ALARM_CLEARED, {"code": PARKED}, at=now, actor=actor)


def _item(book: Book, now: datetime) -> WorkItem:
    tenant, trouble, stuck = book.tenant, book.alarms.get(TROUBLE), book.alarms.get(STUCK)
    lease = book.lease if book.is_leased(now) else None
    parking = book.parking if book.is_parked(now) else None
    is_in = {
        WorkState.DUE: _is_due(book, now, None),
        WorkState.LEASED: lease is not None,
        WorkState.FAILING: book.failures > 0,
        WorkState.STUCK: stuck is not None,
        WorkState.PARKED: parking is not None,
    }
    return WorkItem(
        tenant_uid=tenant.uid,
        name=tenant.name,
        state=tenant.state,
        region=tenant.hosting.region,
        instance=tenant.hosting.instance or None,
        states=tuple(state for state in WorkState if is_in[state]),
        due_at=tenant.due_at,
        danger=book.danger,
        duty=book.duty,
        owner=lease.owner if lease else None,
        leased_at=book.leased_at if lease else None,
        leased_until=lease.until if lease else None,
        failures=book.failures,
        failing_since=trouble.since if trouble else None,
        error=trouble.reason if trouble else None,
        stuck_since=stuck.since if stuck else None,
        parking=parking,
    )
