"""A move as its customer sees it: how long nothing could be written, beside a dump and a restore in the same run.

Two throw-away clusters stand for two regions. The database is half pgbench's, half 400 tables with rows; pgbench writes
until it is sent away, and a client of our own all the time: whenever it is sent away it tries both places until it is
let in. What each of them was told is committed is compared with what is there. The steps are those of
`relocation/cut_over.py`, without the registry. `--megabytes` may be given several times; by default 50 and 1000.
"""

import argparse
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from benchmarks.relocation_parts.load import MOVE_PASSWORD, writing
from benchmarks.relocation_parts.scene import Scene, scene
from benchmarks.report import Row, report
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.row_sets import keys_of, whole_tables
from tenantctl.model.sighting import Present
from tenantctl.relocation.cut_over import POLL_SECONDS, behind_the_fence
from tenantctl.relocation.planning import LAG_MAX
from tenantctl.relocation.proving import Proving
from tenantctl.relocation.request import scram_verifier
from tests.localcloud.clouds import throw_away_cloud

SIZES: Final = (50, 1000)
DOWNTIME_SECONDS_MAX: Final = 5.0
GROWTH_MAX: Final = 1.5
BEFOREHAND: Final = "compared beforehand"


def replicate(made: Scene) -> dict[str, float]:
    """The move as it is; how long was compared before the fence, and where the time behind it went, in seconds."""
    replication, databases, source, target = made.replication, made.place.databases, made.source, made.target
    digest = replication.schema_digest(source)
    assert replication.copy_schema(source, target) == ()
    replication.publish(source, digest)
    replication.subscribe(source, target)
    while not (isinstance(seen := replication.look(source, target), Present) and seen.value.in_step(LAG_MAX)):
        time.sleep(0.1)
    replication.settle(source, target)

    def caught_up() -> None:
        position = replication.mark(source)
        while not replication.has_reached(source, position):
            time.sleep(POLL_SECONDS)

    moments = [time.perf_counter()]
    with replication.changes(source) as log:
        proving = Proving(replication, source, target, log, catch_up=caught_up, check=lambda: None)
        assert proving.beforehand() == ()
        moments.append(time.perf_counter())
        databases.close_logins(source)
        caught_up()
        proving.read_on()
    moments.append(time.perf_counter())
    assert behind_the_fence(replication, source, target, proving.rest) == (digest, ())
    moments.append(time.perf_counter())
    replication.set_verifier(target, scram_verifier(MOVE_PASSWORD))
    databases.open_logins(target)
    moments.append(time.perf_counter())
    print(f"keys left for the fence: {keys_of(proving.owed)}, and {whole_tables(proving.owed)} whole tables")
    parts = (BEFOREHAND, "sent away and caught up", "compared", "let in")
    return {part: after - before for part, (before, after) in zip(parts, pairwise(moments), strict=True)}


def dump_and_restore(made: Scene) -> dict[str, float]:
    """What would be done without replication."""
    databases, source, target = made.place.databases, made.source, made.target
    databases.close_logins(source)
    with databases.dump(source) as dump:
        databases.restore(target, dump.chunks(), source=source)
        assert dump.tables == databases.digests(target)
    made.replication.set_verifier(target, scram_verifier(MOVE_PASSWORD))
    databases.open_logins(target)
    return {}


def measured(
    cloud: LocalCloud, megabytes: int, way: Callable[[Scene], dict[str, float]]
) -> tuple[float, dict[str, float]]:
    """The downtime in seconds as the client saw it, and its parts; no write may be lost or doubled."""
    with scene(cloud, megabytes) as made:
        with writing(made) as client:
            parts = way(made)
        return client.downtime, parts


def rows_of(cloud: LocalCloud, megabytes: int) -> tuple[float, list[Row]]:
    """The downtime of a move at one size, and what is reported of it."""
    moved, parts = measured(cloud, megabytes, replicate)
    restored, _ = measured(cloud, megabytes, dump_and_restore)
    what = f"downtime, {megabytes} MB"
    within = Row(
        f"{what}: move",
        moved,
        "s",
        moved / restored,
        gate=f"<= {DOWNTIME_SECONDS_MAX:g} s",
        holds=moved <= DOWNTIME_SECONDS_MAX,
    )
    before = parts.pop(BEFOREHAND)
    rows = [within, *(Row(f"  of it {part}", seconds, "s", seconds / moved) for part, seconds in parts.items())]
    rows.append(Row(f"  {BEFOREHAND}, while it works", before, "s", before / moved))
    return moved, [*rows, Row(f"{what}: dump and restore", restored, "s", 1.0)]


def main() -> None:
    """Measures each size, smallest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, action="append", help="of the database; may be repeated")
    options, _ = parser.parse_known_args()
    rows: list[Row] = []
    moved: dict[int, float] = {}
    with throw_away_cloud({"one": "us-central1", "two": "europe-west1"}) as cloud:
        for megabytes in sorted(options.megabytes or SIZES):
            moved[megabytes], found = rows_of(cloud, megabytes)
            rows += found
    if len(moved) > 1:
        small, large = min(moved), max(moved)
        growth = moved[large] / moved[small]
        what = f"downtime at {large} MB beside {small} MB"
        gate = f"<= {GROWTH_MAX:g} times"
        rows.append(Row(what, moved[large], "s", growth, gate=gate, holds=growth <= GROWTH_MAX))
    report("relocation", rows)


if __name__ == "__main__":
    main()
