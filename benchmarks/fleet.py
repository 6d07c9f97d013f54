"""What a fleet costs: due work among a million tenants, planning, quiet turns, and a night on fakes of the clouds.

The registry is a real PostgreSQL without fsync, so its figures say what the statements cost, not what a disk does; of
the clouds there are fakes, so a night's figure is the worker's own share, and not a dump's. `--tenants N` seeds another
number than a million. What is measured of a part and told of the whole is told as such.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from benchmarks.fleet_parts.facts import POLICIES, facts_of
from benchmarks.fleet_parts.seeding import LEASE_FOR, Fleet, fleet_of, give_backups
from benchmarks.fleet_parts.working import work, work_side_by_side
from benchmarks.report import Row, report
from tenantctl.model.facts import Facts
from tenantctl.model.look import AtRest, for_a_look, residues_for_a_look
from tenantctl.model.work import Limits
from tenantctl.sweeps.planning import plan_of_a_look
from tests.contracts.postgres import ALICE, postgres_cluster

FEW, MANY = 10_000, 1_000_000
BATCH = 100
REPEATS, WARM_UP = 60, 15
PLANNED = 300
NIGHTS = (3, 40, 400)
QUIET = 600
OLD = 200
NIGHT = 400
WITHOUT_LIMITS = Limits(10**6, 10**6)

FOUND_RATIO_MAX = 1.5
CLAIM_MS_MAX = 5.0
IDLE_MS_MAX = 50.0
PLANS_MIN = 20_000
TURNS_MIN = 2_000
MEMORY_MB_MAX = 200
GROWTH_MAX = 1.1


def due_work(few: Fleet, many: Fleet) -> Iterator[Row]:
    """What it costs the database to find one that is due, a hundred, and none."""
    fleets = (few, many)
    for count in (1, BATCH):
        found = database_ms(fleets, count, limits=None)
        ratio = found[1] / found[0]
        yield Row(f"a claim of {count}, of {few.tenants:,} tenants", found[0], "ms of the database")
        gate, holds = f"<= {FOUND_RATIO_MAX} x", ratio <= FOUND_RATIO_MAX
        what, unit = f"a claim of {count}, of {many.tenants:,} tenants", "ms of the database"
        yield Row(what, found[1], unit, ratio, gate, holds=holds)
        if count == BATCH:
            holds = found[1] <= CLAIM_MS_MAX
            yield Row(f"a claim of {count}", found[1], unit, None, f"<= {CLAIM_MS_MAX:g} ms", holds=holds)
    idle = database_ms(fleets, 0, limits=WITHOUT_LIMITS)
    what, gate, holds = f"an idle sweep over {many.tenants:,} tenants", f"<= {IDLE_MS_MAX:g} ms", idle[1] <= IDLE_MS_MAX
    yield Row(what, idle[1], "ms of the database", idle[1] / idle[0], gate, holds=holds)


def database_ms(fleets: Sequence[Fleet], due: int, *, limits: Limits | None) -> list[float]:
    """The lower quartile of what a claim costs in each fleet, with so many due before each.

    It is the processor's time of the server's process, where the system tells it: how long a neighbour's work on the
    machine makes everybody wait is another matter.
    """
    taken: list[list[float]] = [[] for _ in fleets]
    for turn in range(WARM_UP + REPEATS):
        for number, fleet in enumerate(fleets):
            if due:
                fleet.make_due(due, first=turn, step=fleet.tenants // due)
            before = fleet.database_seconds()
            claimed = fleet.registry.claim_many("w", lease=LEASE_FOR, count=due or 1, limits=limits)
            taken[number].append(fleet.database_seconds() - before)
            assert len(claimed) == due, "what is due is found, and nothing else"
    for fleet in fleets:
        fleet.settle()
    return [statistics.quantiles(times[WARM_UP:], n=4)[0] * 1000 for times in taken]


def planning() -> Iterator[Row]:
    """Plans a second of one core, of tenants with few and many nights behind them.

    From what a look together is shown, as nearly every plan is made, and from all that a turn under a lease reads.
    """
    for nights in NIGHTS:
        found = [facts_of(f"tenant{number}", nights) for number in range(PLANNED)]
        now = max(backup.begun_at for one in found for backup in one.backups)
        now = max(now, found[0].tenant.due_at)
        rate = plans_a_second([_shown(one, now=now) for one in found], now=now)
        what = f"plans of a look, of tenants with {nights} nights behind them"
        yield Row(what, rate, "tenants/s/core", None, f">= {PLANS_MIN:,}/s", holds=rate >= PLANS_MIN)
        whole = plans_a_second([(one, None) for one in found], now=now)
        yield Row("the same, from their whole lives", whole, "tenants/s/core", whole / rate)


def plans_a_second(found: Sequence[tuple[Facts, AtRest | None]], *, now: datetime) -> float:
    """The best of some runs, by the processor's time."""
    rates = []
    for _ in range(5):
        fresh = [(_anew(facts), at_rest) for facts, at_rest in found]
        began = time.process_time()
        plans = [plan_of_a_look(facts, at_rest, POLICIES, now=now) for facts, at_rest in fresh]
        rates.append(len(found) / (time.process_time() - began))
        assert all(planned is not None and not planned.steps for planned in plans), "these are not quiet"
    return max(rates)


def _shown(facts: Facts, *, now: datetime) -> tuple[Facts, AtRest | None]:
    """What a look together is shown of a tenant."""
    backups, at_rest = for_a_look(facts.backups, now=now)
    return replace(facts, backups=backups, residues=residues_for_a_look(facts.residues)), at_rest


def _anew(facts: Facts) -> Facts:
    """The same facts as they are just after they were read: nothing about them is known by heart."""
    return replace(facts, backups=tuple(replace(backup) for backup in facts.backups))


def quiet_turns(fleet: Fleet) -> Iterator[Row]:
    """Claim, observe, plan, nothing to do, next due date: what the worker does for nearly everybody, all day."""
    give_backups(fleet, QUIET, nights=3)
    fleet.quieten(QUIET)
    fleet.make_due(QUIET)
    alone = work(fleet.database.engine(ALICE))
    assert (alone.turns, alone.steps) == (QUIET, 0), f"these turns are not quiet: {alone}"
    rate = alone.turns / alone.seconds
    gate = f">= {TURNS_MIN:,}/s"
    yield Row("quiet turns, one process", rate, "tenants/s", None, gate, holds=rate >= TURNS_MIN)
    yield Row("what one of them costs the worker", alone.processor_seconds / alone.turns * 1000, "ms of its processor")
    fleet.make_due(QUIET)
    four = work_side_by_side(fleet.database, 4)
    yield Row("quiet turns, four processes", four, "tenants/s", four / rate, "not slower", holds=four >= rate * 0.95)


def quiet_turns_of_old(fleet: Fleet) -> Iterator[Row]:
    """The same for tenants of a year: last of all, since what is made up for it would count as memory of the worker."""
    give_backups(fleet, OLD, nights=NIGHTS[-1], first=QUIET)
    fleet.quieten(OLD, first=QUIET)
    fleet.make_due(OLD, first=QUIET)
    done = work(fleet.database.engine(ALICE))
    assert (done.turns, done.steps) == (OLD, 0), f"these turns are not quiet: {done}"
    what = f"quiet turns, one process, of tenants with {NIGHTS[-1]} nights behind them"
    yield Row(what, done.turns / done.seconds, "tenants/s")
    yield Row("what one of them costs the worker", done.processor_seconds / done.turns * 1000, "ms of its processor")


def night(fleet: Fleet) -> Iterator[Row]:
    """A night of a part of the fleet, backups included, and what the whole would take at this rate."""
    first = fleet.tenants // 2
    fleet.make_due(NIGHT, first=first)
    hosted = [f"t{first + number}" for number in range(NIGHT)]
    done = work(fleet.database.engine(ALICE), hosted=hosted, turns_max=NIGHT)
    assert done.steps >= NIGHT, "each has its backup"
    each = done.processor_seconds / done.turns
    yield Row(f"a night's turn, measured of {done.turns}", each * 1000, "ms of a worker")
    yield Row("a night of 1,000,000 tenants, at this rate", each * 1e6, "worker seconds")
    used, growth = done.bytes_used / 1e6, done.bytes_used / done.half_time_bytes
    holds = used <= MEMORY_MB_MAX
    yield Row("memory of the worker, fakes included", used, "MB", growth, f"<= {MEMORY_MB_MAX} MB", holds=holds)
    yield Row("its growth over half of the night", growth, "x", None, f"<= {GROWTH_MAX} x", holds=growth <= GROWTH_MAX)


def measure(tenants: int) -> list[Row]:
    """Every row of the report."""
    rows = list(planning())
    with postgres_cluster() as cluster, fleet_of(cluster, FEW) as few, fleet_of(cluster, tenants) as many:
        return [*rows, *due_work(few, many), *quiet_turns(many), *night(many), *quiet_turns_of_old(many)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tenants", type=int, default=MANY)
    report("fleet", measure(parser.parse_known_args()[0].tenants))
