"""What is done with something that came from billing: recorded as an event, or kept as a dead letter."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tenantctl.model.billing import DeadLetter, Fault, Receipt, SubscriptionEvent, Undeliverable
from tenantctl.ports.billing import Billing

Reader = Callable[[str], SubscriptionEvent]


@dataclass(frozen=True)
class Replayed:
    """What became of a dead letter: it was an event this time, or what it is still refused for."""

    letter: DeadLetter
    receipt: Receipt | None
    reason: str


def receive(billing: Billing, body: str, read: Reader) -> Receipt:
    """Records the event that `body` is; what is none is kept before it is refused.

    Args:
        billing: where it is recorded.
        body: the text that came, as it can be read again.
        read: makes the event of it.

    Raises:
        Undeliverable: it is no event, and was kept.
        Transient: nothing was recorded.
    """
    try:
        return billing.receive(read(body))
    except Undeliverable as refusal:
        keep(billing, refusal, body)
        raise


def keep(billing: Billing, refusal: Undeliverable, body: str) -> DeadLetter:
    """Keeps what came; of card data nothing but that it came, nor of what is too large to have been looked at."""
    digest = hashlib.sha256(body.encode()).hexdigest()
    blank = refusal.fault in {Fault.CARD_DATA, Fault.TOO_LARGE}
    return billing.keep_dead_letter(refusal.fault, refusal.sentence, digest=digest, body="" if blank else body)


def replay(billing: Billing, letter: DeadLetter, read: Reader) -> Replayed:
    """Tries a dead letter again: what is recorded, now or before, is settled; what is not stays, with its reason."""
    if letter.settled_at is not None:
        return Replayed(letter, None, f"it is settled: {letter.settled_as}")
    if not letter.body:
        return Replayed(letter, None, "its content was not kept")
    try:
        receipt = receive(billing, letter.body, read)
    except Undeliverable as refusal:
        return Replayed(billing.dead_letter(letter.id), None, refusal.sentence)
    return Replayed(billing.settle_dead_letter(letter.id, f"replayed: {receipt.outcome}"), receipt, receipt.reason)


def replay_all(billing: Billing, read: Reader) -> Iterator[Replayed]:
    """Tries every open dead letter again, the oldest first."""
    return (replay(billing, letter, read) for letter in billing.dead_letters())
