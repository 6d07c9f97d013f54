"""Measures how long the command line takes to answer, beside `python -c pass`."""

import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from benchmarks.report import Row, report

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 9
HELP_MAX, NEAREST_MAX = 0.2, 0.4


def seconds(*arguments: str) -> float:
    """The median of some runs after one that warms the caches."""
    environment = {**os.environ, "TENANTCTL_POLICIES": str(ROOT / "policies")}
    taken = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - begun)
    return sorted(taken[1:])[ROUNDS // 2]


def rows() -> list[Row]:
    bare = seconds("-c", "pass")
    measured = [Row("python -c pass", round(bare, 4), "s", ratio=1.0)]
    for what, limit, arguments in (
        ("tenantctl --help", HELP_MAX, ("--help",)),
        ("tenantctl region list", NEAREST_MAX, ("region", "list")),
        ("tenantctl region nearest", NEAREST_MAX, ("region", "nearest", "Southlake, TX, US")),
    ):
        taken = seconds("-m", "tenantctl", *arguments)
        measured.append(Row(what, round(taken, 4), "s", taken / bare, f"<= {limit} s", holds=taken <= limit))
    return measured


if __name__ == "__main__":
    report("startup", rows())
