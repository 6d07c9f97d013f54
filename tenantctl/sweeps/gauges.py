"""The fleet in numbers that a monitor can watch: read from the registry, and never counted from what was done.

A job that measures after its work tells what stands then: a backup that nobody made shows itself by its age.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from tenantctl.backups.holding import kept_places
from tenantctl.model import metrics
from tenantctl.model.lifecycle import State
from tenantctl.model.metrics import Metric
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World
from tenantctl.sweeps.coverage import examine_backups

STUCK_AFTER: Final = timedelta(hours=6)  # the longest that trouble alone puts a tenant off
PROOF_AFTER: Final = timedelta(days=1)  # within which the audit has seen that what must be gone is gone
UNFINISHED: Final = tuple(state for state in State if state is not State.FORGOTTEN)


def measure_fleet(world: World) -> Mapping[Metric, Mapping[str, float]]:
    """Every gauge, with its values by its one label; "" stands for none.

    Raises:
        Transient: the registry does not answer.
    """
    registry = world.registry
    now = registry.now()
    fleet = examine_backups(world)
    tenants = registry.tenants(states=UNFINISHED)
    due = [one for one in tenants if one.due_at <= now]
    stuck = [one for one in due if now - one.due_at > STUCK_AFTER and registry.lease_of(one.uid) is None]
    oldest = fleet.oldest_hours
    return {
        metrics.OLDEST_BACKUP_HOURS: {} if oldest is None else {"": oldest},
        metrics.WITHOUT_BACKUP: {"": fleet.without_backup},
        metrics.OVERDUE_BACKUPS: {"": fleet.overdue},
        metrics.SHORT_OF_COPIES: {"": fleet.short_of_copies},
        metrics.OVERDUE_EXPIRY: {"": sum(_overdue(world, one, now) for one in tenants)},
        metrics.DUE: {"": len(due)},
        metrics.STUCK: {"": len(stuck)},
        metrics.ALARMS_OPEN: Counter(alarm.code for alarm in registry.alarms()),
    }


def _overdue(world: World, tenant: Tenant, now: datetime) -> int:
    """Places that should have lapsed a day ago, and were not seen to; what a legal hold keeps is not among them."""
    places = world.registry.open_residues(tenant.uid)
    late = {one.id for one in places if one.unreadable_after is not None and one.unreadable_after + PROOF_AFTER < now}
    if late:
        late -= kept_places(world.decisions.holds(tenant.uid), world.registry.backups(tenant.uid))
    return len(late)
