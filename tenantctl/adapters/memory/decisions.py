"""Decisions in memory, beside the registry in memory and by the same people; held to the contract of the real ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tenantctl.adapters import decision_rules as rules
from tenantctl.adapters.memory.decisions_ledger import cap_count, due_for
from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.adapters.memory.registry_books import Book
from tenantctl.model.decisions import (
    EVERYWHERE,
    Act,
    Approval,
    CapCount,
    CapSeen,
    Freeze,
    Hold,
    NewProposal,
    Notice,
    Proposal,
    Standing,
)
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Wanted

_ON_THE_WAY = frozenset({State.DEACTIVATING, State.DEACTIVATED, State.DESTROYING})


class MemoryDecisions:
    """Decisions of whoever uses `registry`."""

    def __init__(self, registry: MemoryRegistry) -> None:
        self._registry = registry
        self._shelf = registry.shelf
        self._ledger = registry.shelf.ledger

    def standing(self, uid: str, region: str, act: Act | None) -> Standing:
        """What all decisions mean for one tenant."""
        return Standing(
            freezes=tuple(self.freezes(region)),
            holds=tuple(self.holds(uid)),
            proposals=tuple(self.proposals(uid)),
            notices=tuple(self.notices(uid)),
            cap=CapSeen(act, self.cap_count(act, region), self.batch(act, region)) if act is not None else None,
        )

    def freeze(self, scope: str, reason: str) -> Freeze:
        """Stops deactivation and destruction; who is at work on it loses the lease."""
        with self._ledger.lock:
            for known in self._ledger.open_freezes(None):
                if known.scope == scope:
                    return known
            number = len(self._ledger.freezes) + 1
            placed = Freeze(number, scope, reason, self._registry.now(), self._registry.actor())
            self._ledger.freezes[number] = placed
        with self._shelf.lock:
            books = [book for book in self._shelf.books.values() if _concerns(scope, book)]
        for book in books:
            self._supersede(book.tenant.uid)
        return placed

    def unfreeze(self, scope: str, because: str) -> Freeze:
        """Ends the freeze of this very scope."""
        with self._ledger.lock:
            for known in self._ledger.open_freezes(None):
                if known.scope == scope:
                    ended = replace(known, **self._ending(because))
                    self._ledger.freezes[known.id] = ended
                    return ended
        raise rules.no_freeze(scope)

    def freezes(self, region: str | None = None) -> Sequence[Freeze]:
        """The open freezes, oldest first."""
        return self._ledger.open_freezes(region)

    def place_hold(self, uid: str, case_reference: str, review_by: datetime) -> Hold:
        """Puts a tenant under a hold, after whatever transaction is open on it."""
        with self._shelf.writing(uid):
            for known in self._ledger.open_holds(uid):
                if known.case_reference == case_reference:
                    return known
            number = len(self._ledger.holds) + 1
            now, actor = self._registry.now(), self._registry.actor()
            placed = self._ledger.holds[number] = Hold(number, uid, case_reference, review_by, now, actor)
            self._append(uid, rules.HOLD_PLACED, {"hold": number})
        self._supersede(uid)
        self._registry.make_due(uid)
        return placed

    def release_hold(self, uid: str, case_reference: str, because: str) -> Hold:
        """Ends a hold."""
        with self._ledger.lock:
            known = next((one for one in self._ledger.open_holds(uid) if one.case_reference == case_reference), None)
            if known is None:
                raise rules.no_hold(uid, case_reference)
            ended = self._ledger.holds[known.id] = replace(known, **self._ending(because))
        with self._shelf.writing(uid):
            self._append(uid, rules.HOLD_RELEASED, {"hold": known.id})
        self._registry.make_due(uid)
        return ended

    def review_hold(self, uid: str, case_reference: str, review_by: datetime, because: str) -> Hold:
        """Ends a hold and places it anew, with nothing in between."""
        with self._shelf.writing(uid), self._ledger.lock:
            known = next((one for one in self._ledger.open_holds(uid) if one.case_reference == case_reference), None)
            if known is None:
                raise rules.no_hold(uid, case_reference)
            self._ledger.holds[known.id] = replace(known, **self._ending(because))
            number = len(self._ledger.holds) + 1
            now, actor = self._registry.now(), self._registry.actor()
            placed = self._ledger.holds[number] = Hold(number, uid, case_reference, review_by, now, actor)
            self._append(uid, rules.HOLD_REVIEWED, {"hold": known.id, "goes_on_as": number})
        self._registry.make_due(uid)
        return placed

    def holds(self, uid: str | None = None) -> Sequence[Hold]:
        """The open holds, oldest first."""
        return self._ledger.open_holds(uid)

    def propose(self, new: NewProposal) -> Proposal:
        """Writes a proposal; the same again is the one that is there."""
        made, is_new = self._ledger.propose(new, now=self._registry.now(), actor=self._registry.actor())
        if is_new and new.tenant_uid is not None:
            with self._shelf.writing(new.tenant_uid):
                self._append(new.tenant_uid, rules.PROPOSED, {"kind": new.kind.value, "digest": new.digest})
        return made

    def propose_batch(self, act: Act, region: str) -> Proposal:
        """The open batch, or one of all that are due now."""
        with self._ledger.counting:
            now = self._registry.now()
            found = self._ledger.open_batch(act, region, now=now)
            members = due_for(self._shelf, act, region, now=now)
            return found or self.propose(rules.new_batch(act, region, members, now=now))

    def approve(self, digest: str) -> Proposal:
        """Says yes, as the registry's actor."""
        with self._ledger.lock:
            found, now, actor = self.proposal(digest), self._registry.now(), self._registry.actor()
            rules.check_approvable(found, actor, now=now)
            approved = replace(found, approvals=(*found.approvals, Approval(actor, now)))
            self._ledger.proposals[digest] = approved
        if found.tenant_uid is not None:
            with self._shelf.writing(found.tenant_uid):
                self._append(found.tenant_uid, rules.APPROVED, {"kind": found.kind.value, "digest": digest})
            self._registry.make_due(found.tenant_uid)
        return approved

    def proposal(self, digest: str) -> Proposal:
        """The proposal of this digest."""
        with self._ledger.lock:
            if digest not in self._ledger.proposals:
                raise rules.unknown_proposal(digest, self.proposals())
            return self._ledger.proposals[digest]

    def proposals(self, uid: str | None = None) -> Sequence[Proposal]:
        """The open proposals, oldest first."""
        return self._ledger.open_proposals(uid, now=self._registry.now())

    def batch(self, act: Act, region: str) -> Proposal | None:
        """The open batch of an act in a region."""
        return self._ledger.open_batch(act, region, now=self._registry.now())

    def cap_count(self, act: Act, region: str) -> CapCount:
        """What the cap of an act is held against."""
        return cap_count(self._shelf, act, region, now=self._registry.now())

    def notices(self, uid: str) -> Sequence[Notice]:
        """All notices of a tenant."""
        return self._ledger.notices_of(uid)

    def undelivered(self) -> Sequence[Notice]:
        """The notices of all tenants that nobody has reported as delivered."""
        with self._ledger.lock:
            return [one for one in self._ledger.notices.values() if one.delivered_at is None]

    def report_delivered(self, notice_id: int) -> Notice:
        """Records that a customer has been told."""
        known = self._notice(notice_id)
        if known.delivered_at is not None:
            return known
        now, actor = self._registry.now(), self._registry.actor()
        told = self._ledger.notices[notice_id] = replace(known, delivered_at=now, delivered_by=actor, failure=None)
        with self._shelf.writing(known.tenant_uid):
            self._append(known.tenant_uid, rules.NOTICE_DELIVERED, {"notice": notice_id, "kind": known.kind})
        self._registry.make_due(known.tenant_uid)
        return told

    def report_failed(self, notice_id: int, failure: str) -> Notice:
        """Records what the last try to deliver met."""
        known = self._notice(notice_id)
        if known.delivered_at is None:
            known = self._ledger.notices[notice_id] = replace(known, failure=failure)
        return known

    def _notice(self, notice_id: int) -> Notice:
        with self._ledger.lock:
            if notice_id not in self._ledger.notices:
                raise rules.no_notice(notice_id)
            return self._ledger.notices[notice_id]

    def _ending(self, because: str) -> dict[str, Any]:
        return {"ended_at": self._registry.now(), "ended_by": self._registry.actor(), "ended_because": because}

    def _append(self, uid: str, event: str, body: Mapping[str, Any]) -> None:
        book = self._shelf.book(uid)
        self._shelf.replace(book.with_entry(event, body, at=self._registry.now(), actor=self._registry.actor()))

    def _supersede(self, uid: str) -> None:
        with self._shelf.writing(uid) as book:
            if book.lease is not None:
                self._shelf.replace(replace(book, lease_intent=0))


def _concerns(scope: str, book: Book) -> bool:
    tenant = book.tenant
    leaving = tenant.wanted is not Wanted.LIVING or tenant.state in _ON_THE_WAY
    return leaving and scope in {EVERYWHERE, tenant.hosting.region}
