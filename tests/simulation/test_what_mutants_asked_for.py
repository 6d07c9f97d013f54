"""Tests that were missing until a planted mistake lived: see docs/MUTANTS.md."""

from dataclasses import replace
from datetime import timedelta

from tenantctl.model.decisions import Act, Approval, Hold, Proposal, ProposalKind
from tenantctl.model.lifecycle import State
from tenantctl.offboarding.caps import allowed
from tenantctl.offboarding.safeguards import WAIVABLE, destruction_blockers
from tests.rooms.company import VERIFY_INSTANCE, Company
from tests.rooms.rule_facts import DESTROY_AFTER, HOSTING, POLICIES, ripe_facts

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
