"""Grace: how long a closed database is kept before it may be destroyed. Pure."""

from datetime import datetime, timedelta

from tenantctl.model.calendar import end_of_local_day
from tenantctl.model.policy import LifecyclePolicy


def destroy_after(closed_at: datetime, time_zone: str, policy: LifecyclePolicy) -> datetime:
    """Grace counted from `closed_at`: days of 24 hours, rounded up to the end of that day where the customer is."""
    return end_of_local_day(closed_at + timedelta(days=policy.grace_days), time_zone)


def never_earlier(current: datetime | None, candidate: datetime) -> datetime:
    """The later of the two: a grace that runs is never shortened, whatever the policy says by now."""
    return candidate if current is None else max(current, candidate)
