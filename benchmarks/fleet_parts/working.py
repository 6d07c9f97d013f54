"""Workers on a real registry and on fakes of the clouds: what a turn costs them, one process or several."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from benchmarks.fleet_parts.facts import POLICIES
from tenantctl.adapters.memory.databases import (
    MemoryDatabase,
    MemoryDatabases,
    MemoryInstances,
    MemoryRole,
    MemoryScratch,
)
from tenantctl.adapters.memory.instances import MemoryInstances as MemoryAdminApi
from tenantctl.adapters.memory.keys import MemoryKeys, MemoryKeyStore
from tenantctl.adapters.memory.replication import MemoryReplication
from tenantctl.adapters.memory.vault import MemoryVault
from tenantctl.adapters.postgres.billing import PostgresBilling
from tenantctl.adapters.postgres.decisions import PostgresDecisions
from tenantctl.adapters.postgres.registry import PostgresRegistry
from tenantctl.bootstrap import jurisdictions
from tenantctl.engine.worker import Worker, new_owner
from tenantctl.model.backup import bucket_name
from tenantctl.model.region import RegionsPolicy
from tenantctl.model.tenant import Tenant
from tenantctl.ports.vault import BucketSeen
from tenantctl.ports.world import AssembledWorld
from tenantctl.sweeps.observe import observe_and_plan, quiet_plans
from tenantctl.sweeps.tenants import ACTIONS
from tests.contracts.postgres import ALICE, RegistryDatabase

ROWS = [f"row {number}" for number in range(20)]


@dataclass(frozen=True)
class Worked:
    """What came of a worker: its turns, the steps of these, and what they took; memory at half time and at the end."""

    turns: int
    steps: int
    seconds: float
    processor_seconds: float
    half_time_bytes: int
    bytes_used: int


def world_on(engine: Engine) -> AssembledWorld:
    """A world whose registry is real, and whose clouds are in memory."""
    registry = PostgresRegistry(engine)
    servers = MemoryInstances()
    regions: RegionsPolicy = POLICIES.regions
    homes = sorted(regions.regions)
    vault = MemoryVault(registry.now)
    for region in homes:
        for retention_class, term in POLICIES.backups.classes.items():
            name = bucket_name("acme", region, retention_class, term.age_days)
            vault.make_bucket(name, BucketSeen.locked_for(region, term))
    return AssembledWorld(
        registry=registry,
        decisions=PostgresDecisions(engine),
        subscriptions=PostgresBilling(engine),
        databases=MemoryDatabases(servers),
        replication=MemoryReplication(servers),
        scratch=MemoryScratch(servers),
        vault=vault,
        keys=MemoryKeys(homes),
        key_store=MemoryKeyStore(homes, registry.now),
        instances=MemoryAdminApi(),
        policies=POLICIES,
        bucket_prefix="acme",
        jurisdictions=jurisdictions(regions),
    )


def host(world: AssembledWorld, tenants: Sequence[Tenant]) -> None:
    """Gives each tenant the database that the registry says it has."""
    databases = world.databases
    assert isinstance(databases, MemoryDatabases)
    for tenant in tenants:
        hosting = tenant.hosting
        instance = databases.instances[hosting.instance]
        instance.databases[hosting.database] = MemoryDatabase(hosting.marker, {"public.orders": list(ROWS)})
        instance.roles.update({hosting.owner: MemoryRole(), hosting.login: MemoryRole(can_log_in=True)})


def work(engine: Engine, *, hosted: Sequence[str] = (), at_once: int = 1, turns_max: int = 10**9) -> Worked:
    """One worker, as `tenantctl run` has it, until nothing is due or it has had so many turns."""
    world = world_on(engine)
    host(world, [world.registry.tenant(uid) for uid in hosted])
    worker = Worker(world, observe_and_plan, ACTIONS, new_owner(), at_once=at_once, quiet_planner=quiet_plans)
    turns = steps = half = 0
    began, processor = time.perf_counter(), time.process_time()
    for turn in worker.turns():
        turns, steps = turns + 1, steps + len(turn.steps)
        if turn.trouble is not None:
            raise RuntimeError(f"a turn that should be quiet was not: {turn.trouble.sentence}")
        if turns == turns_max // 2:
            half = resident_bytes()
        if turns >= turns_max:
            break
    spent = time.perf_counter() - began, time.process_time() - processor
    return Worked(turns, steps, *spent, half or resident_bytes(), resident_bytes())


def work_side_by_side(database: RegistryDatabase, processes: int, *, at_once: int = 1) -> float:
    """Turns a second of so many processes together, from the moment that all of them are ready."""
    context = multiprocessing.get_context("fork")
    database.close()  # no connection is shared with a child
    ready, results = context.Barrier(processes + 1), context.SimpleQueue()

    def one() -> None:
        engine = database.engine(ALICE)
        with engine.connect():
            pass
        ready.wait()
        results.put(work(engine, at_once=at_once).turns)
        engine.dispose()

    children = [context.Process(target=one) for _ in range(processes)]
    for child in children:
        child.start()
    ready.wait()
    began = time.perf_counter()
    turns = sum(int(results.get()) for _ in children)
    seconds = time.perf_counter() - began
    for child in children:
        child.join()
    return turns / seconds


def resident_bytes() -> int:
    """What this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
