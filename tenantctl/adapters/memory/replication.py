"""Replication in memory: whoever looks at it has the copy follow, as a server does by itself.

Tests make an instance unreachable, write to the source, and look at what is left behind through `running`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from tenantctl.adapters.memory.databases import MemoryDatabase, MemoryDatabases, MemoryInstances
from tenantctl.model.errors import NotFound, Refused, TenantctlError
from tenantctl.model.replication import Inspection, Readiness, ReplicationSeen
from tenantctl.model.sighting import Present, Sighting, Unreachable
from tenantctl.model.tenant import Hosting


@dataclass
class Running:
    """What of a replication is there: on the source with which digest, and on which target."""

    digest: str | None
    target: Hosting | None = None


class MemoryReplication:
    """The port `Replication`.

    Attributes:
        running: what replicates, by the name of the source's database.
        large_objects: what the next inspections find.
    """

    def __init__(self, instances: MemoryInstances) -> None:
        self._instances, self._databases = instances, MemoryDatabases(instances)
        self.running: dict[str, Running] = {}
        self.large_objects = 0

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

    def _follow(self, source: Hosting, target: Hosting) -> None:
        """Has the copy have what the source has, in the tables that it knows."""
        here, there = self._own(source), self._own(target)
        for name in there.tables:
            there.tables[name] = list(here.tables.get(name, ()))

    def _own(self, hosting: Hosting) -> MemoryDatabase:
        return self._databases.own(hosting)
