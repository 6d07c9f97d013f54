"""The fleet's backups at a glance: measured against the policy, and never inferred from a log of successes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tenantctl.backups.planning import newest_complete
from tenantctl.backups.rotation import read_due
from tenantctl.model.backup import Backup, BackupState, CopyState, VerificationLevel
from tenantctl.model.lifecycle import State
from tenantctl.model.policy import BackupsPolicy
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World

AN_HOUR = timedelta(hours=1)
SHORT: Final = "short of copies"


@dataclass(frozen=True)
class TenantBackups:
    """One active tenant's backups, measured; ages in hours, None where there is nothing to measure."""

    tenant: Tenant
    backup: str | None
    age_hours: float | None
    regions: Sequence[str]
    restored_days_ago: float | None
    faults: Sequence[str]


@dataclass(frozen=True)
class FleetBackups:
    """The fleet in five numbers, and each active tenant's line."""

    tenants: Sequence[TenantBackups]
    oldest_hours: float | None
    without_backup: int
    short_of_copies: int
    overdue: int
    restored_within_days: int
    restored_share: float


def examine_backups(world: World) -> FleetBackups:
    """Reads every active tenant's backups.

    Raises:
        Transient: the registry does not answer.
    """
    registry, policy = world.registry, world.policies.backups
    now = registry.now()
    lines = [
        measure(tenant, registry.backups(tenant.uid), policy, now=now)
        for tenant in registry.tenants(states=[State.ACTIVE, State.MOVING])
    ]
    within = policy.verification.restore_every_days
    restored = sum(line.restored_days_ago is not None and line.restored_days_ago <= within for line in lines)
    return FleetBackups(
        tenants=lines,
        oldest_hours=max((line.age_hours for line in lines if line.age_hours is not None), default=None),
        without_backup=sum(line.backup is None for line in lines),
        short_of_copies=sum(any(fault.startswith(SHORT) for fault in line.faults) for line in lines),
        overdue=sum("overdue" in fault for line in lines for fault in line.faults),
        restored_within_days=within,
        restored_share=restored / len(lines) if lines else 1.0,
    )


def measure(tenant: Tenant, backups: Iterable[Backup], policy: BackupsPolicy, *, now: datetime) -> TenantBackups:
    """One tenant's backups against the policy. Pure."""
    known = list(backups)
    newest = newest_complete(known)
    restored = [b.verified_at for b in known if b.verified_at and b.verified_level is VerificationLevel.RESTORED]
    return TenantBackups(
        tenant=tenant,
        backup=newest.id if newest else None,
        age_hours=(now - newest.begun_at) / AN_HOUR if newest else None,
        regions=newest.regions_holding() if newest else (),
        restored_days_ago=(now - max(restored)) / timedelta(days=1) if restored else None,
        faults=tuple(_faults(tenant, known, newest, policy, now=now)),
    )


def _faults(
    tenant: Tenant, backups: Iterable[Backup], newest: Backup | None, policy: BackupsPolicy, *, now: datetime
) -> Iterator[str]:
    allowed = timedelta(hours=policy.rpo_hours)
    if newest is None:
        if now - tenant.created_at > allowed:
            yield "overdue: there is no backup"
    else:
        if now - newest.begun_at > allowed:
            yield f"overdue: the newest is older than {policy.rpo_hours} hours"
        if len(newest.regions_holding()) < policy.copies_min:
            yield f"{SHORT}: {len(newest.regions_holding())} of {policy.copies_min} regions"
        if any(copy.off_cloud and copy.state is not CopyState.WRITTEN for copy in newest.copies):
            yield f"{SHORT}: none off Google's cloud"
        if newest.verified_level is None and not any(copy.verified_level for copy in newest.copies):
            yield "not read back yet"
    for later in backups:
        if later.state is BackupState.SHORT and (newest is None or later.begun_at > newest.begun_at):
            yield f"{SHORT}: backup {later.id} in {len(later.regions_holding())} of {policy.copies_min} regions"
    copies = [copy for backup in backups for copy in backup.copies]
    settled = [copy for copy in copies if copy.state is CopyState.WRITTEN and not copy.may_be_held]
    late = sum(copy.unreadable_after < now for copy in settled)
    if late:
        yield f"still there after their date: {late} copies"
    unread = sum(copy.state is CopyState.WRITTEN and read_due(copy, policy.verification) < now for copy in copies)
    if unread:
        yield f"not read back in time: {unread} copies"
