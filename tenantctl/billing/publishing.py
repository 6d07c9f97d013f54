"""The way out: what the outbox holds is sent, the oldest first, until nothing is left."""

from collections.abc import Callable, Sequence
from typing import Final

from tenantctl.model.outbox import Announcement
from tenantctl.ports.billing import Billing

AT_ONCE: Final = 100


def publish_all(billing: Billing, send: Callable[[Sequence[Announcement]], None], *, at_once: int = AT_ONCE) -> int:
    """Sends everything that is in the outbox; how many announcements.

    Raises:
        Transient: the topic does not answer; what was not sent stays, in its order.
    """
    sent = 0
    while count := billing.publish(send, most=at_once):
        sent += count
    return sent
