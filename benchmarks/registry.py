"""What the registry costs on PostgreSQL: claims among few and many tenants, and entries in the journal.

The cluster is a throw-away one without fsync, so the figures say what the statements cost, not what a disk does. The
gates are ratios: a claim must not cost more because there are many tenants, nor an entry because its chain is sealed.
"""

import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from benchmarks.report import Row, report
from tenantctl.model.plan import Duty
from tenantctl.ports.registry import Lease, Registry
from tests.contracts.postgres import ALICE, PostgresCluster, postgres_cluster

FEW, MANY = 2_000, 200_000
REPEATS = 150
WARM_UP = 20  # the driver and the server settle on a plan within the first dozen runs
ENTRIES = 20_000
CHAINS = 200
WORKERS = 4
RATIO_MAX = 3
SEAL_RATIO_MAX = 40
LEASE_FOR = timedelta(minutes=5)

FILL = """
INSERT INTO tenants (uid, name, state, wanted, intent_id, intent_effective_at, time_zone, region, instance, generation,
                     connection_limit, extensions, due_at, due_duty)
SELECT 't' || n, 'n' || n, 'active', 'living', 1, now(), 'UTC', 'eu', 'one', 1, 10, '{}',
       now() + interval '1 hour' + n * interval '1 second', (ARRAY['', 'backup', 'audit', 'verify'])[1 + n %% 4]
FROM generate_series((SELECT count(*) FROM tenants) + 1, %s) AS n
"""
MAKE_DUE = "UPDATE tenants SET due_at = now() - interval '1 second' WHERE uid = %s"
PLAIN = "CREATE TABLE plain (LIKE journal INCLUDING ALL)"
PLAIN_ENTRIES = """
INSERT INTO plain SELECT 't' || (1 + n %% %s), n, now(), session_user, 'step-done', '', '{"do":"back-up"}', '', ''
FROM generate_series(1, %s) AS n
"""
SEALED_ENTRIES = """
INSERT INTO journal (tenant_uid, event, plan_digest, body)
SELECT 't' || (1 + n %% %s), 'step-done', '', '{"do":"back-up"}'
FROM generate_series(1, %s) AS n
"""


@dataclass(frozen=True)
class Fleet:
    """One registry among so many tenants, none of them due."""

    registry: Registry
    session: psycopg.Connection[Any]
    tenants: int

    def make_one_due(self) -> None:
        """Any one of them."""
        self.session.execute(MAKE_DUE, [f"t{random.randint(1, self.tenants)}"])

    def claim(self, duty: Duty | None = None) -> Lease | None:
        """What is measured."""
        return self.registry.claim("worker", lease=LEASE_FOR, duty=duty)


@contextmanager
def fleet_of(cluster: PostgresCluster, tenants: int) -> Iterator[Fleet]:
    """A fleet in a database of its own."""
    with cluster.registry_database() as database, database.superuser_session() as session:
        session.execute("INSERT INTO instances (name, region, role, databases_max) VALUES ('one', 'eu', 'tenants', 0)")
        session.execute(FILL, [tenants])
        session.execute("VACUUM ANALYZE tenants")
        yield Fleet(database.registry(ALICE), session, tenants)


def milliseconds(*calls: Callable[[], object], before: Sequence[Callable[[], object]] = ()) -> list[float]:
    """The lower quartile of each call's time.

    The calls take turns, so that a neighbour's work on the machine disturbs all of them alike; what comes `before` each
    is not counted.
    """
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(WARM_UP + REPEATS):
        for number, call in enumerate(calls):
            if before:
                before[number]()
            began = time.perf_counter()
            call()
            taken[number].append(time.perf_counter() - began)
    return [statistics.quantiles(times[WARM_UP:], n=4)[0] * 1000 for times in taken]


def claims(few: Fleet, many: Fleet) -> Iterator[Row]:
    """What each kind of claim costs among few and many tenants."""
    fleets = (few, many)
    found = milliseconds(few.claim, many.claim, before=[fleet.make_one_due for fleet in fleets])
    nothing = milliseconds(few.claim, many.claim)
    by_duty = milliseconds(*(partial(fleet.claim, Duty.BACKUP) for fleet in fleets))
    for what, costs in (("one due", found), ("nothing due", nothing), ("by duty, nothing due", by_duty)):
        ratio = costs[1] / costs[0]
        yield Row(f"a claim, {what}, of {few.tenants:,} tenants", costs[0], "ms")
        limit = f"<= {RATIO_MAX} x of few"
        holds = ratio <= RATIO_MAX
        yield Row(f"a claim, {what}, of {many.tenants:,} tenants", costs[1], "ms", ratio, limit, holds=holds)


def turns(fleet: Fleet, due: int = 600) -> float:
    """Tenants a second that a few workers claim, journal and release."""
    registry = fleet.registry
    fleet.session.execute("UPDATE tenants SET due_at = now() WHERE uid IN (SELECT uid FROM tenants LIMIT %s)", [due])
    start = threading.Barrier(WORKERS + 1)

    def work(number: int) -> int:
        done = 0
        start.wait()
        while lease := registry.claim(f"worker-{number}", lease=LEASE_FOR):
            with registry.fenced(lease) as writes:
                writes.journal("step-done", number=number)
            registry.release(lease, due_at=registry.now() + timedelta(days=1), duty=Duty.BACKUP)
            done += 1
        return done

    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(work, number) for number in range(WORKERS)]
        start.wait()
        began = time.perf_counter()
        done = sum(future.result() for future in futures)
        return done / (time.perf_counter() - began)


def entries(session: psycopg.Connection[Any]) -> tuple[float, float]:
    """Entries a second, sealed into the chains of many tenants; and the same rows into a table without a chain."""
    session.execute(PLAIN)
    rates = []
    for statement in (SEALED_ENTRIES, PLAIN_ENTRIES):
        began = time.perf_counter()
        session.execute(statement, [CHAINS, ENTRIES])
        rates.append(ENTRIES / (time.perf_counter() - began))
    return rates[0], rates[1]


def measure() -> list[Row]:
    """Every row of the report."""
    with postgres_cluster() as cluster, fleet_of(cluster, FEW) as few, fleet_of(cluster, MANY) as many:
        rows = [Row("the smallest call: now", milliseconds(few.registry.now)[0], "ms"), *claims(few, many)]
        rows.append(Row(f"claim, journal, release by {WORKERS} workers", turns(many), "tenants/s"))
        sealed, plain = entries(many.session)
        rows.append(Row("rows into a table without a chain", plain, "entries/s"))
        ratio, limit = plain / sealed, f"<= {SEAL_RATIO_MAX} x"
        rows.append(Row("journal entries, sealed", sealed, "entries/s", ratio, limit, holds=ratio <= SEAL_RATIO_MAX))
        return rows


if __name__ == "__main__":
    report("registry", measure())
