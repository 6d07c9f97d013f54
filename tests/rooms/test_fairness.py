"""Nobody is starved: a region that is down and a tenant that always fails cost the others one turn each."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantctl.engine.worker import Turn, Worker
from tenantctl.model.errors import Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Do, Plan, Step
from tenantctl.model.tenant import Tenant, Wanted
from tenantctl.model.work import (
    OVERTAKEN_FOR,
    RETRY_AFTER,
    RETRY_AFTER_MAX,
    SPREAD,
    STUCK,
    TROUBLE,
    Danger,
    danger_after,
    danger_of,
    retry_after,
    turn_at,
)
from tenantctl.ports.world import World
from tests.rooms.company import START, Company
from tests.rooms.test_worker_at_once import requested, tomorrow

DOWN, UP = "europe-west4", "europe-west1"
MOMENTS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3650)).map(lambda after: START + after)
DANGERS = st.sampled_from(Danger)


def test_a_region_that_is_down_starves_nobody() -> None:
    """Of a thousand due tenants 300 wait for their region and one fails always; the others are done within 1000 turns.

    Those that fail come back after minutes, and before the others by their danger; each turn of theirs takes long.
    """
    company = Company()
    down, up = requested(company, 300, DOWN), requested(company, 700, UP)
    for tenant in up[1:]:
        (lease,) = [company.registry.claim("w", lease=timedelta(hours=1), tenant=tenant.uid)]
        assert lease is not None
        company.registry.release(lease, due_at=company.moment, duty=None, danger=Danger.BACKUP)
    failing = {up[0].uid, *(tenant.uid for tenant in down)}

    def planner(world: World, tenant: Tenant) -> Plan:
        company.moment += timedelta(seconds=20 if tenant.uid in failing else 1)
        if tenant.uid in failing:
            raise Transient("Nobody answers there.")
        return tomorrow(company, tenant)

    turns: list[Turn] = []
    for turn in Worker(company.world, planner, {}, "worker").turns():
        turns.append(turn)
        if len(turns) == 1000:
            break
    assert {turn.tenant_uid for turn in turns if turn.trouble is None} == {tenant.uid for tenant in up[1:]}
    assert {turn.tenant_uid for turn in turns if turn.trouble is not None} == failing


def test_what_always_fails_is_told_as_stuck() -> None:
    """After so many turns, with the reason and since when; what is mended is told of no more."""
    company = Company()
    (tenant,) = requested(company, 1)
    policy, broken = company.policies.lifecycle.work, [True]

    def planner(world: World, tenant: Tenant) -> Plan:
        if broken:
            raise Transient("Nobody answers there.")
        return tomorrow(company, tenant)

    turns: list[Turn] = []
    while len(turns) < policy.stuck_after_failures:
        assert STUCK not in company.alarms(tenant)
        turns += Worker(company.world, planner, {}, "worker").turns()
        company.advance(minutes=1)
    assert company.alarms(tenant) == {TROUBLE, STUCK}
    assert set(turns[-1].alarms) == {TROUBLE, STUCK}
    item = company.registry.work_item(tenant.uid)
    assert (item.failures, item.error) == (policy.stuck_after_failures, "Nobody answers there.")
    assert item.failing_since == START
    alarms = {alarm.code: alarm.reason for alarm in company.registry.alarms(tenant.uid)}
    assert alarms[STUCK] == f"{policy.stuck_after_failures} turns in a row ended in trouble: Nobody answers there."
    broken.clear()
    company.advance(hours=8)
    (mended,) = Worker(company.world, planner, {}, "worker").turns()
    assert (set(mended.cleared), company.alarms(tenant)) == ({TROUBLE, STUCK}, set())
    assert company.registry.work_item(tenant.uid).failures == 0


def test_what_fails_for_long_is_stuck_however_seldom_it_is_tried() -> None:
    """Where workers come once a day, a dozen turns would be too late."""
    policy = Company().policies.lifecycle.work
    assert not policy.is_stuck(2, timedelta(hours=policy.stuck_after_hours - 1))
    assert policy.is_stuck(2, timedelta(hours=policy.stuck_after_hours))


@given(st.tuples(DANGERS, MOMENTS), st.tuples(DANGERS, MOMENTS))
def test_the_order_of_turns(one: tuple[Danger, object], other: tuple[Danger, object]) -> None:
    """The more dangerous comes first, unless the other has waited for longer than anybody may be overtaken."""
    first, second = sorted((one, other))  # by danger, then by date
    overtaken = (second[0] - first[0]) * OVERTAKEN_FOR
    comes_first = turn_at(*first) <= turn_at(*second)  # type: ignore[arg-type]
    assert comes_first == (first[1] <= second[1] + overtaken)  # type: ignore[operator]
    if first[0] is second[0]:
        assert comes_first


@given(st.text(min_size=1), st.integers(1, 500), st.timedeltas(timedelta(0), timedelta(days=900)))
def test_the_wait_after_a_failure(uid: str, failures: int, failing_for: timedelta) -> None:
    """Within its bounds and the spread, growing with the trouble, and the same again for the same."""
    wait = retry_after(uid, failures, failing_for)
    assert RETRY_AFTER * (1 - SPREAD) <= wait <= RETRY_AFTER_MAX * (1 + SPREAD)
    assert wait == retry_after(uid, failures, failing_for)
    assert wait <= retry_after(uid, failures, failing_for + timedelta(hours=1))
    assert danger_after(failures) > Danger.TERM


def test_what_failed_together_does_not_come_back_together() -> None:
    """A thousand waits are spread over all of what they may be."""
    waits = sorted(retry_after(f"uid{number}", 3, timedelta(hours=4)) / timedelta(hours=2) for number in range(1000))
    assert waits[0] < 1 - SPREAD * 0.95
    assert waits[-1] > 1 + SPREAD * 0.95
    assert max(later - earlier for earlier, later in pairwise(waits)) < 0.01


@pytest.mark.parametrize(
    ("state", "wanted", "steps", "danger"),
    [
        (State.ACTIVE, Wanted.LIVING, (), Danger.BACKUP),
        (State.MOVING, Wanted.LIVING, (), Danger.BACKUP),
        (State.ACTIVE, Wanted.LEAVING, (), Danger.TERM),
        (State.DEACTIVATED, Wanted.LIVING, (), Danger.TERM),
        (State.DESTROYED, Wanted.LEAVING, (), Danger.TERM),
        (State.REQUESTED, Wanted.LIVING, (), Danger.REST),
        (State.ACTIVE, Wanted.LIVING, (Do.SHRED_KEY, Do.BACK_UP), Danger.TERM),
        (State.ACTIVE, Wanted.LIVING, (Do.BACK_UP, Do.SHRED_KEY), Danger.BACKUP),
        (State.ACTIVE, Wanted.LIVING, (Do.VERIFY_BACKUP,), Danger.REST),
        (State.DEACTIVATED, Wanted.LEAVING, (Do.MARK_DESTROYING,), Danger.TERM),
    ],
)
def test_how_dangerous_it_is_to_be_late(state: State, wanted: Wanted, steps: tuple[Do, ...], danger: Danger) -> None:
    """By the step that waits for another duty, else by what the tenant's dates are about."""
    company = Company()
    (tenant,) = requested(company, 1)
    planned = Plan(tenant.uid, "x", tuple(Step(do, tenant.uid, "because") for do in steps))
    assert danger_of(replace(tenant, state=state, wanted=wanted), planned) is danger
