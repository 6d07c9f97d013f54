"""The one planning function: what is to be done about a tenant, whatever its state. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from tenantctl.backups.holding import with_holding
from tenantctl.backups.planning import plan_backups
from tenantctl.model.decisions import Proposal, ProposalKind
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import LIVING, State
from tenantctl.model.plan import Blocker, Plan
from tenantctl.model.policy import Policies
from tenantctl.model.tenant import Wanted
from tenantctl.offboarding.planning import (
    plan_deactivation,
    plan_erasure,
    plan_forgetting,
    plan_grace,
    plan_reinstatement,
    plan_rest_of_destruction,
)
from tenantctl.onboarding.planning import former_steps, plan_arrival, plan_rehosting


def plan(facts: Facts, policies: Policies, *, now: datetime) -> Plan:
    """Decides; `tenantctl plan` prints the answer, `tenantctl run` carries it out.

    A state that nobody knows what to do about is put off and alarmed, never guessed at.
    In every state, what a legal hold asks of the copies comes first.
    """
    return with_holding(facts, _of_state(facts, policies, now=now), now=now)


def _of_state(facts: Facts, policies: Policies, *, now: datetime) -> Plan:
    tenant = facts.tenant
    leaving = tenant.wanted is Wanted.LEAVING and tenant.intent_effective_at <= now
    if (erasure := approved_erasure(facts, now=now)) is not None:
        return plan_erasure(facts, policies, erasure, now=now)
    match tenant.state:
        case State.REQUESTED:
            return plan_arrival(facts, now=now)
        case State.ACTIVE if leaving:
            return plan_deactivation(facts, policies, now=now)
        case State.ACTIVE:
            planned = _with_coming_cancellation(facts, plan_backups(facts, policies, now=now))
            return _with_formers(facts, planned, now=now)
        case State.MOVING if tenant.restored_from is not None:
            return plan_rehosting(facts, now=now)
        case State.DEACTIVATING | State.DEACTIVATED if not leaving:
            return plan_reinstatement(facts)
        case State.DEACTIVATING:
            return plan_deactivation(facts, policies, now=now)
        case State.DEACTIVATED:
            return _with_formers(facts, plan_grace(facts, policies, now=now), now=now)
        case State.DESTROYING:
            return plan_rest_of_destruction(facts, now=now)
        case State.DESTROYED:
            return _with_formers(facts, plan_forgetting(facts, policies, now=now), now=now)
        case State.FORGOTTEN:
            return Plan(tenant.uid, "nothing", next_look=now + timedelta(days=3650), because="forgotten is the end")
        case _:
            blocker = Blocker("unknown-state", f"this version knows no plan for {tenant.state}", alarm=True)
            return Plan(tenant.uid, "wait", blockers=(blocker,), next_look=now + timedelta(hours=1))


def approved_erasure(facts: Facts, *, now: datetime) -> Proposal | None:
    """The erasure of a living tenant that two people have approved, if there is one."""
    if facts.standing is None or facts.tenant.state not in LIVING - {State.REQUESTED}:
        return None
    return next((one for one in facts.standing.proposals if is_approved_erasure(one, now=now)), None)


def is_approved_erasure(proposal: Proposal, *, now: datetime) -> bool:
    """Whether a proposal is an erasure, and two people have said yes to it."""
    return proposal.kind is ProposalKind.ERASURE and proposal.is_approved(now=now)


def _with_coming_cancellation(facts: Facts, planned: Plan) -> Plan:
    """The plan, looked at again when a cancellation that is on record takes effect."""
    tenant = facts.tenant
    if tenant.wanted is not Wanted.LEAVING or planned.next_look is None:
        return planned
    return replace(planned, next_look=min(planned.next_look, tenant.intent_effective_at))


def _with_formers(facts: Facts, planned: Plan, *, now: datetime) -> Plan:
    """The plan, and what is to be done about databases left behind in a lost region, which is looked at hourly."""
    if not facts.formers:
        return planned
    following = now + timedelta(hours=1)
    looks = [look for look in (planned.next_look, following) if look is not None]
    return replace(planned, steps=(*planned.steps, *former_steps(facts)), next_look=min(looks))
