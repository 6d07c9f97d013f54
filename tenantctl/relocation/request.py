"""Records that a tenant is to move, or is to stay after all: refused with every reason, or one fenced transaction.

The password for the new place is made here and shown once; the registry keeps its SCRAM verifier until the cut-over.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tenantctl.engine.lease import leased
from tenantctl.model.calendar import brief, rfc3339
from tenantctl.model.capacity import Demand, objection
from tenantctl.model.errors import NoRoom, Refused
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.move import Move, open_move
from tenantctl.model.replication import Inspection
from tenantctl.model.tenant import Instance, InstanceRole, InstanceState, Tenant, Wanted
from tenantctl.placement.residency import kept_in, partner_objection
from tenantctl.ports.world import World
from tenantctl.relocation.prechecks import Reason, expected_seconds, obstacles, reasons_to_dump

PASSWORD_BYTES: Final = 24
ITERATIONS: Final = 4096  # what PostgreSQL itself takes


@dataclass(frozen=True)
class Checked:
    """What was found before a move: the database, how it is carried and for how long its customer is out.

    `obstacles` keep it from being moved as it was asked; `dumped_because` is empty for what is replicated.
    """

    region: str
    found: Inspection
    obstacles: tuple[str, ...]
    dumped_because: tuple[Reason, ...]
    expected_seconds: int

    @property
    def expected(self) -> timedelta:
        """How long its customer is out, as it is told beforehand."""
        return timedelta(seconds=self.expected_seconds)


def check_move(
    world: World,
    tenant: Tenant,
    region: str,
    *,
    accepted: timedelta | None = None,
    not_before: datetime | None = None,
    leaves_instance: bool = False,
) -> Checked:
    """Whether a tenant may move to a region, and what its database consists of; changes nothing.

    A tenant that `leaves_instance`, or whose instance takes no more, may stay in its region, whatever the word on that.
    What no replication carries is dumped, and only for a downtime that was `accepted`.

    Raises:
        Refused: the tenant's state, its residency, or the operator's word on the region does not allow it.
        NoRoom: no instance of the region has room for the database as large as it is now.
        Transient: an instance does not answer.
    """
    if reasons := list(_objections(world, tenant, region, not_before, leaves_instance=leaves_instance)):
        raise Refused(f"Tenant {tenant.label} cannot move to {region}: {'; '.join(reasons)}.")
    found, policy = world.replication.inspect(tenant.hosting), world.policies.lifecycle
    here = world.replication.readiness(tenant.hosting.instance)
    to_dump = tuple(reasons_to_dump(found, here, policy.moves))
    expected = expected_seconds(found, policy.moves, dumped=bool(to_dump))
    allowed = frozenset(policy.allowed_extensions)
    ways = [
        tuple(obstacles(found, here, world.replication.readiness(one.name), allowed, dumped=bool(to_dump)))
        for one in _with_room(world, tenant, region, found.size)
    ]
    standing = (*max(ways, key=len), *_not_agreed(to_dump, timedelta(seconds=expected), accepted))
    return Checked(region, found, standing, to_dump, expected)  # whichever instance takes it


def request_move(
    world: World,
    tenant: Tenant,
    region: str,
    *,
    cause: str,
    instructing_party: str,
    accepted: timedelta | None = None,
    not_before: datetime | None = None,
    leaves_instance: bool = False,
) -> tuple[Move, str]:
    """Has a tenant move, and returns the password for its new place, the only time that it is seen.

    Raises:
        Refused: as for `check_move`; or the database cannot be carried, or not within the `accepted` downtime.
        Transient: a worker has the tenant just now, or an instance does not answer.
    """
    checked = check_move(
        world, tenant, region, accepted=accepted, not_before=not_before, leaves_instance=leaves_instance
    )
    if checked.obstacles:
        raise Refused(
            f"Tenant {tenant.label} cannot be moved: {'; '.join(checked.obstacles)}.", hint=what_to_do(checked)
        )
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with leased(world, tenant) as heartbeat, world.registry.fenced(heartbeat.lease) as writes:
        now = writes.tenant
        if (now.state, now.wanted, now.hosting) != (State.ACTIVE, Wanted.LIVING, tenant.hosting):
            raise Refused(f"Tenant {tenant.label} is {now.state} and wanted {now.wanted}: it does not move now.")
        writes.record_size(checked.found.size)
        move = writes.begin_move(
            region,
            cause=cause,
            instructing_party=instructing_party,
            not_before=not_before,
            verifier=scram_verifier(password),
            headroom_percent=world.policies.regions.capacity.headroom_percent,
            dumped_because=", ".join(reason.kind for reason in checked.dumped_because) or None,
            expected_seconds=checked.expected_seconds,
            accepted_seconds=None if accepted is None else int(accepted.total_seconds()),
        )
        writes.move(Event.MOVE_STARTED, to_region=region, to_instance=move.instance)
    return move, password


def _with_room(world: World, tenant: Tenant, region: str, size: int) -> list[Instance]:
    """The instances of a region that have room for a tenant of this size; the registry chooses one of them.

    Raises:
        Refused: the region has none for tenants.
        NoRoom: each is full.
    """
    serving = [
        one
        for one in world.registry.instances()
        if one.region == region and one.role is InstanceRole.TENANTS and one.state is InstanceState.SERVING
        if one.name != tenant.hosting.instance
    ]
    if not serving:
        which = "other instance" if region == tenant.hosting.region else "instance"
        raise Refused(f"There is no {which} for tenants in {region}.", hint="Add one: tenantctl instance add")
    demand = Demand(tenant.connection_limit, size, world.policies.regions.capacity.headroom_percent)
    objections = {one.name: objection(one, demand) for one in serving}
    with_room = [one for one in serving if objections[one.name] is None]
    if not with_room:
        reasons = ", ".join(str(reason) for reason in objections.values())
        raise NoRoom(
            f"No instance in {region} has room for another {size:,} bytes: {reasons}.",
            hint="Add one: tenantctl instance add",
        )
    return with_room


def _not_agreed(to_dump: Sequence[Reason], expected: timedelta, accepted: timedelta | None) -> Iterator[str]:
    """What is missing of the customer's agreement to be out."""
    if accepted is not None and expected > accepted:
        yield f"its customer would be out for about {brief(expected)}, and accepted are {brief(accepted)}"
    elif accepted is None and to_dump:
        because = "; ".join(reason.told for reason in to_dump)
        yield f"{because}: it has to be dumped and restored, with its customer out for about {brief(expected)}"


def what_to_do(checked: Checked) -> str:
    """What to do about what stands in the way of a move."""
    if checked.dumped_because:
        least = brief(checked.expected)
        return f"Tell the customer beforehand, and say what it agreed to: --accept-downtime {least} or more."
    return "Remove what stands in the way; tenantctl tenant move --dry-run shows it again."


def request_undo(world: World, tenant: Tenant, *, because: str) -> Move:
    """Has a tenant that moves stay where it is.

    Raises:
        Refused: it does not move, or has cut over: then there is only forward.
        Transient: a worker has the tenant just now.
    """
    with leased(world, tenant) as heartbeat:
        move = open_move(world.registry.moves(tenant.uid))
        if move is None:
            raise Refused(f"Tenant {tenant.label} is not moving.")
        if move.cut_over_at is not None:
            raise Refused(
                f"Tenant {tenant.label} lives in {move.region} since {rfc3339(move.cut_over_at)}: "
                "a move is undone before the cut-over only.",
                hint=f"Move it back: tenantctl tenant move {tenant.label} --to {move.source_region}",
            )
        with world.registry.fenced(heartbeat.lease) as writes:
            writes.put_move(replace(move, undo_because=because))
            writes.journal("undo-requested", because=because)
    return move


def scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password of printable ASCII: RFC 5803, with a salt of its own."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    served = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored, served)]
    return f"SCRAM-SHA-256${ITERATIONS}:{text[0]}${text[1]}:{text[2]}"


def _objections(
    world: World, tenant: Tenant, region: str, not_before: datetime | None, *, leaves_instance: bool
) -> Iterator[str]:
    policy, jurisdictions = world.policies.regions, world.jurisdictions
    if open_move(world.registry.moves(tenant.uid)) is not None:
        yield "it is moving already"
    elif tenant.state is not State.ACTIVE:
        yield f"it is {tenant.state}"
    if tenant.wanted is not Wanted.LIVING:
        yield "it is leaving"
    if tenant.hosting.region == region and not (leaves_instance or _is_draining(world, tenant.hosting.instance)):
        yield "it is there already"
    if not_before is not None and not_before < world.registry.now():
        yield f"{rfc3339(not_before)} has passed"
    if tenant.hosting.region == region:
        return
    word = policy.regions.get(region)
    if word is None:
        yield "the policy does not name this region"
        return
    if word.state != "open":
        yield f"the region is {word.state}: {word.why}" if word.why else f"the region is {word.state}"
    country = (world.registry.explanation(tenant.uid).get("place") or {}).get("country")
    required = tenant.kept_in or (kept_in(country, policy.residency) if country else None)
    if required is not None and jurisdictions.get(region) != required:
        yield f"it lies outside {required}, where this tenant's data is kept"
    elif required is not None and (objection := partner_objection(region, required, policy, jurisdictions)):
        yield objection


def _is_draining(world: World, instance: str) -> bool:
    return any(one.name == instance and one.state is InstanceState.DRAINING for one in world.registry.instances())
