"""Where the tenants of instances that are to be left go, and why; who stays or is refused, and why: pure.

Every tenant that is given room leaves less of it for those after it, so that a plan for many holds for all of them; the
registry has the last word when each move is asked for. Nobody crosses a border unasked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tenantctl.model.capacity import Room
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move
from tenantctl.model.region import Placement, RegionCatalogue, RegionsPolicy
from tenantctl.model.tenant import Tenant, Wanted
from tenantctl.placement.elsewhere import elsewhere
from tenantctl.placement.planning import place_again
from tenantctl.placement.queue import demand_of

NEAREST: Final = "nearest"


class Goes(StrEnum):
    """What is to become of one tenant."""

    MOVES = "moves"
    GOES_ON = "goes-on"  # it was asked to move before
    STAYS = "stays"  # nobody moves it: it is leaving for good, or not there yet
    REFUSED = "refused"


@dataclass(frozen=True)
class Leaver:
    """A tenant on an instance that is to be left, or on its way from or to one, with what its way depends on."""

    tenant: Tenant
    move: Move | None
    explanation: Mapping[str, Any]


@dataclass(frozen=True)
class Way:
    """Where one of them goes; `region` is None for those who go nowhere."""

    tenant: Tenant
    goes: Goes
    region: str | None
    reason: str


@dataclass(frozen=True)
class Leaving:
    """What is to be left, and what may be gone to.

    Args:
        instances: the names of those that are left.
        to: a region, or `nearest`: another instance of the tenant's region, else the closest region that may take it.
        room: of the instances that are left and of those that do not answer, none is in it.
        jurisdictions: region → jurisdiction.
    """

    instances: frozenset[str]
    to: str
    room: Room
    catalogue: RegionCatalogue
    policy: RegionsPolicy
    jurisdictions: Mapping[str, str]


def plan_leaving(leavers: Sequence[Leaver], leaving: Leaving) -> Sequence[Way]:
    """The way of each, in their order."""
    ways, room = [], leaving.room
    for one in leavers:
        way = _way(one, leaving, room)
        if way.goes is Goes.MOVES and way.region is not None:
            room = room.without(way.region, demand_of(one.tenant, leaving.policy))
        ways.append(way)
    return ways


def _way(one: Leaver, leaving: Leaving, room: Room) -> Way:
    tenant, move = one.tenant, one.move
    if move is not None and move.source_instance in leaving.instances:
        undone = f"it is to stay after all: {move.undo_because}" if move.undo_because else "it was asked to move before"
        return Way(tenant, Goes.GOES_ON, move.region, undone)
    if move is not None:
        hint = f"undo that, or wait: tenantctl tenant move {tenant.label} --undo"
        return Way(tenant, Goes.REFUSED, None, f"it is on its way here from {move.source_instance}; {hint}")
    if tenant.state is not State.ACTIVE:
        return Way(tenant, Goes.STAYS, None, f"it is {tenant.state}")
    if tenant.wanted is not Wanted.LIVING:
        return Way(tenant, Goes.STAYS, None, "it is leaving for good")
    try:
        region, reason = _choose(one, leaving, room)
    except Refused as refused:
        return Way(tenant, Goes.REFUSED, None, refused.sentence)
    return Way(tenant, Goes.MOVES, region, reason)


def _choose(one: Leaver, leaving: Leaving, room: Room) -> tuple[str, str]:
    """The region, and why that one.

    Raises:
        Refused: none may take it, or none that may has room.
    """
    home, regions = one.tenant.hosting.region, room.regions(demand_of(one.tenant, leaving.policy))
    if leaving.to not in {NEAREST, home}:
        if objection := _objection(one, leaving.to, leaving):
            raise Refused(f"{leaving.to}: {objection}")
        if not regions.get(leaving.to):
            raise Refused(f"{leaving.to}: its instances have no room")
        return leaving.to, "asked for"
    if regions.get(home):
        return home, "another instance of its region has room"
    if leaving.to == home:
        raise Refused(f"no other instance in {home} has room")
    objections = {region: _objection(one, region, leaving) for region in regions if region != home}
    allowed = {region: regions[region] for region, objection in objections.items() if objection is None}
    if not any(allowed.values()):
        raise Refused("; ".join(_why_nowhere(objections)) or "no other region has an instance for tenants")
    placement = place_again(_stored(one), leaving.catalogue, leaving.policy, allowed)
    return placement.region, f"the closest that may take it, {placement.distance_km:,.0f} km from {placement.place}"


def _objection(one: Leaver, region: str, leaving: Leaving) -> str | None:
    """Why a tenant does not go to a region, however much room that has; None where it may."""
    home = one.tenant.hosting.region
    found = elsewhere(home, region, one.explanation, leaving.policy, leaving.jurisdictions)
    return found.objections.get(region)


def _why_nowhere(objections: Mapping[str, str | None]) -> Iterator[str]:
    for region, objection in objections.items():
        yield f"{region}: {objection or 'its instances have no room'}"


def _stored(one: Leaver) -> Placement:
    """Where the customer is based.

    Raises:
        Refused: that is not on record.
    """
    try:
        return Placement.from_plain(one.explanation)
    except (KeyError, TypeError) as error:
        raise Refused("it is not on record where it is based: name a region with --to") from error
