"""As much of Terraform's language as it takes to find a block and read what stands in it; expressions stay text."""

import re
from collections.abc import Iterator
from pathlib import Path

_NOISE = re.compile(r'"(?:\\.|[^"\\])*"|#[^\n]*|//[^\n]*|/\*.*?\*/', re.DOTALL)
_HEAD = re.compile(r'^(\w+)((?: "[^"]*")*) \{\n', re.MULTILINE)


def blocks(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(words of the head, body) of each block at the top of a formatted file.

    `resource "google_storage_bucket" "keys" {` is ("resource", "google_storage_bucket", "keys").
    """
    for head in _HEAD.finditer(text):
        words = (head[1], *re.findall(r'"([^"]*)"', head[2]))
        end = text.find("\n}", head.end() - 1)
        assert end >= 0, f"{words} has no end"
        yield words, text[head.end() : end + 1]


def without_comments(text: str) -> str:
    """The text with its comments blanked; strings stay."""
    return _NOISE.sub(lambda match: match[0] if match[0].startswith('"') else "", text)


def resources(folder: Path) -> dict[str, str]:
    """`type.name` → body, of every resource of a module."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.tf")):
        for words, body in blocks(path.read_text(encoding="utf-8")):
            if words[0] == "resource":
                found[".".join(words[1:])] = without_comments(body)
    return found
