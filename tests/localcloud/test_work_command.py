"""`tenantctl work` on a real local cloud: what it lists, and what a person decides."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.localcloud.company import HOME, PLACE, Company, throw_away_company


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """One that works, and one that nobody has looked at yet."""
    with throw_away_company() as made:
        made.do("tenant", "create", "settled", "--based-in", PLACE, "--wait")
        made.do("tenant", "create", "asked-for", "--based-in", PLACE)
        yield made


def listed(company: Company, *options: str) -> dict[str, dict[str, object]]:
    return {one["name"]: one for one in json.loads(company.do("work", "list", "-o", "json", *options))}


def test_what_is_due_is_listed(company: Company) -> None:
    """As a table and as JSON, by state and region; what waits for its date is no work."""
    found = listed(company, "--state", "due", "--region", HOME, "--limit", "1")
    assert list(found) == ["asked-for"]
    assert (found["asked-for"]["states"], found["asked-for"]["danger"]) == (["due"], "term")
    assert [line.split()[0] for line in company.do("work", "list").splitlines()] == ["TENANT", "asked-for"]
    assert "waits for its date" in company.do("work", "show", "settled")


def test_what_is_parked_stays_until_it_is_taken_up(company: Company) -> None:
    """A run passes it over and says so, a command refuses; who parked it is on record, and no option names anybody."""
    assert "work unpark settled" in company.do("work", "park", "settled", "--reason", "ticket 4711")
    answer = company.ask("run", "--tenant", "settled")
    assert (answer.code, "ticket 4711" in answer.err) == (0, True)
    assert company.ask("backup", "now", "settled").code == 3
    shown = company.ask("work", "show", "settled", "-o", "json").json()
    assert (shown["states"], shown["parked_by"]) == (["parked"], "alice@example.com")
    assert "parked no more" in company.do("work", "unpark", "settled", identity="bob")
    assert company.ask("work", "park", "settled").code == 2, "a reason is needed"
    assert company.ask("work", "park", "settled", "--reason", "x", "--until", "2001-01-01").code == 3


def test_a_retry_takes_up_what_was_set_aside(company: Company) -> None:
    company.do("work", "park", "settled", "--reason", "ticket", "--until", "2999-01-01")
    assert "due now" in company.do("work", "retry", "settled")
    assert "settled" in listed(company, "--state", "due")
    events = [entry["event"] for entry in company.journal("settled")]
    assert events[-4:] == ["parked", "unparked", "parked", "retry-asked"]


def test_watching_prints_what_changes(company: Company) -> None:
    """Where stdout is no terminal: a line for each that is new, that changes or that goes; Ctrl-C ends it well."""
    watching = company.start("work", "list", "--state", "parked", "--watch", "-o", "json")
    assert watching.stdout is not None
    try:
        company.do("work", "park", "asked-for", "--reason", "seen")
        came = json.loads(watching.stdout.readline())
        assert (came["name"], came["states"]) == ("asked-for", ["parked"])
        company.do("work", "unpark", "asked-for")
        went = json.loads(watching.stdout.readline())
        assert (went["name"], went["states"]) == ("asked-for", [])
    finally:
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=60)
    assert (watching.returncode, said) == (0, "")


def test_watching_draws_anew_on_a_terminal(company: Company) -> None:
    """The whole list, again and again, each from the upper left corner."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tenantctl", "work", "list", "--watch"]
    watching = subprocess.Popen(
        command, env=company.environment(), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        seen = b""
        while seen.count(b"\x1b[H\x1b[2J") < 2 or seen.count(b"asked-for") < 2:
            seen += os.read(ours, 4096)
        assert seen.count(b"TENANT") >= 2
    finally:
        watching.send_signal(signal.SIGINT)
        with suppress(OSError):
            while os.read(ours, 4096):
                pass
        assert watching.wait(timeout=60) == 0
        os.close(ours)
