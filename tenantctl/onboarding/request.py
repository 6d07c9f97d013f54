"""Records that a tenant is wanted: where its customer is based, where it is placed, why there, and any trial's end."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from tenantctl.model.calendar import rfc3339
from tenantctl.model.capacity import Demand, Room
from tenantctl.model.errors import NoRoom, Refused, Transient
from tenantctl.model.region import PlaceAnswers, Placement, RegionCatalogue
from tenantctl.model.tenant import Tenant, new_uid
from tenantctl.onboarding.waiting import queue
from tenantctl.placement.geocode import geocode
from tenantctl.placement.newcomer import check_newcomers_name
from tenantctl.placement.planning import awaits_room, plan_placement
from tenantctl.placement.queue import room_left
from tenantctl.ports.registry import NewTenant
from tenantctl.ports.world import World

PLACINGS_MAX: Final = 20  # so often may others be faster, each time to the last room of a region


def request_tenant(
    world: World,
    catalogue: RegionCatalogue,
    *,
    name: str,
    based_in: str,
    keep_in: str | None,
    connection_limit: int | None,
    extensions: Sequence[str],
    cause: str,
    instructing_party: str,
    wait_for_room: bool = False,
    trial_ends_at: datetime | None = None,
) -> tuple[Tenant, Placement]:
    """Places a tenant and writes the request; a worker carries it out.

    Where no region that may take it has room, it waits for its turn if `wait_for_room`:
    the placement is then what it hopes for.

    Raises:
        NoRoom: no region has room for it, and it is not to wait; nothing was written.
        Refused: the name, the place, an extension, the end of the trial or the policy does not allow it; likewise.
    """
    check_newcomers_name(world.registry, name)
    limit = _allowed(world, connection_limit, extensions)
    if trial_ends_at is not None and trial_ends_at <= world.registry.now():
        raise Refused(f"A trial cannot have ended before it begins, at {rfc3339(trial_ends_at)}.")
    answers, regions = geocode(based_in), world.policies.regions
    # Asked first without regard to room: which place is meant must not depend on where there happens to be some.
    plan_placement(answers, catalogue, regions, None, keep_in=keep_in, may_wait=True)
    answers = most_populous(answers)
    demand = Demand(limit, headroom_percent=regions.capacity.headroom_percent)
    for _ in range(PLACINGS_MAX):
        room = room_left(queue(world.registry), Room(tuple(world.registry.instances())), catalogue, regions)
        placement = plan_placement(
            answers, catalogue, regions, room.regions(demand), keep_in=keep_in, may_wait=wait_for_room
        )
        new = NewTenant(
            uid=new_uid(),
            name=name,
            region=placement.region,
            time_zone=placement.place.time_zone,
            connection_limit=limit,
            extensions=tuple(sorted(set(extensions))),
            explanation=placement.to_plain(),
            cause=cause,
            instructing_party=instructing_party,
            kept_in=placement.kept_in,
            headroom_percent=demand.headroom_percent,
            waits=awaits_room(placement),
            trial_ends_at=trial_ends_at,
        )
        try:
            return world.registry.request_tenant(new), placement
        except NoRoom:
            continue  # somebody else was faster; what is left now is another question
    raise Transient(
        "Too many tenants are being created just now, each in the last room of a region.", hint="Try again."
    )


def _allowed(world: World, connection_limit: int | None, extensions: Sequence[str]) -> int:
    """How many connections the tenant may have.

    Raises:
        Refused: the policy does not allow so many, or an extension.
    """
    policy = world.policies.lifecycle
    if refused := sorted(set(extensions) - set(policy.allowed_extensions)):
        raise Refused(
            f"The policy does not allow the extension {', '.join(refused)}.",
            hint=f"Allowed are {', '.join(policy.allowed_extensions)}: see policies/lifecycle.yaml",
        )
    limit = policy.connections_per_tenant if connection_limit is None else connection_limit
    if not 1 <= limit <= policy.connections_per_tenant:
        raise Refused(f"A tenant may have 1 to {policy.connections_per_tenant} connections, not {limit}.")
    return limit


def most_populous(answers: PlaceAnswers) -> PlaceAnswers:
    """The place that stands for all that was meant, once it is known that they have the same closest region."""
    first = answers.answers[0]
    return replace(answers, answers=(replace(first, places=first.places[:1]),))
