"""What the papers say: the code they point at, the commands they show, and the transcripts they print."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from tests.house.repository import PACKAGE, ROOT, definitions, tree
from tests.house.write_docs import contexts

PAPERS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
POINTER = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|sql|yaml))(?::([A-Za-z_][\w.]*))?`")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`(tenantctl [^`]+)`")


@dataclass(frozen=True)
class Transcript:
    """A command as a paper shows it, and the lines that it is shown to print."""

    command: str
    printed: str


def pointers(text: str) -> Iterator[tuple[str, str | None]]:
    """(path, name or None) of everything in backticks that looks like a file, or a name in one."""
    for match in POINTER.finditer(text):
        yield match[1], match[2]


def found(path: str, name: str | None) -> bool:
    """Whether the file exists, below the package or the root, and has the class, function or constant.

    A bare name means the file that every room has under it.
    """
    if "/" not in path and name is None and any(PACKAGE.rglob(path)):
        return True
    for base in (PACKAGE, ROOT):
        file = base / path
        if file.is_file():
            return name is None or name in names(file)
    return False


def names(file: Path) -> set[str]:
    """Dotted names of a Python file's definitions, bare names of its methods, and its constants."""
    dotted = set(definitions(file))
    constants = {
        target.id
        for node in tree(file).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return dotted | {name.rpartition(".")[2] for name in dotted} | constants


def transcripts(text: str) -> Iterator[Transcript]:
    """Every command in the console blocks of a paper."""
    for block in BLOCK.finditer(text):
        for part in re.split(r"^\$ ", block[1], flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield Transcript(command.partition("  #")[0].strip(), printed)


def shown_commands(text: str) -> Iterator[str]:
    """Every tenantctl command that a paper shows, in a block or in a sentence."""
    yield from (one.command for one in transcripts(text) if one.command.startswith("tenantctl "))
    yield from (match[1] for match in SPAN.finditer(text))


def unknown_words(line: str) -> list[str]:
    """What the program does not know of a command line: a command that does not exist, an option it does not have."""
    known = {context.command_path: context.command for context in contexts()}
    words = shlex.split(line)
    path, command = "tenantctl", known["tenantctl"]
    rest = words[1:]
    while rest and isinstance(command, click.Group):
        path = f"{path} {rest[0]}"
        if path not in known:
            return [path]
        command = known[path]
        rest = rest[1:]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in rest if word.startswith("-") and word not in options | {"-h", "--help", "--version"}]
