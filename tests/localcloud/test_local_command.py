"""`tenantctl local` says one clear sentence for everything that goes wrong, and exits as documented."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tenantctl.entrypoints.cli.main import cli
from tenantctl.localcloud import client
from tests.localcloud.clouds import throw_away_cloud, throw_away_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A state folder in which nothing runs yet."""
    with throw_away_folder() as made:
        yield made


@pytest.fixture(scope="module")
def running() -> Iterator[Path]:
    """The state folder of a local cloud of this file's own."""
    with throw_away_cloud({"one": "us-central1"}) as cloud:
        yield cloud.folder.path


def run(folder: Path, *words: str) -> Result:
    """Run a command as a user would, the state folder taken from the environment."""
    return CliRunner().invoke(
        cli, ["local", *words], env={"TENANTCTL_LOCAL_DIR": str(folder), "XDG_STATE_HOME": "/nonexistent"}
    )


def test_its_status_as_json_has_what_others_build_on(running) -> None:
    """Whether it runs, the clock in UTC, the endpoints, the project, the instances."""
    found = json.loads(run(running, "status", "-o", "json").stdout)
    assert found["running"] is True
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["clock"])
    assert set(found["endpoints"]) == {"storage", "sqladmin", "kms", "control"}
    assert all(re.fullmatch(r"http://127\.0\.0\.1:\d+", url) for url in found["endpoints"].values())
    assert found["project"] == client.DEFAULT_PROJECT
    (instance,) = found["instances"]
    assert (instance["name"], instance["region"], instance["state"]) == ("one", "us-central1", "RUNNABLE")
    assert re.fullmatch(r"127\.\d+\.\d+\.\d+:3307", instance["address"])
    assert "one" in run(running, "status").stdout


def test_a_stopped_one_has_a_status_too(folder) -> None:
    """It is a quiet no, for scripts as for readers."""
    answer = run(folder, "status", "-o", "json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["running"] is False
    assert "tenantctl local up" in run(folder, "status").stdout
    assert not folder.exists()


@pytest.mark.parametrize("words", [["advance", "1d"], ["fault", "list"], ["fault", "clear"], ["logs"]])
def test_what_needs_it_says_how_to_start_it(folder, words) -> None:
    """One sentence on stderr, exit code 5."""
    answer = run(folder, *words)
    assert answer.exit_code == 5
    assert answer.stdout == ""
    assert "tenantctl local up" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("duration", ["-5d", "", "  ", "nonsense", "0d", "5", "1d1d", "99999999w", "3000000d"])
def test_a_duration_that_is_none_changes_nothing(running, duration) -> None:
    """One sentence, exit code 2, and the clock stands where it stood."""
    before = client.LocalCloud.find(running)
    assert before is not None
    offset = before.status()["clock_offset_seconds"]
    answer = run(running, "advance", duration)
    assert answer.exit_code == 2
    assert len(answer.stderr.splitlines()) == 1
    assert before.status()["clock_offset_seconds"] == offset


def test_the_clock_is_moved_and_told(running) -> None:
    """The new time is printed."""
    cloud = client.LocalCloud.find(running)
    assert cloud is not None
    offset = cloud.status()["clock_offset_seconds"]
    answer = run(running, "advance", "1d12h")
    assert answer.exit_code == 0
    assert cloud.status()["clock_offset_seconds"] == offset + 36 * 3600
    assert cloud.status()["clock"][:10] in answer.stdout


def test_faults_are_added_listed_and_cleared(running) -> None:
    """By id, and all at once; an unknown id is refused."""
    added = run(running, "fault", "add", "storage", "status", "--status", "503", "--times", "3", "--method", "PUT")
    identifier = added.stdout.strip()
    assert identifier in run(running, "fault", "list").stdout
    (found,) = json.loads(run(running, "fault", "list", "-o", "json").stdout)
    assert (found["id"], found["api"], found["times"], found["method"]) == (identifier, "storage", 3, "PUT")
    assert run(running, "fault", "clear", "unknown").exit_code == 2
    assert run(running, "fault", "clear", identifier).exit_code == 0
    assert run(running, "fault", "list").stdout == ""
    bad = run(running, "fault", "add", "storage", "status", "--status", "200")
    assert bad.exit_code == 2
    assert "between 400 and 599" in bad.stderr


def test_its_log_can_be_read(running) -> None:
    """The last lines, as many as asked for."""
    whole = run(running, "logs", "--lines", "1000").stdout.splitlines()
    assert any("the local cloud is up" in line for line in whole)
    assert run(running, "logs", "--lines", "1").stdout.splitlines() == whole[-1:]
    assert run(running, "logs", "--lines", "0").stdout == ""


def test_down_and_purge(folder) -> None:
    """Down keeps the data, twice is a quiet yes, purge removes it."""
    client.start(folder, leashed=True)
    assert "is down" in run(folder, "down").stdout
    assert "was not running" in run(folder, "down").stdout
    assert (folder / "cloud.json").exists()
    assert run(folder, "down", "--purge").exit_code == 0
    assert not folder.exists()


def test_help_is_quick_to_come() -> None:
    """Nothing heavy is imported for it."""
    script = (
        "import sys; from tenantctl.entrypoints.cli import local; "
        "print(sorted({'aiohttp', 'psycopg', 'google', 'cryptography', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    for words in ([], ["up"], ["down"], ["status"], ["advance"], ["logs"], ["fault"], ["fault", "add"]):
        assert CliRunner().invoke(cli, ["local", *words, "--help"]).exit_code == 0
