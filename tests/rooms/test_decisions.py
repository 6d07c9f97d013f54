"""People's decisions in the life of a tenant: freezes, holds, caps, notices, erasures and waivers, really run."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.bootstrap import policies
from tenantctl.custody.approval import approve_proposal
from tenantctl.model.caps import Cap
from tenantctl.model.decisions import Act
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.policy import NoticesPolicy
from tenantctl.model.tenant import Tenant, Wanted
from tenantctl.offboarding.erasure import ErasureBasis, request_erasure, request_waiver
from tenantctl.offboarding.freezing import request_freeze
from tenantctl.offboarding.holding import request_hold, request_release
from tenantctl.sweeps.tenants import sweep
from tests.rooms.company import HOME, Company

GRACE_AND_A_DAY = 23
BOB = "bob@example.com"


@pytest.fixture
def company() -> Company:
    return Company()


def state(company: Company, tenant: Tenant) -> State:
    return company.registry.tenant(tenant.uid).state


def with_caps(company: Company, act: Act, cap: Cap) -> None:
    """The same policies with another cap."""
    old = company.policies
    caps = old.lifecycle.caps
    caps = replace(caps, deactivate=cap) if act is Act.DEACTIVATE else replace(caps, destroy=cap)
    company.policies = replace(old, lifecycle=replace(old.lifecycle, caps=caps))


def with_notices(company: Company, **changes: object) -> None:
    """The same policies with other rules for notices."""
    old = company.policies
    notices: NoticesPolicy = replace(old.lifecycle.notices, **changes)  # type: ignore[arg-type]  # tests name what they need
    company.policies = replace(old, lifecycle=replace(old.lifecycle, notices=notices))


def after_grace(company: Company, tenant: Tenant) -> None:
    """The morning after grace, before anybody looked."""
    until = company.registry.tenant(tenant.uid).destroy_after
    assert until is not None
    company.advance(seconds=(until - company.moment).total_seconds() + 1)


def bob_approves(company: Company, digest: str) -> None:
    """A colleague says yes."""
    approve_proposal(replace(company.world, decisions=company.colleagues_decisions(BOB)), digest)


# Freezes


def test_a_frozen_region_closes_and_destroys_nothing(company: Company) -> None:
    leaving, ripe = company.create("leaving"), company.deactivated("ripe")
    after_grace(company, ripe)
    request_freeze(company.world, HOME, "the audit is odd")
    company.cancel(leaving)
    company.run()
    assert (state(company, leaving), state(company, ripe)) == (State.ACTIVE, State.DEACTIVATED)
    company.decisions.unfreeze(HOME, "it was nothing")
    company.advance(hours=2)
    company.run()
    assert (state(company, leaving), state(company, ripe)) == (State.DEACTIVATED, State.DESTROYED)


def test_a_frozen_tenant_is_backed_up_and_may_come_back(company: Company) -> None:
    """Only what destroys stops."""
    leaving, closed = company.create("leaving"), company.deactivated("closed")
    request_freeze(company.world, "all", "the audit is odd")
    company.cancel(leaving)
    company.reinstate(closed)
    company.advance(days=2)
    company.run()
    assert state(company, closed) is State.ACTIVE
    newest = max(company.registry.backups(leaving.uid), key=lambda one: one.begun_at)
    assert newest.begun_at == company.moment


def test_a_freeze_in_the_middle_of_a_run_is_obeyed_at_the_next_step(company: Company) -> None:
    """Marked as destroying, and then frozen: its database stays until the freeze ends."""
    ripe = company.deactivated()
    after_grace(company, ripe)

    class Late:
        """Freezes as soon as the destruction is on record."""

        def __init__(self) -> None:
            self._decisions = company.decisions

        def __getattr__(self, name: str) -> object:
            if name == "freezes" and state(company, ripe) is State.DESTROYING:
                self._decisions.freeze("all", "stop")
            return getattr(self._decisions, name)

    list(sweep(replace(company.world, decisions=Late())))  # type: ignore[arg-type]  # it hands every method through
    assert state(company, ripe) is State.DESTROYING
    assert company.has_database(ripe)
    company.decisions.unfreeze("all", "go on")
    company.advance(hours=2)
    company.run()
    assert state(company, ripe) is State.DESTROYED


@pytest.mark.parametrize(("scope", "reason", "says"), [("mars-north1", "why", "no region"), (HOME, "  ", "reason")])
def test_a_freeze_names_a_region_and_a_reason(company: Company, scope: str, reason: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        request_freeze(company.world, scope, reason)
    assert list(company.decisions.freezes()) == []


# Holds


def test_a_held_tenant_is_not_destroyed_until_it_is_released(company: Company) -> None:
    ripe = company.deactivated()
    request_hold(company.world, ripe, case_reference="AZ 12/26", review_by=company.moment + timedelta(days=90))
    after_grace(company, ripe)
    for _ in range(20):
        company.run()
        company.advance(days=1)
    assert state(company, ripe) is State.DEACTIVATED
    request_release(company.world, ripe, case_reference="AZ 12/26", because="order of yesterday")
    company.run()
    assert state(company, ripe) is State.DESTROYED


def test_a_hold_needs_a_case_and_a_review_to_come(company: Company) -> None:
    tenant = company.create()
    with pytest.raises(Refused, match="case"):
        request_hold(company.world, tenant, case_reference=" ", review_by=company.moment + timedelta(days=1))
    with pytest.raises(Refused, match="passed"):
        request_hold(company.world, tenant, case_reference="AZ 1", review_by=company.moment)
    with pytest.raises(NotFound):
        request_release(company.world, tenant, case_reference="AZ 1", because="why")


# Caps


def test_over_the_cap_nothing_happens_and_two_people_let_exactly_that_batch_through(company: Company) -> None:
    """Nothing, and not the first two; who comes later waits for the next batch."""
    with_caps(company, Act.DEACTIVATE, Cap(tenants_max=2, percent_max=100))
    tenants = [company.create(f"acme-{number}") for number in range(3)]
    for tenant in tenants:
        company.cancel(tenant)
    company.run()
    assert {state(company, tenant) for tenant in tenants} == {State.ACTIVE}
    (batch,) = company.decisions.proposals()
    assert batch.content["members"] == sorted(tenant.uid for tenant in tenants)
    late = company.create("late")
    company.cancel(late)
    company.run()
    assert list(company.decisions.proposals()) == [batch]

    company.decisions.approve(batch.digest)
    with pytest.raises(Refused, match="two people"):
        company.decisions.approve(batch.digest)
    company.advance(hours=2)
    company.run()
    assert {state(company, tenant) for tenant in tenants} == {State.ACTIVE}
    bob_approves(company, batch.digest)
    company.advance(hours=2)
    company.run()
    assert {state(company, tenant) for tenant in tenants} == {State.DEACTIVATED}
    assert state(company, late) is State.ACTIVE
    company.advance(days=2)
    company.run()
    assert state(company, late) is State.DEACTIVATED


def test_a_member_that_came_back_is_not_closed_by_its_batch(company: Company) -> None:
    """Each is checked again before its act."""
    with_caps(company, Act.DEACTIVATE, Cap(tenants_max=1, percent_max=100))
    gone, back = company.create("gone"), company.create("back")
    company.cancel(gone)
    company.cancel(back)
    company.run()
    (batch,) = company.decisions.proposals()
    company.reinstate(back)
    company.decisions.approve(batch.digest)
    bob_approves(company, batch.digest)
    company.advance(hours=2)
    company.run()
    assert (state(company, gone), state(company, back)) == (State.DEACTIVATED, State.ACTIVE)


@pytest.mark.parametrize("cap", [Cap(tenants_max=0, percent_max=100), Cap(tenants_max=100, percent_max=0)])
def test_zero_means_zero(company: Company, cap: Cap) -> None:
    tenant = company.deactivated()
    with_caps(company, Act.DESTROY, cap)
    after_grace(company, tenant)
    for _ in range(5):
        company.run()
        company.advance(days=1)
    assert state(company, tenant) is State.DEACTIVATED
    assert "blocked/cap" in company.alarms(tenant)


def test_a_stale_batch_is_refused_with_what_differs(company: Company) -> None:
    with_caps(company, Act.DEACTIVATE, Cap(tenants_max=0, percent_max=0))
    stayer, comer = company.create("stayer"), company.create("comer")
    company.cancel(stayer)
    company.run()
    (stale,) = company.decisions.proposals()
    company.cancel(comer)
    company.advance(days=1)
    company.run()
    (current,) = company.decisions.proposals()
    with pytest.raises(Refused) as caught:
        approve_proposal(company.world, stale.digest)
    assert "1 joined" in caught.value.sentence
    assert comer.uid in caught.value.sentence
    assert current.digest in caught.value.sentence


# Notices


def test_a_customer_is_told_when_closed_and_before_the_destruction(company: Company) -> None:
    tenant = company.deactivated()
    company.run()
    assert [one.kind for one in company.decisions.notices(tenant.uid)] == ["deactivated"]
    for _ in range(21):
        company.advance(days=1)
        company.run()
    kinds = [one.kind for one in company.decisions.notices(tenant.uid)]
    assert kinds == ["deactivated", "destruction-near/7", "destruction-near/2"]


def test_where_delivery_is_required_nobody_untold_is_destroyed(company: Company) -> None:
    """The missing report is alarmed; a report lets the destruction go on a day later."""
    with_notices(company, delivery_required=True)
    tenant = company.deactivated()
    for _ in range(GRACE_AND_A_DAY):
        company.advance(days=1)
        company.run()
    assert state(company, tenant) is State.DEACTIVATED
    assert "blocked/notice-undelivered" in company.alarms(tenant)
    for notice in company.decisions.undelivered():
        company.decisions.report_delivered(notice.id)
    company.run()
    assert state(company, tenant) is State.DEACTIVATED
    company.advance(days=1)
    company.run()
    assert state(company, tenant) is State.DESTROYED


def test_a_second_closing_has_notices_of_its_own(company: Company) -> None:
    tenant = company.deactivated()
    company.run()
    company.reinstate(tenant)
    company.run()
    company.advance(days=1)
    company.cancel(tenant)
    company.run()
    company.run()
    assert [one.kind for one in company.decisions.notices(tenant.uid)] == ["deactivated", "deactivated"]


# Erasure and waivers


@pytest.mark.parametrize("before", [Company.create, Company.deactivated])
def test_an_erasure_takes_two_people_and_leaves_nothing_readable(
    company: Company, before: Callable[[Company], Tenant]
) -> None:
    tenant = before(company)
    company.advance(days=1)
    company.run()
    proposal = request_erasure(company.world, tenant, ErasureBasis.CUSTOMER, "SUPPORT-1")
    company.run()
    assert company.has_database(tenant)
    with pytest.raises(Refused, match="two people"):
        request_erasure(company.world, tenant, ErasureBasis.CUSTOMER, "SUPPORT-1")
    bob_approves(company, proposal.digest)
    company.run()
    company.run()
    erased = company.registry.tenant(tenant.uid)
    assert (erased.state, erased.wanted) == (State.DESTROYED, Wanted.ERASED)
    assert not company.has_database(tenant)
    copies = [copy for backup in company.registry.backups(tenant.uid) for copy in backup.copies]
    assert copies
    assert not any(copy.wrapped_key for copy in copies)
    assert company.key_names() == []
    assert "key-shredded" in company.events(tenant)
    with pytest.raises(Refused):
        company.reinstate(tenant)


def test_a_hold_forbids_an_erasure_also_after_it_was_approved(company: Company) -> None:
    tenant = company.create()
    proposal = request_erasure(company.world, tenant, ErasureBasis.LAW, "court 4")
    bob_approves(company, proposal.digest)
    request_hold(company.world, tenant, case_reference="AZ 1", review_by=company.moment + timedelta(days=9))
    company.run()
    assert company.has_database(tenant)
    assert "blocked/hold" in company.alarms(tenant)
    with pytest.raises(Refused, match="legal hold"):
        request_erasure(company.world, tenant, ErasureBasis.LAW, "court 5")


@pytest.mark.parametrize("reference", ["", "  "])
def test_an_erasure_refers_to_something(company: Company, reference: str) -> None:
    with pytest.raises(Refused, match="refers"):
        request_erasure(company.world, company.create(), ErasureBasis.LAW, reference)


def test_only_an_overdue_destruction_goes_on_without_a_safeguard(company: Company) -> None:
    """By the safeguard's name, by two people; what the promises rest on is never waived."""
    with_notices(company, delivery_required=True)
    tenant = company.deactivated()
    with pytest.raises(Refused, match="not overdue"):
        request_waiver(company.world, tenant, "notice", "no address is known")
    for _ in range(22 + policies().lifecycle.destroy_within_days + 1):
        company.advance(days=1)
        company.run()
    closed = company.registry.tenant(tenant.uid)
    for never in ("grace", "final-backup", "marker", "hold", "freeze", "cap", "intent"):
        with pytest.raises(Refused, match="nothing that two people may waive"):
            request_waiver(company.world, closed, never, "why")
    proposal = request_waiver(company.world, closed, "notice", "no address is known")
    company.run()
    assert state(company, tenant) is State.DEACTIVATED
    bob_approves(company, proposal.digest)
    company.run()
    assert state(company, tenant) is State.DESTROYED
    assert company.decisions.proposal(proposal.digest).spent_at is not None
