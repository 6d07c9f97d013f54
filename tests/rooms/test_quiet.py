"""Quiet turns: what is planned of many tenants together is what would be planned of each by itself."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tenantctl.backups.schedule import newest_slot
from tenantctl.engine.ending import Ending
from tenantctl.engine.executor import Outcome
from tenantctl.model.backup import Backup, BackupState, CopyState, RetentionClass, VerificationLevel
from tenantctl.model.decisions import Standing
from tenantctl.model.facts import Facts, Known, for_a_look
from tenantctl.model.policy import Policies
from tenantctl.model.tenant import Tenant
from tenantctl.model.work import Danger
from tenantctl.ports.work import Later
from tenantctl.sweeps.observe import observe_and_plan, quiet_plans
from tenantctl.sweeps.planning import plan
from tenantctl.sweeps.tenants import sweep
from tests.contracts.registry_samples import backup_of
from tests.rooms.company import Company


def made_due(company: Company, tenant: Tenant) -> None:
    """Due now, as it is after so long without a worker, and not because somebody asked."""
    lease = company.registry.claim("w", lease=timedelta(minutes=1), tenant=tenant.uid)
    if lease is None:
        company.registry.make_due(tenant.uid)
        lease = company.registry.claim("w", lease=timedelta(minutes=1), tenant=tenant.uid)
    assert lease is not None
    company.registry.release(lease, due_at=company.moment, duty=None, danger=Danger.BACKUP, failures=0)


def test_plans_of_many_are_the_plans_of_each() -> None:
    """At every hour of some weeks, with freezes and customers that come and go: steps, blockers and next look."""
    company, compared = Company(), [0]
    tenants = [company.create(f"t{number}") for number in range(3)]

    def decide(shown: Sequence[Known]) -> Mapping[str, Later]:
        for tenant, planned in quiet_plans(company.world, shown):
            assert planned == observe_and_plan(company.world, tenant)
            compared[0] += 1
        return {}

    for day in range(40):
        company.run()
        if day == 7:
            company.decisions.freeze("all", "the audit looks odd")
        if day == 9:
            company.cancel(tenants[2])
        for hours in (1, 5, 9, 9):
            company.advance(hours=hours)
            for tenant in tenants[: 2 if day >= 9 else 3]:
                made_due(company, tenant)
            company.registry.put_off(decide, count=9)
    assert compared[0] > 200


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_does_not_depend_on_what_a_look_leaves_out(seed: int) -> None:
    """Lives of up to a year and more, quiet ones and others: the same plan with and without it, to the word."""
    said, company = random.Random(f"a look, {seed}"), Company()
    tenant, policies, quiet, left_out = company.create(), company.world.policies, 0, 0
    for _ in range(20):
        began, days = company.moment + timedelta(days=said.randrange(60)), said.randrange(30, 460)
        tenant = replace(tenant, created_at=began - timedelta(days=days + said.randrange(2)))
        facts = Facts(tenant, tuple(a_life(said, tenant, began, days, policies)), standing=Standing())
        for hours in (0, 3, 30, 24 * 25):
            now = began + timedelta(hours=hours)
            brief = replace(facts, backups=for_a_look(facts.backups, now=now))
            planned = plan(brief, policies, now=now)
            assert planned == plan(facts, policies, now=now)
            left_out += len(facts.backups) - len(brief.backups)
            quiet += not planned.steps
    assert (left_out > 1000, quiet > 0) == (True, True)


def a_life(said: random.Random, tenant: Tenant, now: datetime, days: int, policies: Policies) -> Iterator[Backup]:
    """A backup a night, the old ones over; few were proved, and in some lives anything may have happened to any."""
    over_after, odd = timedelta(days=said.choice([3, 20, 36])), said.choice([0.0, 0.0, 0.02])
    unlike, last = (
        said.choice([BackupState.COMPLETE, BackupState.FAILED, BackupState.SHORT]),
        said.choice([0, 0, 0, 60]),
    )
    proved, odder, monthly = said.randrange(240), said.randrange(90), said.randrange(40)
    for night in range(days, last, -1):
        before = now - timedelta(days=night - 1)
        slot = newest_slot(tenant.uid, tenant.time_zone, policies.backups.night, now=before)
        at = slot.due_at
        is_over, is_odd = now - at > over_after, said.random() < odd
        made = backup_of(
            tenant,
            at,
            slot=slot.name,
            number=night,
            state=said.choice(list(BackupState)) if is_odd else unlike if night % 90 == odder else BackupState.COMPLETE,
            retention_class=RetentionClass.MONTHLY if night % 40 == monthly else RetentionClass.DAILY,
            verified_at=at if night % 240 == proved or night % 90 == odder else None,
            verified_level=VerificationLevel.RESTORED if night % 240 == proved else VerificationLevel.STRUCTURE,
        )
        states = list(CopyState) if is_odd else [CopyState.LAPSED if is_over else CopyState.WRITTEN]
        written = {"seen_at": now, "written_at": at, "verified_at": now, "lapses_at": at + timedelta(days=900)}
        copies = [replace(copy, state=said.choice(states), **written) for copy in made.copies]  # type: ignore[arg-type]
        yield replace(made, copies=tuple(copies))


def test_quiet_tenants_are_put_off_and_the_others_worked_on() -> None:
    """Each due tenant has its turn; a quiet one without a lease, and one with work to do is left to a claim."""
    company = Company()
    tenants = [company.create(f"t{number}") for number in range(4)]
    company.run()
    expected = {tenant.uid: company.registry.tenant(tenant.uid).due_at for tenant in tenants}
    for tenant in tenants:
        made_due(company, tenant)
    turns = list(sweep(company.world, at_once=3))
    assert {turn.tenant_uid: turn.due_at for turn in turns} == expected
    assert all(turn.outcome is Outcome.DONE and not turn.steps for turn in turns)
    assert {one.uid: one.due_at for one in company.registry.tenants()} == expected
    assert all(company.registry.claim("w", lease=timedelta(1), tenant=uid) is None for uid in expected)
    company.advance(days=1)
    turns = company.run()
    assert sorted(turn.tenant_uid for turn in turns if turn.steps) == sorted(expected)


def test_a_worker_that_is_to_end_puts_nobody_off() -> None:
    company, ending = Company(), Ending()
    tenant = company.create()
    company.run()
    made_due(company, tenant)
    ending.ask("it is told to")
    assert list(sweep(company.world, ending=ending)) == []
    assert company.registry.tenant(tenant.uid).due_at == company.moment
