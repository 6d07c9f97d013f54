"""Drills: a backup proved by a restore now, whenever it was proved last, from the region that is asked for.

A drill is a verification like those by rotation: on an instance of role verify, into a scratch database that nobody
looks into and that is dropped. What it finds counts as much.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tenantctl.backups.planning import newest_complete
from tenantctl.backups.restore import VERIFICATION_FAILED, find_backup, plan_drill
from tenantctl.backups.rotation import restore_due
from tenantctl.engine.executor import Progress
from tenantctl.model.backup import Backup, BackupState, VerificationLevel
from tenantctl.model.errors import TenantctlError
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World
from tenantctl.sweeps.tenants import carry_out


@dataclass(frozen=True)
class Drill:
    """What came of one drill; `region` is None where any copy would do."""

    uid: str
    name: str
    backup: str
    region: str | None
    good: bool
    tables: int | None
    rows: int | None
    seconds: float
    reason: str = ""


def due_drills(world: World) -> Iterator[tuple[Tenant, Backup]]:
    """The active tenants whose proof by a restore is due, with their newest complete backup."""
    registry, policy = world.registry, world.policies.backups.verification
    for tenant in registry.tenants(states=[State.ACTIVE]):
        backups = registry.backups(tenant.uid)
        newest = newest_complete(backups)
        due = restore_due(tenant.uid, backups, policy, since=tenant.created_at)
        if newest is not None and due <= registry.now() and newest.verified_level is not VerificationLevel.RESTORED:
            yield tenant, newest


def run_drill(
    world: World, tenant: Tenant, backup: Backup, *, region: str | None, progress: Progress = lambda step: None
) -> Drill:
    """Carries one drill out; what keeps it from its end is told, not raised."""
    started, asked_at = time.monotonic(), world.registry.now()
    reason = ""
    try:
        turn = carry_out(
            world, lambda at, of: plan_drill(of, backup, since=asked_at, region=region), tenant, progress=progress
        )
        if turn.trouble is not None:
            reason = turn.trouble.sentence
        elif turn.blockers:
            reason = "; ".join(blocker.reason for blocker in turn.blockers)
    except TenantctlError as trouble:
        reason = trouble.sentence
    found = find_backup(world, tenant.uid, backup.id)
    proved = found.verified_at is not None and found.verified_at >= asked_at
    good = proved and found.verified_level is VerificationLevel.RESTORED and found.state is not BackupState.FAILED
    if good:
        reason = ""
    elif found.state is BackupState.FAILED:
        told = (alarm.reason for alarm in world.registry.alarms(tenant.uid) if alarm.code == VERIFICATION_FAILED)
        reason = next((one for one in told if found.id in one), "it failed a restore before")
    seconds = round(time.monotonic() - started, 3)
    return Drill(tenant.uid, tenant.label, found.id, region, good, found.tables, found.rows, seconds, reason)
