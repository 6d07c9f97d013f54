"""Trials: a plan with an end. The same life, which ends with the trial instead of a cancellation, or is converted."""

from datetime import datetime, timedelta

import pytest

from tenantctl.entrypoints.cli.main import run
from tenantctl.model.errors import ExitCode, Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import IntentKind, Tenant, Wanted
from tenantctl.offboarding.request import request_cancellation, request_conversion, request_reinstatement
from tenantctl.sweeps.report import explain
from tests.rooms.company import START, Company, company_at_a_shell

ENDS = START + timedelta(days=14)


@pytest.fixture
def company(monkeypatch: pytest.MonkeyPatch) -> Company:
    return company_at_a_shell(monkeypatch)


def now_is(company: Company, tenant: Tenant) -> Tenant:
    return company.registry.tenant(tenant.uid)


def trial(company: Company, ends: datetime = ENDS) -> Tenant:
    return company.create("acme", trial_ends_at=ends)


def convert(company: Company, tenant: Tenant) -> object:
    return request_conversion(company.world, now_is(company, tenant), cause="bought", instructing_party="customer")


def reinstate(company: Company, tenant: Tenant) -> object:
    return request_reinstatement(company.world, now_is(company, tenant), cause="regret", instructing_party="customer")


def cancel(company: Company, tenant: Tenant) -> object:
    return request_cancellation(company.world, now_is(company, tenant), cause="no", instructing_party="customer")


def live(company: Company, *, days: int) -> None:
    for _ in range(days):
        company.advance(days=1)
        company.run()


def test_a_trial_lives_until_its_end_and_then_leaves_like_everybody(company: Company) -> None:
    """Backed up nightly; at its end deactivated, kept for the whole grace, destroyed; with its word in the journal."""
    tenant = trial(company)
    live(company, days=13)
    assert now_is(company, tenant).state is State.ACTIVE
    assert len(company.registry.backups(tenant.uid)) >= 12
    company.moment = ENDS - timedelta(seconds=1)
    company.run()
    assert now_is(company, tenant).state is State.ACTIVE
    company.moment = ENDS
    company.run()
    closed = now_is(company, tenant)
    assert closed.state is State.DEACTIVATED
    assert closed.destroy_after is not None
    assert closed.destroy_after >= ENDS + timedelta(days=21)
    events = company.events(tenant)
    assert events[:2] == ["requested", "trial-agreed"]
    assert events.index("trial.ended") + 1 == events.index("cancellation-effective")
    assert "cancel-requested" not in events
    live(company, days=30)
    assert now_is(company, tenant).state is State.DESTROYED


def test_an_ordinary_cancellation_ends_no_trial(company: Company) -> None:
    """The word is for trials alone."""
    tenant = company.deactivated()
    assert "trial.ended" not in company.events(tenant)


def test_a_converted_trial_stays(company: Company) -> None:
    """Its end passes without a trace; converting again is nothing new."""
    tenant = trial(company)
    assert convert(company, tenant)
    assert convert(company, tenant) is None
    live(company, days=20)
    assert (now_is(company, tenant).state, now_is(company, tenant).wanted) == (State.ACTIVE, Wanted.LIVING)
    assert "trial.ended" not in company.events(tenant)


def test_a_trial_is_converted_in_grace_too(company: Company) -> None:
    """Everything comes back, and what follows is an ordinary life."""
    tenant = trial(company)
    live(company, days=20)
    assert now_is(company, tenant).state is State.DEACTIVATED
    with pytest.raises(Refused, match="trial of tenant acme ended") as refused:
        reinstate(company, tenant)
    assert "tenant convert acme" in refused.value.hint
    assert convert(company, tenant)
    company.run()
    back = now_is(company, tenant)
    assert (back.state, back.destroy_after) == (State.ACTIVE, None)
    cancel(company, tenant)
    company.run()
    assert now_is(company, tenant).state is State.DEACTIVATED
    assert reinstate(company, tenant)
    company.run()
    assert now_is(company, tenant).state is State.ACTIVE


def test_a_cancellation_during_a_trial_counts_at_once_and_can_be_taken_back(company: Company) -> None:
    """It is back on trial then, with the end that it had."""
    tenant = trial(company)
    assert reinstate(company, tenant) is None
    assert cancel(company, tenant)
    with pytest.raises(Refused, match="cancelled during its trial"):
        convert(company, tenant)
    company.run()
    assert now_is(company, tenant).state is State.DEACTIVATED
    assert reinstate(company, tenant)
    company.run()
    back = now_is(company, tenant)
    assert (back.state, back.wanted, back.intent_effective_at) == (State.ACTIVE, Wanted.LEAVING, ENDS)
    assert [one.kind for one in company.registry.intents(tenant.uid)][-1] is IntentKind.TRIAL
    live(company, days=15)
    assert now_is(company, tenant).state is State.DEACTIVATED
    assert cancel(company, tenant) is None


def test_what_cannot_be_is_refused_in_a_sentence(company: Company) -> None:
    """Nothing of it is written."""
    with pytest.raises(Refused, match="cannot have ended before it begins"):
        company.request("late", trial_ends_at=START)
    assert not company.registry.tenants()
    customer = company.create("customer")
    with pytest.raises(Refused, match="Tenant customer is not on trial"):
        convert(company, customer)
    gone = trial(company)
    live(company, days=40)
    with pytest.raises(Refused, match="its database is gone"):
        convert(company, gone)
    assert now_is(company, customer).intent_id == 1


def test_a_trial_that_never_got_room_ends_unmade(company: Company) -> None:
    """It is withdrawn at its end, though nobody cancelled it."""
    for instance in company.registry.instances():
        company.registry.set_instance_state(instance.name, type(instance.state).DRAINING)
    tenant = company.request("acme", trial_ends_at=ENDS, wait_for_room=True)
    live(company, days=13)
    assert now_is(company, tenant).state is State.REQUESTED
    live(company, days=2)
    assert now_is(company, tenant).state is State.FORGOTTEN


def test_explain_says_when_the_trial_ends(company: Company) -> None:
    """And what would keep the tenant."""
    tenant = trial(company)
    told = explain(company.world, now_is(company, tenant))
    assert "the logins are closed at 2026-12-07T12:00:00Z: its trial ends then" in told.next
    assert told.would_stop == ("tenantctl tenant convert acme",)
    live(company, days=15)
    told = explain(company.world, now_is(company, tenant))
    assert told.would_stop == ("tenantctl tenant convert acme", "any safeguard that does not hold")


def test_trials_at_a_shell(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    """From the request to the conversion, and the wrong command lines between them."""
    create = ["tenant", "create", "acme", "--based-in", "Southlake, TX, US"]
    assert run([*create, "--trial-ends", "soon"]) == ExitCode.USAGE
    assert run([*create, "--trial-ends", "2020-01-01"]) == ExitCode.REFUSED
    assert run([*create, "--trial-ends", "2026-12-07T12:00:00Z", "--keep-in", "us"]) == ExitCode.OK
    assert "Its trial ends 2026-12-07 12:00 UTC; to keep it: tenantctl tenant convert acme" in capsys.readouterr().out
    assert company.registry.find("acme").kept_in == "US"
    assert run(["tenant", "convert", "acme"]) == ExitCode.OK
    assert "it is a customer from now on" in capsys.readouterr().out
    assert run(["tenant", "convert", "acme"]) == ExitCode.OK
    assert "converted already" in capsys.readouterr().out
    assert run(["tenant", "convert", "nobody"]) == ExitCode.NOT_FOUND
