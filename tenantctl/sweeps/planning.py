"""The one planning function: what is to be done about a tenant, whatever its state. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from tenantctl.backups.at_rest import is_rest_over, upkeep_at_rest
from tenantctl.backups.holding import with_holding
from tenantctl.backups.planning import SOONEST, plan_backups
from tenantctl.model.backup import CopyState
from tenantctl.model.decisions import Proposal, ProposalKind
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import LIVING, State
from tenantctl.model.look import AtRest
from tenantctl.model.move import Move, open_move
from tenantctl.model.plan import Blocker, Do, Plan
from tenantctl.model.policy import Policies
from tenantctl.model.sighting import Present
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
from tenantctl.relocation.planning import is_urgent, plan_move, retiring_steps


def plan(facts: Facts, policies: Policies, *, now: datetime) -> Plan:
    """Decides; `tenantctl plan` prints the answer, `tenantctl run` carries it out.

    A state that nobody knows what to do about is put off and alarmed, never guessed at.
    In every state, what a legal hold asks of the copies comes first.
    """
    move = open_move(facts.moves)
    if move is not None and facts.tenant.state in {State.ACTIVE, State.MOVING}:
        return with_holding(facts, _of_moving(facts, move, policies, now=now), now=now)
    return with_holding(facts, _of_state(facts, policies, now=now), now=now)


def plan_of_a_look(facts: Facts, at_rest: AtRest | None, policies: Policies, *, now: datetime) -> Plan | None:
    """The plan of an active tenant from what a look is shown of it; None where that does not tell.

    It does not where a backup that was left out asks for something, or a copy is lost, whose place is not shown. A plan
    without steps and blockers is the one that the whole life would have; of another one only that it has some is true.
    """
    policy = policies.backups
    if at_rest is not None and is_rest_over(at_rest, policy, now=now):
        return None
    if any(copy.state is CopyState.LOST for backup in facts.unsettled for copy in backup.copies):
        return None
    planned = plan(facts, policies, now=now)
    if at_rest is None or planned.next_look is None:
        return planned
    upkeep = max(upkeep_at_rest(at_rest, policy), now + SOONEST)
    return replace(planned, next_look=min(planned.next_look, upkeep))


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
            return _with_formers(facts, planned, policies, now=now)
        case State.MOVING if tenant.restored_from is not None:
            return plan_rehosting(facts, now=now)
        case State.DEACTIVATING | State.DEACTIVATED if not leaving:
            return plan_reinstatement(facts)
        case State.DEACTIVATING:
            return plan_deactivation(facts, policies, now=now)
        case State.DEACTIVATED:
            return _with_formers(facts, plan_grace(facts, policies, now=now), policies, now=now)
        case State.DESTROYING:
            return plan_rest_of_destruction(facts, now=now)
        case State.DESTROYED:
            return _with_formers(facts, plan_forgetting(facts, policies, now=now), policies, now=now)
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


def _of_moving(facts: Facts, move: Move, policies: Policies, *, now: datetime) -> Plan:
    """A move goes on between the backups, which go on too; what would end the tenant's life waits until it is undone.

    After the cut-over nothing waits for a source that does not answer.
    """
    unwanted = _unwanted(facts, now=now)
    planned = plan_move(facts, move, unwanted=unwanted, now=now)
    if facts.tenant.state is State.ACTIVE and not isinstance(facts.replication, Present):
        meanwhile = _of_state(replace(facts, moves=()), policies, now=now)
        return _at_the_latest(replace(meanwhile, blockers=(*meanwhile.blockers, _left_behind(move))), planned)
    if planned.steps and is_urgent(facts, move, unwanted=unwanted):
        return planned
    backups = plan_backups(facts, policies, now=now)
    if planned.steps and all(step.do is not Do.BACK_UP for step in backups.steps):
        return planned
    backups = replace(backups, blockers=(*backups.blockers, *planned.blockers), because=planned.because)
    return _at_the_latest(backups, planned)


def _unwanted(facts: Facts, *, now: datetime) -> str | None:
    """What newer than a move has to be obeyed instead."""
    tenant = facts.tenant
    if tenant.wanted is Wanted.ERASED or approved_erasure(facts, now=now) is not None:
        return "the tenant is to be erased"
    if tenant.wanted is Wanted.LEAVING and tenant.intent_effective_at <= now:
        return "the tenant was cancelled"
    return None


def _left_behind(move: Move) -> Blocker:
    reason = f"the replication from {move.source_instance} cannot be taken away: an instance does not answer"
    return Blocker("move-silent", reason, alarm=True)


def _at_the_latest(planned: Plan, other: Plan) -> Plan:
    """The plan, looked at again no later than the other."""
    looks = [look for look in (planned.next_look, other.next_look) if look is not None]
    return replace(planned, next_look=min(looks, default=None))


def _with_coming_cancellation(facts: Facts, planned: Plan) -> Plan:
    """The plan, looked at again when a cancellation that is on record takes effect."""
    tenant = facts.tenant
    if tenant.wanted is not Wanted.LEAVING or planned.next_look is None:
        return planned
    return replace(planned, next_look=min(planned.next_look, tenant.intent_effective_at))


def _with_formers(facts: Facts, planned: Plan, policies: Policies, *, now: datetime) -> Plan:
    """The plan, and what is to be done about databases left behind in a lost region, which is looked at hourly."""
    if not facts.formers:
        return planned
    following = now + timedelta(hours=1)
    looks = [look for look in (planned.next_look, following) if look is not None]
    retiring = retiring_steps(facts, policies=policies, now=now)
    return replace(planned, steps=(*planned.steps, *former_steps(facts), *retiring), next_look=min(looks))
