"""What was promised, and each look at whether it was kept.

Promises: a promise is kept only if it was looked at and every look says so; one that nobody looked at is not.
"""

from dataclasses import dataclass
from enum import StrEnum


class Promise(StrEnum):
    """The company's promises to its customers, one sentence each."""

    CLOSEST = "Your database is hosted in the region closest to where you are based."
    OWN = "The data is yours: you log in as yourself, and find it exactly as you left it."
    TWO_REGIONS = "Backups are made every night, and lie in two regions."
    PROVED = "A backup counts once it was restored and compared, table by table."
    INALTERABLE = "Backups are inalterable: nobody can delete or change one before its time, we included."
    CLOSED = "When you cancel, your logins are closed at once."
    GRACE = "For three weeks your database is kept deactivated, and you can change your mind."
    DESTROYED = "Then it is destroyed, and the server itself says that it is gone."
    FORGOTTEN = "Within twelve months of that the last backup has destroyed itself, and nothing of you is left."
    OTHERS = "What happens to one customer touches no other."
    EVIDENCE = "All of it is on record, in a journal that shows any change."


@dataclass(frozen=True)
class Check:
    """One look: at which promise, what was expected, whether it is so, and what shows it."""

    promise: Promise
    expected: str
    holds: bool
    evidence: str


class Ledger:
    """Every check of a demo, in order."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def add(self, promise: Promise, expected: str, *, holds: bool, evidence: str) -> Check:
        """Enters one."""
        check = Check(promise, expected, holds, evidence)
        self.checks.append(check)
        return check

    def of(self, promise: Promise) -> list[Check]:
        """The checks of one promise."""
        return [check for check in self.checks if check.promise is promise]

    def kept(self, promise: Promise) -> bool:
        """Whether it was looked at, and always held."""
        checks = self.of(promise)
        return bool(checks) and all(check.holds for check in checks)

    @property
    def whole(self) -> bool:
        """Whether every promise was kept."""
        return all(self.kept(promise) for promise in Promise)
