"""Billing as the registry keeps it: what was said of subscriptions, what nobody understood, and what we announce."""

from collections.abc import Callable, Sequence
from typing import Protocol

from tenantctl.model.billing import DeadLetter, Fault, Head, Receipt, SubscriptionEvent, SubscriptionSeen
from tenantctl.model.outbox import Announcement
from tenantctl.model.sighting import Sighting


class Subscriptions(Protocol):
    """Whether somebody still pays for a tenant; asked again before anything is destroyed.

    1. `Gone` says that billing has never heard of the tenant; whoever could not be asked is `Unreachable`.
    """

    def look(self, tenant_uid: str) -> Sighting[SubscriptionSeen]:
        """The tenant's subscriptions, all together."""


class Billing(Subscriptions, Protocol):
    """What came from billing, and what goes to it.

    1. Event, head, requests, alarm and refusal of one event are one transaction: all of them are on record, or none.
    2. The same event again is a duplicate and changes nothing, whichever of two at once comes first.
    3. Of a subscription only the event of the highest sequence counts; a missing one is an alarm until it has come.
    4. Announcements are written in the transaction that makes the change, and sent at least once; of one tenant none is
       sent before those that are older.
    5. A dead letter is kept once for each content, however often it comes; nothing but its settling changes it.
    """

    def receive(self, event: SubscriptionEvent) -> Receipt:
        """Records an event, with whatever requests follow from it.

        Raises:
            Undeliverable: there is no such tenant; or its id, its number or its subscription is another's already.
            Transient: the registry does not answer, or the tenant is being written; nothing was recorded.
        """

    def heads(self, tenant_uid: str) -> Sequence[Head]:
        """The newest event of each of the tenant's subscriptions, by subscription."""

    # What could not be understood

    def keep_dead_letter(self, fault: Fault, reason: str, *, digest: str, body: str) -> DeadLetter:
        """Keeps what came; one that is there already is counted once more, and is open again.

        `digest` names the content, also where `body` is empty because it must not be kept.
        """

    def dead_letters(self) -> Sequence[DeadLetter]:
        """Those that nobody has settled, oldest first."""

    def dead_letter(self, letter_id: int) -> DeadLetter:
        """The dead letter of this number.

        Raises:
            NotFound: there is none.
        """

    def settle_dead_letter(self, letter_id: int, settled_as: str) -> DeadLetter:
        """Records what became of it; again is a no-op.

        Raises:
            NotFound: there is none.
        """

    # What goes out

    def unpublished(self) -> Sequence[Announcement]:
        """The announcements that were not sent yet, oldest first."""

    def publish(self, send: Callable[[Sequence[Announcement]], None], *, most: int) -> int:
        """Sends the oldest announcements together, and records that they were sent; how many.

        None where another process is at it. What `send` raises goes through, and nothing is recorded as sent.
        """
