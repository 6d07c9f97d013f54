"""A part of the simulation, for every run of the tests; `make simulate` goes on for as long as one likes."""

import sys
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import ClassVar

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


class SkewedType(type):
    """Moments are moments, whichever clock they were read from."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class Skewed(datetime, metaclass=SkewedType):
    """A worker's own clock: each time it is read it is off by more hours."""

    read: ClassVar[list[str]] = []

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Skewed":
        """Some hours ahead, and more and more."""
        cls.read.append("now")
        return super().now(tz) + timedelta(hours=7 * len(cls.read))

    @classmethod
    def today(cls) -> "Skewed":
        """The same without a zone."""
        return cls.now()


def test_a_workers_own_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However far off it is: what is due, over or late is told by the registry's clock, and nobody asks another."""
    script = written(SEED, 3, "monthly")
    lived = live(script)
    ours = [module for name, module in sorted(sys.modules.items()) if name.startswith("tenantctl.")]
    skewed = [module for module in ours if getattr(module, "datetime", None) is datetime]
    for module in skewed:
        monkeypatch.setattr(module, "datetime", Skewed)
    monkeypatch.setattr(time, "time", lambda: Skewed.now(UTC).timestamp())
    assert {"tenantctl.engine.worker", "tenantctl.offboarding.grace"} <= {module.__name__ for module in skewed}
    assert live(script) == lived
    assert not Skewed.read
