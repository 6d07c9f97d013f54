"""What a scheduled job reads from its platform, and what it tells it."""

import os
import signal

import pytest

from tenantctl.engine.ending import Ending
from tenantctl.entrypoints.jobs import ended_by_sigterm, exit_code, is_job
from tenantctl.model.errors import ExitCode, HandedBack


def test_the_platform_names_the_job() -> None:
    assert is_job({"CLOUD_RUN_JOB": "tenantctl-backup"})
    assert not is_job({})


@pytest.mark.parametrize("code", list(ExitCode))
def test_only_what_a_retry_may_mend_is_a_failure_to_the_platform(code: ExitCode) -> None:
    assert exit_code(code, as_job=False) == code, "a shell is told what was found"
    fails = code in {ExitCode.BUG, ExitCode.USAGE, ExitCode.UNREACHABLE}
    assert exit_code(code, as_job=True) == (code if fails else 0)


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
