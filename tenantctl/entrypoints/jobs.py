"""A scheduled job in Cloud Run: what its platform tells it, and what it tells the platform.

Cloud Run names the task in its environment, ends it by SIGTERM with SIGKILL ten seconds later, and starts a task again
that did not exit with 0. A person's shell is told more by the exit code than that: there it says what was found.
"""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tenantctl.engine.ending import Ending
from tenantctl.model.errors import ExitCode

# An alarm or a full cap is told by its alarm, and waits for people: running again at once would find the same.
A_RETRY_MAY_MEND: Final = frozenset({ExitCode.BUG, ExitCode.UNREACHABLE})
_A_MISTAKE_IN_ITS_SETTINGS: Final = frozenset({ExitCode.USAGE})


@dataclass(frozen=True)
class Task:
    """The task of a job that this process is; counted from 0, `attempt` above 0 if it was started again."""

    job: str
    execution: str
    index: int
    attempt: int

    @property
    def name(self) -> str:
        """What it is called in logs, such as tenantctl-backup-x7q2f/0."""
        return f"{self.execution}/{self.index}"


def task_of(environment: Mapping[str, str]) -> Task | None:
    """The task that the platform says this process is; None at a shell.

    The names of the variables are those of Cloud Run's container contract for jobs.
    """
    job = environment.get("CLOUD_RUN_JOB")
    if not job:
        return None
    index, attempt = (int(environment.get(f"CLOUD_RUN_TASK_{one}", "0")) for one in ("INDEX", "ATTEMPT"))
    return Task(job, environment.get("CLOUD_RUN_EXECUTION", job), index, attempt)


def exit_code(code: int, task: Task | None) -> int:
    """What a process exits with: to a platform that starts failed tasks again, only what that may mend is a failure."""
    if task is None or code in A_RETRY_MAY_MEND | _A_MISTAKE_IN_ITS_SETTINGS:
        return code
    return ExitCode.OK


@contextmanager
def ended_by_sigterm(ending: Ending) -> Iterator[None]:
    """Has SIGTERM tell the worker to end for as long as the block; what had the signal before has it again after."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: ending.ask("SIGTERM"))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
