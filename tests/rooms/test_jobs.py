"""What a scheduled job reads from its platform, and what it tells it."""

import os
import signal

import pytest

from tenantctl.engine.ending import Ending
from tenantctl.entrypoints.jobs import Task, ended_by_sigterm, exit_code, task_of
from tenantctl.model.errors import ExitCode, HandedBack

TASK = Task("tenantctl-backup", "tenantctl-backup-x7q2f", 3, 1)
VARIABLES = {
    "CLOUD_RUN_JOB": "tenantctl-backup",
    "CLOUD_RUN_EXECUTION": "tenantctl-backup-x7q2f",
    "CLOUD_RUN_TASK_INDEX": "3",
    "CLOUD_RUN_TASK_ATTEMPT": "1",
}


def test_the_platform_names_the_task() -> None:
    assert task_of(VARIABLES) == TASK
    assert TASK.name == "tenantctl-backup-x7q2f/3"
    assert task_of({}) is None


@pytest.mark.parametrize("code", list(ExitCode))
def test_only_what_a_retry_may_mend_is_a_failure_to_the_platform(code: ExitCode) -> None:
    assert exit_code(code, None) == code, "a shell is told what was found"
    fails = code in {ExitCode.BUG, ExitCode.USAGE, ExitCode.UNREACHABLE}
    assert exit_code(code, TASK) == (code if fails else 0)


def test_sigterm_tells_the_worker_to_end() -> None:
    """For as long as the block; afterwards the signal is what it was."""
    before, ending = signal.getsignal(signal.SIGTERM), Ending()
    with ended_by_sigterm(ending):
        assert ending.may_begin
        ending.check()
        os.kill(os.getpid(), signal.SIGTERM)
        assert not ending.may_begin
        with pytest.raises(HandedBack, match="SIGTERM"):
            ending.check()
    assert signal.getsignal(signal.SIGTERM) == before
