"""A dump from elsewhere run statement by statement, in a session of the customer's own login.

Short statements are sent many at a time, which the server carries out all or not at all; if one of them fails, they
are sent again one by one. What answers a statement with rows is read and thrown away row by row, so that no dump can
fill our memory. A statement that takes rights which no customer has is left out and told; any other that fails ends it.
"""

import re
import select
import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg.pq import ExecStatus

from tenantctl.adapters.google.sessions import ends_within
from tenantctl.adapters.postgres.control import first_line
from tenantctl.adapters.postgres.import_contents import check_command
from tenantctl.adapters.postgres.script import MetaCommand, Part, Rows
from tenantctl.adapters.postgres.script_rules import Fate, QualifiedName, Ruling, rule
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.tenant import Hosting
from tenantctl.ports.imports import DumpSeen

_BATCH_BYTES: Final = 256 << 10
_BATCH_STATEMENTS: Final = 200
_COPYING: Final = frozenset({ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH})
_WHERE: Final = re.compile(r"line \d+")


class Loading:
    """One import under way.

    Args:
        session: The customer's.
        hosting: Whose database it is.
        seen: What was read of the dump before.
        seconds_max: After how long it is ended.

    Attributes:
        rows: How many rows the server took by COPY, for each table.
        tables: The tables that the dump makes or fills.
        left_out: What was left out, a line each.
    """

    def __init__(
        self, session: "psycopg.Connection[Any]", hosting: Hosting, seen: DumpSeen, *, seconds_max: float
    ) -> None:
        self.rows: dict[QualifiedName, int] = {}
        self.tables: set[QualifiedName] = set()
        self.left_out: list[str] = []
        self._session, self._database, self._owner = session, hosting.database, hosting.owner
        self._owners, self._seconds_max = frozenset(seen.owners), seconds_max
        self._batch: list[tuple[Ruling, int]] = []
        self._size = 0
        self._in_transaction = False
        self._encoding = "utf-8"

    def run(self, parts: Iterator[Part]) -> None:
        """Runs all of it.

        Raises:
            Refused: something in it fails, or it takes too long.
            Transient: the session was lost.
        """
        started = time.monotonic()
        try:
            with ends_within(self._session, self._seconds_max):
                for part in parts:
                    self._take(part, parts)
                self._flush()
        except psycopg.Error as error:
            if time.monotonic() - started >= self._seconds_max:
                raise Refused(f"The import into {self._database} took longer than {self._seconds_max:g} s.") from error
            raise Transient(f"The import into {self._database} was interrupted: {first_line(error)}") from error
        if self._in_transaction:
            raise Refused("The dump begins a transaction and does not end it.")

    def _take(self, part: Part, parts: Iterator[Part]) -> None:
        if isinstance(part, MetaCommand):
            check_command(part)
            return
        assert not isinstance(part, Rows), "rows follow their COPY, which takes them"
        ruling = rule(part.text, part.line, encoding=self._encoding, owners=self._owners, owner=self._owner)
        self._encoding = ruling.encoding or self._encoding
        if ruling.table is not None:
            self.tables.add(ruling.table)
        match ruling.fate:
            case Fate.RUN | Fate.SOFT:
                self._batch.append((ruling, part.line))
                self._size += len(ruling.text)
                if self._size > _BATCH_BYTES or len(self._batch) >= _BATCH_STATEMENTS:
                    self._flush()
            case Fate.LEFT_OUT:
                self.left_out.append(ruling.label)
            case Fate.BEGIN | Fate.END:
                self._flush()
                self._one(ruling, part.line)
                self._in_transaction = ruling.fate is Fate.BEGIN
            case Fate.ROWS:
                self._flush()
                self._copy(ruling, part.line, parts)
            case Fate.SCHEMA | Fate.EXTENSION | Fate.QUIET:
                pass  # made before, or not missed

    def _copy(self, ruling: Ruling, line: int, parts: Iterator[Part]) -> None:
        """Rows of a table, of which all must arrive."""
        assert ruling.table is not None, "a COPY is of a table"
        sent, cursor = 0, self._session.cursor()
        try:
            with cursor.copy(ruling.text) as copy:
                for part in parts:
                    assert isinstance(part, Rows), "nothing comes between a COPY and the end of its rows"
                    copy.write(part.lines)
                    sent += part.lines.count(b"\n")
                    if part.last:
                        break
        except psycopg.Error as error:
            where = _WHERE.search(error.diag.context or "")
            raise self._failure(ruling, line, error, f" ({where[0]} of its rows)" if where else "") from error
        if cursor.rowcount != sent:
            raise Refused(f"Line {line} of the dump: {ruling.label} has {sent} rows, and {cursor.rowcount} arrived.")
        self.rows[ruling.table] = self.rows.get(ruling.table, 0) + sent

    def _flush(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        if not batch:
            return
        if not self._in_transaction and len(batch) > 1:
            try:
                self._send(b"\n".join(ruling.text for ruling, _ in batch))
            except psycopg.Error:
                if self._session.closed:
                    raise
            else:
                return
        for ruling, line in batch:
            self._one(ruling, line)

    def _one(self, ruling: Ruling, line: int) -> None:
        try:
            self._send(ruling.text)
        except psycopg.Error as error:
            loses_rows = ruling.table is not None or ruling.label.upper().startswith("SELECT")
            no_right = isinstance(error, psycopg.errors.InsufficientPrivilege) and not loses_rows
            if self._session.closed or self._in_transaction or not (no_right or ruling.fate is Fate.SOFT):
                raise self._failure(ruling, line, error) from error
            self.left_out.append(f"{ruling.label} ({first_line(error)})")

    def _failure(self, ruling: Ruling, line: int, error: psycopg.Error, where: str = "") -> Exception:
        if self._session.closed or isinstance(error, psycopg.OperationalError):
            return error  # `run` tells what it means
        return Refused(f"Line {line} of the dump fails{where}: {first_line(error)}: {ruling.label}")

    def _send(self, text: bytes) -> None:
        """Runs statements; what they answer is thrown away as it comes.

        Raises:
            psycopg.Error: one of them failed; outside of a transaction, none of them happened.
        """
        wire = self._session.pgconn
        wire.send_query(text)
        wire.set_single_row_mode()
        failed: psycopg.Error | None = None
        while wire.flush():
            readable, _, _ = select.select([wire.socket], [wire.socket], [])
            if readable:
                wire.consume_input()
        while True:
            while wire.is_busy():
                select.select([wire.socket], [], [])
                wire.consume_input()
            result = wire.get_result()
            if result is None:
                break
            if result.status in _COPYING:
                raise Refused("A statement of the dump begins to copy rows where none stand.")
            if result.status == ExecStatus.FATAL_ERROR and failed is None:
                failed = psycopg.errors.error_from_result(result)
        if failed is not None:
            raise failed
