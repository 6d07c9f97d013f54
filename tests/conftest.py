"""Fixtures that tests of every room may use."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tenantctl.localcloud.client import LocalCloud

if TYPE_CHECKING:
    from tests.contracts.foreign_dumps import Abroad

# Files in these folders live through months or kill clouds of their own: few tests each, and long ones.
LONG = ("localcloud", "faults", "chaos", "simulation")

# How long an example takes says something about the machine, not about the program.
settings.register_profile("tenantctl", deadline=None)
settings.load_profile("tenantctl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has the long files begin first: one that begins last keeps one processor at work, and the others idle."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(scope="module")
def customer() -> "Iterator[Abroad]":
    """A customer's own cluster somewhere else, with a database that nobody here made."""
    from tests.contracts.foreign_dumps import abroad

    with abroad() as made:
        yield made


@pytest.fixture(scope="session")
def local_cloud() -> Iterator[LocalCloud]:
    """One local cloud for each test worker, with the instances `control`, `one` and `two`.

    Who uses it leaves it running and undisturbed: a test that moves the clock, kills an instance or leaves a fault
    takes a cloud of its own (`tests.localcloud.clouds.throw_away_cloud`).
    """
    from tests.localcloud.clouds import INSTANCES, throw_away_cloud

    with throw_away_cloud(INSTANCES) as cloud:
        yield cloud
