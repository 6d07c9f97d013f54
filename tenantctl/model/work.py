"""In which order due tenants are looked at, how many at once, and when one that always fails is told.

After days without a worker everything is due. What a date was promised for comes first then, what has no backup next,
and the rest last; and yet nothing waits for ever, since a tenant is overtaken only by what came due at most
`OVERTAKEN_FOR` after it for each class between them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import ClassVar, Final

from tenantctl.model.lifecycle import State
from tenantctl.model.plan import DUTY_OF, Do, Duty, Plan
from tenantctl.model.strict import STRICT
from tenantctl.model.tenant import Tenant, Wanted

OVERTAKEN_FOR: Final = timedelta(days=30)
RETRY_AFTER: Final = timedelta(minutes=5)
RETRY_AFTER_MAX: Final = timedelta(hours=6)
# The alarms of work itself.
TROUBLE: Final = "trouble"
STUCK: Final = "stuck"
PARKED: Final = "parked"

SPREAD: Final = 0.2  # of a wait, to both sides: what failed together does not come back together


class Danger(IntEnum):
    """What it costs if a due tenant is not looked at; the least number comes first."""

    TERM = 0  # a date that was promised runs out; or nobody has looked yet at what was asked for
    BACKUP = 1  # what a customer did is in no backup
    REST = 2


_TERMS: Final = frozenset(
    {
        *(do for do, duty in DUTY_OF.items() if duty in {Duty.DEACTIVATE, Duty.DESTROY}),
        *(Do.SHRED_KEY, Do.PROVE_LAPSE, Do.PROVE_FORMER_GONE, Do.HOLD_COPIES, Do.RELEASE_COPIES),
        *(Do.BLANK_NAMES, Do.MARK_FORGOTTEN),
    }
)
_BACKUPS: Final = frozenset({Do.BACK_UP, Do.REPAIR_COPY})
_LEAVING: Final = frozenset({State.DEACTIVATING, State.DEACTIVATED, State.DESTROYING, State.DESTROYED})
_SERVED: Final = frozenset({State.ACTIVE, State.MOVING})


def danger_of(tenant: Tenant, plan: Plan) -> Danger:
    """How dangerous it is to be late with a tenant: by the step that another duty is to go on with, else by its state.

    Whatever an active tenant is looked at for, a missed day is a missed backup; whatever one that leaves is looked at
    for, its dates are promised.
    """
    if plan.steps:
        step = plan.steps[0].do
        return Danger.TERM if step in _TERMS else Danger.BACKUP if step in _BACKUPS else Danger.REST
    if tenant.state in _LEAVING or (tenant.state in _SERVED and tenant.wanted is not Wanted.LIVING):
        return Danger.TERM
    return Danger.BACKUP if tenant.state in _SERVED else Danger.REST


def turn_at(danger: Danger, due_at: datetime) -> datetime:
    """The moment by which due tenants are put in order, the earliest first."""
    return due_at + OVERTAKEN_FOR * danger.value


def danger_after(failures: int) -> Danger:
    """Where a tenant stands that failed so often in a row: behind those of its kind that have not had a turn yet.

    What looks most dangerous may fail again and again; it does not keep from others what would succeed.
    """
    return Danger.BACKUP if failures < 2 else Danger.REST


def retry_after(uid: str, failures: int, failing_for: timedelta) -> timedelta:
    """How long a tenant that failed is left alone: half of the time that it has failed for, within bounds.

    A share of its own is added or taken, drawn from the uid and the number of failures: the same again for the same.

    Args:
        uid: the tenant's.
        failures: how often it has failed in a row, this time included.
        failing_for: how long ago the first of them was.
    """
    drawn = int.from_bytes(hashlib.sha256(f"{uid}/{failures}".encode()).digest()[:8], "big") / 2**64
    return min(max(RETRY_AFTER, failing_for / 2), RETRY_AFTER_MAX) * (1 + SPREAD * (2 * drawn - 1))


@dataclass(frozen=True)
class Limits:
    """How many tenants all workers together work on at once, on one instance and in one region; at least one each."""

    per_instance: int
    per_region: int


@dataclass(frozen=True)
class WorkPolicy:
    """The part `work` of `lifecycle.yaml`: how much is done at once, and when somebody is told that nothing is.

    `admin_requests_per_minute` is what all workers together ask of the Cloud SQL Admin API. A tenant that failed
    `stuck_after_failures` times in a row, or for `stuck_after_hours`, is alarmed as stuck.
    """

    __pydantic_config__: ClassVar = STRICT

    at_once: int
    per_instance_max: int
    per_region_max: int
    admin_requests_per_minute: int
    stuck_after_failures: int
    stuck_after_hours: int

    @property
    def limits(self) -> Limits:
        """What claims are held to."""
        return Limits(self.per_instance_max, self.per_region_max)

    def is_stuck(self, failures: int, failing_for: timedelta) -> bool:
        """Whether somebody must be told of a tenant that goes on failing."""
        return failures >= self.stuck_after_failures or failing_for >= timedelta(hours=self.stuck_after_hours)

    def faults(self) -> Iterator[tuple[str, str]]:
        """(key, reason) for each number that cannot be."""
        yield from ((key, f"must be at least 1, is {value}") for key, value in vars(self).items() if value < 1)
        if self.at_once > 64:
            yield "at_once", f"must be at most 64, is {self.at_once}: each has a thread and a connection"
