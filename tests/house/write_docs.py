"""Writes the parts of the documentation that come from the code: `make docs`. Tests hold the files equal to it."""

import re
from collections.abc import Iterator
from typing import Any

import click

from tenantctl.entrypoints.cli.main import cli
from tenantctl.model.lifecycle import diagram
from tests.faults import table
from tests.house.repository import ROOT
from tests.infrastructure.duty_page import PAGE as DUTIES_PAGE
from tests.infrastructure.duty_page import page as duties_page
from tests.simulation.mutants import PAGE as MUTANTS_PAGE
from tests.simulation.mutants import page as mutants_page

COMMANDS_PAGE = ROOT / "docs/COMMANDS.md"
FAULTS_PAGE = ROOT / "docs/FAULTS.md"
ARCHITECTURE_PAGE = ROOT / "docs/ARCHITECTURE.md"
DIAGRAM_BEGINS, DIAGRAM_ENDS = "<!-- states: begin -->", "<!-- states: end -->"
WIDTH = 100

INTRODUCTION = """\
# Commands

What `--help` says, all on one page. Written by `make docs`; a test holds it equal to the program.

`-o json` prints one JSON document, with times as RFC 3339 in UTC; `tenantctl run` prints JSON lines where stdout is no
terminal. What went wrong is one sentence on stderr, with what to do next under it.
"""


def contexts(parent: click.Context | None = None) -> Iterator[click.Context]:
    """The program and every command and group below it, each in the context in which a user calls it."""
    size: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH, "resilient_parsing": True}
    if parent is None:
        parent = cli.make_context("tenantctl", [], **size)
        yield parent
    group = parent.command
    assert isinstance(group, click.Group), "only groups have commands"
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None, "what is listed exists"
        context = command.make_context(name, [], parent=parent, **size)
        yield context
        if isinstance(command, click.Group):
            yield from contexts(context)


def commands_page() -> str:
    """docs/COMMANDS.md: one section a command, with exactly what it prints with `--help`."""
    pages = [INTRODUCTION]
    for context in contexts():
        words = context.command_path.split()
        heading = f"{'#' * len(words)} {context.command_path}\n\n" if len(words) > 1 else ""
        pages.append(f"{heading}```text\n{context.get_help()}\n```\n")
    return "\n".join(pages)


def architecture_page() -> str:
    """docs/ARCHITECTURE.md with the state diagram as the transition table has it now."""
    between = re.compile(f"(?<={re.escape(DIAGRAM_BEGINS)}\n).*?(?={re.escape(DIAGRAM_ENDS)})", re.DOTALL)
    page, count = between.subn(f"```mermaid\n{diagram()}\n```\n", ARCHITECTURE_PAGE.read_text(encoding="utf-8"))
    assert count == 1, "the page marks the diagram's place once"
    return page


if __name__ == "__main__":
    DUTIES_PAGE.write_text(duties_page(), encoding="utf-8")
    FAULTS_PAGE.write_text(table.page(), encoding="utf-8")
    COMMANDS_PAGE.write_text(commands_page(), encoding="utf-8")
    ARCHITECTURE_PAGE.write_text(architecture_page(), encoding="utf-8")
    MUTANTS_PAGE.write_text(mutants_page(), encoding="utf-8")
