"""What the registry costs on PostgreSQL: claims among few and many tenants, and entries in the journal.

The cluster is a throw-away one without fsync, so the figures say what the statements cost, not what a disk does. The
gates are ratios: a claim must not cost more because there are many tenants, nor an entry because its chain is sealed.
"""

import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from benchmarks.report import Row, report
from tenantctl.model.plan import Duty
from tenantctl.ports.registry import Lease, Registry
from tests.contracts.postgres import ALICE, RegistryDatabase, postgres_cluster

FEW, MANY = 2_000, 200_000
REPEATS = 150
WARM_UP = 20  # the driver and the server settle on a plan within the first dozen runs
ENTRIES = 20_000
CHAINS = 200
WORKERS = 4
LEASE_FOR = timedelta(minutes=5)

FILL = """
INSERT INTO tenants (uid, name, state, wanted, intent_id, intent_effective_at, time_zone, region, instance, generation,
                     connection_limit, extensions, due_at, due_duty)
SELECT 't' || n, 'n' || n, 'active', 'living', 1, now(), 'UTC', 'eu', 'one', 1, 10, '{}',
       now() + interval '1 hour' + n * interval '1 second', (ARRAY['', 'backup', 'audit', 'verify'])[1 + n %% 4]
FROM generate_series((SELECT count(*) FROM tenants) + 1, %s) AS n
"""
MAKE_DUE = "UPDATE tenants SET due_at = now() - interval '1 second' WHERE uid = %s"
PLAIN = "CREATE TABLE plain (LIKE journal INCLUDING ALL); GRANT ALL ON plain TO registry_app"
PLAIN_ENTRIES = """
INSERT INTO plain SELECT 't' || (1 + n %% %s), n, now(), session_user, 'step-done', '', '{"do":"back-up"}', '', ''
FROM generate_series(1, %s) AS n
"""
SEALED_ENTRIES = """
INSERT INTO journal (tenant_uid, event, plan_digest, body)
SELECT 't' || (1 + n %% %s), 'step-done', '', '{"do":"back-up"}'
FROM generate_series(1, %s) AS n
"""


def milliseconds(call: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """The lower quartile of a call's time, which neighbours on the machine disturb least; `before` is not counted."""
    taken = []
    for _ in range(WARM_UP + REPEATS):
        before()
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.quantiles(taken[WARM_UP:], n=4)[0] * 1000


def claims(registry: Registry, database: RegistryDatabase, tenants: int) -> dict[str, float]:
    """Milliseconds of each kind of claim among so many tenants."""
    with database.superuser_session() as session:
        session.execute(FILL, [tenants])
        session.execute("VACUUM ANALYZE tenants")
        held: list[Lease] = []

        def take() -> None:
            lease = registry.claim("worker", lease=LEASE_FOR)
            assert lease is not None, "one was made due"
            held.append(lease)

        def put_back() -> None:
            while held:
                registry.release(held.pop(), due_at=registry.now() + LEASE_FOR, duty=None)
            session.execute(MAKE_DUE, [f"t{random.randint(1, tenants)}"])

        found = milliseconds(take, put_back)
        put_back()
        while registry.claim("worker", lease=timedelta(hours=9)):
            pass
        return {
            "a claim, one due": found,
            "a claim, nothing due": milliseconds(lambda: registry.claim("worker", lease=LEASE_FOR)),
            "a claim by duty, nothing due": milliseconds(
                lambda: registry.claim("worker", lease=LEASE_FOR, duty=Duty.BACKUP)
            ),
        }


def turns(registry: Registry, database: RegistryDatabase, due: int = 600) -> float:
    """Tenants a second that a few workers claim, journal and release."""
    with database.superuser_session() as session:
        session.execute("UPDATE tenants SET due_at = now() WHERE uid IN (SELECT uid FROM tenants LIMIT %s)", [due])
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


def entries(database: RegistryDatabase) -> tuple[float, float]:
    """Entries a second, sealed into the chains of many tenants; and the same rows into a table without a chain."""
    with database.superuser_session() as session:
        session.execute(PLAIN)
    rates = []
    with database.session(ALICE) as session:
        for statement in (SEALED_ENTRIES, PLAIN_ENTRIES):
            began = time.perf_counter()
            session.execute(statement, [CHAINS, ENTRIES])
            rates.append(ENTRIES / (time.perf_counter() - began))
    return rates[0], rates[1]


def measure() -> list[Row]:
    """Every row of the report."""
    with postgres_cluster() as cluster, cluster.registry_database() as database:
        registry = database.registry(ALICE)
        with database.session(ALICE) as session:
            session.execute("INSERT INTO instances (name, region, role, databases_max) VALUES ('one','eu','tenants',0)")
        round_trip = milliseconds(registry.now)
        rows = [Row("the smallest call: now", round_trip, "ms")]
        among_few, among_many = claims(registry, database, FEW), claims(registry, database, MANY)
        for what, cost in among_few.items():
            rows.append(Row(f"{what}, of {FEW:,} tenants", cost, "ms", cost / round_trip))
            ratio = among_many[what] / cost
            rows.append(
                Row(f"{what}, of {MANY:,} tenants", among_many[what], "ms", ratio, "<= 5 x of few", holds=ratio <= 5)
            )
        rows.append(Row(f"claim, journal, release by {WORKERS} workers", turns(registry, database), "tenants/s"))
        sealed, plain = entries(database)
        rows.append(Row("rows into a table without a chain", plain, "entries/s"))
        rows.append(
            Row("journal entries, sealed", sealed, "entries/s", plain / sealed, "<= 40 x", holds=plain / sealed <= 40)
        )
        return rows


if __name__ == "__main__":
    report("registry", measure())
