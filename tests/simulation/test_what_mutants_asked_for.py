"""Tests that were missing until a planted mistake lived: see docs/MUTANTS.md."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.backups.planning import lapses_by_date
from tenantctl.engine.actions import Work
from tenantctl.engine.executor import execute
from tenantctl.engine.heartbeat import Heartbeat
from tenantctl.engine.worker import LEASE_FOR
from tenantctl.model.backup import ResidueKind
from tenantctl.model.decisions import Act, Approval, Hold, Proposal, ProposalKind
from tenantctl.model.errors import Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Blocker, Do, Plan, Step
from tenantctl.model.tenant import Tenant
from tenantctl.offboarding.caps import allowed
from tenantctl.offboarding.destruction import DropDatabase, MarkDestroyed, MarkDestroying
from tenantctl.offboarding.safeguards import WAIVABLE, destruction_blockers
from tests.rooms.company import TENANTS_INSTANCE, VERIFY_INSTANCE, Company
from tests.rooms.rule_facts import DESTROY_AFTER, HOSTING, POLICIES, residue, ripe_facts

LATE = DESTROY_AFTER + timedelta(days=30)
TWO = (Approval("alice@example.com", LATE), Approval("bob@example.com", LATE))


def waiver(of: str, **changes: object) -> Proposal:
    """A waiver of one safeguard, approved by two people."""
    content = {"blocker": of, "reason": "it cannot be otherwise"}
    made = Proposal("d", ProposalKind.WAIVER, HOSTING.uid, content, LATE, "alice@example.com", LATE + timedelta(days=1))
    return replace(made, **{"approvals": TWO, **changes})  # type: ignore[arg-type]  # tests name what they need


def test_a_deactivation_that_took_long_counts_grace_from_its_end() -> None:
    """The customer has the whole time in which it can come back, however long its final backup took."""
    company = Company()
    tenant = company.create()
    company.cancel(tenant)
    company.servers[VERIFY_INSTANCE].reachable = False
    company.run()
    promised = company.registry.tenant(tenant.uid).destroy_after
    assert promised is not None
    company.advance(days=5)
    company.servers[VERIFY_INSTANCE].reachable = True
    company.run()
    now = company.registry.tenant(tenant.uid)
    assert now.state is State.DEACTIVATED
    assert now.destroy_after is not None
    assert now.destroy_after >= company.moment + timedelta(days=21)
    assert now.destroy_after > promised


def test_a_hold_is_never_waived() -> None:
    """Neither by two people nor late: what may be waived is a short list."""
    assert {"copies-seen", "notice"} == WAIVABLE
    facts = ripe_facts(now=LATE)
    assert facts.standing is not None
    hold = Hold(1, HOSTING.uid, "AZ 12/26", LATE, DESTROY_AFTER, "alice@example.com")
    waived = replace(facts, standing=replace(facts.standing, holds=(hold,), proposals=(waiver("hold"),)))
    assert "hold" in {blocker.code for blocker in destruction_blockers(waived, POLICIES, now=LATE)}


def test_a_percentage_is_never_rounded_up() -> None:
    """Of 29 tenants a tenth is two."""
    caps = replace(POLICIES.lifecycle.caps, percent_of_at_least=1)
    caps = replace(caps, destroy=replace(caps.destroy, tenants_max=20, percent_max=10))
    assert [allowed(caps, Act.DESTROY, tenants) for tenants in (9, 10, 29, 30)] == [0, 1, 2, 3]


def test_one_person_who_approves_twice_is_one() -> None:
    """Whatever the registry let through."""
    twice = (Approval("alice@example.com", LATE), Approval("alice@example.com", LATE + timedelta(hours=1)))
    assert waiver("copies-seen", approvals=twice).approved_at is None


def test_an_approval_that_was_used_is_over() -> None:
    """It let one act through."""
    now = LATE + timedelta(hours=1)
    assert waiver("copies-seen").is_approved(now=now)
    assert not waiver("copies-seen", spent_at=LATE).is_approved(now=now)


DROP = Step(Do.DROP_DATABASE, HOSTING.uid, "its time has come")


def work_on(company: Company, tenant: Tenant, *steps: Step) -> Work:
    """A plan of these steps in a worker's hands."""
    company.registry.make_due(tenant.uid)
    lease = company.registry.claim("somebody", lease=LEASE_FOR, tenant=tenant.uid)
    assert lease is not None
    plan = Plan(tenant.uid, "tried", steps)
    return Work(company.world, tenant, plan, Heartbeat(company.registry, lease, lease_for=LEASE_FOR))


def test_a_silent_instance_shows_no_drop() -> None:
    """Neither is the database gone, nor is its destruction put on record."""
    company = Company()
    tenant = company.create()
    work = work_on(company, tenant, DROP)
    company.servers[TENANTS_INSTANCE].reachable = False
    with pytest.raises(Transient):
        DropDatabase().is_done(work, DROP)
    assert {blocker.code for blocker in MarkDestroyed().guard(work, DROP)} == {"instance-unreachable"}


def test_nothing_is_dropped_before_the_point_of_no_return() -> None:
    """Whoever has a plan to drop the database of a tenant that is in use finds its state in the way."""
    company = Company()
    tenant = company.create()
    blockers = {blocker.code for blocker in DropDatabase().guard(work_on(company, tenant, DROP), DROP)}
    assert "state" in blockers


def test_a_window_has_not_passed_before_its_date() -> None:
    """However long ago the place was made."""
    window = residue(ResidueKind.INSTANCE_BACKUPS, LATE)
    assert window.made_at < LATE
    assert not lapses_by_date(window, now=LATE - timedelta(seconds=1))
    assert lapses_by_date(window, now=LATE)


class Done:
    """An action whose effect is in the world before anybody acts."""

    journals_itself = False

    def __init__(self) -> None:
        self.acted = 0

    def is_done(self, work: Work, step: Step) -> bool:
        """It is."""
        return True

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Nothing forbids it."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Counts."""
        self.acted += 1


def test_what_is_done_is_not_done_again() -> None:
    """Nor put on record again."""
    company, action = Company(), Done()
    tenant = company.create()
    work = work_on(company, tenant, DROP)
    assert execute(work, {Do.DROP_DATABASE: action}).steps == ()
    assert action.acted == 0
    assert not [entry for entry in company.registry.entries(tenant.uid) if "drop-database" in entry.body]


def test_evidence_is_not_finished_without_a_look() -> None:
    """A worker that died before its effect leaves a step that began, and the next one does not call it done."""
    company = Company()
    tenant = company.create()
    company.advance(hours=1)
    work_on(company, tenant)
    body = {"do": "drop-database", "subject": tenant.uid, "reason": "its time has come", "argument": ""}
    company.registry.append_entry(tenant.uid, "step-begun", body)
    company.advance(hours=1)
    company.run()
    drops = [entry.event for entry in company.registry.entries(tenant.uid) if "drop-database" in entry.body]
    assert drops == ["step-begun"]


def test_a_request_that_comes_after_the_last_look_is_obeyed() -> None:
    """The customer comes back between the safeguards and the transaction: nothing of the destruction is written."""
    company = Company()
    tenant = company.deactivated()
    company.advance(days=30)
    mark = Step(Do.MARK_DESTROYING, tenant.uid, "grace is over")
    work = work_on(company, tenant, mark)
    company.reinstate(tenant)
    with pytest.raises(Transient, match="newer request"):
        MarkDestroying().act(work, mark)
    assert company.registry.tenant(tenant.uid).state is State.DEACTIVATED
