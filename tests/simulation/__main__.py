"""`make simulate`: lives world after world until there are enough tenant-years, and says what came of it in one line.

A world that breaks an invariant ends the run: its script is made short and printed, and replays with `--script FILE`.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from tests.simulation.living import POLICIES, Lived, live
from tests.simulation.script import Script, written
from tests.simulation.shrinking import shrunk


@dataclass
class Sum:
    """What came of all worlds so far."""

    years: float = 0.0
    steps: int = 0
    faults: int = 0
    checks: int = 0
    worlds: int = 0

    def add(self, lived: Lived) -> None:
        """One more world."""
        self.years += lived.years
        self.steps += lived.steps
        self.faults += lived.faults
        self.checks += lived.checks
        self.worlds += 1

    def line(self, violations: int) -> str:
        """The line that a run closes with."""
        return (
            f"{self.years:,.0f} tenant-years, {self.steps:,} steps, "
            f"{self.faults:,} faults injected, {violations} violations"
        )


def main(arguments: Sequence[str]) -> int:
    """Runs; 0 if no invariant was broken, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--years", type=float, default=100.0, help="how many tenant-years at least")
    parser.add_argument("--seed", type=int, default=None, help="replays a run exactly; drawn if left out")
    parser.add_argument("--cadence", choices=sorted(POLICIES), default="nightly", help="how often backups are made")
    parser.add_argument("--processes", type=int, default=2, help="worlds lived at a time")
    parser.add_argument("--script", type=Path, help="lives this script alone through")
    asked = parser.parse_args(arguments)
    if asked.script is not None:
        return replay(Script.from_lines(asked.script.read_text(encoding="utf-8").splitlines()))
    seed = asked.seed if asked.seed is not None else time.time_ns() % 1_000_000
    print(f"SEED={seed} CADENCE={asked.cadence}", flush=True)
    began, total = time.monotonic(), Sum()
    for script, lived in lived_worlds(seed, asked.cadence, asked.years, asked.processes):
        total.add(lived)
        if lived.violations:
            tell(script, lived)
            print(total.line(len(lived.violations)))
            return 1
    took = time.monotonic() - began
    print(f"{total.worlds} worlds, {total.checks:,} invariants asked, {took:,.0f} seconds")
    print(total.line(0))
    return 0


def lived_worlds(seed: int, cadence: str, years: float, processes: int) -> Iterator[tuple[Script, Lived]]:
    """World after world, in the order in which they come to their ends, until there are enough years."""
    enough, number = 0.0, 0
    with ProcessPoolExecutor(processes) as pool:
        running: dict[Future[Lived], Script] = {}
        while enough < years or running:
            while enough < years and len(running) < processes + 1:
                script = written(seed, number, cadence)
                running[pool.submit(live, script)] = script
                number += 1
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                script, lived = running.pop(future), future.result()
                enough += lived.years
                yield script, lived
                if lived.violations:
                    for other in running:
                        other.cancel()
                    return


def replay(script: Script) -> int:
    """Lives one script through, and says what came of it."""
    lived, total = live(script), Sum()
    total.add(lived)
    print(*lived.violations, sep="\n")
    print(total.line(len(lived.violations)))
    return 1 if lived.violations else 0


def tell(script: Script, lived: Lived) -> None:
    """What was broken, and the shortest script that breaks it."""
    print(*lived.violations, sep="\n")
    print(f"making the script of {len(script.acts)} acts short ...", flush=True)
    kind = kind_of(lived)
    short = shrunk(script, lambda one: kind_of(live(one)) == kind)
    short = replace(short, hours=min(short.hours, short.acts[-1].at + 24 * 460))
    print(f"# {len(short.acts)} acts; save these lines and replay them: python -m tests.simulation --script FILE")
    print(*short.lines(), sep="\n")


def kind_of(lived: Lived) -> str | None:
    """Which invariant was broken, or which mistake was made; None if none was."""
    if not lived.violations:
        return None
    found = re.match(r"invariant \d+", lived.violations[0])
    return found[0] if found else lived.violations[0].strip().splitlines()[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
