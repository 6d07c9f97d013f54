"""What the decisions in memory keep: freezes, holds, proposals, acts and notices, and the questions asked of them."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tenantctl.model.decisions import Act, CapCount, Freeze, Hold, NewProposal, Notice, Proposal
from tenantctl.model.lifecycle import DEAD, State
from tenantctl.model.tenant import Tenant, Wanted

if TYPE_CHECKING:
    from tenantctl.adapters.memory.registry_books import Shelf

ROLLING: Final = timedelta(hours=24)


@dataclass(frozen=True)
class Counted:
    """One act as the caps count it."""

    tenant_uid: str
    act: Act
    region: str
    at: datetime
    batch: str | None


@dataclass
class Ledger:
    """Decisions by id; `lock` is held while they are read or replaced, `counting` by who counts for a cap.

    `over` has the digests of proposals that were seen to be over: none of them is ever open again.
    """

    freezes: dict[int, Freeze] = field(default_factory=dict)
    holds: dict[int, Hold] = field(default_factory=dict)
    proposals: dict[str, Proposal] = field(default_factory=dict)
    acts: list[Counted] = field(default_factory=list)
    notices: dict[int, Notice] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)
    counting: threading.RLock = field(default_factory=threading.RLock)

    def open_freezes(self, region: str | None) -> list[Freeze]:
        """The open freezes, of all scopes or those that cover a region."""
        with self.lock:
            return [
                one for one in self.freezes.values() if one.ended_at is None and (region is None or one.covers(region))
            ]

    def open_holds(self, uid: str | None) -> list[Hold]:
        """The open holds, of all tenants or of one."""
        with self.lock:
            return [one for one in self.holds.values() if one.ended_at is None and uid in {None, one.tenant_uid}]

    def open_proposals(self, uid: str | None, *, now: datetime) -> list[Proposal]:
        """The proposals that are not over."""
        with self.lock:
            known = [one for digest, one in self.proposals.items() if digest not in self.over]
            found = [one for one in known if one.is_open(now=now)]
            self.over |= {one.digest for one in known} - {one.digest for one in found}
            found = [one for one in found if uid in {None, one.tenant_uid}]
        return sorted(found, key=lambda one: (one.made_at, one.digest))

    def open_batch(self, act: Act, region: str, *, now: datetime) -> Proposal | None:
        """The open batch of an act in a region."""
        batches = (one for one in self.open_proposals(None, now=now) if "members" in one.content)
        return next((one for one in batches if (one.content["act"], one.content["region"]) == (act, region)), None)

    def propose(self, new: NewProposal, *, now: datetime, actor: str) -> tuple[Proposal, bool]:
        """The proposal, and whether it is new."""
        with self.lock:
            known = self.proposals.get(new.digest)
            if known is not None:
                return known, False
            made = Proposal(new.digest, new.kind, new.tenant_uid, dict(new.content), now, actor, new.expires_at)
            self.proposals[new.digest] = made
            return made, True

    def let_through(self, batch: str, uid: str) -> bool:
        """Whether a batch has let a tenant through."""
        with self.lock:
            return any((one.batch, one.tenant_uid) == (batch, uid) for one in self.acts)

    def put_notice(self, tenant_uid: str, kind: str, closing: datetime, destroy_after: datetime, at: datetime) -> None:
        """Adds a notice."""
        with self.lock:
            number = len(self.notices) + 1
            self.notices[number] = Notice(number, tenant_uid, kind, closing, destroy_after, at)

    def notices_of(self, uid: str) -> list[Notice]:
        """All notices of a tenant."""
        with self.lock:
            return [one for one in self.notices.values() if one.tenant_uid == uid]

    def spend(self, digest: str, at: datetime) -> None:
        """Marks a proposal as made use of."""
        with self.lock:
            self.proposals[digest] = replace(self.proposals[digest], spent_at=at)


def due_for(shelf: "Shelf", act: Act, region: str, *, now: datetime) -> Sequence[str]:
    """The uids that an act is due for in a region; those under a hold wait for something else."""
    held = {one.tenant_uid for one in shelf.ledger.open_holds(None)}
    with shelf.lock:
        tenants = [book.tenant for book in shelf.books.values()]
    return [one.uid for one in _due(tenants, act, region, now) if act is Act.DEACTIVATE or one.uid not in held]


def cap_count(shelf: "Shelf", act: Act, region: str, *, now: datetime) -> CapCount:
    """What a cap is held against."""
    with shelf.ledger.lock:
        acted = sum(one.region == region and one.act is act and one.at > now - ROLLING for one in shelf.ledger.acts)
    with shelf.lock:
        tenants = [book.tenant for book in shelf.books.values()]
    alive = sum(one.hosting.region == region and one.state not in DEAD for one in tenants)
    return CapCount(acted, len(due_for(shelf, act, region, now=now)), alive)


def _due(tenants: Sequence[Tenant], act: Act, region: str, now: datetime) -> Iterator[Tenant]:
    for one in tenants:
        wanted = one.wanted is Wanted.LEAVING and one.intent_effective_at <= now
        if one.hosting.region == region and wanted and _is_ready(one, act, now):
            yield one


def _is_ready(tenant: Tenant, act: Act, now: datetime) -> bool:
    if act is Act.DEACTIVATE:
        return tenant.state is State.ACTIVE
    return tenant.state is State.DEACTIVATED and tenant.destroy_after is not None and tenant.destroy_after <= now
