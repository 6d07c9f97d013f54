"""The papers are true: what they point at exists, what they print is printed, what they draw is the table."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tenantctl.entrypoints.cli.main import EXIT_CODES, cli
from tenantctl.model.errors import ExitCode
from tests.house.papers import PAPERS, found, pointers, shown_commands, transcripts, unknown_words
from tests.house.repository import ROOT
from tests.house.write_docs import ARCHITECTURE_PAGE, COMMANDS_PAGE, architecture_page, commands_page, contexts
from tests.infrastructure.duty_page import PAGE as DUTIES_PAGE
from tests.infrastructure.duty_page import page as duties_page

README = ROOT / "README.md"
INVARIANTS = ROOT / "docs/INVARIANTS.md"
SECURITY = ROOT / "docs/SECURITY.md"
THREATS = ["A stolen worker identity", "A stolen operator", "A malicious tenant", "A malicious dump", "Forged billing"]
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
OFFLINE = [
    pytest.param(one.command, one.printed, id=one.command)
    for one in transcripts(README.read_text())
    if one.command.startswith(("tenantctl region ", "tenantctl policy "))
]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_what_a_paper_points_at_exists(paper: Path) -> None:
    """Every file, function, class, constant and test that it names, and every link in it."""
    text = paper.read_text()
    assert not [f"{path}:{name or ''}" for path, name in pointers(text) if not found(path, name)]
    links = [link for link in LINK.findall(text) if not link.startswith("https://")]
    assert not [link for link in links if not (paper.parent / link).exists()]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_the_commands_that_a_paper_shows_exist(paper: Path) -> None:
    """With the options that it gives them."""
    assert not {line: unknown for line in shown_commands(paper.read_text()) if (unknown := unknown_words(line))}


def test_wrong_papers_would_be_noticed() -> None:
    """The checks above see what is wrong when something is."""
    assert unknown_words("tenantctl tenant destroy acme") == ["tenantctl tenant destroy"]
    assert unknown_words("tenantctl run --force") == ["--force"]
    assert list(pointers("`engine/worker.py:Worker.hurry`")) == [("engine/worker.py", "Worker.hurry")]
    assert not found("engine/worker.py", "Worker.hurry")
    assert not found("engine/helpers.py", None)


@pytest.mark.parametrize(("command", "printed"), OFFLINE)
def test_the_readme_prints_what_the_program_prints(command: str, printed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transcripts that need no cloud, word for word; a digest may differ, it is that of the day's policies."""
    import shlex

    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("TENANTCTL_POLICIES", raising=False)
    ended = CliRunner().invoke(cli, shlex.split(command)[1:])
    assert ended.exit_code == 0
    assert _without_digest(ended.output) == _without_digest(printed)


def test_the_readme_shows_the_two_commands() -> None:
    """And make has them."""
    commands = {one.command for one in transcripts(README.read_text())}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"make demo", "make test"} <= commands
    assert {command.split()[1] for command in commands if command.startswith("make ")} <= targets


def test_the_pages_that_come_from_the_code_are_up_to_date() -> None:
    """`make docs` would change nothing."""
    assert COMMANDS_PAGE.read_text() == commands_page()
    assert ARCHITECTURE_PAGE.read_text() == architecture_page()
    assert DUTIES_PAGE.read_text() == duties_page()


def test_every_command_has_help() -> None:
    """A sentence that ends, for each command and group; and no escape that was meant for a terminal."""
    for context in contexts():
        text = context.command.help or ""
        assert re.match(r"[A-Z].*[.:]", text.strip().splitlines()[0] if text else ""), context.command_path
        assert "\\b" not in context.get_help(), context.command_path


@pytest.mark.parametrize("text", [EXIT_CODES, README.read_text(), (ROOT / "docs/RUNBOOK.md").read_text()])
def test_the_documented_exit_codes_are_those_of_the_program(text: str) -> None:
    """All of them, and no others."""
    documented = {int(code) for code in re.findall(r"^(?:\| |  )(\d) (?: |\|)", text, re.MULTILINE)}
    assert documented == {int(code) for code in ExitCode}


def test_invariants_are_numbered_and_each_is_shown() -> None:
    """One after the other, each with where it is kept and which test shows it."""
    invariants = re.split(r"^(\d+)\. ", INVARIANTS.read_text(), flags=re.MULTILINE)[1:]
    assert [int(number) for number in invariants[::2]] == list(range(1, len(invariants) // 2 + 1))
    for number, text in zip(invariants[::2], invariants[1::2], strict=True):
        kept, _, shown = text.partition("Shown:")
        assert "Kept:" in kept, number
        tests = [path for path, _ in pointers(shown)]
        assert tests, number
        assert all(path.startswith("tests/") for path in tests), number


def test_each_threat_has_what_stops_it_and_the_test_that_shows_it() -> None:
    """Nothing is claimed without a test by name, and no threat is left without an answer."""
    threats = re.split(r"^## ", SECURITY.read_text(), flags=re.MULTILINE)[1:]
    assert [one.partition("\n")[0] for one in threats] == THREATS
    for threat in threats:
        answers = re.split(r"^\* ", threat.partition("\n*Not stopped:*")[0], flags=re.MULTILINE)[1:]
        assert len(answers) >= 4
        for answer in answers:
            kept, _, shown = answer.partition("Shown:")
            assert answer.startswith("**"), answer
            assert "Kept:" in kept, answer
            assert list(pointers(shown)), answer
            assert all(path.startswith("tests/") and name for path, name in pointers(shown)), answer


def test_decisions_are_numbered_and_dated() -> None:
    """From the template on, without a gap."""
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(len(decisions)))
    for path in decisions[1:]:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]}: ")
        assert re.search(r"^\*Date\.\* \d{4}-\d{2}-\d{2}\. \*State\.\* (Proposed|Decided|Replaced)", text, re.MULTILINE)
        for part in ("## The question", "## What was compared", "## The decision", "## What follows"):
            assert part in text


def _without_digest(text: str) -> str:
    return re.sub(r"digest [0-9a-f]{16}", "digest …", text)
