"""Which rows change in a database, by their keys, as a slot of the session's own tells.

The slot is a temporary one: the server drops it with its session, however that ends. It decodes what the move's
publications publish, by PostgreSQL's own plug-in (`pgoutput`, version 1 of its protocol, of which the messages are
read here that say what changed; https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html).

A transaction that the slot began too late for is waited for at the beginning, and one that was told before other
sessions see it, when it was told: so whatever snapshot is taken later sees all that was told, and all that never is.
"""

import contextlib
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import psycopg

from tenantctl.adapters.postgres import replication_objects as objects
from tenantctl.adapters.postgres.control import Session
from tenantctl.adapters.postgres.digests import list_tables
from tenantctl.adapters.postgres.keyed_tables import KeyedTable, describe
from tenantctl.model.errors import NotFound, Transient
from tenantctl.model.row_sets import ALL_ROWS, KEYS_MAX, ByTable, Key, Rows
from tenantctl.model.tenant import Hosting

_BEGIN_SECONDS: Final = 60  # for transactions of the whole instance that were open before
_SEEN_SECONDS: Final = 10
_POLL_SECONDS: Final = 0.02
_MESSAGES_AT_ONCE: Final = 10_000  # and to the end of the transaction: a large one comes piece by piece all the same
_READ: Final = """
    SELECT data FROM pg_logical_slot_get_binary_changes(
        %s, NULL, %s, 'proto_version', '1', 'publication_names', %s)
"""
_SHORT, _INT = struct.Struct("!h"), struct.Struct("!I")
_UNCHANGED: Final = object()  # a value that lies apart from its row, and stayed as it was


class Messages:
    """What changed, from the plug-in's messages as they come.

    Attributes:
        numbers: of the transactions that were told, as the server writes them: 32 bits.
    """

    def __init__(self, tables: Mapping[int, KeyedTable], encoding: str) -> None:
        self._tables, self._encoding = tables, encoding
        self._keys: dict[int, tuple[int, ...]] = {}  # where the key's columns stand in a row, where a row has a key
        self._found: dict[str, set[Key] | None] = {}
        self.numbers: set[int] = set()

    @property
    def rows(self) -> ByTable:
        """Each changed row by its key, and all rows of a table in which something changed that no key names."""
        found = self._found.items()
        return {table: ALL_ROWS if keys is None else Rows(frozenset(keys)) for table, keys in found}

    def take(self, message: bytes) -> None:
        """One message; those that tell of nothing that changed are passed over."""
        match message[:1]:
            case b"B":
                self.numbers.add(_INT.unpack_from(message, 17)[0])
            case b"R":
                self._relation(message)
            case b"I" | b"U" | b"D":
                self._changed(message)
            case b"T":
                (count,) = _INT.unpack_from(message, 1)
                for position in range(count):
                    self._all_of(_INT.unpack_from(message, 6 + 4 * position)[0])

    def _relation(self, message: bytes) -> None:
        (number,) = _INT.unpack_from(message, 1)
        at = message.index(b"\0", message.index(b"\0", 5) + 1) + 2  # its names, and which identity it has
        (count,) = _SHORT.unpack_from(message, at)
        at += 2
        key = {}
        for position in range(count):
            end = message.index(b"\0", at + 1)
            if message[at]:
                key[message[at + 1 : end].decode(self._encoding, "replace")] = position
            at = end + 9
        table = self._tables.get(number)
        known = table is not None and table.key and table.key == tuple(key)
        self._keys[number] = tuple(key.values()) if known else ()

    def _changed(self, message: bytes) -> None:
        (number,) = _INT.unpack_from(message, 1)
        positions = self._keys[number]
        if not positions:
            self._all_of(number)
            return
        at, old = 5, None
        while at < len(message):
            kind, at = message[at : at + 1], at + 1
            values, at = _values(message, at)
            if kind == b"N" and old is not None:
                values = [was if new is _UNCHANGED else new for was, new in zip(old, values, strict=True)]
            self._add(number, [values[position] for position in positions])
            old = values

    def _add(self, number: int, values: list[object]) -> None:
        keys = self._found.setdefault(self._tables[number].name, set())
        if keys is None:
            return
        try:
            key = tuple(value.decode(self._encoding) for value in values if isinstance(value, bytes))
        except UnicodeDecodeError:  # a database without an encoding holds any bytes
            key = ()
        keys.add(key)
        if len(key) != len(values) or len(keys) > KEYS_MAX:
            self._all_of(number)

    def _all_of(self, number: int) -> None:
        if number in self._tables:
            self._found[self._tables[number].name] = None


class ChangedKeys:
    """The port's `Changes`, read from the session's slot."""

    def __init__(self, session: Session, source: Hosting, tables: Mapping[str, KeyedTable]) -> None:
        self._session, self._source = session, source
        self._tables = {table.number: table for table in tables.values()}
        self.shapes = {name: table.shape for name, table in tables.items()}

    def read(self) -> ByTable:
        """See the port; piece by piece, and until everything was read that had been written when a piece began."""
        told = Messages(self._tables, self._session.info.encoding)
        publications = ",".join(objects.publications(self._source))
        asked = [objects.checking(self._source), _MESSAGES_AT_ONCE, publications]
        more = True
        while more:
            count = 0
            with (
                objects.as_replicator(self._session, self._source),
                self._session.cursor("changes", binary=True) as cursor,
            ):
                cursor.itersize = _MESSAGES_AT_ONCE
                cursor.execute(_READ, asked)
                for (message,) in cursor:
                    told.take(message)
                    count += 1
            more = count >= _MESSAGES_AT_ONCE
        _wait_until(self._session, lambda seen: all(map(seen.sees, told.numbers)), _SEEN_SECONDS)
        return told.rows


@contextlib.contextmanager
def changed_keys(session: Session, source: Hosting) -> Iterator[ChangedKeys]:
    """Has a patient session of its own tell what changes, until the block ends.

    Raises:
        NotFound: nothing is published.
        Transient: a transaction that was open before stays open.
    """
    if objects.schema_on_record(session, source) is None:
        raise NotFound(f"The instance {source.instance} publishes nothing of {source.database}.")
    objects.end_checking(session)
    try:
        with objects.as_replicator(session, source):
            session.execute(f"SET LOCAL statement_timeout = '{_BEGIN_SECONDS}s'".encode())
            session.execute(
                "SELECT pg_create_logical_replication_slot(%s, 'pgoutput', true)", [objects.checking(source)]
            )
    except psycopg.errors.QueryCanceled as error:
        raise _held_up(_BEGIN_SECONDS) from error
    begun = _snapshot(session).next
    _wait_until(session, lambda seen: seen.oldest >= begun, _BEGIN_SECONDS)
    yield ChangedKeys(session, source, describe(session, list_tables(session), objects.publications(source)))
    with objects.as_replicator(session, source):
        session.execute("SELECT pg_drop_replication_slot(%s)", [objects.checking(source)])


class Seen:
    """Which transactions a snapshot sees, by numbers of 64 bits."""

    def __init__(self, text: str) -> None:
        oldest, following, running = text.split(":")
        self.oldest, self.next = int(oldest), int(following)
        self._running = frozenset(map(int, running.split(","))) if running else frozenset()

    def sees(self, number: int) -> bool:
        """Whether it sees what the transaction with these last 32 bits did, which is no older than half of them."""
        whole = self.next - ((self.next - number + 2**31) % 2**32 - 2**31)
        return whole < self.next and whole not in self._running


def _snapshot(session: Session) -> Seen:
    found = session.execute("SELECT txid_current_snapshot()::text").fetchone()
    assert found is not None, "a function has a value"
    return Seen(found[0])


def _wait_until(session: Session, condition: Callable[[Seen], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition(_snapshot(session)):
        if time.monotonic() > deadline:
            raise _held_up(seconds)
        time.sleep(_POLL_SECONDS)


def _held_up(seconds: float) -> Transient:
    return Transient(f"A transaction on the source's instance has stayed open for longer than {seconds:g} s.")


def _values(message: bytes, at: int) -> tuple[list[object], int]:
    """A row's values, as texts in bytes, None or _UNCHANGED; and where the row ends."""
    (count,) = _SHORT.unpack_from(message, at)
    at += 2
    values: list[object] = []
    for _ in range(count):
        kind, at = message[at : at + 1], at + 1
        if kind in {b"t", b"b"}:
            (length,) = _INT.unpack_from(message, at)
            values.append(message[at + 4 : at + 4 + length])
            at += 4 + length
        else:
            values.append(_UNCHANGED if kind == b"u" else None)
    return values, at
