"""What the registry in memory keeps of billing, and the outbox, which each change of a state or a place fills."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tenantctl.model.billing import DeadLetter, Head, Receipt, SubscriptionEvent
from tenantctl.model.outbox import Announcement, Told, place_content, state_content
from tenantctl.model.tenant import Tenant


@dataclass
class BillingLedger:
    """Events by name, heads by subscription, dead letters by content, announcements by number.

    `lock` is held while they are read or replaced, `receiving` by who records an event, `publishing` by who sends.
    """

    events: dict[tuple[str, str], tuple[SubscriptionEvent, Receipt]] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    letters: dict[str, DeadLetter] = field(default_factory=dict)
    outbox: dict[int, Announcement] = field(default_factory=dict)
    unsent: dict[int, None] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    receiving: threading.Lock = field(default_factory=threading.Lock)
    publishing: threading.Lock = field(default_factory=threading.Lock)

    def announce(self, uid: str, told: Told, content: Mapping[str, Any], *, at: datetime) -> None:
        """Adds a line to the outbox."""
        with self.lock:
            number = len(self.outbox) + 1
            self.outbox[number] = Announcement(number, uid, told, dict(content), at)
            self.unsent[number] = None

    def announce_change(self, before: Tenant, after: Tenant, *, at: datetime) -> None:
        """Adds what a change of a tenant's row announces, as the database's trigger does."""
        if after.state is not before.state:
            self.announce(after.uid, Told.STATE, state_content(before, after), at=at)
        if after.hosting != before.hosting:
            self.announce(after.uid, Told.PLACE, place_content(after), at=at)
