"""What every keeper of billing's events answers alike: its refusals, and the codes that it raises."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tenantctl.model.billing import (
    Fault,
    Head,
    Outcome,
    Receipt,
    SubscriptionEvent,
    Undeliverable,
    Verdict,
)
from tenantctl.model.errors import NotFound
from tenantctl.model.tenant import Intent, Tenant

BILLING_GAP: Final = "billing-gap"
SUBSCRIPTION_REFUSED: Final = "subscription-refused"


def check_same(event: SubscriptionEvent, digest: str) -> None:
    """Whether what is on record under an event's name is this event.

    Raises:
        Undeliverable: it is another.
    """
    if digest != event.digest:
        raise Undeliverable(Fault.CONFLICT, f"Event {event.id!r} is on record, and said something else.")


def check_number(event: SubscriptionEvent, taken: bool) -> None:
    """Whether an event's number is free in its subscription.

    Raises:
        Undeliverable: another event has it.
    """
    if taken:
        raise Undeliverable(
            Fault.CONFLICT, f"Another event of subscription {event.subscription!r} has number {event.sequence}."
        )


def check_owner(event: SubscriptionEvent, tenant_uid: str) -> None:
    """Whether a subscription is the tenant's that the event names: nobody is destroyed for another's subscription.

    Raises:
        Undeliverable: it is another's.
    """
    if tenant_uid != event.tenant_uid:
        raise Undeliverable(Fault.CONFLICT, f"Subscription {event.subscription!r} is another tenant's.")


def unknown_tenant_of(event: SubscriptionEvent) -> Undeliverable:
    """Nobody has the uid that an event names."""
    return Undeliverable(Fault.UNKNOWN_TENANT, f"There is no tenant {event.tenant_uid!r}.")


def duplicate(outcome: Outcome, reason: str, event: SubscriptionEvent) -> Receipt:
    """What is answered to an event that is on record: what became of it."""
    return Receipt(Outcome.DUPLICATE, f"it is on record as {outcome}: {reason}", event.tenant_uid)


def record_requests(verdict: Verdict, tenant: Tenant, record: Callable[..., Intent]) -> None:
    """Records what follows from an event, each request on top of the one before.

    Args:
        verdict: what the event comes to.
        tenant: the tenant as it stood.
        record: writes one request, as `Registry.record_intent` does.
    """
    for asked in verdict.asked:
        assert verdict.wish is not None, "requests follow from a wish"
        cause, party = verdict.wish.cause, verdict.wish.instructing_party
        intent = record(tenant, asked.kind, cause=cause, instructing_party=party, effective_at=asked.effective_at)
        tenant = replace(tenant, intent_id=intent.id)


def refusal_body(event: SubscriptionEvent) -> dict[str, str | int]:
    """What is journalled of an event that was refused."""
    return {"subscription": event.subscription, "number": event.sequence, "kind": event.kind.value}


def refusal_content(event: SubscriptionEvent, verdict: Verdict) -> dict[str, str | int]:
    """What billing is told of an event that cannot be obeyed any more."""
    return {
        "subscription": event.subscription,
        "event": event.id,
        "source": event.source,
        "number": event.sequence,
        "kind": event.kind.value,
        "reason": verdict.reason,
    }


def gap_reason(heads: Sequence[Head]) -> str:
    """What the alarm says; empty where nothing is missing."""
    short = [f"{head.missing} before number {head.sequence} of {head.subscription}" for head in heads if head.missing]
    return f"events of billing that have not come: {', '.join(short)}" if short else ""


def no_dead_letter(letter_id: int) -> NotFound:
    """There is no such dead letter."""
    return NotFound(f"There is no dead letter {letter_id}.", hint="See: tenantctl billing dead-letters list")
