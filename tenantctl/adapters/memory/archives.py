"""Dumps in memory: JSON lines and not PostgreSQL's archive, which end, break off and are refused in the same way."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import Refused, Transient

SERVER_VERSION: Final = "18.6"
FIRST_LINE: Final = b"memory archive\n"
LAST_LINE: Final = b"end\n"


class MemoryDump:
    """A dump in memory: the rows as they were when it was begun."""

    def __init__(
        self, tables: Mapping[str, Sequence[str]], forced: Collection[str], breaks_after: Callable[[], int | None]
    ) -> None:
        self._tables = {name: tuple(rows) for name, rows in tables.items()}
        self._forced = sorted(forced)
        self._breaks_after = breaks_after

    @property
    def tables(self) -> Mapping[str, TableDigest]:
        """See the port."""
        return {name: digest_of(rows) for name, rows in sorted(self._tables.items())}

    @property
    def server_version(self) -> str:
        """See the port."""
        return SERVER_VERSION

    def chunks(self) -> Iterator[bytes]:
        """See the port; a line at a time."""
        if self._forced:
            raise Transient(f"The dump failed: row security is forced on {self._forced[0]}")
        lines = [json.dumps([name, list(rows)]).encode() + b"\n" for name, rows in sorted(self._tables.items())]
        for number, line in enumerate((FIRST_LINE, *lines, LAST_LINE)):
            breaks_after = self._breaks_after()
            if breaks_after is not None and number >= breaks_after:
                raise Transient("The dump failed: it broke off.")
            yield line


def refill(tables: dict[str, list[str]], name: str, chunks: Iterator[bytes]) -> None:
    """Fills a database from an archive, whose lines may end anywhere in a piece."""
    rest, lines = b"", 0
    last = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            last = line + b"\n"
            if lines == 0 and last != FIRST_LINE:
                raise Refused(f"The archive does not restore into {name}: it is none.")
            if last not in {FIRST_LINE, LAST_LINE}:
                table, rows = json.loads(line)
                tables[table] = rows
            lines += 1
    if last != LAST_LINE or rest:
        raise Refused(f"The archive does not restore into {name}: it is none, or not whole.")


def digest_of(rows: Sequence[str]) -> TableDigest:
    """Rows and checksum of a table, whatever the order of its rows."""
    sums = (int.from_bytes(hashlib.sha256(row.encode()).digest()[:8]) for row in rows)
    return TableDigest(len(rows), str(sum(sums)))
