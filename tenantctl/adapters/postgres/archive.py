"""The table of contents of an archive that is still coming in.

It stands at the archive's beginning, before all rows. So it is read from the first pieces, which are kept and given
on with the rest: memory holds the contents, never the rows, and no file is needed. `pg_restore` itself reads it; we
read no more than its list.
"""

import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Final

from tenantctl.adapters.postgres.child_process import ChildProcess, nameless_file, readable
from tenantctl.model.errors import Refused, Transient

_ENTRY: Final = re.compile(r"(\d+); \d+ \d+ (.*)")
_NAME: Final = r"(\"(?:[^\"]|\"\")+\"|\w+)"
_EXTENSION: Final = re.compile(rf"^CREATE EXTENSION IF NOT EXISTS {_NAME} WITH SCHEMA {_NAME};$", re.MULTILINE)
_SCHEMA: Final = re.compile(rf"^CREATE SCHEMA {_NAME};$", re.MULTILINE)
_SILENCE_SECONDS: Final = 1800.0
_DISK_IS_FULL: Final = "No space left on device"
_RESTRICT: Final = re.compile(r"^\\restrict (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Extension:
    """An extension that an archive needs, and the schema that it lies in."""

    name: str
    schema: str


@dataclass(frozen=True)
class Entry:
    """One entry: its number, and what it is: `TABLE DATA public orders some_owner`."""

    number: int
    what: str


class Archive:
    """An archive whose contents are known, and whose rows are yet to come.

    Attributes:
        entries: What it contains, in the order in which it is restored.
    """

    def __init__(self, head: list[bytes], rest: Iterator[bytes], entries: tuple[Entry, ...]) -> None:
        self._head, self._rest = head, rest
        self.entries = entries

    @classmethod
    def begin(cls, chunks: Iterable[bytes]) -> "Archive":
        """Read as far as the contents go.

        Raises:
            Refused: this is no archive.
            Transient: `pg_restore` was killed, or found the disk full.
        """
        rest, head = iter(chunks), list[bytes]()
        listing = _ask_pg_restore(["--list"], _remembering(rest, head))
        found = (_ENTRY.fullmatch(line) for line in listing.splitlines())
        return cls(head, rest, tuple(Entry(int(entry[1]), entry[2]) for entry in found if entry))

    def extensions(self) -> tuple[Extension, ...]:
        """The extensions that must be there before the archive is restored."""
        found = _EXTENSION.finditer(self.statements(self.chosen("EXTENSION - ")))
        return tuple(Extension(_unquoted(match[1]), _unquoted(match[2])) for match in found)

    def schemas(self) -> tuple[str, ...]:
        """The schemas that it would make: not `public`, which every database begins with."""
        found = _SCHEMA.finditer(self.statements(self.chosen("SCHEMA - ")))
        return tuple(_unquoted(match[1]) for match in found)

    def chosen(self, *kinds: str) -> tuple[Entry, ...]:
        """The entries that begin with one of these words."""
        return tuple(entry for entry in self.entries if entry.what.startswith(kinds))

    def statements(self, entries: Sequence[Entry]) -> str:
        """The SQL of entries that have no rows of their own; psql's words around it are taken off."""
        if not entries:
            return ""
        with nameless_file(listed(entries)) as file:
            options = [f"--use-list={readable(file)}", "--no-owner", "--file=-"]
            script = _ask_pg_restore(options, iter(self._head), file)
        fence = _RESTRICT.search(script)
        if fence is None:
            return script
        ends = {f"\\restrict {fence[1]}", f"\\unrestrict {fence[1]}"}
        return "\n".join(line for line in script.split("\n") if line not in ends)

    def chunks(self) -> Iterator[bytes]:
        """The whole archive, from its first byte; to be read once."""
        yield from chain(self._head, self._rest)


def listed(entries: Iterable[Entry]) -> bytes:
    """Entries as `pg_restore --use-list` reads them."""
    return b"".join(b"%d;\n" % entry.number for entry in entries)


def read_through(chunks: Iterator[bytes]) -> None:
    """Has `pg_restore` turn a whole archive into SQL that goes nowhere.

    Raises:
        Refused: it is none, or not whole.
        Transient: `pg_restore` was killed, or found the disk full.
    """
    with (
        Path(os.devnull).open("wb") as nowhere,
        ChildProcess("pg_restore", ["--file=-"], {}, feeds=True, output=nowhere) as process,
    ):
        listens = True
        for chunk in chunks:  # to the last one: whoever checks them on the way sees all
            listens = listens and process.feed(chunk)
        _check_end(process.finish(), process.said())


def as_script(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """A whole archive as the SQL that `pg_restore` makes of it, piece by piece.

    Raises:
        Refused: it is none, or not whole.
        Transient: `pg_restore` was killed, found the disk full, or fell silent.
    """
    failures: list[Exception] = []
    with ChildProcess("pg_restore", ["--file=-"], {}, feeds=True, output=subprocess.PIPE) as process:

        def feed() -> None:
            try:
                for chunk in chunks:
                    if not process.feed(chunk):
                        break
            except Exception as failure:  # noqa: BLE001 - raised by the thread that reads
                failures.append(failure)
                process.kill()
            process.finish()

        feeder = threading.Thread(target=feed, name="archive", daemon=True)
        feeder.start()
        try:
            while piece := process.read(_SILENCE_SECONDS):
                yield piece
        except TimeoutError as error:
            raise Transient(f"The archive could not be read to its end: {error}.") from error
        except BaseException:  # whoever reads has had enough
            process.kill()
            raise
        finally:
            feeder.join()
        if failures:
            raise failures[0]
        _check_end(process.finish(), process.said())


def _check_end(code: int, said: Sequence[str]) -> None:
    """What it means that `pg_restore` failed: where it was killed, or a disk is full, nothing about the archive."""
    reason = (said or ["it says nothing"])[0]
    if code < 0:
        raise Transient(f"The archive could not be read to its end: pg_restore was ended by signal {-code}.")
    if any(_DISK_IS_FULL in line for line in said):
        raise Transient(f"The archive could not be read to its end: {reason}", hint="Make room for temporary files.")
    if code:
        raise Refused(f"The archive cannot be read: {reason}")


def _remembering(chunks: Iterator[bytes], remembered: list[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        remembered.append(chunk)
        yield chunk


def _ask_pg_restore(arguments: list[str], chunks: Iterator[bytes], *files: IO[bytes]) -> str:
    """What `pg_restore` writes of an archive, which it is fed until it listens no more."""
    with tempfile.TemporaryFile() as answer:
        with ChildProcess("pg_restore", arguments, {}, feeds=True, output=answer, files=files) as process:
            for chunk in chunks:
                if not process.feed(chunk):
                    break
            _check_end(process.finish(), process.said())
        answer.seek(0)
        return answer.read().decode(errors="replace")


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
