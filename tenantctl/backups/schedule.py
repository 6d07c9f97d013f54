"""When a tenant's nightly backup is due: a rule of its uid, its time zone, and the policy's night.

Each tenant has its own minute of the night, the same every night and spread
evenly over the fleet, so that no instance gets all its dumps at once.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tenantctl.model.calendar import ONE_DAY
from tenantctl.model.policy import Night


@dataclass(frozen=True)
class Slot:
    """One night's backup: its name, unique for the tenant, and the moment from which it is due."""

    name: str
    due_at: datetime


def newest_slot(uid: str, time_zone: str, night: Night, *, now: datetime) -> Slot:
    """The latest slot that is already due at `now`."""
    today = now.astimezone(ZoneInfo(time_zone)).date()
    slots = (_slot(uid, time_zone, night, today - ONE_DAY * days_ago) for days_ago in range(3))
    return next(slot for slot in slots if slot.due_at <= now)


def next_slot(uid: str, time_zone: str, night: Night, *, now: datetime) -> Slot:
    """The earliest slot that is not due yet at `now`."""
    today = now.astimezone(ZoneInfo(time_zone)).date()
    first = -1 if night.starts_at_hour + night.hours > 24 else 0  # a night that lasts beyond midnight
    slots = (_slot(uid, time_zone, night, today + ONE_DAY * days_ahead) for days_ahead in range(first, 3))
    return next(slot for slot in slots if slot.due_at > now)


def _slot(uid: str, time_zone: str, night: Night, evening: date) -> Slot:
    name, begins_at = _night_of(time_zone, night.starts_at_hour, evening)
    return Slot(name, begins_at + timedelta(hours=night.hours) * _share_of_night(uid))


@lru_cache(maxsize=4096)  # one for all tenants of a time zone
def _night_of(time_zone: str, starts_at_hour: int, evening: date) -> tuple[str, datetime]:
    """The name of all slots of a night, and when it begins."""
    return evening.isoformat(), datetime.combine(evening, time(starts_at_hour), ZoneInfo(time_zone)).astimezone(UTC)


@lru_cache(maxsize=4096)  # it is asked for several slots of a tenant in each plan
def _share_of_night(uid: str) -> float:
    """A number within [0, 1) that depends on the uid alone."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4]) / 2**32
