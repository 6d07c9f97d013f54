"""A script: the acts of one world in order, made from a seed, written down as lines, and read again."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.simulation.acts import ACTS, Act
from tests.simulation.people import PEOPLE
from tests.simulation.weather import FAULTS

DAY: Final = 24.0
GRACE: Final = 21 * DAY
LEFTOVERS: Final = 380 * DAY  # from a destruction until a tenant is forgotten, with something to spare
HOUSEHOLDS: Final = 6
assert len(FAULTS) + len(PEOPLE) > 2, "the acts of weather and people are in the table too"

# How often something befalls a household in a year, besides what its own life brings.
BEFALLS: Final = {
    "cancel": 0.3,
    "cancel-later": 0.3,
    "reinstate": 0.3,
    "stale-request": 0.3,
    "work-in-database": 4.0,
    "log-in": 1.0,
    "force-row-security": 0.5,
    "open-behind-our-back": 0.2,
    "put-anothers-database-there": 0.2,
    "copy-vanishes": 1.0,
    "fault": 8.0,
    "pause": 2.0,
    "request-in-the-middle": 0.5,
    "place-hold": 0.25,
    "erase": 0.12,
}
# How often something befalls the whole world in a year.
WEATHER: Final = {
    "region-out": 4.0,
    "instance-out": 3.0,
    "dumps-break-off": 1.0,
    "workers-rest": 1.0,
    "buckets-rest": 0.5,
    "bucket-eased": 0.5,
    "new-policy": 1.0,
    "new-caps": 1.5,
    "freeze": 3.0,
    "approve": 30.0,
    "tell-customers": 60.0,
}
TROUBLES: Final = ("fault", "fault", "fault", "pause", "request-in-the-middle")  # where a life turns
assert {*BEFALLS, *WEATHER, *TROUBLES, "sign-up"} == set(ACTS), "each act of the table can happen"


@dataclass(frozen=True)
class Script:
    """The seed of what is drawn at random, how often backups are made, how long it lasts (hours), and the acts."""

    seed: str
    cadence: str
    hours: float
    acts: tuple[Act, ...]

    def lines(self) -> Iterator[str]:
        """One JSON text a line; `from_lines` reads them."""
        yield json.dumps({"seed": self.seed, "cadence": self.cadence, "hours": self.hours})
        yield from (one.line() for one in self.acts)

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> "Script":
        """What `lines` wrote."""
        first, *rest = (json.loads(line) for line in lines if line.strip())
        return cls(**first, acts=tuple(Act(**said) for said in rest))


def written(seed: int, world: int, cadence: str) -> Script:
    """The script of one world: as many lives as `HOUSEHOLDS`, each from its beginning to its end, and the weather."""
    chance = Random(f"{seed}/{world}/{cadence}")
    events: list[tuple[float, str, int]] = []
    begun: list[tuple[float, int]] = []
    for household in range(HOUSEHOLDS):
        at = chance.uniform(0, 200 * DAY)
        begun.append((at, household))
        events.extend((when, word, household) for when, word in _life(chance, at))
    hours = max(when for when, _, _ in events) + GRACE * 1.3 + LEFTOVERS
    for word, a_year in WEATHER.items():
        events.extend((when, word, -1) for when in _moments(chance, 0, hours - LEFTOVERS / 2, a_year))
    return Script(f"{seed}/{world}", cadence, hours, _numbered(events))


def _life(chance: Random, at: float) -> Iterator[tuple[float, str]]:
    """One household: it signs up, works, leaves, perhaps comes back and leaves again, and is haunted all the while."""
    began = at
    yield at, "sign-up"
    yield from _troubles(chance, at)
    at += min(chance.expovariate(1 / (110 * DAY)), 430 * DAY)
    while True:
        yield at - chance.uniform(0, 5 * DAY), "work-in-database"
        yield from _troubles(chance, at - 1)
        yield at, "cancel" if chance.random() < 0.8 else "cancel-later"
        yield from _troubles(chance, at + GRACE)
        if chance.random() < 0.3:
            at += chance.choice((chance.uniform(0, 3), chance.uniform(0, GRACE * 1.15), GRACE + chance.uniform(0, 30)))
            yield from _troubles(chance, at - 1)
            yield at, "reinstate"
            at += min(chance.expovariate(1 / (40 * DAY)), 200 * DAY)
            continue
        break
    yield at + GRACE * 2.5, "cancel"  # in case a stray request had brought it back
    yield from _troubles(chance, at + GRACE * 3.5)
    for word, a_year in BEFALLS.items():
        until = at + GRACE * (1 if word in {"cancel", "cancel-later", "reinstate", "stale-request"} else 5)
        yield from ((when, word) for when in _moments(chance, began, until, a_year))
    yield from ((when, "fault") for when in _moments(chance, at + GRACE * 5, at + LEFTOVERS, 3.0))


def _troubles(chance: Random, at: float) -> Iterator[tuple[float, str]]:
    """What goes wrong about the moment at which something is to happen."""
    while chance.random() < 0.45:
        yield at + chance.uniform(-12, 24), chance.choice(TROUBLES)


def _moments(chance: Random, began: float, until: float, a_year: float) -> Iterator[float]:
    """Moments at random, so many a year on the average."""
    at = began
    while (at := at + chance.expovariate(a_year) * 365 * DAY) < until:
        yield at


def _numbered(events: Sequence[tuple[float, str, int]]) -> tuple[Act, ...]:
    """The acts in order, each named for the number of its place, and its household for the act that began it."""
    in_order = sorted((max(when, 0.0), word, household) for when, word, household in events)
    signed_up = {household: number for number, (_, word, household) in enumerate(in_order) if word == "sign-up"}
    return tuple(
        Act(number, round(when, 4), word, signed_up.get(household, -1))
        for number, (when, word, household) in enumerate(in_order)
    )
