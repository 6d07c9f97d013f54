"""What is measured, by name: the one list, which dashboard, alert policies and runbook name the same things as.

Nothing here measures. Names are as PromQL has them; a count ends with `_total`, and a unit stands last otherwise.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How a measure behaves: it only grows, it is what was seen last, or it is a spread of durations."""

    COUNT = "count"
    GAUGE = "gauge"
    SPREAD = "spread"


@dataclass(frozen=True)
class Metric:
    """One measure; `labels` are the only attributes that it has, and none of them names a customer."""

    name: str
    kind: Kind
    unit: str
    says: str
    labels: tuple[str, ...] = ()


OLDEST_BACKUP_HOURS: Final = Metric(
    "tenantctl_oldest_backup_hours", Kind.GAUGE, "h", "Age of the newest complete backup, of the tenant worst off."
)
WITHOUT_BACKUP: Final = Metric(
    "tenantctl_tenants_without_backup", Kind.GAUGE, "1", "Active tenants that have no complete backup."
)
OVERDUE_BACKUPS: Final = Metric(
    "tenantctl_backups_overdue", Kind.GAUGE, "1", "Active tenants whose newest backup is older than the policy allows."
)
SHORT_OF_COPIES: Final = Metric(
    "tenantctl_backups_short_of_copies", Kind.GAUGE, "1", "Active tenants that have a backup in too few places."
)
OVERDUE_EXPIRY: Final = Metric(
    "tenantctl_expiry_overdue", Kind.GAUGE, "1", "Places that still hold bytes after the date that was promised."
)
DUE: Final = Metric("tenantctl_tenants_due", Kind.GAUGE, "1", "Tenants that a worker is to look at now.")
STUCK: Final = Metric(
    "tenantctl_tenants_stuck", Kind.GAUGE, "1", "Tenants that have been due for hours, and that nobody came to."
)
ALARMS_OPEN: Final = Metric("tenantctl_alarms_open", Kind.GAUGE, "1", "Open alarms, by code.", ("alarm",))
DESTROYED: Final = Metric(
    "tenantctl_databases_destroyed_total", Kind.COUNT, "1", "Databases that were dropped for good."
)
STEP_SECONDS: Final = Metric(
    "tenantctl_step_duration_seconds", Kind.SPREAD, "s", "How long steps took.", ("step", "duty", "outcome")
)
API_ERRORS: Final = Metric(
    "tenantctl_api_errors_total", Kind.COUNT, "1", "Answers of Google's APIs that were no yes, by code.", ("code",)
)

METRICS: Final = (
    *(OLDEST_BACKUP_HOURS, WITHOUT_BACKUP, OVERDUE_BACKUPS, SHORT_OF_COPIES, OVERDUE_EXPIRY, DUE, STUCK, ALARMS_OPEN),
    *(DESTROYED, STEP_SECONDS, API_ERRORS),
)
assert len({metric.name for metric in METRICS}) == len(METRICS), "each has a name of its own"
