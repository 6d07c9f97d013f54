"""What must not stand in the repository: places of one machine, hosts of a registry, words of a workplace."""

import re

import pytest

from tests.house.repository import texts

# Each pattern is written so that it does not find itself.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w./~-])/(?:[w]ork|[r]oot|[h]ome|[U]sers)/",
    "a Python of one machine": r"\.[p]yenv",
    "the host of a package index": r"[p]ypi\.org|[p]ythonhosted|[r]egistry\.npmjs|[p]roxy\.golang",
    "a choice of a package index": r"(?m)^\s*-{1,2}(?:[i]ndex-url|[e]xtra-index-url|[f]ind-links)\b",
    "who or what wrote it": r"(?i)\b[c]laude\b|\b[a]nthropic\b|\b[c]o-authored-by\b|\b[l]anguage model\b",
    "a desk it was written at": r"[s]hared/(?:facts|DESIGN|STYLE|data|hooks)|\b[D]ESIGN\.md|\b[i]ssues (?:show|list)\b",
    "work that is left to do": r"\b(?:[T]ODO|[F]IXME|[X]XX|[H]ACK)\b",
}
CONTENT = dict(texts())


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_file_has(what: str) -> None:
    """The repository is whole by itself, wherever it is cloned."""
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{name}:{content.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, content in CONTENT.items()
        for match in pattern.finditer(content)
    ]
    assert not found


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a path of one machine", "cd /" + "root/x"),
        ("a path of one machine", 'open("/' + 'home/somebody/x")'),
        ("a Python of one machine", "~/.py" + "env/bin"),
        ("the host of a package index", "https://pyp" + "i.org/simple"),
        ("a choice of a package index", "--index" + "-url https://example.com"),
        ("who or what wrote it", "Co-authored" + "-by: x"),
        ("a desk it was written at", "see shared/" + "facts/x"),
        ("work that is left to do", "# TO" + "DO"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, text: str) -> None:
    """A pattern that finds nothing at all would keep nothing out."""
    assert re.search(FORBIDDEN[what], text)
