"""The worker: claims a tenant that is due, plans, executes, and says when to look again.

Ten workers or one, the same code: PostgreSQL gives each due tenant to one of
them. A tenant that fails is put off with growing patience and never holds up
the others.
"""

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tenantctl.engine.actions import Actions, Work
from tenantctl.engine.ending import Ending
from tenantctl.engine.executor import Outcome, Progress, Result, execute, finish_evidence, unconfirmed
from tenantctl.engine.heartbeat import Heartbeat
from tenantctl.engine.observing import Observer, Unobserved
from tenantctl.engine.quiet import QUIET_AT_ONCE, QuietPlanner, quiet
from tenantctl.model.errors import LeaseLost, Refused, TenantctlError, Transient
from tenantctl.model.plan import Blocker, Duty, Plan, Step
from tenantctl.model.tenant import Tenant
from tenantctl.model.work import PARKED, RETRY_AFTER, STUCK, TROUBLE, danger_after, danger_of, retry_after
from tenantctl.ports.registry import Lease
from tenantctl.ports.world import World

LEASE_FOR: Final = timedelta(minutes=5)
BLOCKED: Final = "blocked/"  # how the codes of blockers' alarms begin
OF_WORK: Final = frozenset({TROUBLE, STUCK, PARKED})  # alarms that a turn without trouble closes
ROUNDS_MAX: Final = 8  # plans carried out in one claim; each must have moved the tenant on

Planner = Callable[[World, Tenant], Plan]


@dataclass(frozen=True)
class Turn:
    """What came of one claim: the last plan, its result, or why it ended early.

    `trouble` is None if all went as planned; `due_at` is when the tenant is looked at next;
    `blockers` are those of the plan, and what a step found in its way; `alarms` are the codes of
    all that are open at its end, and `cleared` of those that it closed.
    """

    tenant_uid: str
    label: str
    plan: Plan | None
    steps: tuple[Step, ...]
    outcome: Outcome | None
    trouble: TenantctlError | None
    due_at: datetime | None
    blockers: tuple[Blocker, ...] = ()
    alarms: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()


def new_owner() -> str:
    """A name for this process as the holder of leases, unlike any other."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Worker:
    """Works through what is due; `planner` observes and plans, `actions` carry out.

    With `at_once` above 1 it works on so many tenants side by side, each in a thread of its own.
    """

    world: World
    planner: Planner
    actions: Actions
    owner: str
    duty: Duty | None = None
    tenant: str | None = None
    ending: Ending = field(default_factory=Ending)
    observer: Observer = field(default_factory=Unobserved)
    at_once: int = 1
    quiet_planner: QuietPlanner | None = None

    def turns(self, *, progress: Progress = lambda step: None) -> Iterator[Turn]:
        """One turn for each tenant that is due, as they end, until none is, or the worker is to end.

        Raises:
            Transient: the registry does not answer.
        """
        if self.at_once > 1 and self.tenant is None:
            yield from self._side_by_side(progress)
            return
        yield from self._quiet_turns()
        while leases := self._claim(1):
            turn = self._turn(leases[0], progress)
            yield turn
            if not turn.steps:  # there may be more of the kind
                yield from self._quiet_turns()

    def _quiet_turns(self) -> Iterator[Turn]:
        """A turn for each due tenant about which the registry by itself says that nothing is to be done."""
        if self.quiet_planner is None or self.tenant is not None:
            return
        more = True
        while more and self.ending.may_begin:
            put_off = quiet(self.world, self.quiet_planner)
            for tenant, plan in put_off:
                yield Turn(tenant.uid, tenant.label, plan, (), Outcome.DONE, None, plan.next_look)
            more = len(put_off) > QUIET_AT_ONCE // 2  # of fewer, what needs work stands in front, and is claimed first

    def _claim(self, count: int) -> Sequence[Lease]:
        """Up to `count` tenants to begin with; one that a person named is held to no limits."""
        if not self.ending.may_begin:
            return ()
        registry = self.world.registry
        if self.tenant is not None:
            lease = registry.claim(self.owner, lease=LEASE_FOR, duty=self.duty, tenant=self.tenant)
            return () if lease is None else (lease,)
        limits = self.world.policies.lifecycle.work.limits
        return registry.claim_many(self.owner, lease=LEASE_FOR, count=count, limits=limits, duty=self.duty)

    def _side_by_side(self, progress: Progress) -> Iterator[Turn]:
        """As many turns at a time as there are places; whenever one ends, another begins.

        If the registry does not answer, nothing more is begun, and those at work come to their end. If one breaks in a
        way that nobody foresaw, or nobody listens any more, they hand back what they have.
        """
        yield from self._quiet_turns()
        running: set[Future[Turn]] = set()
        silent: Transient | None = None
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="worker") as pool:
            try:
                while True:
                    if silent is None:
                        try:
                            leases = self._claim(self.at_once - len(running))
                            running |= {pool.submit(self._turn, lease, progress) for lease in leases}
                        except Transient as trouble:
                            silent = trouble
                    if not running:
                        break
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    for one in ended:
                        yield one.result()
                    if silent is None and not all(one.result().steps for one in ended):
                        yield from self._quiet_turns()
            except BaseException:
                self.ending.ask("it broke off")
                raise
        if silent is not None:
            raise silent

    def _turn(self, lease: Lease, progress: Progress) -> Turn:
        heartbeat = Heartbeat(self.world.registry, lease, lease_for=LEASE_FOR, ending=self.ending)
        tenant = self.world.registry.tenant(lease.tenant_uid)
        steps: list[Step] = []
        plans: list[Plan] = []
        try:
            before = self._open_codes(tenant.uid)
            doubtful = lease.taken_over or bool(before & {TROUBLE, f"{BLOCKED}unconfirmed"})
            tenant, plan, result = self._rounds(heartbeat, plans, steps, progress, doubtful=doubtful)
            due_at, alarms = self._settle(heartbeat, tenant, plan, result)
        except LeaseLost as lost:
            self._give_way(tenant, heartbeat)
            return Turn(tenant.uid, tenant.label, None, tuple(steps), None, lost, None)
        except (Transient, Refused) as trouble:
            return self._put_off(tenant, heartbeat, plans, tuple(steps), trouble)
        except Exception as bug:
            self._put_off(tenant, heartbeat, plans, tuple(steps), _unforeseen(bug))
            raise
        blockers = (*plan.blockers, *result.blockers)
        told = {"alarms": tuple(sorted(alarms)), "cleared": tuple(sorted(before - alarms))}
        return Turn(tenant.uid, tenant.label, plan, tuple(steps), result.outcome, None, due_at, blockers, **told)

    def _open_codes(self, uid: str) -> set[str]:
        return {alarm.code for alarm in self.world.registry.alarms(uid)}

    def _rounds(
        self, heartbeat: Heartbeat, plans: list[Plan], steps: list[Step], progress: Progress, *, doubtful: bool
    ) -> tuple[Tenant, Plan, Result]:
        """Plans and executes until a plan has no more steps for this worker, or one does not come to its end.

        What was planned and carried out is left in `plans` and `steps`, whatever comes of it. Where it is
        `doubtful` that earlier work has its evidence, that comes first.
        """
        for _ in range(ROUNDS_MAX):
            tenant = self.world.registry.tenant(heartbeat.lease.tenant_uid)
            plan = self.planner(self.world, tenant)
            plans.append(plan)
            if doubtful:
                finish_evidence(Work(self.world, tenant, plan, heartbeat), self.actions)
                doubtful = False
            if not plan.steps:
                return tenant, plan, Result(Outcome.BLOCKED if plan.blockers else Outcome.DONE)
            if self.duty is not None and plan.duty is not self.duty:
                return tenant, plan, Result(Outcome.DONE)  # to be handed on, whatever else is told about it
            work = Work(self.world, tenant, plan, heartbeat)
            with self.observer.plan(plan):
                result = execute(work, self.actions, duty=self.duty, progress=progress)
            steps.extend(result.steps)
            if result.outcome is not Outcome.DONE:
                return tenant, plan, result
        endless = unconfirmed("one plan follows another without an end")
        return tenant, plan, Result(Outcome.WAITING, blockers=(endless,))

    def _settle(self, heartbeat: Heartbeat, tenant: Tenant, plan: Plan, result: Result) -> tuple[datetime, set[str]]:
        """Opens and closes alarms as the last plan says, and lets the tenant go until the moment that it returns.

        With that moment, it returns the codes of all alarms that are open now.
        """
        registry = self.world.registry
        alarming = [blocker for blocker in (*plan.blockers, *result.blockers) if blocker.alarm]
        open_codes = self._open_codes(plan.tenant_uid)
        if alarming or open_codes & OF_WORK or any(code.startswith(BLOCKED) for code in open_codes):
            codes = {f"{BLOCKED}{blocker.code}" for blocker in alarming}
            with registry.fenced(heartbeat.lease, plan_digest=plan.digest) as writes:
                for blocker in alarming:
                    writes.raise_alarm(f"{BLOCKED}{blocker.code}", blocker.reason)
                over = {code for code in open_codes - codes if code in OF_WORK or code.startswith(BLOCKED)}
                for code in sorted(over):
                    writes.clear_alarm(code)
            open_codes = (open_codes - over) | codes
        due_at = _due_after(plan, result, registry.now())
        danger = danger_of(tenant, plan)
        registry.release(heartbeat.lease, due_at=due_at, duty=plan.duty, danger=danger, failures=0)
        return due_at, open_codes

    def _give_way(self, tenant: Tenant, heartbeat: Heartbeat) -> None:
        """Lets go of a lease that is still ours, so that a newer request is obeyed at once, or another worker goes on.

        What was done until then gets its evidence; where that cannot be seen now,
        the lease is left to end, and whoever takes it over looks for it.
        """
        with suppress(LeaseLost, Transient):
            finish_evidence(Work(self.world, tenant, Plan(tenant.uid, "give way"), heartbeat), self.actions)
            self.world.registry.release(heartbeat.lease, due_at=self.world.registry.now(), duty=None)

    def _put_off(
        self,
        tenant: Tenant,
        heartbeat: Heartbeat,
        plans: Sequence[Plan],
        steps: tuple[Step, ...],
        trouble: TenantctlError,
    ) -> Turn:
        """Records what went wrong and comes back later: the longer it has gone on, the later; in the end it is stuck.

        What the last plan alarms about is told too: trouble night after night is no reason to keep it back.
        """
        registry = self.world.registry
        now = registry.now()
        alarms = {alarm.code: alarm.since for alarm in registry.alarms(tenant.uid)}
        failures, failing_for = heartbeat.lease.failures + 1, now - alarms.get(TROUBLE, now)
        due_at = now + retry_after(tenant.uid, failures, failing_for)
        is_stuck = self.world.policies.lifecycle.work.is_stuck(failures, failing_for)
        alarming = [blocker for blocker in (plans[-1].blockers if plans else ()) if blocker.alarm]
        try:
            with registry.fenced(heartbeat.lease) as writes:
                writes.raise_alarm(TROUBLE, trouble.sentence)
                if is_stuck:
                    writes.raise_alarm(STUCK, f"{failures} turns in a row ended in trouble: {trouble.sentence}")
                for blocker in alarming:
                    writes.raise_alarm(f"{BLOCKED}{blocker.code}", blocker.reason)
            danger = danger_after(failures)
            registry.release(heartbeat.lease, due_at=due_at, duty=None, danger=danger, failures=failures)
        except LeaseLost:
            return Turn(tenant.uid, tenant.label, None, steps, None, trouble, None)
        told = {*alarms, TROUBLE, *([STUCK] if is_stuck else []), *(f"{BLOCKED}{one.code}" for one in alarming)}
        return Turn(tenant.uid, tenant.label, None, steps, None, trouble, due_at, alarms=tuple(sorted(told)))


def _due_after(plan: Plan, result: Result, now: datetime) -> datetime:
    """When to look again: at once by another duty, soon if something is under way or in the way, else by the plan."""
    if result.outcome is Outcome.DONE and plan.steps:
        return now  # they are another duty's, to which the tenant is handed
    if result.outcome is Outcome.WAITING or plan.next_look is None:
        return now + RETRY_AFTER
    return max(plan.next_look, now + RETRY_AFTER) if result.outcome is Outcome.BLOCKED else plan.next_look


def _unforeseen(bug: Exception) -> TenantctlError:
    """What is told of a mistake of ours; not its words, which may be a customer's data."""
    return TenantctlError(f"A step broke in a way that nobody foresaw: {type(bug).__name__}. The run's log has more.")
