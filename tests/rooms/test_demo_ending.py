"""The demo's hands and its end: no setting of one's own reaches the program, and nothing outlives a demo."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

import tests.demo.__main__ as demo
from tests.demo.commands import CommandFailed, CommandLine
from tests.demo.customers import fatal_words
from tests.demo.ledger import Promise
from tests.demo.remains import servers_in, still_running

SECONDS_MAX = 60.0


def command_line(folder: Path, script: str) -> CommandLine:
    """A command line whose program is a shell script."""
    program = folder / "tenantctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return CommandLine(folder / "cloud", program)


def test_no_setting_of_ones_own_reaches_the_program(tmp_path, monkeypatch) -> None:
    """Neither a production project nor one's own local cloud; only the demo's folder is named."""
    monkeypatch.setenv("TENANTCTL_PROJECT", "production")
    monkeypatch.setenv("TENANTCTL_LOCAL_DIR", "/somewhere/of/mine")
    said = command_line(tmp_path, "env | grep ^TENANTCTL_").ask().output.split()
    assert [line for line in said if not line.startswith("TENANTCTL_PG_BINDIR=")] == [
        f"TENANTCTL_LOCAL_DIR={tmp_path / 'cloud'}"
    ]


def test_another_exit_code_than_expected_ends_the_demo(tmp_path) -> None:
    """With the command, both codes and everything that was said; a refusal that was expected is an answer."""
    cli = command_line(tmp_path, 'echo "out $2"; echo "err $1" >&2; exit 3')
    with pytest.raises(CommandFailed, match=r"(?s)tenantctl a 'b c' ended with 3, not with 0:.*out b c.*err a"):
        cli.ask("a", "b c")
    assert cli.ask("a", "b c", expect=3).errors == "err a\n"
    with pytest.raises(CommandFailed, match="ended with 3, not with 4"):
        cli.ask("a", expect=4)
    assert cli.calls == 3


def test_commands_side_by_side_answer_in_order(tmp_path) -> None:
    """The slowest first; and what is no JSON is said to be none."""
    cli = command_line(tmp_path, 'sleep "$1"; echo "[\\"$1\\", \\"$2\\"]"')
    assert cli.json_together(("0.2",), ("0.1",), ("0",)) == [["0.2", "-o"], ["0.1", "-o"], ["0", "-o"]]
    with pytest.raises(CommandFailed, match="printed no JSON"):
        command_line(tmp_path, "echo nothing").json("x")


def test_the_end_ends_what_runs_and_lets_nothing_begin_but_the_last_words(tmp_path) -> None:
    """A command that would run for long is ended; a later one is not begun."""
    cli = command_line(tmp_path, '[ "$1" = quick ] || exec sleep 600')
    failures: list[CommandFailed] = []

    def ask() -> None:
        try:
            cli.ask("slow")
        except CommandFailed as failure:
            failures.append(failure)

    thread = threading.Thread(target=ask)
    thread.start()
    while not cli._running:
        time.sleep(0.01)
    cli.end()
    thread.join(SECONDS_MAX)
    assert "ended with -15" in str(failures[0])
    with pytest.raises(CommandFailed, match="was not begun"):
        cli.ask("quick")
    assert cli.last_words("quick").code == 0
    with pytest.raises(CommandFailed, match="was not begun"):
        cli.ask("quick")


def test_what_runs_is_told_from_what_has_ended(tmp_path) -> None:
    """A server is found by its folder; it counts as running until it has ended, waited for or not."""
    folder = tmp_path / "instances" / "one" / "data"
    folder.mkdir(parents=True)
    with subprocess.Popen(["sleep", "600"]) as process:
        (folder / "postmaster.pid").write_text(f"{process.pid}\n{folder}\n")
        assert servers_in(tmp_path) == {process.pid}
        ending = threading.Timer(0.2, process.kill)
        ending.start()
        assert still_running([os.getpid(), process.pid]) == [os.getpid()]
        ending.join()
    assert still_running([process.pid]) == []


def test_only_the_servers_own_words_count_as_a_refusal() -> None:
    """A network that does not answer proves nothing about a login."""
    refused = psycopg.OperationalError('connection failed: FATAL:  role "l_x" is not permitted to log in')
    assert fatal_words(refused) == 'role "l_x" is not permitted to log in'
    silent = psycopg.OperationalError("connection timeout expired")
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        fatal_words(silent)


@pytest.mark.parametrize(("whole", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_every_promise_was_kept(monkeypatch, capsys, whole, code) -> None:
    """One that was not kept is enough."""
    _without_a_cloud(monkeypatch, lambda cli, timeline, status: whole)
    assert demo.main([]) == code
    assert ("NOT every promise" in capsys.readouterr().out) is not whole


def test_a_command_that_fails_ends_the_demo_with_a_sentence(monkeypatch, capsys) -> None:
    """And not with success, whatever was checked before."""

    def live(cli, timeline, status) -> bool:
        timeline.check(Promise.CLOSEST, "it is close", holds=True, evidence="very")
        raise CommandFailed("tenantctl run ended with 1, not with 0")

    _without_a_cloud(monkeypatch, live)
    assert demo.main([]) == demo.BROKEN
    assert "The demo could not go on: tenantctl run ended with 1" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(number) -> None:
    """Neither a process nor a file, and no traceback."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.demo"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "sign up" in line:
                break
        folder = Path(next(word for line in lines for word in line.split() if "tenantctl-demo-" in word))
        servers = servers_in(folder / "cloud")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == demo.INTERRUPTED
    assert "Interrupted; nothing was left running." in rest
    assert "Traceback" not in errors
    assert servers
    assert not still_running(servers)
    assert not folder.exists()


def _without_a_cloud(monkeypatch, live) -> None:
    @contextmanager
    def no_cloud(timeline, *, keep):
        yield None, {}

    monkeypatch.setattr(demo, "_cloud_of_its_own", no_cloud)
    monkeypatch.setattr(demo, "_live", live)
    monkeypatch.setattr(signal, "signal", lambda number, action: None)
