"""A little chaos with every run of the tests; `make chaos` has more of it."""

import random
import secrets

from tests.chaos.living import live_through


def test_after_a_storm_everybody_is_where_they_are_wanted() -> None:
    """Workers killed and paused beyond their leases, APIs that fail: the same end, and nothing has happened twice."""
    seed = secrets.randbelow(2**32)
    print(f"seed {seed}")
    counts, found = live_through(tenants=3, workers=2, seconds=6, chance=random.Random(seed))
    assert list(found) == []
    assert sum(counts.values()) > 2
