"""What the program tells people to do can be done: the commands that its sentences name exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.papers import unknown_words
from tests.house.repository import PACKAGE, ROOT, tree

# After a colon, "with" or "by" stands a command, and not the program's name in a sentence about it.
NAMED = re.compile(r"(?:: |with |by )(tenantctl [a-z][a-z-]*(?: [a-z][a-z-]*)*(?: --[a-z-]+)?)")


def sentences(file: Path) -> Iterator[str]:
    """The texts in a file, with a blank's place in them taken by a capital letter."""
    for node in ast.walk(tree(file)):
        match node:
            case ast.JoinedStr(values=values):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in values)
            case ast.Constant(value=str(text)):
                yield text


def unknown_commands(texts: Iterator[str]) -> list[str]:
    """The commands and options that these texts name, and that there are not."""
    return [word for text in texts for command in NAMED.findall(text) for word in unknown_words(command)]


def test_the_commands_that_a_sentence_names_exist() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    wrong = {str(file.relative_to(ROOT)): found for file in files if (found := unknown_commands(sentences(file)))}
    assert not wrong


def test_a_wrong_sentence_would_be_noticed() -> None:
    assert unknown_commands(iter(["They are restored with tenantctl restore region."])) == ["tenantctl restore"]
    assert unknown_commands(iter(["Start one: tenantctl local up"])) == []
