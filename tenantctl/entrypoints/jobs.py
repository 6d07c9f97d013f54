"""A scheduled job in Cloud Run: what its platform tells it, and what it tells the platform.

Cloud Run names the job in the environment, ends a task by SIGTERM with SIGKILL ten seconds later, and starts again what
did not exit with 0. A person's shell is told more by the exit code than that: there it says what was found.
"""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tenantctl.model.errors import ExitCode

if TYPE_CHECKING:
    from tenantctl.engine.ending import Ending

# An alarm or a full cap is told by its alarm, and waits for people: running again at once would find the same.
A_RETRY_MAY_MEND: Final = frozenset({ExitCode.BUG, ExitCode.UNREACHABLE})
_A_MISTAKE_IN_ITS_SETTINGS: Final = frozenset({ExitCode.USAGE})


def is_job(environment: Mapping[str, str]) -> bool:
    """Whether this process is a task of a job, by the variable of Cloud Run's container contract."""
    return bool(environment.get("CLOUD_RUN_JOB"))


def exit_code(code: int, *, as_job: bool) -> int:
    """What a process exits with: to a platform that starts failed tasks again, only what that may mend is a failure."""
    if not as_job or code in A_RETRY_MAY_MEND | _A_MISTAKE_IN_ITS_SETTINGS:
        return code
    return ExitCode.OK


def is_on_cloud_run(environment: Mapping[str, str]) -> bool:
    """Whether this process is a job's task or an instance of a service there: its log is then read by a machine."""
    return is_job(environment) or bool(environment.get("K_SERVICE"))


@contextmanager
def ended_by_sigterm(ending: "Ending") -> Iterator[None]:
    """Has SIGTERM tell the worker to end for as long as the block; what had the signal before has it again after."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: ending.ask("SIGTERM"))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
