"""What the world outside is told: each change of a tenant's state and place, as a CloudEvent. Pure.

An announcement is written in the transaction that makes the change, and published later, at least once. Its number
grows within a tenant: whoever has seen a higher one ignores a lower one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from tenantctl.model.calendar import rfc3339
from tenantctl.model.tenant import Tenant

SOURCE: Final = "/tenantctl"
CONTENT_TYPE: Final = "application/cloudevents+json"


class Told(StrEnum):
    """What is announced."""

    STATE = "tenantctl.tenant.state-changed"
    PLACE = "tenantctl.tenant.place-changed"
    REFUSED = "tenantctl.subscription.refused"


@dataclass(frozen=True)
class Announcement:
    """One line of the outbox; `content` is a JSON object of codes and moments, never of names."""

    id: int
    tenant_uid: str
    told: Told
    content: Mapping[str, Any]
    written_at: datetime
    published_at: datetime | None = None


def state_content(before: Tenant, after: Tenant) -> dict[str, Any]:
    """What is announced of a change of state; the database's own trigger writes the same."""
    return {
        "from": before.state.value,
        "to": after.state.value,
        "wanted": after.wanted.value,
        "destroy_after": rfc3339(after.destroy_after) if after.destroy_after else None,
    }


def place_content(after: Tenant) -> dict[str, Any]:
    """What is announced of another place; routers lead customers there."""
    hosting = after.hosting
    return {"region": hosting.region, "instance": hosting.instance or None, "generation": hosting.generation}


def cloud_event(told: Announcement) -> dict[str, Any]:
    """An announcement as a CloudEvent 1.0 in structured form."""
    return {
        "specversion": "1.0",
        "id": str(told.id),
        "source": SOURCE,
        "type": told.told.value,
        "subject": told.tenant_uid,
        "time": rfc3339(told.written_at),
        "datacontenttype": "application/json",
        "sequence": f"{told.id:020d}",
        "data": {"tenant": told.tenant_uid, **told.content},
    }


def cloud_event_text(told: Announcement) -> str:
    """The same as the text that is published."""
    return json.dumps(cloud_event(told), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
