"""Dumps from elsewhere in memory: those of `MemoryDump`, which come in, break off and are refused as real ones are."""

import json
from collections.abc import Iterator

from tenantctl.adapters.memory.archives import FIRST_LINE, LAST_LINE, SERVER_VERSION, refill
from tenantctl.adapters.memory.databases import MemoryDatabases
from tenantctl.model.errors import Refused
from tenantctl.model.tenant import Hosting
from tenantctl.ports.imports import BroughtIn, DumpSeen


class MemoryImports:
    """The port `Imports`, on the same instances as the databases that it fills.

    Args:
        databases: Where tenants have theirs.

    Attributes:
        extensions: What every dump says that it needs; for tests to set.
        loses: Tables that do not take all their rows; for tests to set.
    """

    def __init__(self, databases: MemoryDatabases) -> None:
        self.extensions: dict[str, str] = {}
        self.loses: set[str] = set()
        self._databases = databases

    def read(self, chunks: Iterator[bytes], *, bytes_max: int) -> DumpSeen:
        """See the port."""
        content = b"".join(chunks)
        if not content:
            raise Refused("The file is empty.")
        if len(content) > bytes_max:
            raise Refused(f"The dump has more than {bytes_max / 1e9:g} GB once it is unpacked.")
        lines = content.splitlines(keepends=True)
        if lines[0] != FIRST_LINE:
            raise Refused("The file is no dump of PostgreSQL.")
        if lines[-1] != LAST_LINE:
            raise Refused("The dump is not whole: the line that ends it is missing.")
        tables = dict(json.loads(line) for line in lines[1:-1])
        rows = sum(len(one) for one in tables.values())
        return DumpSeen("memory", SERVER_VERSION, SERVER_VERSION, tuple(tables), rows, extensions=self.extensions)

    def bring_in(self, hosting: Hosting, chunks: Iterator[bytes], seen: DumpSeen, *, seconds_max: float) -> BroughtIn:
        """See the port."""
        if not self._databases.look_empty(hosting):
            raise Refused(f"The database {hosting.database} on {hosting.instance} is not empty.")
        tables = self._databases.instances[hosting.instance].databases[hosting.database].tables
        try:
            refill(tables, hosting.database, chunks)
        finally:
            self._databases.close_logins(hosting)
        rows = {table: len(rows) for table, rows in tables.items()}
        for table in self.loses & tables.keys():
            tables[table].pop()
        return BroughtIn(rows, ())
