"""What a backup costs, beside what an engineer would write: all in one run, on a local cloud of its own, as ratios.

Everybody reaches the instance over TLS, through the same kind of proxy. The instance, the emulated store and what is
measured share one machine, so figures by the clock hold for that; processor time is that of the client's side alone.
Figures are the best of a few runs that take turns: a neighbour's work on the machine only ever adds. It adds unevenly
all the same, so the load is reported too: where that is more than the machine has processors, ratios by the clock say
little, and those of processor time most.

`--quick` leaves out the big database and most of the fleet.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from benchmarks.backup_parts.building import benchmark_place
from benchmarks.backup_parts.costs import Cost
from benchmarks.backup_parts.place import Place
from benchmarks.backup_parts.rivals import Rivals
from benchmarks.backup_parts.road import road
from benchmarks.report import Row, report

TURNS: Final = 3
AT_ONCE: Final = 8  # databases of a fleet, in one worker
MEGABYTE: Final = 1e6
OURS: Final = Path(__file__).parent / "backup_parts" / "ours.py"


@dataclass(frozen=True)
class Ours:
    """What a process of the program's own says of its job; `added` are the bytes of memory that it took."""

    cost: Cost
    size: int
    raw_size: int
    added: float


def run_ours(place: Place, job: str, number: int, *uids: str) -> dict[str, Any]:
    """What a process of the program's own says of its job."""
    command = [sys.executable, str(OURS), place.to_text(), job, str(number), *uids]
    said: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return said


def ours(place: Place, job: str, number: int, *uids: str) -> Ours:
    """Have the program do a job in a process of its own."""
    said = run_ours(place, job, number, *uids)
    cost = Cost(said["wall"], said["processor"], said["memory"], said["servers"])
    return Ours(cost, said["size"], said.get("raw_size", 0), said["memory"] - said["memory_before"])


def compared(what: str, value: float, unit: str, ratio: float, limits: tuple[float, float]) -> Row:
    """A row whose ratio must not be above a limit, and should not be above a goal."""
    limit, goal = limits
    return Row(what, value, unit, ratio, f"<= {limit:g} x", f"<= {goal:g} x", holds=ratio <= limit)


def big(place: Place, rivals: Rivals) -> Iterator[Row]:
    """The big database, against BASE and the other lines."""
    costs, mine, stored = [], [], 0
    for _ in range(TURNS):
        cost, stored = rivals.base(place.big)
        costs.append(cost)
        mine.append(ours(place, "back-up", 1, place.big))
    base, best = _best(costs), _best([one.cost for one in mine])
    largest, added = max(one.cost.memory for one in mine), max(one.added for one in mine) / MEGABYTE
    raw = mine[0].raw_size / MEGABYTE
    yield Row("big: raw dump", raw, "MB", None, ">= 750 MB", holds=raw >= 750)
    yield Row("big: BASE", base.wall, "s")
    yield compared("big: ours, encrypted, two regions", best.wall, "s", best.wall / base.wall, (1.10, 0.90))
    yield Row("big: BASE, processors", base.processor, "s")
    ratio = best.processor / base.processor
    yield compared("big: ours, processors, uploads included", best.processor, "s", ratio, (1.35, 1.20))
    yield from _bounds("big", rivals.bare(place.big), base, best)
    direct = rivals.base_without_road(place.big)
    yield Row("big: BASE on the server's own socket, as nobody reaches it", direct.wall, "s", direct.wall / base.wall)
    yield from _others("big", rivals, place.big, base)
    yield Row("big: stored bytes, one copy, against BASE", mine[0].size / MEGABYTE, "MB", mine[0].size / stored)
    yield Row("big: peak memory of the dump", added, "MB", None, "<= 100 MB", "<= 64 MB", holds=added <= 100)
    yield Row("big: peak memory of its process, Python and all clients included", largest / MEGABYTE, "MB")


def _bounds(what: str, bare: Cost, base: Cost, ours: Cost) -> Iterator[Row]:
    """What bounds the time: `pg_dump` alone, and the processors that servers and cloud take from the same machine."""
    yield Row(f"{what}: pg_dump alone, thrown away", bare.wall, "s", bare.wall / base.wall)
    yield Row(f"{what}: BASE, processors of the servers meanwhile", base.servers, "s")
    ratio = ours.servers / base.servers
    yield Row(f"{what}: ours, processors of the servers and the cloud meanwhile", ours.servers, "s", ratio)
    used, theirs = ours.processor + ours.servers, base.processor + base.servers
    yield Row(f"{what}: ours, all processors of the machine", used, "s", used / theirs)


def _others(what: str, rivals: Rivals, uid: str, base: Cost) -> Iterator[Row]:
    for name, line in (("cron script, gzip, two copies", rivals.cron), ("zstd | age | tee", rivals.age)):
        cost = line(uid)
        if cost is None:
            yield Row(f"{what}: {name}: left out, no age on this machine", 0, "s")
            continue
        yield Row(f"{what}: {name}", cost.wall, "s", cost.wall / base.wall)
        yield Row(f"{what}: {name}, processors", cost.processor, "s", cost.processor / base.processor)


def small(place: Place, rivals: Rivals) -> Iterator[Row]:
    """The small database, against BASE."""
    costs, mine = [], []
    stored = 0
    for _ in range(TURNS * 2):
        cost, stored = rivals.base(place.small)
        costs.append(cost)
        mine.append(ours(place, "back-up", 1, place.small))
    base, best = _best(costs), _best([one.cost for one in mine])
    yield Row("small: BASE", base.wall, "s")
    yield compared("small: ours, encrypted, two regions", best.wall, "s", best.wall / base.wall, (0.95, 0.80))
    yield Row("small: BASE, processors", base.processor, "s")
    ratio = best.processor / base.processor
    yield Row("small: ours, processors, uploads included", best.processor, "s", ratio)
    bare = _best([rivals.bare(place.small) for _ in range(TURNS)])
    yield from _bounds("small", bare, base, best)
    yield from _others("small", rivals, place.small, base)
    size = mine[0].size
    yield Row("small: stored bytes, against BASE", size / MEGABYTE, "MB", size / stored)
    own = rivals.own_compression(place.small)
    yield compared("small: stored bytes, against pg_dump -Fc's own compression", size / MEGABYTE, "MB", size / own,
                   (0.50, 0.46))  # fmt: skip


def fleet(place: Place, rivals: Rivals, count: int) -> Iterator[Row]:
    """Many small databases in one worker, against the cron script in a loop; in turns, half of them in each."""
    uids, half = place.fleet[:count], count // 2
    loop, rate, share, bare, mine = 0.0, 0.0, 0.0, Cost(0, 0), Cost(0, 0)
    for part in (uids[:half], uids[half:]):
        loop = max(loop, len(part) / rivals.cron_loop(part).wall)
        bare = rivals.bare_at_once(part, AT_ONCE)
        mine = ours(place, "back-up-fleet", AT_ONCE, *part).cost
        rate = max(rate, len(part) / mine.wall)
        share = max(share, (mine.processor + mine.servers) / (mine.wall * (os.cpu_count() or 1)))
    yield Row(f"{count} small: the cron script in a loop", loop, "databases/s")
    yield Row(f"{count} small: ours, {AT_ONCE} at once", rate, "databases/s", rate / loop, ">= 3 x",
              holds=rate >= 3 * loop)  # fmt: skip
    yield Row(f"{count} small: pg_dump alone, {AT_ONCE} at once, thrown away", half / bare.wall, "databases/s",
              half / bare.wall / loop)  # fmt: skip
    for who, cost in (("pg_dump alone", bare), ("ours", mine)):
        yield Row(f"{count} small: {who}, processors a database, client's side", cost.processor / half, "s")
        yield Row(f"{count} small: {who}, processors a database, servers and cloud", cost.servers / half, "s")
    goal = ">= 90 %"
    yield Row(f"{count} small: share of all processors that it and the cloud used", share * 100, "%", goal=goal)


def verification(place: Place, what: str, uid: str, times: int) -> Row:
    """A copy read as a restore reads it, against the making of the backup, in turns."""
    said = run_ours(place, "verify", times, uid)
    return compared(f"L2 of {what}, against its backup", said["wall"], "s", said["wall"] / said["backup_wall"],
                    (0.40, 0.20))  # fmt: skip


def restores(place: Place, rivals: Rivals, *, with_big: bool) -> Iterator[Row]:
    """Restores from the vault, against `pg_restore` from a file that is there already."""
    lines = [("small", place.small, 0, (0.8, 0.5))] + ([("big", place.big, 2, (1.15, 1.05))] if with_big else [])
    for what, uid, jobs, limits in lines:
        theirs = _best([rivals.pg_restore(uid, jobs=jobs) for _ in range(2)])
        mine = ours(place, "restore", 2, uid).cost
        yield Row(f"restore of {what}: pg_restore {f'-j{jobs} ' if jobs else ''}from a file", theirs.wall, "s")
        yield compared(f"restore of {what}: ours, from the vault", mine.wall, "s", mine.wall / theirs.wall, limits)


def measure(*, quick: bool) -> list[Row]:
    """Every row of the report."""
    folder = tempfile.TemporaryDirectory(prefix="tenantctl-benchmark-")
    with folder as files, benchmark_place(with_big=not quick) as place, road(place) as way:
        rivals = Rivals(place, way, Path(files))
        rows = [Row(f"BASE is: {rivals.base_line()}", 1, "line"), _load("at the beginning")]
        if not quick:
            rows += big(place, rivals)
            rows.append(verification(place, "big", place.big, 2))
        rows += small(place, rivals)
        rows += fleet(place, rivals, 8 if quick else len(place.fleet))
        rows.append(verification(place, "small", place.small, TURNS))
        rows += restores(place, rivals, with_big=not quick)
        return [*rows, _load("at the end")]


def _load(when: str) -> Row:
    """How many processes wanted a processor in the last minutes; on a machine of our own, what we did ourselves."""
    return Row(f"load of the machine in 5 minutes, {when}, on {os.cpu_count()} processors", os.getloadavg()[1], "")


def _best(costs: list[Cost]) -> Cost:
    best = costs[0]
    for cost in costs[1:]:
        best = best.best(cost)
    return best


if __name__ == "__main__":
    report("backup", measure(quick="--quick" in sys.argv[1:]))
