"""What an audit found: something in which the registry and the world differ, graded, with what a person does next."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

LISTED_MAX: Final = 100  # findings of one code in one place; of more, their number is told
OTHERS: Final = "others"
AUDIT_UNSEEN: Final = "audit-unseen"
UNSEEN_FOR_MAX: Final = timedelta(days=2)


class Grade(StrEnum):
    """How bad a finding is; in the order of badness."""

    CRITICAL = "critical"  # a promise is broken, or nothing but luck keeps it
    WARNING = "warning"  # it will be, unless somebody does something
    NOTICE = "notice"  # odd, and harmless as far as is known


@dataclass(frozen=True)
class GradedFinding:
    """One thing that is not as it should be.

    Args:
        code: what kind of thing, stable; the runbook has a section on each.
        grade: how bad it is.
        where: the place that was looked at, such as "bucket acme-us-south1-daily-35d".
        subject: what in that place: an object, a database, a role.
        sentence: what was found.
        remedy: what a person does next; nothing is ever mended by an audit.
        since: when the registry was first told of it; None before it is.
    """

    code: str
    grade: Grade
    where: str
    subject: str
    sentence: str
    remedy: str
    since: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same finding as one of another day, in the same place."""
        return self.code, self.subject


@dataclass(frozen=True)
class PlaceAudited:
    """When a place was last looked at in full; None if never. `unseen_since` is when it last stopped answering."""

    place: str
    audited_at: datetime | None
    unseen_since: datetime | None = None
    unseen_because: str = ""


@dataclass(frozen=True)
class Changes:
    """What an audit of a place changed of its open findings."""

    opened: tuple[GradedFinding, ...]
    cleared: tuple[GradedFinding, ...]


def bounded(findings: Iterable[GradedFinding], limit: int = LISTED_MAX) -> Iterator[GradedFinding]:
    """The first `limit` of each code, and for each code that has more of them one that says how many."""
    counts, first_beyond = Counter[str](), dict[str, GradedFinding]()
    for finding in findings:
        counts[finding.code] += 1
        if counts[finding.code] <= limit:
            yield finding
        else:
            first_beyond.setdefault(finding.code, finding)
    for code, finding in first_beyond.items():
        sentence = f"and {counts[code] - limit} more of this kind, such as {finding.subject}: {finding.sentence}"
        yield replace(finding, subject=OTHERS, sentence=sentence)


def unseen_for_long(places: Iterable[PlaceAudited], *, now: datetime) -> Iterator[GradedFinding]:
    """Places that have not answered for so long that nobody knows what is in them."""
    for one in places:
        if one.unseen_since is not None and now - one.unseen_since > UNSEEN_FOR_MAX:
            sentence = f"it could not be audited: {one.unseen_because}"
            remedy = "Find out why it does not answer; what was found in it before stands until it does."
            yield GradedFinding(AUDIT_UNSEEN, Grade.WARNING, one.place, one.place, sentence, remedy, one.unseen_since)
