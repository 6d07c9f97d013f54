"""A plain dump taken apart as psql would: statements, rows of COPY, and psql's own commands, none of which is run.

psql's commands can run programs and read files on the machine that psql runs on, so a dump from elsewhere never meets
psql. What stands here only says where each statement ends; the server has the last word on what it means. Memory
holds one statement at a time and never a table's rows.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from tenantctl.model.errors import Refused

STATEMENT_BYTES_MAX: Final = 256 << 20

_WORD: Final = rb"[\w$\x80-\xff]"
_TOP: Final = re.compile(
    rb"--[^\n]*\n|/\*|(?<!"
    + _WORD
    + rb")[eE]'|'[^'\n]*'|'|\"|(?<!"
    + _WORD
    + rb")\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$"
    rb"|;|\\[^\n]*\n|\(|\)"
)
_ESCAPED: Final = re.compile(rb"\\.|''|'", re.DOTALL)
_COMMENT: Final = re.compile(rb"/\*|\*/")
_ROWS: Final = re.compile(rb"^COPY\s.*\sFROM\s+stdin\b", re.IGNORECASE | re.DOTALL)
_ROWS_END: Final = re.compile(rb"^\\\.\r?\n", re.MULTILINE)
_ROUTINE: Final = re.compile(rb"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\b", re.IGNORECASE)
_ATOMIC: Final = re.compile(rb"\bBEGIN\s+ATOMIC\b", re.IGNORECASE)
_DEPTH: Final = re.compile(rb"\b(?:(BEGIN|CASE)|END)\b", re.IGNORECASE)
_DUMPED: Final = re.compile(rb"-- Dumped (from database|by pg_dump) version (\S+)")
_BEGINS: Final = re.compile(rb"-- PostgreSQL database (cluster )?dump\s*$")
_ENDS: Final = re.compile(rb"-- PostgreSQL database (cluster )?dump complete\s*$")


@dataclass(frozen=True)
class Statement:
    """A statement without its comments, the semicolon at its end, and the line of that."""

    text: bytes
    line: int


@dataclass(frozen=True)
class Rows:
    """Whole lines of the rows that belong to the COPY before; `last` says that none follow."""

    lines: bytes
    last: bool


@dataclass(frozen=True)
class MetaCommand:
    """One of psql's own commands, such as `connect`, with its backslash."""

    text: str
    line: int


Part: TypeAlias = Statement | Rows | MetaCommand


class Script:
    """A plain dump that is coming in.

    Attributes:
        dumped_from: The version of the server that was dumped, once its line has come.
        dumped_by: The version of the `pg_dump` that wrote it.
        complete: Whether the line that ends it has come.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.dumped_from: str | None = None
        self.dumped_by: str | None = None
        self.complete = False
        self._of_cluster = False
        self._chunks = chunks
        self._line = 1
        self._parts: list[tuple[bool, bytes]] = []  # of the statement: whether outside of quotes, and the text
        self._size = 0
        self._inside: bytes | None = None  # what ends the quotes or comment that we are in
        self._comments = self._parentheses = 0
        self._rows = False

    def parts(self) -> Iterator[Part]:
        """What it consists of, in order; to be read once.

        Raises:
            Refused: it is none that can be taken apart, or ends in the middle of something.
        """
        for block in _blocks(self._chunks):
            position = 0
            while position < len(block):
                if self._rows:
                    position, rows = self._take_rows(block, position)
                    yield rows
                    continue
                position, part = self._advance(block, position)
                if part is not None:
                    yield part
        if self._rows or self._inside is not None or self._bare().strip():
            raise Refused("The dump ends in the middle of a statement or of a table's rows: it is not whole.")

    def _take_rows(self, block: bytes, position: int) -> tuple[int, Rows]:
        end = _ROWS_END.search(block, position)
        if end is None:
            lines, after = block[position:], len(block)
        else:
            lines, after, self._rows = block[position : end.start()], end.end(), False
        self._line += block.count(b"\n", position, after)
        return after, Rows(lines, last=end is not None)

    def _advance(self, block: bytes, position: int) -> tuple[int, Part | None]:
        """One token further: the position after it, and what it ended."""
        if self._inside is not None:
            after, left = self._leave(block, position)
            if self._inside != b"/*":
                self._keep(block[position:after], bare=False)
            if left:
                self._inside = None
            self._line += block.count(b"\n", position, after)
            return after, None
        token = _TOP.search(block, position)
        if token is None:
            self._keep(block[position:], bare=True)
            self._line += block.count(b"\n", position)
            return len(block), None
        found, after = token[0], token.end()
        self._keep(block[position : token.start()], bare=True)
        self._line += block.count(b"\n", position, after)
        if found.startswith(b"--"):
            self._notice(found)
            self._keep(b"\n", bare=True)
        elif found.startswith(b"\\"):
            return after, self._command(found)
        elif found == b"/*":
            self._inside, self._comments = found, 1
            self._keep(b" ", bare=True)
        elif found in {b"(", b")"}:
            self._parentheses = max(0, self._parentheses + (1 if found == b"(" else -1))
            self._keep(found, bare=True)
        elif found == b";":
            self._keep(found, bare=True)
            if not self._parentheses and not self._in_body():
                return self._end(block, after)
        else:
            self._keep(found, bare=False)
            if len(found) < 2 or found[:1] != b"'":  # a string that ends on its line was taken at once
                self._inside = b"e'" if found[:1] in b"eE" else found
        return after, None

    def _leave(self, block: bytes, position: int) -> tuple[int, bool]:
        """Where the quotes or the comment that we are in end, and whether they do in this block."""
        if self._inside == b"/*":
            for mark in _COMMENT.finditer(block, position):
                self._comments += 1 if mark[0] == b"/*" else -1
                if not self._comments:
                    return mark.end(), True
        elif self._inside == b"e'":
            for mark in _ESCAPED.finditer(block, position):
                if mark[0] == b"'":
                    return mark.end(), True
        else:
            assert self._inside is not None, "asked only when in something"
            end = block.find(self._inside, position)
            if end >= 0:
                return end + len(self._inside), True
        return len(block), False

    def _end(self, block: bytes, after: int) -> tuple[int, Statement]:
        statement = Statement(b"".join(text for _, text in self._parts).strip(), self._line)
        self._parts, self._size = [], 0
        if _ROWS.match(statement.text):
            newline = block.find(b"\n", after)
            if block[after:newline].strip():
                raise Refused(
                    f"Line {self._line} of the dump has something behind a COPY, where its rows should begin."
                )
            after, self._rows = newline + 1, True
            self._line += 1
        return after, statement

    def _command(self, found: bytes) -> MetaCommand:
        text = found.strip().decode(errors="replace")
        if self._bare().strip():
            raise Refused(f"Line {self._line - 1} of the dump has psql's {text.split()[0]} inside a statement.")
        self._parts, self._size = [], 0
        return MetaCommand(text, self._line - 1)

    def _keep(self, text: bytes, *, bare: bool) -> None:
        if not text:
            return
        self._size += len(text)
        if self._size > STATEMENT_BYTES_MAX:
            raise Refused(f"Line {self._line} of the dump belongs to a statement of more than 256 MB.")
        self._parts.append((bare, text))

    def _bare(self) -> bytes:
        return b" ".join(text if bare else b"x" for bare, text in self._parts)

    def _in_body(self) -> bool:
        """Whether the semicolon stands inside the body of an SQL routine, which has statements of its own."""
        bare = self._bare()
        if not _ROUTINE.match(bare):
            return False
        begins = _ATOMIC.search(bare)
        if begins is None:
            return False
        return sum(1 if word[1] else -1 for word in _DEPTH.finditer(bare, begins.start())) > 0

    def _notice(self, comment: bytes) -> None:
        """What a dump's own comments say of it, where they stand outside of statements."""
        if self._bare().strip():
            return
        if dumped := _DUMPED.match(comment):
            version = dumped[2].decode(errors="replace")
            if dumped[1] == b"from database":
                self.dumped_from = self.dumped_from or version
            else:
                self.dumped_by = self.dumped_by or version
        elif begins := _BEGINS.match(comment):
            self._of_cluster = self._of_cluster or begins[1] is not None  # which begins before its databases' own
            self.complete = False
        elif ends := _ENDS.match(comment):
            self.complete = self._of_cluster == (ends[1] is not None)


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that end with a line, so that no token is torn."""
    pending: list[bytes] = []
    size = 0
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield b"".join([*pending, chunk[:cut]])
            pending, size = [], 0
        if rest := chunk[cut:]:
            pending.append(rest)
            size += len(rest)
        if size > STATEMENT_BYTES_MAX:
            raise Refused("The dump has a line of more than 256 MB.")
    if pending:
        yield b"".join([*pending, b"\n"])
