"""Records that a tenant is to leave, or to stay after all: one compare-and-set of its intent."""

from datetime import datetime

from tenantctl.model.backup import CopyState
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import LIVING, REINSTATABLE, State
from tenantctl.model.tenant import Intent, IntentKind, Tenant, Wanted
from tenantctl.model.trial import agreed_trial, is_on_trial
from tenantctl.ports.world import World


def request_cancellation(
    world: World, tenant: Tenant, *, cause: str, instructing_party: str, effective_at: datetime | None = None
) -> Intent | None:
    """Wants the tenant gone from `effective_at` (None: now); None if that is on record already.

    Raises:
        Refused: `effective_at` has passed, or the tenant is closed already.
        Transient: another request came in at the same moment.
    """
    if tenant.state not in LIVING:
        return None
    is_asked_for = tenant.wanted is Wanted.LEAVING and effective_at in {None, tenant.intent_effective_at}
    if is_asked_for and not _is_trial_to_come(world, tenant):
        return None
    if tenant.wanted is Wanted.LEAVING and tenant.state in REINSTATABLE:
        raise Refused(
            f"Tenant {tenant.label} is {tenant.state}: only once it is reinstated can it be cancelled for another day.",
            hint=f"First: tenantctl tenant reinstate {tenant.label}",
        )
    if effective_at is not None and effective_at < world.registry.now():
        raise Refused(
            f"A cancellation cannot take effect in the past, at {rfc3339(effective_at)}.",
            hint="Leave out --effective-at to cancel now.",
        )
    return world.registry.record_intent(
        tenant, IntentKind.CANCEL, cause=cause, instructing_party=instructing_party, effective_at=effective_at
    )


def request_reinstatement(world: World, tenant: Tenant, *, cause: str, instructing_party: str) -> Intent | None:
    """Wants the tenant back; None if nobody wants it gone. Back on trial, if its trial has not ended meanwhile.

    Raises:
        Refused: its destruction has begun; the sentence says what still exists, and until when. Or its trial has ended.
        Transient: another request came in at the same moment, or the destruction began.
    """
    if tenant.state not in LIVING:
        raise Refused(_too_late(world, tenant), hint="A new tenant can be created: tenantctl tenant create")
    if tenant.wanted is Wanted.LIVING:
        return None
    intents, now = world.registry.intents(tenant.uid), world.registry.now()
    if (trial := agreed_trial(intents)) is None:
        return world.registry.record_intent(
            tenant, IntentKind.REINSTATE, cause=cause, instructing_party=instructing_party, effective_at=None
        )
    if trial.effective_at <= now:
        raise Refused(
            f"The trial of tenant {tenant.label} ended {rfc3339(trial.effective_at)}.",
            hint=f"To keep it as a customer: tenantctl tenant convert {tenant.label}",
        )
    if is_on_trial(intents):
        return None
    intent = world.registry.record_intent(
        tenant, IntentKind.TRIAL, cause=cause, instructing_party=instructing_party, effective_at=trial.effective_at
    )
    world.registry.make_due(tenant.uid)  # it comes back now, though what was recorded counts from the trial's end
    return intent


def request_conversion(world: World, tenant: Tenant, *, cause: str, instructing_party: str) -> Intent | None:
    """Keeps a tenant that is on trial, also after the trial has ended; None if it was converted already.

    Raises:
        Refused: it is not on trial, was cancelled, or its destruction has begun.
        Transient: another request came in at the same moment, or the destruction began.
    """
    if tenant.state not in LIVING:
        raise Refused(_too_late(world, tenant), hint="A new tenant can be created: tenantctl tenant create")
    intents = world.registry.intents(tenant.uid)
    if (trial := agreed_trial(intents)) is None:
        if any(intent.kind is IntentKind.CONVERT for intent in intents):
            return None
        raise Refused(f"Tenant {tenant.label} is not on trial.")
    if not is_on_trial(intents) and trial.effective_at > world.registry.now():
        raise Refused(
            f"Tenant {tenant.label} was cancelled during its trial.",
            hint=f"Take that back first: tenantctl tenant reinstate {tenant.label}",
        )
    return world.registry.record_intent(
        tenant, IntentKind.CONVERT, cause=cause, instructing_party=instructing_party, effective_at=None
    )


def _is_trial_to_come(world: World, tenant: Tenant) -> bool:
    """Whether a tenant is leaving only because its trial will end one day: it can be cancelled earlier."""
    on_trial = is_on_trial(world.registry.intents(tenant.uid))
    return on_trial and tenant.intent_effective_at > world.registry.now()


def _too_late(world: World, tenant: Tenant) -> str:
    if tenant.state is State.FORGOTTEN:
        return f"Tenant {tenant.label} is forgotten: nothing of it remains."
    copies = [
        copy
        for backup in world.registry.backups(tenant.uid)
        for copy in backup.copies
        if copy.state is CopyState.WRITTEN
    ]
    ended = "its database is gone" if tenant.state is State.DESTROYED else "its destruction has begun"
    if not copies:
        return f"Tenant {tenant.label} cannot be reinstated: {ended}, and no backup of it remains."
    regions = ", ".join(sorted({copy.region for copy in copies}))
    until = rfc3339(max(copy.unreadable_after for copy in copies))
    return (
        f"Tenant {tenant.label} cannot be reinstated: {ended}. "
        f"{len({copy.backup_id for copy in copies})} backups of it remain in {regions}, the last until {until}."
    )


assert REINSTATABLE <= LIVING, "what can be reinstated is alive"
