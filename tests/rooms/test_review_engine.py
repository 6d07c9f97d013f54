"""The engine under bad luck: duties apart, leases lost at the wrong moment, steps that break in ways nobody foresaw."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tenantctl.engine.actions import Work
from tenantctl.engine.ending import Ending
from tenantctl.engine.executor import DONE, Outcome
from tenantctl.engine.heartbeat import Heartbeat
from tenantctl.engine.worker import LEASE_FOR, Turn, Worker
from tenantctl.model.errors import HandedBack, LeaseLost
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Do, Duty, Step
from tenantctl.model.tenant import Tenant
from tenantctl.model.work import TROUBLE
from tenantctl.sweeps.observe import observe_and_plan
from tenantctl.sweeps.tenants import ACTIONS, sweep
from tests.rooms.company import Company


@pytest.fixture
def company() -> Company:
    return Company()


def state(company: Company, tenant: Tenant) -> State:
    return company.registry.tenant(tenant.uid).state


@dataclass(frozen=True)
class Meddling:
    """A step's real action, with something else happening in the middle of it."""

    do: Do
    meddle: Callable[[Work], None]
    only: list[int] = field(default_factory=lambda: [1])  # how often, as a list because it counts down

    @property
    def journals_itself(self) -> bool:
        return ACTIONS[self.do].journals_itself

    def is_done(self, work: Work, step: Step) -> bool:
        return ACTIONS[self.do].is_done(work, step)

    def guard(self, work: Work, step: Step) -> Any:
        return ACTIONS[self.do].guard(work, step)

    def act(self, work: Work, step: Step) -> None:
        ACTIONS[self.do].act(work, step)
        if self.only[0] > 0:
            self.only[0] -= 1
            self.meddle(work)


def meddled(
    company: Company, do: Do, meddle: Callable[[Work], None], *, times: int = 1, ending: Ending | None = None
) -> Worker:
    actions = {**ACTIONS, do: Meddling(do, meddle, [times])}
    return Worker(company.world, observe_and_plan, actions, "worker", ending=ending or Ending())


def run_duties(company: Company) -> list[Turn]:
    """Ten duties, each a worker of its own, until none of them finds anything due; the clock stands still."""
    turns: list[Turn] = []
    for _ in range(20):
        found = [turn for duty in Duty for turn in sweep(company.world, duty=duty)]
        if not found:
            return turns
        turns += found
    raise AssertionError(f"the duties hand a tenant round for ever: {turns[-4:]}")


def test_a_worker_of_another_duty_hands_the_tenant_to_the_one_whose_turn_it_is_at_once(company: Company) -> None:
    """A step of another's is not put off to the next night: its duty finds the tenant due."""
    tenant = company.request()
    assert [turn.steps for turn in sweep(company.world, duty=Duty.BACKUP)] == [()]
    assert list(sweep(company.world, duty=Duty.BACKUP)) == []
    list(sweep(company.world, duty=Duty.PROVISION))
    assert state(company, tenant) is State.ACTIVE


def test_a_tenant_that_is_alarmed_about_is_handed_on_at_once_too(company: Company) -> None:
    """Whose backup is overdue is not put off by a worker that makes none, to the next look."""
    tenant = company.create()
    company.run()
    company.advance(days=8)
    before = len(company.registry.backups(tenant.uid))
    assert [turn.blockers[0].code for turn in sweep(company.world, duty=Duty.PROVISION)] == ["rpo"]
    list(sweep(company.world, duty=Duty.BACKUP))
    assert len(company.registry.backups(tenant.uid)) == before + 1


def test_a_life_is_lived_to_its_end_by_workers_of_one_duty_each(company: Company) -> None:
    """No step waits for ever for a duty that never sees it; a reinstatement with lifted row security neither."""
    tenant = company.request()
    run_duties(company)
    assert state(company, tenant) is State.ACTIVE
    assert company.registry.backups(tenant.uid)
    company.database(tenant).forced.add("public.orders")
    company.database(tenant).tables["public.orders"] = ["one"]
    company.cancel(tenant)
    run_duties(company)
    assert state(company, tenant) is State.DEACTIVATED
    company.reinstate(tenant)
    run_duties(company)
    assert state(company, tenant) is State.ACTIVE
    assert company.database(tenant).forced == {"public.orders"}
    company.cancel(tenant)
    run_duties(company)
    for _ in range(30):
        company.advance(days=1)
        run_duties(company)
    assert state(company, tenant) is State.DESTROYED


def test_a_newer_request_is_obeyed_at_once_by_the_next_claim(company: Company) -> None:
    """A worker that is stopped by a newer request lets the tenant go; nobody waits for the end of its lease."""
    tenant = company.create()
    company.cancel(tenant)
    worker = meddled(company, Do.CLOSE_LOGINS, lambda work: company.reinstate(tenant))
    turns = list(worker.turns())
    assert isinstance(turns[0].trouble, LeaseLost)
    assert state(company, tenant) is State.ACTIVE
    assert company.databases.look_at_logins(tenant.hosting).value.can_log_in  # type: ignore[union-attr]
    steps = [json.loads(entry.body)["do"] for entry in company.registry.entries(tenant.uid) if entry.event == DONE]
    assert Do.CLOSE_LOGINS in steps, "the closing was done, and is on record"


def test_a_lease_that_ends_in_the_last_moment_of_a_turn_does_not_end_the_sweep(company: Company) -> None:
    first, second = company.create("first"), company.create("second")
    company.advance(days=1)
    slept: list[str] = []

    def sleepy(world: Any, tenant: Tenant) -> Any:
        plan = observe_and_plan(world, tenant)
        if not plan.steps and not slept:  # planning is over, only letting go is left
            slept.append(tenant.uid)
            company.moment += LEASE_FOR + timedelta(seconds=1)
        return plan

    turns = list(Worker(company.world, sleepy, ACTIONS, "worker").turns())
    assert {turn.tenant_uid for turn in turns} == {first.uid, second.uid}
    assert isinstance(turns[0].trouble, LeaseLost)


def test_a_heartbeat_that_breaks_is_a_lost_lease(company: Company) -> None:
    """Whatever stops the renewals, the work learns of it; it does not go on without a lease."""
    company.request()
    lease = company.registry.claim("worker", lease=timedelta(seconds=0.03))
    assert lease is not None

    class Broken:
        def renew(self, lease: object, *, lease_for: timedelta) -> object:
            raise RuntimeError("nobody foresaw this")

    heartbeat = Heartbeat(Broken(), lease, lease_for=timedelta(seconds=0.03))  # type: ignore[arg-type]
    with heartbeat.beating():
        while not heartbeat_ended(heartbeat):
            pass
    with pytest.raises(LeaseLost):
        heartbeat.check()


def heartbeat_ended(heartbeat: Heartbeat) -> bool:
    import threading

    return not any(thread.name.startswith("heartbeat-") for thread in threading.enumerate())


def test_a_step_that_breaks_unforeseen_is_alarmed_and_put_off_and_holds_nobody_up(company: Company) -> None:
    """A bug ends the process, loudly; but it is on record, and the next sweep begins with the others."""
    broken, sound = company.create("broken"), company.create("sound")
    company.advance(days=1)
    made = len(company.registry.backups(sound.uid))

    def break_it(work: Work) -> None:
        if work.tenant.uid == broken.uid:
            raise KeyError("secret of the customer")

    worker = meddled(company, Do.BACK_UP, break_it, times=9)
    with pytest.raises(KeyError):
        list(worker.turns())
    alarms = company.registry.alarms(broken.uid)
    assert [alarm.code for alarm in alarms] == [TROUBLE]
    assert "secret" not in alarms[0].reason
    assert company.registry.tenant(broken.uid).due_at > company.moment
    list(worker.turns())
    assert len(company.registry.backups(sound.uid)) > made


def test_an_effect_that_is_never_seen_raises_an_alarm(company: Company) -> None:
    """Waiting is not silent: somebody is told that an act did not show, and until when it has not."""
    tenant = company.create()
    company.cancel(tenant)
    worker = meddled(company, Do.CLOSE_LOGINS, lambda work: company.databases.open_logins(tenant.hosting))
    turns = list(worker.turns())
    assert turns[-1].outcome is Outcome.WAITING
    assert company.alarms(tenant) == {"blocked/unconfirmed"}
    company.advance(minutes=6)
    company.run()
    assert state(company, tenant) is State.DEACTIVATED
    assert company.alarms(tenant) == set()


@pytest.mark.parametrize(
    "body",
    [
        {"do": "teleport", "subject": "SUBJECT", "reason": "a newer version does this", "argument": ""},
        {"do": Do.OPEN_LOGINS.value, "subject": "SUBJECT", "reason": "the customer came back", "argument": ""},
    ],
)
def test_unfinished_evidence_of_long_ago_holds_up_no_tenant(company: Company, body: dict[str, str]) -> None:
    """What a step began in another age of the tenant, or of the program, can have no end; the tenant goes on."""
    tenant = company.deactivated()
    company.advance(days=25)
    company.run()
    assert state(company, tenant) is State.DESTROYED
    company.registry.make_due(tenant.uid)
    lease = company.registry.claim("dead", lease=timedelta(minutes=5))
    assert lease is not None
    with company.registry.fenced(lease) as writes:
        writes.journal("step-begun", **{**body, "subject": tenant.uid})
    company.advance(minutes=6)
    turns = company.run()
    assert [turn.trouble for turn in turns] == [None]
    assert company.alarms(tenant) == set()


def test_what_stands_in_a_steps_way_is_shown_and_looked_at_again_soon(company: Company) -> None:
    """A guard's blocker is part of the turn; a plan without a date of its own is not put off for a day."""
    tenant = company.request()
    actions = {**ACTIONS, Do.PREPARE_DATABASE: Forbidding()}
    (turn,) = Worker(company.world, observe_and_plan, actions, "worker").turns()
    assert turn.outcome is Outcome.BLOCKED
    assert [blocker.code for blocker in turn.blockers] == ["forbidden"]
    assert company.registry.tenant(tenant.uid).due_at <= company.moment + timedelta(minutes=10)


class Forbidding:
    """A step that something stands in the way of."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        return False

    def guard(self, work: Work, step: Step) -> Any:
        from tenantctl.model.plan import Blocker

        return (Blocker("forbidden", "not today", alarm=True),)

    def act(self, work: Work, step: Step) -> None:
        raise AssertionError("nobody acts past a blocker")


def test_a_worker_that_is_told_to_end_hands_back_what_it_holds(company: Company) -> None:
    """The step in hand gets its evidence, the tenant is due at once, and no other is begun; another worker goes on."""
    tenant, other = company.request("acme"), company.request("other")
    ending = Ending()
    worker = meddled(company, Do.CREATE_DATABASE, lambda work: ending.ask("SIGTERM"), ending=ending)
    (turn,) = worker.turns()
    assert isinstance(turn.trouble, HandedBack)
    assert company.registry.lease_of(tenant.uid) is None
    assert company.registry.tenant(tenant.uid).due_at == company.registry.now()
    assert company.alarms(tenant) == set()
    assert state(company, other) is State.REQUESTED, "nobody began with it"
    company.run()
    assert (state(company, tenant), state(company, other)) == (State.ACTIVE, State.ACTIVE)
    said = [json.loads(entry.body) | {"event": entry.event} for entry in company.registry.entries(tenant.uid)]
    created = [one["event"] for one in said if one.get("do") == Do.CREATE_DATABASE]
    assert created == ["step-begun", "step-done"], "once, and on record"


def test_a_worker_whose_time_is_up_begins_with_no_other_tenant(company: Company) -> None:
    """It ends what it has begun."""
    for name in ("first", "second", "third"):
        company.request(name)
    seconds = iter([0.0, 1.0, 59.0, 60.0])
    ending = Ending(begins_for=timedelta(minutes=1), clock=lambda: next(seconds))
    turns = list(Worker(company.world, observe_and_plan, ACTIONS, "worker", ending=ending).turns())
    assert [turn.outcome for turn in turns] == [Outcome.DONE, Outcome.DONE]
    assert not ending.is_asked
