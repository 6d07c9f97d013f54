"""Caps: how many tenants of a region may be closed or destroyed within a day, and what a batch lets through. Pure."""

from dataclasses import dataclass
from datetime import datetime

from tenantctl.model.caps import Caps
from tenantctl.model.decisions import Act, CapCount, CapSeen, Proposal


@dataclass(frozen=True)
class Admission:
    """Whether an act may begin, and why; `batch` is the digest of what lets it through beyond the cap."""

    admitted: bool
    finding: str
    batch: str | None = None


def allowed(caps: Caps, act: Act, tenants: int) -> int:
    """How many tenants of a region with so many alive may be acted on within 24 hours: never rounded up."""
    cap = caps.deactivate if act is Act.DEACTIVATE else caps.destroy
    return min(cap.tenants_max, cap.percent_max * max(tenants, caps.percent_of_at_least) // 100)


def admission(caps: Caps, uid: str, seen: CapSeen, *, now: datetime) -> Admission:
    """Whether an act on this tenant may begin.

    What is due counts as if it were done: over the cap none of it happens, and
    not the first few of it.
    """
    act, count, batch = seen.act, seen.count, seen.batch
    if batch is not None and batch.is_approved(now=now) and uid in batch.content["members"]:
        people = " and ".join(sorted({approval.actor for approval in batch.approvals}))
        return Admission(True, f"batch {batch.digest} lets it through, approved by {people}", batch.digest)
    most = allowed(caps, act, count.tenants)
    said = f"{_sum(count)} to {act} within 24 hours; the cap is {most}, with {count.tenants} tenants in the region"
    if count.acted + count.due <= most:
        return Admission(True, said)
    return Admission(False, f"{said}; {_waiting(batch, uid, now=now)}")


def _sum(count: CapCount) -> str:
    return f"{count.acted + count.due} ({count.acted} done, {count.due} due)"


def _waiting(batch: Proposal | None, uid: str, *, now: datetime) -> str:
    if batch is None:
        return "they are to be approved as a batch"
    if uid not in batch.content["members"]:
        return f"this one came after batch {batch.digest} was frozen, and will be in the next"
    return f"batch {batch.digest} of {len(batch.content['members'])} waits for the approval of two people"
