"""The queue of those who wait for room, as it is seen: who is in it, and whether there is room for one of them now."""

from collections.abc import Sequence
from dataclasses import replace

from tenantctl.model.capacity import Room
from tenantctl.model.errors import Refused
from tenantctl.model.facts import WaitingSeen
from tenantctl.model.region import Placement
from tenantctl.model.tenant import Tenant
from tenantctl.onboarding.planning import is_cancelled
from tenantctl.placement.catalogue import region_catalogue
from tenantctl.placement.planning import place_again
from tenantctl.placement.queue import demand_of, room_left
from tenantctl.ports.registry import Registry, Waiting
from tenantctl.ports.world import World


def queue(registry: Registry) -> Sequence[Waiting]:
    """Those who wait, in the order of requests; who was cancelled meanwhile waits no more."""
    now = registry.now()
    return [one for one in registry.waiting() if not is_cancelled(one.tenant, now=now)]


def look_at_waiting(world: World, tenant: Tenant) -> WaitingSeen | None:
    """Where a tenant stands in the queue, and its placement if there is room for it after those before it.

    None where it does not wait any more.
    """
    waiting = queue(world.registry)
    position = next((number for number, one in enumerate(waiting) if one.tenant.uid == tenant.uid), None)
    if position is None:
        return None
    catalogue, policy = region_catalogue(), world.policies.regions
    room = room_left(waiting[:position], Room(tuple(world.registry.instances())), catalogue, policy)
    asked = Placement.from_plain(waiting[position].explanation)
    try:
        placement = place_again(asked, catalogue, policy, room.regions(demand_of(tenant, policy)))
    except Refused as refused:
        return WaitingSeen(position + 1, len(waiting), None, refused.sentence)
    waited = f"it waited for room in {asked.region}"
    if placement.deviation is None and placement.region != asked.region:
        placement = replace(placement, deviation=waited)
    return WaitingSeen(position + 1, len(waiting), placement, waited)
