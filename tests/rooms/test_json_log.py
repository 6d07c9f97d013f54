"""What Cloud Logging is told, and what it is never told."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tenantctl.adapters.alarm_grades import grade_of
from tenantctl.adapters.json_log import TRACE, WITHHELD, CloudFormatter, Trace, log_for_cloud, say, trace_of
from tenantctl.engine.worker import Turn
from tenantctl.entrypoints.cli.logged_progress import LoggedProgress
from tenantctl.entrypoints.cli.progress import follow
from tenantctl.model.errors import ExitCode, Refused, Transient
from tenantctl.sweeps.tenants import sweep
from tests.rooms.company import HOME, PARTNER, Company

log = logging.getLogger("tenantctl.test")
CANARY = "Kanarienvogel GmbH"


@pytest.fixture
def lines() -> Iterator[Any]:
    """What is logged during a test, read back line by line."""
    root, ours = logging.getLogger(), logging.getLogger("tenantctl")
    before = root.handlers[:], root.level, ours.level, sys.excepthook
    stream = io.StringIO()
    log_for_cloud("a-project", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], sys.excepthook = before[0], before[3]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_a_line_is_what_cloud_logging_understands(lines: Any) -> None:
    """Severity, message and time; what a line is looked up by stands among its labels too."""
    before = TRACE.set(Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"))
    try:
        say(log, logging.WARNING, "a step begins", tenant="t1", plan="c0ffee", step="back-up", duty="backup", count=3)
    finally:
        TRACE.reset(before)
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "severity": "WARNING",
        "message": "a step begins",
        "tenant": "t1",
        "plan": "c0ffee",
        "step": "back-up",
        "duty": "backup",
        "count": 3,
        "logging.googleapis.com/labels": {"tenant": "t1", "plan": "c0ffee", "step": "back-up", "duty": "backup"},
        "logging.googleapis.com/trace": "projects/a-project/traces/0af7651916cd43dd8448eb211c80319c",
        "logging.googleapis.com/spanId": "b7ad6b7169203331",
    }


def test_free_text_is_withheld_whoever_logs_it(lines: Any) -> None:
    """A field that is a sentence, what a library fills into its message, and an exception's own words."""
    say(log, logging.INFO, "a turn ended", reason=f"table {CANARY}", steps=["place", CANARY])
    logging.getLogger("urllib3").warning("retrying for %s", CANARY)
    try:
        int(CANARY)
    except ValueError:
        log.exception("it broke")
    told = lines()
    assert CANARY not in json.dumps(told)
    assert (told[0]["reason"], told[0]["steps"]) == (WITHHELD, ["place", WITHHELD])
    assert (told[1]["logger"], told[1]["message"]) == ("urllib3", "a library has something to say")
    assert (told[2]["error"], told[2]["severity"]) == ("ValueError", "ERROR")
    assert told[2]["at"].startswith("tests/rooms/test_json_log.py:")
    with pytest.raises(ValueError, match="no line has: name"):
        say(log, logging.INFO, "a turn ended", name="acme")


def test_what_breaks_the_program_is_told_without_its_words(lines: Any) -> None:
    """The interpreter's own last words would be a customer's."""
    try:
        dict[str, str]()[CANARY]
    except KeyError as error:
        sys.excepthook(KeyError, error, error.__traceback__)
    (line,) = lines()
    assert (line["severity"], line["error"]) == ("CRITICAL", "KeyError")
    assert CANARY not in json.dumps(line)


def test_a_sweep_tells_of_everything_and_of_nobody(lines: Any) -> None:
    """A tenant with a telling name, a place and contents: neither steps nor trouble nor alarms repeat them."""
    company = Company()
    tenant = company.create("kanarienvogel", rows=[CANARY])
    company.vault.unreachable = {HOME, PARTNER}
    company.advance(days=3)
    progress = LoggedProgress()
    follow(iter(sweep(company.world, progress=progress.step)), progress)
    progress.failed(Refused(f"no room for {CANARY}"))
    told = lines()
    assert {line["message"] for line in told} >= {"a step begins", "a turn ended", "something did not come to its end"}
    assert {line["tenant"] for line in told if "tenant" in line} == {tenant.uid}
    assert not any(word in json.dumps(told).lower() for word in ("kanarienvogel", "southlake"))


@pytest.mark.parametrize("trouble", [Transient(f"no answer for {CANARY}"), None])
def test_each_open_alarm_has_the_line_that_its_policy_matches(lines: Any, trouble: Transient | None) -> None:
    """As loud as the alert, with the tenant that the alert names; what was cleared matches nothing."""
    turn = Turn("t1", CANARY, None, (), None, trouble, None, alarms=("blocked/rpo", "trouble"), cleared=("copy-lost",))
    progress = LoggedProgress()
    _, code = follow(iter([turn]), progress)
    assert code == (ExitCode.UNREACHABLE if trouble else ExitCode.OK)
    alarms = {line["alarm"]: line for line in lines() if "alarm" in line}
    assert {name: (line["severity"], line["tenant"]) for name, line in alarms.items()} == {
        "blocked/rpo": (grade_of("blocked/rpo"), "t1"),
        "trouble": (grade_of("trouble"), "t1"),
    }
    (cleared,) = [line for line in lines() if "alarm_cleared" in line]
    assert (cleared["alarm_cleared"], cleared["severity"], "alarm" in cleared) == ("copy-lost", "INFO", False)
    assert grade_of("an alarm that the file does not have") == "ERROR"


def test_a_turn_tells_of_alarms_that_stand_and_of_those_that_end() -> None:
    """Of old ones too, so that a line which a crash kept back is told by the next turn."""
    company = Company()
    tenant = company.create()
    company.run()
    company.advance(days=4)
    company.vault.unreachable = {HOME, PARTNER}
    (turn,) = [one for one in company.run() if one.tenant_uid == tenant.uid][-1:]
    assert set(turn.alarms) == {alarm.code for alarm in company.registry.alarms(tenant.uid)} != set()
    company.vault.unreachable.clear()
    company.advance(hours=7)
    turns = company.run()
    assert {code for one in turns for code in one.cleared} >= {"trouble"}
    assert turns[-1].alarms == ()


def test_a_trace_is_taken_from_whoever_called() -> None:
    """By the header of the standard; a malformed one is none."""
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert trace_of({"traceparent": good}) == Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert trace_of({}) is None
    assert trace_of({"traceparent": f"{good}; DROP"}) is None
    assert trace_of({"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}) is None
    line = CloudFormatter(None).format(logging.LogRecord("tenantctl", logging.INFO, __file__, 1, "x", None, None))
    assert "trace" not in json.loads(line)
