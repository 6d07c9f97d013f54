"""What is left for whoever comes next, once everybody who waits for room has had theirs, in the order of requests.

Nobody is placed before somebody who was asked for earlier and could take the same room: neither another one who waits,
nor a newcomer. Pure: the queue and the room as they were read, what is left out.
"""

from collections.abc import Iterable
from contextlib import suppress

from tenantctl.model.capacity import Demand, Room
from tenantctl.model.errors import Refused
from tenantctl.model.region import Placement, RegionCatalogue, RegionsPolicy
from tenantctl.model.tenant import Tenant
from tenantctl.placement.planning import place_again
from tenantctl.ports.registry import Waiting


def demand_of(tenant: Tenant, policy: RegionsPolicy) -> Demand:
    """What a tenant that is not placed yet needs of an instance."""
    return Demand(tenant.connection_limit, tenant.size, policy.capacity.headroom_percent)


def room_left(queue: Iterable[Waiting], room: Room, catalogue: RegionCatalogue, policy: RegionsPolicy) -> Room:
    """The room, less what those in the queue are about to take of it."""
    for one in queue:
        demand = demand_of(one.tenant, policy)
        regions = room.regions(demand)
        if not any(regions.values()):
            continue
        with suppress(Refused):  # there is none where this one may be
            placement = place_again(Placement.from_plain(one.explanation), catalogue, policy, regions)
            room = room.without(placement.region, demand)
    return room
