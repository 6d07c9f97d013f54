"""What people decide beside the plans: freezes, legal holds, and what takes two of them.

A proposal is a text that its digest names: an approval is of a digest, so that
nobody approves more, or something else, than he was shown.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from tenantctl.model.calendar import rfc3339

EVERYWHERE: Final = "all"
PEOPLE_MIN: Final = 2
APPROVED_FOR: Final = timedelta(hours=24)  # an approval that is not used by then was given for another situation
PROPOSED_FOR: Final = timedelta(hours=24)


@dataclass(frozen=True)
class Freeze:
    """Deactivation and destruction stopped, in one region or everywhere (`scope` is its id, or `all`)."""

    id: int
    scope: str
    reason: str
    placed_at: datetime
    placed_by: str
    ended_at: datetime | None = None
    ended_by: str | None = None
    ended_because: str | None = None

    def covers(self, region: str) -> bool:
        """Whether it is open and stops what would happen in this region."""
        return self.ended_at is None and self.scope in {EVERYWHERE, region}


@dataclass(frozen=True)
class Hold:
    """The law, or a court, wants a tenant's data kept: nothing of it is destroyed while the hold is open."""

    id: int
    tenant_uid: str
    case_reference: str
    review_by: datetime
    placed_at: datetime
    placed_by: str
    ended_at: datetime | None = None
    ended_by: str | None = None
    ended_because: str | None = None


class ProposalKind(StrEnum):
    """What takes two people."""

    BATCH = "batch"  # more at once than the caps allow
    WAIVER = "waiver"  # a destruction without one of its safeguards
    ERASURE = "erasure"  # a destruction before its time
    OPENING = "opening"  # a destroyed tenant's backup, read once more
    RECONCILIATION = "reconciliation"  # a registry that was restored, trusted again


@dataclass(frozen=True)
class Approval:
    """One person's yes; `actor` is the registry's own word."""

    actor: str
    at: datetime


@dataclass(frozen=True)
class Proposal:
    """Something that takes two people, as they are shown it, and who has said yes.

    `tenant_uid` is None where it is not about one tenant; `spent_at` is when it was made use of.
    """

    digest: str
    kind: ProposalKind
    tenant_uid: str | None
    content: Mapping[str, Any]
    made_at: datetime
    made_by: str
    expires_at: datetime
    spent_at: datetime | None = None
    approvals: tuple[Approval, ...] = ()

    @property
    def approved_at(self) -> datetime | None:
        """When the second person said yes; None before that."""
        if len(self.approvals) < PEOPLE_MIN:
            return None
        moments = sorted({approval.actor: approval.at for approval in self.approvals}.values())
        return moments[PEOPLE_MIN - 1] if len(moments) >= PEOPLE_MIN else None

    def is_open(self, *, now: datetime) -> bool:
        """Whether it may still be approved, or made use of."""
        if self.spent_at is not None:
            return False
        approved_at = self.approved_at
        return now < (self.expires_at if approved_at is None else approved_at + APPROVED_FOR)

    def is_approved(self, *, now: datetime) -> bool:
        """Whether two people have said yes, not too long ago, and nobody has made use of it yet."""
        return self.approved_at is not None and self.is_open(now=now)


@dataclass(frozen=True)
class NewProposal:
    """A proposal as it is made; the registry adds who and when."""

    kind: ProposalKind
    tenant_uid: str | None
    content: Mapping[str, Any]
    expires_at: datetime

    @property
    def text(self) -> str:
        """Its canonical JSON: what the digest is of."""
        said = {"kind": self.kind.value, "tenant": self.tenant_uid, "expires_at": rfc3339(self.expires_at)}
        return json.dumps({**self.content, **said}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def digest(self) -> str:
        """Its name: the first 16 hex digits of the SHA-256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


class Act(StrEnum):
    """What the caps count."""

    DEACTIVATE = "deactivate"
    DESTROY = "destroy"


@dataclass(frozen=True)
class CapCount:
    """What a cap is held against in one region: acts of the last 24 hours, acts that are due now, tenants alive."""

    acted: int
    due: int
    tenants: int


@dataclass(frozen=True)
class CapSeen:
    """A cap's count, and the batch that waits for approval or has it; None if there is none."""

    act: Act
    count: CapCount
    batch: Proposal | None


@dataclass(frozen=True)
class Notice:
    """One message that a customer must be given, in the outbox of one closing.

    `kind` is `deactivated`, or `destruction-near/7` where it is due 7 days before;
    `failure` is what the last try to deliver it met.
    """

    id: int
    tenant_uid: str
    kind: str
    closing: datetime
    destroy_after: datetime
    written_at: datetime
    delivered_at: datetime | None = None
    delivered_by: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Standing:
    """What people's decisions mean for one tenant, read at one moment.

    `freezes` cover its region and `holds` are its own, all open; `proposals` are those about it that are not over;
    `cap` is the one that its next step falls under, None where it falls under none.
    """

    freezes: tuple[Freeze, ...] = ()
    holds: tuple[Hold, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    notices: tuple[Notice, ...] = ()
    cap: CapSeen | None = None
