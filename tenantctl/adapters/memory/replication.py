"""Replication in memory: whoever looks at it has the copy follow, as a server does by itself.

Tests make an instance unreachable, write to the source, and look at what is left behind through `running`.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tenantctl.adapters.memory.archives import digest_of
from tenantctl.adapters.memory.databases import MemoryDatabase, MemoryDatabases, MemoryInstances
from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient
from tenantctl.model.replication import Inspection, Readiness, ReplicationSeen
from tenantctl.model.row_sets import ByTable, Rows
from tenantctl.model.sighting import Present, Sighting, Unreachable
from tenantctl.model.tenant import Hosting
from tenantctl.ports.replication import Changes, Frozen

_SHAPE = "as it was made"  # tables in memory are never altered; a row's text is its key


@dataclass
class Running:
    """What of a replication is there: on the source with which digest, and on which target."""

    digest: str | None
    target: Hosting | None = None


class MemoryFrozen:
    """The port's `Frozen`."""

    def __init__(self, tables: Mapping[str, Sequence[str]]) -> None:
        self._tables = {name: tuple(rows) for name, rows in tables.items()}
        self.shapes = dict.fromkeys(self._tables, _SHAPE)

    def sums(self, rows: ByTable) -> Mapping[str, TableDigest]:
        """See the port."""
        there = ((table, some) for table, some in rows.items() if table in self._tables)
        return {table: digest_of([row for row in self._tables[table] if (row,) in some]) for table, some in there}


class MemoryChanges:
    """The port's `Changes`: what is there now, beside what was there at the last call."""

    def __init__(self, tables: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        self._tables, self._before = tables, _counted(tables())
        self.shapes = dict.fromkeys(self._before, _SHAPE)

    def read(self) -> ByTable:
        """See the port."""
        before, self._before = self._before, _counted(self._tables())
        found = {}
        for table, now in self._before.items():
            was = before.get(table, Counter())
            if changed := (now - was) | (was - now):
                found[table] = Rows(frozenset((row,) for row in changed))
        return found


class MemoryReplication:
    """The port `Replication`.

    Attributes:
        running: what replicates, by the name of the source's database.
        large_objects: what the next inspections find.
        loses: rows that no copy ever gets, as if somebody had taken them out of it.
    """

    def __init__(self, instances: MemoryInstances) -> None:
        self._instances, self._databases = instances, MemoryDatabases(instances)
        self.running: dict[str, Running] = {}
        self.large_objects = 0
        self.loses: set[str] = set()

    def inspect(self, source: Hosting) -> Inspection:
        """See the port."""
        found = self._own(source)
        extensions = tuple(sorted(found.extensions - {"plpgsql"}))
        return Inspection(
            server_major=18,
            size=sum(len(row) for rows in found.tables.values() for row in rows),
            tables=len(found.tables),
            without_identity=(),
            beyond_matching=(),
            without_keys=0,
            large_objects=self.large_objects,
            unlogged=(),
            forced=tuple(sorted(found.forced)),
            of_strangers=(),
            sequences=0,
            extensions=extensions,
            locale="UTF8",
        )

    def readiness(self, instance: str) -> Readiness:
        """See the port."""
        self._instances.answering(instance)
        return Readiness(18, frozenset({"citext", "hstore", "pg_trgm", "unaccent"}), "UTF8", True, 10)

    def schema_digest(self, source: Hosting) -> str:
        """See the port."""
        found = self._own(source)
        return hashlib.sha256(repr((sorted(found.tables), sorted(found.forced))).encode()).hexdigest()

    def copy_schema(self, source: Hosting, target: Hosting) -> Sequence[str]:
        """See the port."""
        there = self._own(target)
        if there.tables:
            raise Refused(f"The database {target.database} on {target.instance} is not empty.")
        there.tables.update({name: [] for name in self._own(source).tables})
        return ()

    def publish(self, source: Hosting, digest: str) -> None:
        """See the port."""
        self._own(source)
        running = self.running.setdefault(source.database, Running(digest))
        running.digest = running.digest or digest

    def subscribe(self, source: Hosting, target: Hosting) -> None:
        """See the port."""
        self._own(target)
        self._own(source)
        if source.database not in self.running or self.running[source.database].digest is None:
            raise NotFound(f"The instance {source.instance} publishes nothing of {source.database}.")
        self.running[source.database].target = target

    def look(self, source: Hosting, target: Hosting) -> Sighting[ReplicationSeen]:
        """See the port."""
        try:
            self._instances.answering(source.instance)
            self._instances.answering(target.instance)
        except TenantctlError as error:
            return Unreachable(error.sentence)
        running = self.running.get(source.database)
        if running is None:
            return Present(ReplicationSeen(None, False, False, False, 0, 0, None))
        slot, subscribed = running.digest is not None, running.target is not None
        if slot and subscribed:
            self._follow(source, target)
        tables = len(self._own(source).tables)
        lag = 0 if slot and subscribed else None
        return Present(ReplicationSeen(running.digest, slot, False, subscribed, tables, tables, lag))

    def mark(self, source: Hosting) -> str:
        """See the port."""
        self._own(source)
        return "0/1"

    def has_reached(self, source: Hosting, position: str) -> bool:
        """See the port."""
        running = self.running.get(source.database)
        if running is None or running.digest is None or running.target is None:
            raise NotFound(f"The instance {source.instance} has no slot for {source.database}.")
        self._follow(source, running.target)
        return True

    def changes(self, source: Hosting) -> AbstractContextManager[Changes]:
        """See the port."""
        return self._changes(source)

    def frozen(self, hosting: Hosting) -> AbstractContextManager[Frozen]:
        """See the port."""
        return self._frozen(hosting)

    def settle(self, source: Hosting, target: Hosting) -> None:
        """See the port."""
        self._own(source)
        self._databases.close_logins(target)

    def copy_sequences(self, source: Hosting, target: Hosting) -> None:
        """See the port."""
        self._own(source)
        self._own(target)

    def set_verifier(self, hosting: Hosting, verifier: str) -> None:
        """See the port; the verifier stands for the password."""
        if not verifier.startswith("SCRAM-SHA-256$"):
            raise Refused("This is no SCRAM verifier.")
        self._databases.set_password(hosting, verifier)

    def remove(self, source: Hosting, target: Hosting) -> None:
        """See the port; one side's silence does not keep the other's from being cleared."""
        running = self.running.get(source.database, Running(None))
        if self._instances[source.instance].reachable:
            running.digest = None
        if self._instances[target.instance].reachable:
            running.target = None
        self._instances.answering(source.instance)
        self._instances.answering(target.instance)
        self.running.pop(source.database, None)

    @contextlib.contextmanager
    def _changes(self, source: Hosting) -> Iterator[Changes]:
        running = self.running.get(source.database)
        if running is None or running.digest is None:
            raise NotFound(f"The instance {source.instance} publishes nothing of {source.database}.")

        def tables() -> Mapping[str, Sequence[str]]:
            if running.digest is None:
                raise Transient(f"The log of {source.database} is not kept any more.")
            return self._own(source).tables

        yield MemoryChanges(tables)

    @contextlib.contextmanager
    def _frozen(self, hosting: Hosting) -> Iterator[Frozen]:
        yield MemoryFrozen(self._own(hosting).tables)

    def _follow(self, source: Hosting, target: Hosting) -> None:
        """Has the copy have what the source has, in the tables that it knows."""
        here, there = self._own(source), self._own(target)
        for name in there.tables:
            there.tables[name] = [row for row in here.tables.get(name, ()) if row not in self.loses]

    def _own(self, hosting: Hosting) -> MemoryDatabase:
        return self._databases.own(hosting)


def _counted(tables: Mapping[str, Sequence[str]]) -> dict[str, Counter[str]]:
    return {name: Counter(rows) for name, rows in tables.items()}
