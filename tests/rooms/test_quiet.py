"""Quiet turns: what is planned of many tenants together is what would be planned of each by itself."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from tenantctl.engine.ending import Ending
from tenantctl.engine.executor import Outcome
from tenantctl.model.facts import Known
from tenantctl.model.tenant import Tenant
from tenantctl.model.work import Danger
from tenantctl.ports.work import Later
from tenantctl.sweeps.observe import observe_and_plan, quiet_plans
from tenantctl.sweeps.tenants import sweep
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
        for tenant, plan in quiet_plans(company.world, shown):
            assert plan == observe_and_plan(company.world, tenant)
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
