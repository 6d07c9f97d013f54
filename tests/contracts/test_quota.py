"""The Admin API's quota, shared by all workers; and its own word that it is asked too much, taken with patience."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.instances import GoogleInstances
from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.adapters.quota import SILENCE_SECONDS, SharedQuota
from tenantctl.adapters.retry import Patience, RetryingInstances
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import Transient, TurnedAway
from tenantctl.model.sighting import Present
from tests.localcloud.clouds import OPERATOR, throw_away_cloud

RATE = 60


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud of this module's own, because faults are left in it."""
    with throw_away_cloud({"standing": "europe-west1"}) as made:
        yield made


class Clock:
    """A clock for the registry and for whoever sleeps."""

    def __init__(self) -> None:
        self.seconds, self.slept = 0.0, []  # type: float, list[float]

    def moment(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def quota(clock: Clock, registry: MemoryRegistry) -> SharedQuota:
    return SharedQuota(lambda: registry, "api", per_minute=RATE, sleep=clock.sleep, clock=lambda: clock.seconds)


def test_two_workers_keep_to_one_rate() -> None:
    """Neither knows of the other; together they send a burst, and then as many as the rate says."""
    clock = Clock()
    registry = MemoryRegistry(clock.moment)
    workers = [quota(clock, registry) for _ in range(2)]
    for number in range(130):
        workers[number % 2]()
    assert clock.seconds == pytest.approx((130 - 10) * 60 / RATE, abs=1)


def test_whoever_would_wait_too_long_is_turned_away() -> None:
    """Nobody sleeps for ever in a call; what stands in line already is not lost."""
    clock = Clock()
    registry = MemoryRegistry(clock.moment)
    ask = SharedQuota(lambda: registry, "api", per_minute=RATE, sleep=clock.slept.append, clock=lambda: clock.seconds)
    for _ in range(10 + 15):
        ask()
    with pytest.raises(TurnedAway):
        ask()
    assert clock.slept == [float(second) for second in range(1, 16)]


def test_a_registry_that_is_silent_keeps_no_request_back() -> None:
    """It is a courtesy; and the registry is not asked again for a minute."""
    clock, asked = Clock(), []

    def silent() -> MemoryRegistry:
        asked.append(clock.seconds)
        raise Transient("The registry does not answer.")

    ask = SharedQuota(silent, "api", per_minute=RATE, sleep=clock.sleep, clock=lambda: clock.seconds)
    for _ in range(5):
        ask()
    assert len(asked) == 1
    clock.seconds += SILENCE_SECONDS
    ask()
    assert len(asked) == 2


@pytest.mark.parametrize("status", [429, 409])
def test_the_api_says_later_and_is_asked_again(cloud: LocalCloud, status: int) -> None:
    """Through the real client; also to create an instance, which is made once, since it was not begun before."""
    taken: list[str] = []
    instances = GoogleInstances(
        cloud.project,
        local_credentials(OPERATOR),
        database_version="POSTGRES_18",
        endpoint=cloud.endpoints["sqladmin"],
        admit=lambda: taken.append("token"),
    )
    clock = Clock()
    patient = RetryingInstances(instances, Patience(seconds=60, sleep=clock.sleep))
    cloud.add_fault("sqladmin", "status", status=status, times=2)
    try:
        assert isinstance(patient.look("standing"), Present)
        assert len(taken) == 3, "each request takes a token, those that are turned away too"
        cloud.add_fault("sqladmin", "status", status=status, times=3)
        operation = patient.create(f"made-{status}", "europe-west1")
        assert operation.name
        cloud.add_fault("sqladmin", "status", status=status)
        with pytest.raises(Transient) as told:
            RetryingInstances(instances, Patience(seconds=5, sleep=clock.sleep)).create("never", "europe-west1")
        assert str(status) in told.value.sentence
    finally:
        cloud.clear_faults()
    assert sum(clock.slept) < 60 + 60 + 5
    listed = instances.all()
    assert isinstance(listed, Present)
    assert {one.name for one in listed.value} & {f"made-{status}", "never"} == {f"made-{status}"}
