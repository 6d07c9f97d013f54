"""The book of audits: what the ledger says of each bucket and instance, and what was found to differ from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tenantctl.model.backup import Copy, RetentionClass
from tenantctl.model.finding import Changes, GradedFinding, PlaceAudited
from tenantctl.model.tenant import Tenant


@dataclass(frozen=True)
class LedgerLine:
    """A copy as it is on record, and the class of the backup that it is a copy of."""

    copy: Copy
    retention_class: RetentionClass


class AuditBook(Protocol):
    """What audits read of the fleet, a page at a time, and where their findings stand; part of every registry.

    1. A page costs the same whatever the fleet; nobody gets a million lines at once.
    2. A finding is open from the first audit of its place that has it to the first that has it not; its `since` stays.
    3. A place that could not be looked at keeps its findings: what nobody saw is neither there nor gone.
    """

    def hosted(self, instance: str) -> Sequence[Tenant]:
        """The tenants placed on an instance that are not destroyed, by uid."""

    def ledger_buckets(self) -> Mapping[str, str]:
        """The buckets that have copies as far as is on record, each with its region."""

    def ledger(self, bucket: str, *, after: str, limit: int) -> Sequence[LedgerLine]:
        """The copies on record in a bucket that have not lapsed, by the bytes of their names, from after a name."""

    def ledger_line(self, bucket: str, object_name: str) -> LedgerLine | None:
        """The copy on record of this name, in whichever state; None if there is none."""

    def begin_audit(self, place: str, *, unless_within: timedelta) -> bool:
        """Whether the audit of a place is the caller's to make: nobody has begun one within so long a time."""

    def record_audit(self, place: str, findings: Sequence[GradedFinding]) -> Changes:
        """Writes that a place was looked at in full, and that these are its findings now, and no others."""

    def record_unseen(self, place: str, reason: str) -> datetime:
        """Writes that a place could not be looked at; returns since when that is so."""

    def audits(self) -> Sequence[PlaceAudited]:
        """Every place that was ever audited or could not be, by name."""

    def findings(self) -> Sequence[GradedFinding]:
        """The open findings of all places, by place, code and subject."""
