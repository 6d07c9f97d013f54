"""The three families of errors: refused, transient, and everything else, which is a bug.

`Refused` is an answer: nothing was changed, asking again changes nothing, and
the sentence says what to do instead. `Transient` is weather: the same call may
go through later. Whatever is neither is a mistake of ours and is not caught.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller; documented in `tenantctl --help`."""

    OK = 0
    BUG = 1
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    FINDINGS = 6
    WAITING = 7
    CAPPED = 8


class TenantctlError(Exception):
    """An expected failure: one clear sentence, and what to do next."""

    exit_code = ExitCode.BUG

    def __init__(self, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


class Refused(TenantctlError):
    """The request breaks a rule; nothing was changed, and a retry is refused again."""

    exit_code = ExitCode.REFUSED


class NoRoom(Refused):
    """Nothing that may take the tenant has room for it now; later it may."""


class NotFound(Refused):
    """The thing that was named does not exist, and that was seen, not assumed."""

    exit_code = ExitCode.NOT_FOUND


class PolicyFault(Refused):
    """A policy file says something that cannot be, or leaves out what must be said."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        super().__init__(f"{file}: {key}: {reason}", hint="Mend the file, then try: tenantctl policy check")
        self.file, self.key, self.reason = file, key, reason


class Transient(TenantctlError):
    """Something did not answer as it should; nothing is known to be wrong, try again."""

    exit_code = ExitCode.UNREACHABLE


class TurnedAway(Transient):
    """Asked too much, or still at work, it said that it did not take this up: nothing was begun."""


class Damaged(Transient):
    """What came is not what its keeper says that it has: damaged on the way, or where it lies."""


class LeaseLost(TenantctlError):
    """Another worker holds this tenant now: stop at once, write nothing more."""

    exit_code = ExitCode.WAITING


class HandedBack(LeaseLost):
    """This worker was told to end, and lets go of the tenant; another goes on with it at once."""


class Findings(TenantctlError):
    """A check was carried out in full and found faults; they have been printed."""

    exit_code = ExitCode.FINDINGS


class StillWaiting(TenantctlError):
    """The request stands and goes on; only the waiting for it has ended."""

    exit_code = ExitCode.WAITING
