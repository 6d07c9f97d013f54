"""A part of the simulation, for every run of the tests; `make simulate` goes on for as long as one likes."""

import pytest

from tests.simulation.living import live
from tests.simulation.script import Script, written
from tests.simulation.shrinking import shrunk

SEED = 20261123


@pytest.mark.parametrize("world", range(1))
def test_nightly_worlds_keep_every_invariant(world: int) -> None:
    """Each of them some tenant-years with faults of all kinds."""
    lived = live(written(SEED, world, "nightly"))
    assert not lived.violations, f"world {world} of SEED={SEED}"
    assert lived.years > 2
    assert lived.faults > 20


@pytest.mark.parametrize("world", range(8))
def test_monthly_worlds_keep_every_invariant(world: int) -> None:
    """The same with fewer backups."""
    lived = live(written(SEED, world, "monthly"))
    assert not lived.violations, f"world {world} of SEED={SEED}"
    assert lived.years > 2


def test_a_script_replays_exactly() -> None:
    """Also when it was written down and read again."""
    script = written(SEED, 100, "monthly")
    assert Script.from_lines(script.lines()) == script
    assert live(script) == live(script)


def test_a_failing_script_is_made_short() -> None:
    """Down to the acts that it takes, whatever stands between them."""
    script = written(SEED, 3, "monthly")
    needed = {script.acts[5], script.acts[40], script.acts[-3]}
    short = shrunk(script, lambda one: needed <= set(one.acts))
    assert set(short.acts) == needed
    assert list(short.acts) == sorted(short.acts, key=lambda one: one.id)
