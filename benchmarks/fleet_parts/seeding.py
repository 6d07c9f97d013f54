"""A registry with a fleet in it: tenants of many regions, instances and duties, none of them due."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import text

from benchmarks.fleet_parts.facts import REGIONS, facts_of
from tenantctl.adapters.postgres.registry import PostgresRegistry
from tenantctl.bootstrap import policies
from tenantctl.model.backup import Backup, Copy, Residue
from tenantctl.model.plan import Duty
from tests.contracts.postgres import ALICE, PostgresCluster, RegistryDatabase

LEASE_FOR = timedelta(minutes=5)
PLACED = 400  # tenants on an instance

_INSTANCES = """
INSERT INTO instances (name, region, role, databases_max)
SELECT 'i' || n, (%(regions)s::text[])[1 + n %% cardinality(%(regions)s::text[])], 'tenants', 500
FROM generate_series(0, %(count)s / %(placed)s) AS n
UNION ALL SELECT 'v' || region, region, 'verify', 500 FROM unnest(%(regions)s::text[]) AS region
"""
_TENANTS = """
INSERT INTO tenants (uid, name, state, wanted, intent_id, intent_effective_at, time_zone, region, instance, generation,
                     connection_limit, extensions, created_at, due_at, due_duty, danger)
SELECT 't' || n, 'n' || n, 'active', 'living', 1, now() - interval '1 year', 'America/Chicago',
       (%(regions)s::text[])[1 + (n / %(placed)s) %% cardinality(%(regions)s::text[])], 'i' || (n / %(placed)s),
       1, 10, '{}',
       now() - interval '1 year', now() + interval '2 days' + random() * interval '1 day',
       (%(duties)s::text[])[1 + n %% cardinality(%(duties)s::text[])], 1 + n %% 2
FROM generate_series(0, %(count)s - 1) AS n
"""
_SETTLE = """
UPDATE tenants SET due_at = now() + interval '2 days', lease_owner = NULL, lease_until = NULL, leased_at = NULL,
       lease_intent_id = NULL WHERE lease_owner IS NOT NULL
"""
_MAKE_DUE = "UPDATE tenants SET due_at = now() - interval '1 minute' WHERE uid = ANY (%s)"
_QUIETEN = "UPDATE tenants SET due_duty = '', danger = 1 WHERE uid = ANY (%s)"


@dataclass(frozen=True)
class Fleet:
    """One registry among so many tenants."""

    database: RegistryDatabase
    registry: PostgresRegistry
    session: psycopg.Connection[Any]
    tenants: int
    backend: Path | None = None

    def database_seconds(self) -> float:
        """What the server's process behind the registry's connection has used of a processor; else the clock's time."""
        if self.backend is None or not self.backend.is_file():
            return time.perf_counter()
        return int(self.backend.read_text().split()[0]) / 1e9

    def settle(self) -> None:
        """Nothing is leased, and what was is due another day."""
        self.session.execute(_SETTLE)

    def make_due(self, count: int, *, first: int = 0, step: int = 1) -> None:
        """So many tenants, from the first by steps; those of before were claimed, and are settled."""
        self.settle()
        numbers = ((first + number * step) % self.tenants for number in range(count))
        self.session.execute(_MAKE_DUE, [[f"t{number}" for number in numbers]])

    def quieten(self, count: int, *, first: int = 0) -> None:
        """So many tenants, from the first, stand as a look without steps leaves an active tenant."""
        self.session.execute(_QUIETEN, [[f"t{first + number}" for number in range(count)]])


@contextmanager
def fleet_of(cluster: PostgresCluster, tenants: int) -> Iterator[Fleet]:
    """A fleet in a database of its own, in the regions that the policies open and for every duty that is looked for."""
    words = policies().regions.regions
    regions = sorted({*REGIONS, *(name for name, word in words.items() if word.state == "open")})
    duties = ["", Duty.BACKUP.value, Duty.AUDIT.value, Duty.VERIFY.value]
    values = {"count": tenants, "placed": PLACED, "regions": regions, "duties": duties}
    with cluster.registry_database() as database, database.superuser_session() as session:
        session.execute(_INSTANCES, values)
        session.execute(_TENANTS, values)
        session.execute("VACUUM ANALYZE tenants")
        engine = database.engine(ALICE)
        with engine.connect() as connection:  # the pool hands out the one that came back last
            process = connection.scalar(text("SELECT pg_backend_pid()"))
        yield Fleet(database, PostgresRegistry(engine), session, tenants, Path(f"/proc/{process}/schedstat"))


def give_backups(fleet: Fleet, count: int, nights: int, *, first: int = 0) -> None:
    """Gives so many tenants, from the first, the backups of so many nights up to the newest one, and their places."""
    lives = [facts_of(f"t{first + number}", nights) for number in range(count)]
    # As the nights lay them down: of a tenant's rows hardly two are on one page.
    backups = sorted((backup for life in lives for backup in life.backups), key=lambda backup: backup.begun_at)
    _insert(fleet.session, "backups", Backup, backups)
    _insert(fleet.session, "copies", Copy, [copy for backup in backups for copy in backup.copies])
    _insert(fleet.session, "residues", Residue, [line for life in lives for line in life.residues])


def _insert(session: psycopg.Connection[Any], table: str, kind: type, records: list[Any]) -> None:
    names = [field.name for field in fields(kind) if field.name != "copies"]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)
    with session.cursor() as cursor, cursor.copy(statement) as rows:
        for record in records:
            values = [getattr(record, name) for name in names]
            rows.write_row([list(value) if isinstance(value, tuple) else value for value in values])
