"""A worker with several tenants at once: side by side, within the limits, and in order when something breaks."""

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from tenantctl.engine.ending import Ending
from tenantctl.engine.worker import Planner, Worker
from tenantctl.model.errors import HandedBack, Transient
from tenantctl.model.plan import Plan
from tenantctl.model.tenant import Instance, InstanceRole, Tenant
from tenantctl.model.work import Limits
from tenantctl.ports.work import Lease, WorkState
from tenantctl.ports.world import World
from tests.contracts.registry_samples import new_tenant
from tests.rooms.company import Company

PATIENCE = 30.0  # seconds until a test that hangs says so


@pytest.fixture
def company() -> Company:
    return Company()


def requested(company: Company, count: int, region: str = "europe-west1") -> list[Tenant]:
    """Tenants that are due now, all on one instance."""
    company.registry.add_instance(Instance(f"of-{region}", region, InstanceRole.TENANTS, 2000))
    return [company.registry.request_tenant(new_tenant(f"{region}-{n}", region=region)) for n in range(count)]


def worker(company: Company, planner: Planner, at_once: int, ending: Ending | None = None) -> Worker:
    return Worker(company.world, planner, {}, "worker", ending=ending or Ending(), at_once=at_once)


def tomorrow(company: Company, tenant: Tenant) -> Plan:
    """A plan without anything to do."""
    return Plan(tenant.uid, "nothing", next_look=company.registry.now() + timedelta(days=1))


def test_it_works_on_several_at_once_and_on_no_more_than_an_instance_takes(company: Company) -> None:
    """Each planner waits for three others: one after the other, none would ever go on."""
    limits = company.policies.lifecycle.work.limits
    requested(company, 3 * limits.per_instance)
    meeting, guard = threading.Barrier(limits.per_instance), threading.Lock()
    at_work: Counter[str] = Counter()
    peaks: list[int] = []

    def planner(world: World, tenant: Tenant) -> Plan:
        with guard:
            at_work["now"] += 1
            peaks.append(at_work["now"])
        meeting.wait(PATIENCE)
        with guard:
            at_work["now"] -= 1
        return tomorrow(company, tenant)

    turns = list(worker(company, planner, at_once=2 * limits.per_instance).turns())
    assert [turn.trouble for turn in turns] == [None] * 3 * limits.per_instance
    assert max(peaks) == limits.per_instance


def test_one_that_breaks_leaves_no_lease_behind(company: Company) -> None:
    """It is put off as ever; the others hand back or come to their end, and the process ends loudly."""
    tenants = requested(company, 4)
    meeting = threading.Barrier(4)

    def planner(world: World, tenant: Tenant) -> Plan:
        meeting.wait(PATIENCE)
        if tenant.uid == tenants[2].uid:
            raise KeyError("nobody foresaw this")
        return tomorrow(company, tenant)

    with pytest.raises(KeyError):
        list(worker(company, planner, at_once=4).turns())
    assert company.registry.work_items(states=[WorkState.LEASED]) == []
    assert company.registry.work_item(tenants[2].uid).failures == 1


def test_a_registry_that_falls_silent_lets_those_at_work_end(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is begun; what was begun is told, and then that the registry does not answer."""
    requested(company, 6)
    claim_many, claims = company.registry.claim_many, []

    def falling_silent(owner: str, **options: Any) -> Sequence[Lease]:
        claims.append(owner)
        if len(claims) > 1:
            raise Transient("The registry does not answer.")
        return claim_many(owner, **options)

    monkeypatch.setattr(company.registry, "claim_many", falling_silent)
    turns = worker(company, lambda world, tenant: tomorrow(company, tenant), at_once=3).turns()
    assert [turn.trouble for turn in islice(turns, 3)] == [None] * 3
    with pytest.raises(Transient, match="does not answer"):
        next(turns)
    assert len(claims) == 2


def test_told_to_end_it_hands_back_all_that_it_has(company: Company) -> None:
    """Each at its next look; another worker can go on at once."""
    requested(company, 3)
    ending, meeting = Ending(), threading.Barrier(3)

    def planner(world: World, tenant: Tenant) -> Plan:
        meeting.wait(PATIENCE)
        ending.ask("SIGTERM")
        ending.check()
        raise AssertionError("it was told to end")

    turns = list(worker(company, planner, at_once=3, ending=ending).turns())
    assert [type(turn.trouble) for turn in turns] == [HandedBack] * 3
    assert len(company.registry.work_items(states=[WorkState.DUE])) == 3


def test_limits_are_of_all_workers_together(company: Company) -> None:
    """What another worker has is counted; when there is no place left, a worker has nothing to do."""
    limits = company.policies.lifecycle.work.limits
    requested(company, limits.per_instance + 2)
    taken = company.registry.claim_many(
        "another", lease=timedelta(hours=1), count=limits.per_instance, limits=Limits(99, 99)
    )
    assert len(taken) == limits.per_instance
    idle = worker(company, lambda world, tenant: tomorrow(company, tenant), at_once=4)
    assert list(idle.turns()) == []
    company.registry.release(taken[0], due_at=company.registry.now() + timedelta(hours=1), duty=None)
    assert len(list(idle.turns())) == 2
