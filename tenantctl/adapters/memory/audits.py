"""The book of audits in memory, as a part of the registry in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tenantctl.adapters.memory.anchors import MemoryAnchorBook
from tenantctl.adapters.memory.registry_books import Shelf
from tenantctl.model.backup import CopyState
from tenantctl.model.finding import Changes, GradedFinding, PlaceAudited
from tenantctl.model.lifecycle import DEAD
from tenantctl.model.tenant import Tenant
from tenantctl.ports.audits import LedgerLine

_OPEN = frozenset({CopyState.INTENDED, CopyState.WRITTEN, CopyState.LOST})


@dataclass
class AuditShelf:
    """What is kept: of each place when it was looked at, when that was begun, and what was found."""

    places: dict[str, PlaceAudited] = field(default_factory=dict)
    begun: dict[str, datetime] = field(default_factory=dict)
    findings: dict[str, dict[tuple[str, str], GradedFinding]] = field(default_factory=dict)


class MemoryAuditBook(MemoryAnchorBook):
    """The port `AuditBook`, beside that of the anchors."""

    def __init__(self, shelf: Shelf, actor: str) -> None:
        super().__init__(shelf, actor)
        self._audits = AuditShelf()

    def hosted(self, instance: str) -> Sequence[Tenant]:
        """The tenants placed on an instance that are not destroyed, by uid."""
        with self._shelf.lock:
            tenants = [book.tenant for book in self._shelf.books.values()]
        return sorted(
            (one for one in tenants if one.hosting.instance == instance and one.state not in DEAD),
            key=lambda one: one.uid,
        )

    def ledger_buckets(self) -> Mapping[str, str]:
        """The buckets that have copies on record, each with its region."""
        open_lines = (line.copy for line in self._lines() if line.copy.state in _OPEN)
        return {copy.bucket: copy.region for copy in sorted(open_lines, key=lambda copy: copy.bucket)}

    def ledger(self, bucket: str, *, after: str, limit: int) -> Sequence[LedgerLine]:
        """The copies on record in a bucket that have not lapsed, from after a name."""
        there = (line for line in self._lines() if line.copy.bucket == bucket and line.copy.state in _OPEN)
        return sorted((line for line in there if line.copy.object_name > after), key=_by_name)[:limit]

    def ledger_line(self, bucket: str, object_name: str) -> LedgerLine | None:
        """The copy on record of this name."""
        at = (bucket, object_name)
        return next((line for line in self._lines() if (line.copy.bucket, line.copy.object_name) == at), None)

    def begin_audit(self, place: str, *, unless_within: timedelta) -> bool:
        """Whether nobody has begun an audit of the place within so long a time."""
        with self._shelf.lock:
            now, begun = self.now(), self._audits.begun.get(place)
            if begun is not None and begun > now - unless_within:
                return False
            self._audits.begun[place] = now
            self._audits.places.setdefault(place, PlaceAudited(place, None))
            return True

    def record_audit(self, place: str, findings: Sequence[GradedFinding]) -> Changes:
        """Writes that a place was looked at in full, and that these are its findings now."""
        with self._shelf.lock:
            now, before = self.now(), self._audits.findings.get(place, {})
            now_open = {
                one.key: replace(one, since=before[one.key].since if one.key in before else now) for one in findings
            }
            self._audits.places[place] = PlaceAudited(place, now)
            self._audits.findings[place] = now_open
        opened = tuple(one for key, one in now_open.items() if key not in before)
        return Changes(opened, tuple(one for key, one in before.items() if key not in now_open))

    def record_unseen(self, place: str, reason: str) -> datetime:
        """Writes that a place could not be looked at."""
        with self._shelf.lock:
            known = self._audits.places.get(place, PlaceAudited(place, None))
            since = known.unseen_since or self.now()
            self._audits.places[place] = replace(known, unseen_since=since, unseen_because=reason)
            return since

    def audits(self) -> Sequence[PlaceAudited]:
        """Every place that was ever audited or could not be, by name."""
        with self._shelf.lock:
            return [one for _, one in sorted(self._audits.places.items())]

    def findings(self) -> Sequence[GradedFinding]:
        """The open findings of all places."""
        with self._shelf.lock:
            return [one for _, of_place in sorted(self._audits.findings.items()) for _, one in sorted(of_place.items())]

    def _lines(self) -> Iterator[LedgerLine]:
        with self._shelf.lock:
            books = list(self._shelf.books.values())
        for book in books:
            for backup in list(book.backups.values()):
                yield from (LedgerLine(copy, backup.retention_class) for copy in backup.copies)


def _by_name(line: LedgerLine) -> str:
    return line.copy.object_name
