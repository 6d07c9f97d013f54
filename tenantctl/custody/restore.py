"""A backup brought back as a new tenant: never over a living database, since what is restored into is made for it.

The new tenant comes the ordinary way, based where the old one is based, and says from which backup it is; so all that
holds for tenants holds for it too: its backups, its residue, its leaving. Reason and reference stand in both chains
before anything is opened.
"""

from tenantctl.custody.basis import Basis, opening_of
from tenantctl.custody.opening import check_opening, record_opening
from tenantctl.model.backup import Backup, CopyState
from tenantctl.model.capacity import Room
from tenantctl.model.errors import NoRoom, NotFound, Refused
from tenantctl.model.tenant import Origin, Tenant, new_uid
from tenantctl.placement.elsewhere import PARTNERS, elsewhere, moved
from tenantctl.placement.newcomer import check_newcomers_name
from tenantctl.placement.queue import demand_of
from tenantctl.ports.registry import NewTenant
from tenantctl.ports.world import World


def request_restore(world: World, source: Tenant, backup: Backup, basis: Basis, *, name: str) -> Tenant:
    """Writes the request for a new tenant that is filled from a backup; a worker carries it out.

    Raises:
        Refused: there is no basis for it, two people have not agreed where it takes two, the name is taken, or no
            region that may have the data has room.
        NotFound: no copy of the backup is left.
    """
    registry = world.registry
    check_newcomers_name(registry, name)
    if not any(copy.state is CopyState.WRITTEN for copy in backup.copies):
        raise NotFound(
            f"No copy of backup {backup.id} is left.", hint=f"List others: tenantctl backup list {source.label}"
        )
    check_opening(world, source, backup, basis)
    explanation = dict(registry.explanation(source.uid))
    region = _home(world, source)
    if region != source.hosting.region:
        because = f"restored from a backup in {region}: {source.hosting.region} has no room"
        explanation = moved(explanation, region, because)
    new = NewTenant(
        uid=new_uid(),
        name=name,
        region=region,
        time_zone=source.time_zone,
        connection_limit=min(source.connection_limit, world.policies.lifecycle.connections_per_tenant),
        extensions=source.extensions,
        explanation=explanation,
        cause=f"restored from backup {backup.id}",
        instructing_party=basis.ground.value,
        restored_from=Origin(backup.id, source.uid),
        evidence={**opening_of(backup.id, basis), "of_tenant": source.uid},
        kept_in=source.kept_in,
        size=source.size,
        headroom_percent=world.policies.regions.capacity.headroom_percent,
    )
    _refuse_taken(world, name)
    record_opening(world, source, backup, basis, "restore-requested", into=new.uid)
    return registry.request_tenant(new)


def _home(world: World, source: Tenant) -> str:
    """The region for the new tenant: the old one's, or a partner of it where that has no room.

    Raises:
        Refused: none has any.
    """
    policy = world.policies.regions
    room = Room(tuple(world.registry.instances())).regions(demand_of(source, policy))
    home = source.hosting.region
    explanation = world.registry.explanation(source.uid)
    others = elsewhere(home, PARTNERS, explanation, policy, world.jurisdictions)
    candidates = (home, *others.regions)
    for region in candidates:
        if room.get(region, 0) > 0:
            return region
    raise NoRoom(
        f"No region that may have the data of tenant {source.label} has room: {', '.join(candidates)}.",
        hint="Add an instance: tenantctl instance add NAME --region REGION",
    )


def _refuse_taken(world: World, name: str) -> None:
    """A name that is taken is found out before anything is put on record; the registry has the last word."""
    try:
        bearer = world.registry.find(name)
    except NotFound:
        return
    if bearer.name == name:
        raise Refused(
            f"The name {name!r} is taken by a living tenant: a backup is never restored over one.",
            hint="Choose another name.",
        )
