"""Instances left by all their tenants: several at a time, each moved while its customer works, by the moves of one.

Whatever ends it, running it again goes on: a tenant that was asked to move is carried on, one that has moved is passed
over. What is refused to one tenant keeps no other from its move.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tenantctl.engine.executor import Progress
from tenantctl.engine.fleet import AT_ONCE, carry_on, side_by_side
from tenantctl.model.capacity import Room
from tenantctl.model.errors import NotFound, Refused, TenantctlError
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move, open_move
from tenantctl.model.region import RegionCatalogue
from tenantctl.model.tenant import Instance, InstanceState, Tenant
from tenantctl.placement.elsewhere import check_region
from tenantctl.ports.world import World
from tenantctl.relocation.leaving import NEAREST, Goes, Leaver, Leaving, Way, plan_leaving
from tenantctl.relocation.request import check_move, request_move, what_to_do
from tenantctl.sweeps.answering import answering, for_tenants
from tenantctl.sweeps.observe import observe_and_plan
from tenantctl.sweeps.tenants import ACTIONS

TROUBLES_MAX: Final = 5  # turns in a row: an instance that restarts is waited for


@dataclass(frozen=True)
class TenantMove:
    """What came of one tenant.

    `outcome` is `moved`, `waiting` (run it again), `undone`, `refused` or `stays`; of a look beforehand `moves` or
    `goes-on` instead of the first three; `begun` of one that was asked to move just now. `database`, `login` and
    `password` are those of the new place; the password is None where it was shown by an earlier run. `out_seconds` is
    for how long its customer is expected to be out.
    """

    uid: str
    name: str
    outcome: str
    left: str
    region: str | None
    instance: str | None
    reason: str
    seconds: float = 0.0
    out_seconds: int | None = None
    database: str | None = None
    login: str | None = None
    password: str | None = None


Told = Callable[[TenantMove], None]


@dataclass(frozen=True)
class Asked:
    """What a person asked for, as it goes on record with each move."""

    cause: str
    instructing_party: str
    to: str = NEAREST
    limit: int = AT_ONCE


def instances_of(world: World, region: str) -> Sequence[Instance]:
    """The instances for tenants in a region that is to be left.

    Raises:
        Refused: the policy does not know the region, or nothing in it answers: then nothing can be copied from it.
        NotFound: it has no instance for tenants.
    """
    check_region(region, world.policies.regions)
    found = for_tenants(world, region=region)
    if not found:
        raise NotFound(f"There is no instance for tenants in {region}.", hint="See: tenantctl instance list")
    if not answering(world, found):
        raise Refused(
            f"No instance in {region} answers: there is nothing to copy from.",
            hint=f"If the region is lost: tenantctl backup restore --fleet {region} --ground incident --reference …",
        )
    return found


def plan_to_leave(world: World, catalogue: RegionCatalogue, instances: Sequence[Instance], to: str) -> Sequence[Way]:
    """Where each tenant on these instances goes; changes nothing.

    Raises:
        Refused: the policy does not know the region.
    """
    if to != NEAREST:
        check_region(to, world.policies.regions)
    names = frozenset(one.name for one in instances)
    others = [one for one in for_tenants(world) if one.name not in names]
    spoke = answering(world, [one for one in others if one.state is InstanceState.SERVING])
    room = Room(tuple(one for one in others if one.name in spoke))
    leaving = Leaving(names, to, room, catalogue, world.policies.regions, world.jurisdictions)
    return plan_leaving(list(_leavers(world, names)), leaving)


def look_at_leaving(world: World, ways: Sequence[Way], asked: Asked) -> Sequence[TenantMove]:
    """What would come of each way, with what its database says to it; changes nothing."""

    def look(way: Way) -> TenantMove:
        if way.goes is not Goes.MOVES or way.region is None:
            return _of(way)
        try:
            checked = check_move(world, way.tenant, way.region, leaves_instance=True)
        except TenantctlError as trouble:
            return _put_off(way, trouble)
        if checked.obstacles:
            return _put_off(way, Refused(f"{'; '.join(checked.obstacles)}.", hint=what_to_do(checked)))
        return replace(_of(way), out_seconds=checked.expected_seconds)

    return side_by_side(look, ways, asked.limit)


def move_fleet(
    world: World,
    ways: Sequence[Way],
    asked: Asked,
    *,
    told: Told = lambda one: None,
    progress: Progress = lambda step: None,
) -> Sequence[TenantMove]:
    """Moves everybody who goes somewhere, until each has come to its end; the rest is told as it is.

    Args:
        world: what is acted on.
        ways: what was planned.
        asked: what goes on record, and how many at a time.
        told: called with each tenant as it was asked to move, with its password, and again as it ends.
        progress: called as steps begin.
    """

    def act(way: Way) -> TenantMove:
        began = time.monotonic()
        ended = _of(way) if way.goes in {Goes.STAYS, Goes.REFUSED} else _move(world, way, asked, told, progress)
        ended = replace(ended, seconds=round(time.monotonic() - began, 3))
        told(ended)
        return ended

    return side_by_side(act, ways, asked.limit)


def _leavers(world: World, names: frozenset[str]) -> Iterator[Leaver]:
    """Everybody who is placed on one of these instances, or moves from or to one."""
    for tenant in world.registry.tenants():
        here = tenant.is_placed and tenant.hosting.instance in names and tenant.state is not State.DESTROYED
        if not here and tenant.state is not State.MOVING:
            continue
        move = open_move(world.registry.moves(tenant.uid))
        if here or (move is not None and names & {move.source_instance, move.instance}):
            yield Leaver(tenant, move, world.registry.explanation(tenant.uid))


def _move(world: World, way: Way, asked: Asked, told: Told, progress: Progress) -> TenantMove:
    """Asks for one move unless it was asked for, and carries it on."""
    move, password = open_move(world.registry.moves(way.tenant.uid)), None
    try:
        if move is None:
            if way.region is None:
                raise Refused("It goes nowhere.")
            party = asked.instructing_party
            move, password = request_move(
                world, way.tenant, way.region, cause=asked.cause, instructing_party=party, leaves_instance=True
            )
        begun = _with_place(_of(way), move, password)
        told(replace(begun, outcome="begun"))
        return _carried(world, move, begun, progress)
    except TenantctlError as trouble:
        return _put_off(way, trouble)


def _carried(world: World, move: Move, begun: TenantMove, progress: Progress) -> TenantMove:
    def is_done(tenant: Tenant) -> bool:
        return open_move(world.registry.moves(tenant.uid)) is None

    came = carry_on(
        world,
        move.tenant_uid,
        observe_and_plan,
        ACTIONS,
        is_done=is_done,
        troubles_max=TROUBLES_MAX,
        progress=progress,
    )
    if not came.done:
        return replace(begun, outcome="waiting", reason=came.reason)
    if came.tenant.hosting.generation >= move.generation:
        return replace(begun, outcome="moved")
    ended = {one.generation: one for one in world.registry.moves(move.tenant_uid)}[move.generation]
    return replace(begun, outcome="undone", reason=ended.undo_because or "it stays where it was")


def _with_place(one: TenantMove, move: Move, password: str | None) -> TenantMove:
    target = move.target
    return replace(
        one,
        region=target.region,
        instance=target.instance,
        database=target.database,
        login=target.login,
        out_seconds=move.expected_seconds,
        password=password,
    )


def _put_off(way: Way, trouble: TenantctlError) -> TenantMove:
    reason = f"{trouble.sentence} {trouble.hint}" if trouble.hint else trouble.sentence
    return replace(_of(way), outcome="refused" if isinstance(trouble, Refused) else "waiting", reason=reason)


def _of(way: Way) -> TenantMove:
    tenant = way.tenant
    return TenantMove(tenant.uid, tenant.label, way.goes.value, tenant.hosting.instance, way.region, None, way.reason)
