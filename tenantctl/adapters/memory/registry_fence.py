"""Writes under a lease on a book in memory: gathered on a copy, which takes the book's place at the end or never."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tenantctl.adapters.decision_rules import NOTICE_WRITTEN, check_spendable, let_through_before, unknown_proposal
from tenantctl.adapters.memory.changed import changed
from tenantctl.adapters.memory.decisions_ledger import Counted, cap_count
from tenantctl.adapters.memory.registry_books import BEGUN, MADE, Book, Shelf, put_in_order
from tenantctl.adapters.registry_rules import (
    ALARM_CLEARED,
    ALARM_RAISED,
    BLANKED_TIME_ZONE,
    CUT_OVER,
    MOVE_REQUESTED,
    PLACED,
    REHOSTED,
    SLOT_TAKEN_IN,
    begun_move,
    check_change,
    check_subject,
    check_waiting,
    database_residue,
    later_closing,
    lease_lost,
    move_body,
    moved_body,
    moving_already,
    next_generation,
    placed_body,
    rehosted_body,
    requested_move_body,
    slot_taken,
)
from tenantctl.model.backup import Backup, Copy, Residue
from tenantctl.model.calendar import rfc3339
from tenantctl.model.capacity import Demand
from tenantctl.model.decisions import Act, CapCount, Freeze, Hold
from tenantctl.model.lifecycle import Event, transition
from tenantctl.model.move import Move, open_move
from tenantctl.model.tenant import Instance, Origin, Tenant, Wanted
from tenantctl.ports.registry import Lease


class MemoryFencedWrites:
    """The writes of one transaction.

    Args:
        shelf: where the book stands; its lock for this tenant is held.
        book: the book as it is.
        lease: what the transaction works under.
        plan_digest: what its entries bear.
        actor: whom its entries name.

    Raises:
        LeaseLost: the lease ended or was taken over.
    """

    def __init__(self, shelf: Shelf, book: Book, lease: Lease, plan_digest: str, actor: str) -> None:
        self._shelf, self._lease, self._plan_digest, self._actor = shelf, lease, plan_digest, actor
        self._now = shelf.clock()
        self._at_the_end: list[Callable[[], None]] = []
        self._counting = self._placing = False
        self._owned: set[str] = set()
        if not book.is_held_by(lease, self._now):
            raise lease_lost(lease)
        self._book = book
        self._announced = book.tenant

    @property
    def tenant(self) -> Tenant:
        """The tenant with the changes of this transaction."""
        return self._book.tenant

    @property
    def now(self) -> datetime:
        """The registry's time when the transaction began."""
        return self._now

    def move(self, event: Event, **evidence: Any) -> None:
        """Takes the tenant along the transition table."""
        row = transition(self.tenant.state, event)
        if event is Event.DATABASE_GONE:
            self._change(state=row.target, destroyed_at=self._now)
        else:
            self._change(state=row.target)
        self.journal(event.value, **move_body(row, evidence))

    def record_closing(self, closed_at: datetime, destroy_after: datetime) -> None:
        """Writes both dates; a date that stands is only ever moved later."""
        self._change(**later_closing(self.tenant, closed_at, destroy_after))

    def doubt_closing(self) -> None:
        """Forgets one of both dates."""
        self._change(logins_closed_at=None)

    def clear_closing(self) -> None:
        """Forgets both dates."""
        self._change(logins_closed_at=None, destroy_after=None)

    def rehost(self, region: str, origin: Origin, explanation: Mapping[str, Any]) -> None:
        """Places the tenant anew, in its next generation, to be filled from a backup."""
        before = self.tenant.hosting
        instance = self._room_for(region, Demand(self.tenant.connection_limit, self.tenant.size))
        generation = next_generation(self.tenant, self._book.residues)
        hosting = changed(before, instance=instance.name, region=region, generation=generation)
        self._change(hosting=hosting, restored_from=origin, restored_at=None)
        self._book = changed(self._book, explanation=dict(explanation))
        self.put_residue(database_residue(hosting, self._now))
        self.journal(REHOSTED, **rehosted_body(before, hosting, origin))

    def place(self, region: str, explanation: Mapping[str, Any], *, headroom_percent: int) -> None:
        """Gives a tenant that waited its instance."""
        check_waiting(self.tenant)
        instance = self._room_for(region, Demand(self.tenant.connection_limit, self.tenant.size, headroom_percent))
        self._change(hosting=changed(self.tenant.hosting, instance=instance.name, region=region))
        self._book = changed(self._book, explanation=dict(explanation))
        self.put_residue(database_residue(self.tenant.hosting, self._now))
        self.journal(PLACED, **placed_body(self.tenant.hosting))

    def record_size(self, size: int) -> None:
        """Writes the size."""
        self._change(size=size)

    def begin_move(self, region: str, *, headroom_percent: int = 0, **asked: Any) -> Move:
        """Chooses an instance, and writes the move."""
        tenant = self.tenant
        if open_move(self._book.moves.values()) is not None:
            raise moving_already(tenant)
        demand = Demand(tenant.connection_limit, tenant.size, headroom_percent)
        instance = self._room_for(region, demand, leaves=tenant.hosting.instance)
        generation = next_generation(tenant, self._book.residues)
        target = changed(tenant.hosting, instance=instance.name, region=region, generation=generation)
        move = begun_move(tenant.hosting, target, asked, self._now)
        self._book = changed(self._book, moves={**self._book.moves, generation: move})
        self.put_residue(database_residue(target, self._now))
        self.journal(MOVE_REQUESTED, **requested_move_body(move))
        return move

    def put_move(self, move: Move) -> None:
        """Writes what was decided of a move."""
        check_subject(move.tenant_uid, self._lease)
        self._book = changed(self._book, moves={**self._book.moves, move.generation: move})

    def cut_over(self, move: Move, explanation: Mapping[str, Any]) -> None:
        """Places the tenant where the move leads."""
        self.put_move(changed(move, cut_over_at=self._now))
        self._change(hosting=move.target)
        self._book = changed(self._book, explanation=dict(explanation))
        self.journal(CUT_OVER, **moved_body(move))

    def record_restored(self) -> None:
        """Writes when the database was seen to be whole."""
        self._change(restored_at=self._now)

    def journal(self, event: str, **body: Any) -> None:
        """Appends an entry."""
        self._book = self._book.with_entry(
            event, body, at=self._shelf.clock(), actor=self._actor, plan_digest=self._plan_digest
        )

    def put_backup(self, backup: Backup) -> None:
        """Writes the backup unless its slot is another's, and its copies."""
        check_subject(backup.tenant_uid, self._lease)
        others = (one for one in self._book.backups.values() if one.id != backup.id and one.slot == backup.slot)
        if backup.state in SLOT_TAKEN_IN and any(one.state in SLOT_TAKEN_IN for one in others):
            raise slot_taken(backup)
        for copy in backup.copies:
            check_subject(copy.tenant_uid, self._lease)
        known = self._book.backups.get(backup.id)
        written = changed(backup, copies=_by_region(known.copies if known else (), backup.copies))
        self._put(written)

    def put_copy(self, copy: Copy) -> None:
        """Writes one copy."""
        check_subject(copy.tenant_uid, self._lease)
        if copy.backup_id not in self._book.backups:
            raise ValueError(f"there is no backup {copy.backup_id} that this could be a copy of")
        backup = self._book.backups[copy.backup_id]
        self._put(changed(backup, copies=_by_region(backup.copies, (copy,))))

    def put_residue(self, residue: Residue) -> None:
        """Writes a line of the inventory that has not lapsed."""
        check_subject(residue.tenant_uid, self._lease)
        if residue.id in self._book.lapsed_residues:
            return
        if residue.lapsed_at is None:
            put_in_order(self._own("open_residues"), residue, by=MADE)
        else:
            self._own("open_residues").pop(residue.id, None)
            self._own("lapsed_residues")[residue.id] = residue

    def raise_alarm(self, code: str, reason: str) -> None:
        """Renews an open alarm, or opens one."""
        is_new = code not in self._book.alarms
        self._book = self._book.with_alarm(code, reason, at=self._shelf.clock())
        if is_new:
            self.journal(ALARM_RAISED, code=code)

    def clear_alarm(self, code: str) -> None:
        """Closes an alarm that is open."""
        if code in self._book.alarms:
            self._book = self._book.without_alarm(code)
            self.journal(ALARM_CLEARED, code=code)

    def blank_names(self) -> None:
        """Blanks the name, the time zone and the placement's explanation."""
        self._change(name=None, time_zone=BLANKED_TIME_ZONE, kept_in=None)
        self._book = changed(self._book, explanation={})

    def freezes(self) -> Sequence[Freeze]:
        """The open freezes of the tenant's region."""
        return self._shelf.ledger.open_freezes(self.tenant.hosting.region)

    def holds(self) -> Sequence[Hold]:
        """The tenant's open holds; who places one takes the tenant's lock first, which is ours."""
        return self._shelf.ledger.open_holds(self.tenant.uid)

    def cap_count(self, act: Act) -> CapCount:
        """What the cap is held against, counted once everybody else who counts has come to the end."""
        if not self._counting:
            self._shelf.ledger.counting.acquire()
            self._counting = True
        return cap_count(self._shelf, act, self.tenant.hosting.region, now=self._now)

    def count_act(self, act: Act, batch: str | None = None) -> None:
        """Counts an act."""
        if batch is not None and self._shelf.ledger.let_through(batch, self.tenant.uid):
            raise let_through_before(self.tenant.uid, batch)
        counted = Counted(self.tenant.uid, act, self.tenant.hosting.region, self._now, batch)
        self._at_the_end.append(lambda: self._shelf.ledger.acts.append(counted))

    def spend(self, digest: str) -> None:
        """Makes use of an approval."""
        proposal = self._shelf.ledger.proposals.get(digest)
        if proposal is None:
            raise unknown_proposal(digest, [])
        check_spendable(proposal, now=self._now)
        self._at_the_end.append(lambda: self._shelf.ledger.spend(digest, self._now))

    def put_notice(self, kind: str, *, closing: datetime, destroy_after: datetime) -> None:
        """Puts a notice into the outbox."""
        ledger, uid = self._shelf.ledger, self.tenant.uid
        if any((one.kind, one.closing) == (kind, closing) for one in ledger.notices_of(uid)):
            return
        number = len(ledger.notices) + 1
        self._at_the_end.append(lambda: ledger.put_notice(uid, kind, closing, destroy_after, self._now))
        self.journal(NOTICE_WRITTEN, notice=number, kind=kind, destroy_after=rfc3339(destroy_after))

    def want_erased(self) -> None:
        """Sets what is wanted."""
        self._change(wanted=Wanted.ERASED)

    def let_go(self) -> None:
        """Lets others count and place; to be called once, however the transaction ended."""
        if self._counting:
            self._shelf.ledger.counting.release()
        if self._placing:
            self._shelf.placing.release()

    def finish(self) -> None:
        """Puts the changed book in its place; to be called once, at the end."""
        check_change(self._shelf.book(self.tenant.uid).tenant, self.tenant)
        self._announce()
        self._shelf.replace(self._book)
        for write in self._at_the_end:
            write()

    def _room_for(self, region: str, demand: Demand, *, leaves: str = "") -> Instance:
        """The instance that the tenant goes to; nobody else chooses one until this ends."""
        if not self._placing:
            self._shelf.placing.acquire()
            self._placing = True
        return self._shelf.emptiest_instance(region, demand, leaves=leaves)

    def _put(self, backup: Backup) -> None:
        put_in_order(self._own("backups"), backup, by=BEGUN)

    def _own(self, rows: str) -> dict[str, Any]:
        """Rows of this transaction's own, copied once for all that it writes to them."""
        if rows not in self._owned:
            self._owned.add(rows)
            copied: dict[str, Any] = {rows: dict(getattr(self._book, rows))}
            self._book = changed(self._book, **copied)
        own: dict[str, Any] = getattr(self._book, rows)
        return own

    def _change(self, **changes: Any) -> None:
        if "state" in changes and self.tenant.state is not self._announced.state:
            self._announce()  # each transition by itself, as the database is shown it
        self._book = changed(self._book, tenant=changed(self.tenant, **changes))

    def _announce(self) -> None:
        before, after = self._announced, self.tenant
        self._at_the_end.append(lambda: self._shelf.billing.announce_change(before, after, at=self._now))
        self._announced = after


def _by_region(known: tuple[Copy, ...], written: tuple[Copy, ...]) -> tuple[Copy, ...]:
    if len(written) == 1 and any(copy.region == written[0].region for copy in known):
        return tuple([written[0] if copy.region == written[0].region else copy for copy in known])
    copies = {copy.region: copy for copy in (*known, *written)}
    return tuple(copies[region] for region in sorted(copies))
