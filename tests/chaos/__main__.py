"""Chaos for as long as is asked for: `python -m tests.chaos --minutes 10 --tenants 200 --workers 4 --seed 1`."""

import argparse
import random
import secrets
import sys

from tests.chaos.living import live_through


def main() -> int:
    """Runs it, and says what came of it; 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--tenants", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    print(f"seed {seed}: {asked.tenants} tenants, {asked.workers} workers, {asked.minutes:g} minutes", flush=True)
    counts, found = live_through(
        tenants=asked.tenants, workers=asked.workers, seconds=asked.minutes * 60, chance=random.Random(seed)
    )
    print(", ".join(f"{name} {number}" for name, number in sorted(counts.items())))
    print("\n".join(found) if found else "everything is as it must be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
