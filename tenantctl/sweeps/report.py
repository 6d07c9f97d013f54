"""Why a tenant is as it is, what happens next, when, and what would stop it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tenantctl.backups.holding import holding_sentence, kept_places
from tenantctl.backups.planning import newest_complete, open_residues
from tenantctl.model.calendar import rfc3339
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import LIVING, REINSTATABLE, Event, State
from tenantctl.model.plan import Plan
from tenantctl.model.tenant import Tenant, Wanted
from tenantctl.model.trial import is_on_trial
from tenantctl.offboarding.safeguards import Safeguard, safeguards
from tenantctl.ports.registry import Alarm
from tenantctl.ports.world import World
from tenantctl.sweeps.observe import observe
from tenantctl.sweeps.planning import plan


@dataclass(frozen=True)
class Explanation:
    """A tenant, explained; each sentence stands by itself.

    `safeguards` are those of its destruction, met or not; empty where none is near.
    """

    tenant: Tenant
    since: datetime
    because: str
    next: tuple[str, ...]
    would_stop: tuple[str, ...]
    safeguards: tuple[Safeguard, ...]
    alarms: tuple[Alarm, ...]
    plan: Plan


def explain(world: World, tenant: Tenant) -> Explanation:
    """Looks at the tenant as a sweep would, and says what it found.

    Raises:
        Transient: the registry does not answer; an instance that does not is part of the answer.
    """
    registry = world.registry
    now = registry.now()
    facts = observe(world, tenant)
    planned = plan(facts, world.policies, now=now)
    since, because = _last_move(world, tenant)
    on_trial = is_on_trial(registry.intents(tenant.uid))
    guards = tuple(safeguards(facts, world.policies, now=now)) if tenant.state is State.DEACTIVATED else ()
    return Explanation(
        tenant=tenant,
        since=since,
        because=because,
        next=tuple(_next(facts, planned, on_trial=on_trial, now=now)),
        would_stop=tuple(_would_stop(tenant, on_trial=on_trial)),
        safeguards=guards,
        alarms=tuple(registry.alarms(tenant.uid)),
        plan=planned,
    )


def _last_move(world: World, tenant: Tenant) -> tuple[datetime, str]:
    """When and why the tenant came into its state, from the journal."""
    events = set(Event)
    for entry in reversed(world.registry.entries(tenant.uid)):
        if entry.event in events:
            return entry.at, str(json.loads(entry.body)["comment"])
    intents = world.registry.intents(tenant.uid)
    return tenant.created_at, f"asked for by {intents[0].instructing_party}" if intents else "asked for"


def _next(facts: Facts, planned: Plan, *, on_trial: bool, now: datetime) -> Iterator[str]:
    tenant = facts.tenant
    yield from _holding(facts)
    for step in planned.steps:
        yield f"{step.do}: {step.reason}"
    for blocker in planned.blockers:
        yield f"blocked by {blocker.code}: {blocker.reason}"
    match tenant.state:
        case State.ACTIVE:
            newest = newest_complete(facts.backups)
            yield f"the newest backup was begun {rfc3339(newest.begun_at)}" if newest else "there is no backup yet"
            if tenant.wanted is Wanted.LEAVING and tenant.intent_effective_at > now:
                why = "its trial ends then" if on_trial else "it is cancelled from then on"
                yield f"the logins are closed at {rfc3339(tenant.intent_effective_at)}: {why}"
        case State.DEACTIVATED if tenant.destroy_after is not None:
            if now < tenant.destroy_after:
                yield f"the database is destroyed after {rfc3339(tenant.destroy_after)}, if all safeguards hold then"
        case State.DESTROYED:
            yield from _remaining(facts)
        case _:
            pass
    if planned.because:
        yield planned.because
    if tenant.state is State.FORGOTTEN:
        return
    if tenant.due_at > now:
        yield f"the next look is due {rfc3339(tenant.due_at)}"
    else:
        yield "a worker looks at it as soon as one runs: tenantctl run"


def _holding(facts: Facts) -> Iterator[str]:
    sentence = holding_sentence(facts.standing.holds if facts.standing is not None else (), facts.backups)
    if sentence is not None:
        yield sentence


def _remaining(facts: Facts) -> Iterator[str]:
    left = [residue for residue in open_residues(facts.residues) if residue.unreadable_after is not None]
    kept = kept_places(facts.standing.holds if facts.standing is not None else (), facts.backups)
    held = sum(residue.id in kept for residue in left)
    remaining: Sequence[datetime] = [
        residue.unreadable_after for residue in left if residue.unreadable_after is not None and residue.id not in kept
    ]
    if held:
        yield f"{held} places hold bytes or keys of it until the release, and lapse a few days after it at the earliest"
    if remaining:
        yield f"{len(remaining)} places still hold bytes of it; nothing can be read after {rfc3339(max(remaining))}"


def _would_stop(tenant: Tenant, *, on_trial: bool) -> Iterator[str]:
    if on_trial and tenant.state in LIVING:
        yield f"tenantctl tenant convert {tenant.label}"
        if tenant.logins_closed_at is not None:
            yield "any safeguard that does not hold"
    elif tenant.state is State.ACTIVE and tenant.wanted is Wanted.LEAVING:
        yield f"tenantctl tenant reinstate {tenant.label}"
    elif tenant.state in REINSTATABLE and tenant.wanted is Wanted.LEAVING:
        yield f"tenantctl tenant reinstate {tenant.label}, until the destruction begins"
        yield "any safeguard that does not hold"
    elif tenant.state in {State.DESTROYING, State.DESTROYED}:
        yield "nothing: there is no way back"
