"""A database as one snapshot sees it: which tables it has, and the sums of their rows, all or by key.

The tables are locked against being emptied, rewritten or dropped before the snapshot is taken: a snapshot that is older
than a rewritten table's file would see it empty.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import psycopg

from tenantctl.adapters.postgres.control import Session
from tenantctl.adapters.postgres.digests import LARGE_OBJECTS, Table, digest, list_tables, lock
from tenantctl.adapters.postgres.keyed_tables import describe, digests_by_key
from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import Transient
from tenantctl.model.row_sets import ByTable

_NOTHING = TableDigest(0, "0")


class FrozenDatabase:
    """The port's `Frozen`, in a transaction that stays open."""

    def __init__(self, session: Session, tables: Sequence[Table], publications: Sequence[str]) -> None:
        self._session = session
        self._tables = {table.name: table for table in tables}
        self._keyed = describe(session, tables, publications)
        self.shapes = {name: keyed.shape for name, keyed in self._keyed.items()}

    def sums(self, rows: ByTable) -> Mapping[str, TableDigest]:
        """See the port; all rows but some are all of them less these. A table that has no key has no row of one."""
        there = {table: some for table, some in rows.items() if table in self._tables}
        whole = digest(self._session, [self._tables[table] for table, some in there.items() if some.but])
        named = [
            (self._tables[table], self._keyed[table], some.keys)
            for table, some in there.items()
            if some.keys and self._keyed[table].key
        ]
        by_key = digests_by_key(self._session, named)
        found = {
            table: _less(whole[table], by_key.get(table, _NOTHING)) if some.but else by_key.get(table, _NOTHING)
            for table, some in there.items()
        }
        return {**found, **{name: whole[name] for name in whole.keys() & {LARGE_OBJECTS}}}


@contextlib.contextmanager
def frozen(session: Session, publications: Sequence[str]) -> Iterator[FrozenDatabase]:
    """A snapshot of the session's database, for as long as the block.

    Raises:
        Transient: tables were made, altered or dropped just now.
    """
    known = list_tables(session)
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        lock(session, known)
    except psycopg.errors.UndefinedTable as error:
        raise Transient("A table was dropped or renamed just now.") from error
    if list_tables(session) != known:
        raise Transient("Tables are just being made, altered or dropped.")
    yield FrozenDatabase(session, known, publications)
    session.execute("ROLLBACK")


def _less(whole: TableDigest, some: TableDigest) -> TableDigest:
    return TableDigest(whole.rows - some.rows, str(int(whole.checksum) - int(some.checksum)))
