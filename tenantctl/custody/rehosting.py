"""A tenant whose region is lost, placed anew elsewhere: the same tenant, the next generation of its database.

One transaction says why, from which backup, and where; from then on the tenant is *moving*, and every worker carries it
on. Nothing is written to the database that it had: that is left as it is, and stays in the residue inventory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tenantctl.custody.basis import Basis, check_basis, opening_of
from tenantctl.engine.lease import leased
from tenantctl.model.backup import Backup, BackupState, CopyState
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.tenant import Origin, Tenant
from tenantctl.placement.elsewhere import moved
from tenantctl.ports.registry import FencedWrites
from tenantctl.ports.world import World

_USABLE: Final = frozenset({BackupState.COMPLETE, BackupState.SHORT})


@dataclass(frozen=True)
class Rehosting:
    """What was decided for one tenant: where to, and from which backup, begun when."""

    region: str
    backup_id: str
    data_from: datetime


def newest_elsewhere(backups: Sequence[Backup], lost: str) -> Backup | None:
    """The newest good backup that has a copy outside the lost region."""
    good = [
        backup
        for backup in backups
        if backup.state in _USABLE
        and any(copy.state is CopyState.WRITTEN and copy.region != lost for copy in backup.copies)
    ]
    return max(good, key=lambda backup: backup.begun_at, default=None)


def request_rehosting(world: World, tenant: Tenant, basis: Basis, *, lost: str, regions: Sequence[str]) -> Rehosting:
    """Places an active tenant anew, in the first of these regions that has room.

    Raises:
        Refused: there is no basis for it, it is not active in the lost region any more, or no region has room.
        NotFound: no backup of it has a copy outside the lost region.
        Transient: a worker has it just now.
    """
    check_basis(basis, tenant)
    backup = newest_elsewhere(world.registry.backups(tenant.uid), lost)
    if backup is None:
        raise NotFound(f"Tenant {tenant.label} has no backup with a copy outside {lost}.")
    troubles = list[Refused]()
    with leased(world, tenant) as heartbeat:
        for region in regions:
            try:
                with world.registry.fenced(heartbeat.lease) as writes:
                    _place(world, writes, backup, basis, lost=lost, region=region)
            except Refused as full:
                troubles.append(full)
                continue
            return Rehosting(region, backup.id, backup.begun_at)
    raise troubles[-1] if troubles else Refused(f"No region may take tenant {tenant.label}.")


def _place(world: World, writes: FencedWrites, backup: Backup, basis: Basis, *, lost: str, region: str) -> None:
    """The one transaction.

    Raises:
        Refused: the tenant is not active in the lost region any more, or the region has no room.
    """
    tenant = writes.tenant
    if tenant.state is not State.ACTIVE or tenant.hosting.region != lost:
        raise Refused(f"Tenant {tenant.label} is {tenant.state} in {tenant.hosting.region}, not active in {lost}.")
    because = f"restored from a backup in {region}: {lost} was lost"
    writes.journal("restore-requested", **opening_of(backup.id, basis), lost=lost)
    writes.move(Event.MOVE_STARTED, lost=lost, to_region=region)
    writes.rehost(region, Origin(backup.id, tenant.uid), moved(world.registry.explanation(tenant.uid), region, because))
