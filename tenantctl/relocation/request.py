"""Records that a tenant is to move, or is to stay after all: refused with every reason, or one fenced transaction.

The password for the new place is made here and shown once; the registry keeps its SCRAM verifier until the cut-over.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tenantctl.engine.lease import leased
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.move import Move, open_move
from tenantctl.model.replication import Inspection
from tenantctl.model.tenant import InstanceRole, InstanceState, Tenant, Wanted
from tenantctl.placement.residency import kept_in, partner_objection
from tenantctl.ports.world import World
from tenantctl.relocation.prechecks import obstacles

PASSWORD_BYTES: Final = 24
ITERATIONS: Final = 4096  # what PostgreSQL itself takes


@dataclass(frozen=True)
class Checked:
    """What was found before a move: the database, and what keeps it from being carried while its customer works."""

    region: str
    found: Inspection
    obstacles: tuple[str, ...]


def check_move(
    world: World, tenant: Tenant, region: str, *, not_before: datetime | None = None, leaves_instance: bool = False
) -> Checked:
    """Whether a tenant may move to a region, and what its database consists of; changes nothing.

    A tenant that `leaves_instance` may stay in its region, on another instance, whatever the word on that region.

    Raises:
        Refused: the tenant's state, its residency, or the operator's word on the region does not allow it.
        Transient: an instance does not answer.
    """
    if reasons := list(_objections(world, tenant, region, not_before, leaves_instance=leaves_instance)):
        raise Refused(f"Tenant {tenant.label} cannot move to {region}: {'; '.join(reasons)}.")
    instances = [
        one
        for one in world.registry.instances()
        if one.region == region and one.role is InstanceRole.TENANTS and one.state is InstanceState.SERVING
        if one.name != tenant.hosting.instance
    ]
    if not instances:
        which = "other instance" if region == tenant.hosting.region else "instance"
        raise Refused(f"There is no {which} for tenants in {region}.", hint="Add one: tenantctl instance add")
    found = world.replication.inspect(tenant.hosting)
    allowed = frozenset(world.policies.lifecycle.allowed_extensions)
    ways = [tuple(obstacles(found, world.replication.readiness(one.name), allowed)) for one in instances]
    return Checked(region, found, max(ways, key=len))  # whichever of them takes it


def request_move(
    world: World,
    tenant: Tenant,
    region: str,
    *,
    cause: str,
    instructing_party: str,
    not_before: datetime | None = None,
    leaves_instance: bool = False,
) -> tuple[Move, str]:
    """Has a tenant move, and returns the password for its new place, the only time that it is seen.

    Raises:
        Refused: as for `check_move`; or replication cannot carry the database, or the region is full.
        Transient: a worker has the tenant just now, or an instance does not answer.
    """
    checked = check_move(world, tenant, region, not_before=not_before, leaves_instance=leaves_instance)
    if checked.obstacles:
        raise Refused(
            f"Tenant {tenant.label} cannot be moved while its customer works: {'; '.join(checked.obstacles)}.",
            hint="Remove what stands in the way, or have the customer agree to an export and an import.",
        )
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with leased(world, tenant) as heartbeat, world.registry.fenced(heartbeat.lease) as writes:
        now = writes.tenant
        if (now.state, now.wanted, now.hosting) != (State.ACTIVE, Wanted.LIVING, tenant.hosting):
            raise Refused(f"Tenant {tenant.label} is {now.state} and wanted {now.wanted}: it does not move now.")
        move = writes.begin_move(
            region,
            cause=cause,
            instructing_party=instructing_party,
            not_before=not_before,
            verifier=scram_verifier(password),
            headroom_percent=world.policies.regions.capacity.headroom_percent,
        )
        writes.move(Event.MOVE_STARTED, to_region=region, to_instance=move.instance)
    return move, password


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
    if tenant.hosting.region == region and not leaves_instance:
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
