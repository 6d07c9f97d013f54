"""A living database of an existing fleet becomes a tenant: found, looked at, asked for, and brought into our model.

Nothing of its data is changed: what changes is who owns it, who may enter, its name and its comment. Its customer is
sent away for the moment of the renaming, and comes back with a login of ours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tenantctl.engine.actions import Work
from tenantctl.model.adoption import ADOPTS, ForeignSeen, reasons_against
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.region import RegionCatalogue
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Instance, InstanceRole, Tenant, new_uid
from tenantctl.onboarding.request import most_populous
from tenantctl.placement.geocode import geocode
from tenantctl.placement.newcomer import check_newcomers_name
from tenantctl.placement.planning import plan_placement
from tenantctl.ports.registry import NewTenant
from tenantctl.ports.world import World


@dataclass(frozen=True)
class Adoptable:
    """A database where it lies, what is in it, and why it cannot be adopted; nothing where it can."""

    instance: Instance
    database: str
    seen: ForeignSeen
    reasons: Sequence[str]


def look_at_adoptable(world: World, database: str, *, instance: str | None, server_major: int) -> Adoptable:
    """Finds the one database of this name, on the instance or on whichever of ours has it.

    Raises:
        Refused: the instance is none of ours, there is no such database, or there are several.
        Transient: an instance does not answer, and the database might be there.
    """
    ours = [one for one in world.registry.instances() if one.role is InstanceRole.TENANTS]
    asked = [one for one in ours if instance in {None, one.name}]
    if not asked:
        raise Refused(f"{instance} is no instance for tenants that is in service.", hint="See: tenantctl instance list")
    found = []
    for one in asked:
        match world.databases.inspect_foreign(one.name, database):
            case Present(seen):
                found.append((one, seen))
            case Unreachable(reason):
                raise Transient(f"Instance {one.name} does not answer: {reason}")
            case Gone():
                pass
    if len(found) != 1:
        where = ", ".join(one.name for one, _ in found)
        what = f"is on {where}" if found else "is on no instance that was asked"
        raise Refused(f"The database {database} {what}.", hint="Name the one that is meant: --instance INSTANCE")
    (one, seen), allowed = found[0], world.policies.lifecycle.allowed_extensions
    reasons = tuple(reasons_against(seen, allowed_extensions=allowed, server_major=server_major))
    return Adoptable(one, database, seen, reasons)


def request_adoption(
    world: World,
    catalogue: RegionCatalogue,
    found: Adoptable,
    *,
    name: str,
    based_in: str,
    cause: str,
    instructing_party: str,
) -> Tenant:
    """Writes the request, placed where the database lies; a worker carries it out.

    Raises:
        Refused: something stands against it, its name is taken, or its instance has no room; nothing was written.
    """
    if found.reasons:
        raise Refused(f"The database {found.database} cannot be adopted: {'; '.join(found.reasons)}.")
    check_newcomers_name(world.registry, name)
    regions, there = world.policies.regions, found.instance.region
    placement = plan_placement(most_populous(geocode(based_in)), catalogue, regions, None, may_wait=True)
    because = placement.deviation if placement.region == there else f"the database was in {there} when it was adopted"
    explanation = replace(placement, region=there, deviation=because).to_plain()
    extensions = tuple(sorted(set(found.seen.extensions) - {"plpgsql"}))
    new = NewTenant(
        uid=new_uid(),
        name=name,
        region=there,
        time_zone=placement.place.time_zone,
        connection_limit=world.policies.lifecycle.connections_per_tenant,
        extensions=extensions,
        explanation={**explanation, ADOPTS: found.database},
        cause=cause,
        instructing_party=instructing_party,
        size=found.seen.size,
        instance=found.instance.name,
    )
    return world.registry.request_tenant(new)


class AdoptDatabase:
    """Makes the database that the request named the tenant's."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance shows it under the tenant's name, with its marker, and with nothing of anybody else."""
        return work.world.databases.look_adopted(work.tenant.hosting)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """What is in it is looked at again, as long as it was not begun with."""
        hosting = work.tenant.hosting
        match work.world.databases.inspect_foreign(hosting.instance, adopted_name(work.world, work.tenant)):
            case Present(seen) if seen.marker != hosting.marker:
                allowed = work.world.policies.lifecycle.allowed_extensions
                against = reasons_against(seen, allowed_extensions=allowed, server_major=seen.server_major)
                yield from (Blocker("not-adoptable", reason, alarm=True) for reason in against)

    def act(self, work: Work, step: Step) -> None:
        """Adopts it."""
        work.world.databases.adopt(work.tenant.hosting, adopted_name(work.world, work.tenant))


def adopted_name(world: World, tenant: Tenant) -> str:
    """What the database was called that the tenant is to be; "" where it begins with a new one."""
    return str(world.registry.explanation(tenant.uid).get(ADOPTS, ""))
