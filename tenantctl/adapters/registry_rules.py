"""What every registry answers and journals alike, whatever it is kept in.

The sentences of its refusals, the events of its own entries, and the JSON text of an entry's body stand here once, so
that the registry on PostgreSQL and the one in memory cannot drift apart.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tenantctl.model.backup import Backup, BackupState, Residue, ResidueKind
from tenantctl.model.capacity import Demand, emptiest, objection
from tenantctl.model.errors import LeaseLost, NoRoom, NotFound, Refused, Transient
from tenantctl.model.lifecycle import DEAD, State, Transition
from tenantctl.model.move import Move
from tenantctl.model.tenant import Hosting, Instance, IntentKind, Origin, Tenant, Wanted
from tenantctl.ports.work import Lease, Parking

SLOT_TAKEN_IN: Final = frozenset({BackupState.BEGUN, BackupState.COMPLETE})
BLANKED_TIME_ZONE: Final = "UTC"  # says nothing of where a customer was based

ALARM_RAISED: Final = "alarm-raised"
ALARM_CLEARED: Final = "alarm-cleared"
REHOSTED: Final = "rehosted"
MOVE_REQUESTED: Final = "move-requested"
CUT_OVER: Final = "cut-over"
PLACED: Final = "placed"
RETRIED: Final = "retry-asked"
PARKED_EVENT: Final = "parked"
UNPARKED: Final = "unparked"
TRIAL_ENDED: Final = "trial.ended"
REQUEST_EVENTS: Final[Mapping[IntentKind, str]] = {
    IntentKind.CREATE: "requested",
    IntentKind.CANCEL: "cancel-requested",
    IntentKind.REINSTATE: "reinstate-requested",
    IntentKind.TRIAL: "trial-agreed",
    IntentKind.CONVERT: "convert-requested",
}
WANTED_BY: Final[Mapping[IntentKind, Wanted]] = {
    IntentKind.CREATE: Wanted.LIVING,
    IntentKind.CANCEL: Wanted.LEAVING,
    IntentKind.REINSTATE: Wanted.LIVING,
    IntentKind.TRIAL: Wanted.LEAVING,
    IntentKind.CONVERT: Wanted.LIVING,
}
assert set(REQUEST_EVENTS) == set(WANTED_BY) == set(IntentKind), "each kind of request has its event and its meaning"


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def body_text(body: Mapping[str, Any]) -> str:
    """An entry's body as the exact text that is hashed.

    Raises:
        TypeError: a value is not JSON; ValueError: a number is not finite.
    """
    return _CANONICAL.encode(body)


def move_body(row: Transition, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What is journalled of a transition; evidence cannot overwrite what the table says."""
    return {**evidence, "from": row.source.value, "to": row.target.value, "comment": row.comment}


def later_closing(tenant: Tenant, closed_at: datetime, destroy_after: datetime) -> dict[str, datetime]:
    """The two dates of a closing, neither of them earlier than the one that stands."""
    return {
        "logins_closed_at": max(closed_at, tenant.logins_closed_at or closed_at),
        "destroy_after": max(destroy_after, tenant.destroy_after or destroy_after),
    }


def database_residue(hosting: Hosting, made_at: datetime) -> Residue:
    """The inventory's line for the database itself, which lasts until a destruction that is not planned yet."""
    return Residue(
        id=f"database/{hosting.uid}/{hosting.generation}",
        tenant_uid=hosting.uid,
        kind=ResidueKind.DATABASE,
        place=f"{hosting.instance}/{hosting.database}",
        made_at=made_at,
        unreadable_after=None,
    )


def rehosted_body(before: Hosting, after: Hosting, origin: Origin) -> dict[str, Any]:
    """What is journalled of a tenant that is placed anew."""
    return {
        "backup": origin.backup_id,
        "of_tenant": origin.tenant_uid,
        "from_instance": before.instance,
        "from_region": before.region,
        "instance": after.instance,
        "region": after.region,
        "generation": after.generation,
    }


def requested_body(tenant: Tenant) -> dict[str, Any]:
    """What is journalled of a new tenant; without an instance, it waits for one."""
    hosting = tenant.hosting
    return {"intent": tenant.intent_id, "generation": hosting.generation, "instance": hosting.instance or None}


def placed_body(after: Hosting) -> dict[str, Any]:
    """What is journalled of a tenant that waited, and got its place."""
    return {"instance": after.instance, "region": after.region, "generation": after.generation}


def check_waiting(tenant: Tenant) -> None:
    """Whether a tenant still waits for its place.

    Raises:
        Refused: it has one, or is wanted no more.
    """
    if tenant.is_placed or tenant.state is not State.REQUESTED:
        raise Refused(f"Tenant {tenant.label} is {tenant.state}, and does not wait for room.")


def next_generation(tenant: Tenant, residues: Iterable[Residue]) -> int:
    """One that no database of the tenant ever had: a move that was undone has used one, too."""
    lines = [int(line.id.rsplit("/", 1)[1]) for line in residues if line.kind is ResidueKind.DATABASE]
    return max([tenant.hosting.generation, *lines]) + 1


def moved_body(move: Move) -> dict[str, Any]:
    """What is journalled of a move: places and generations."""
    return {
        "from_instance": move.source_instance,
        "from_region": move.source_region,
        "instance": move.instance,
        "region": move.region,
        "generation": move.generation,
    }


def begun_move(source: Hosting, target: Hosting, asked: Mapping[str, Any], now: datetime) -> Move:
    """A move of which nothing is known yet but what was asked for."""
    return Move(
        tenant_uid=source.uid,
        generation=target.generation,
        region=target.region,
        instance=target.instance,
        source_region=source.region,
        source_instance=source.instance,
        source_generation=source.generation,
        requested_at=now,
        **asked,
    )


def requested_move_body(move: Move) -> dict[str, Any]:
    """What is journalled of a move that was asked for; never the verifier."""
    not_before = move.not_before.isoformat() if move.not_before else None
    return {
        **moved_body(move),
        "cause": move.cause,
        "instructing_party": move.instructing_party,
        "not_before": not_before,
        "dumped_because": move.dumped_because,
        "expected_seconds": move.expected_seconds,
        "accepted_seconds": move.accepted_seconds,
    }


def moving_already(tenant: Tenant) -> Refused:
    """A tenant moves to one place at a time."""
    return Refused(f"Tenant {tenant.label} is moving already.", hint="See, or undo: tenantctl tenant move --help")


def check_change(before: Tenant, after: Tenant) -> None:
    """Stops a transaction that would leave a tenant as no tenant may be: that is a bug, not an answer."""
    if before.destroy_after and after.destroy_after is None and after.state is not State.ACTIVE:
        raise ValueError(f"tenant {after.uid} is {after.state}: destroy_after is cleared only if it is active again")
    if after.name is None and after.state not in {State.REQUESTED, *DEAD}:
        raise ValueError(f"tenant {after.uid} is {after.state}: only the dead, and the never created, lose their names")


def check_subject(subject_uid: str, lease: Lease) -> None:
    """Stops a worker that would write one tenant's rows under another's lease: that is a bug, not an answer."""
    if subject_uid != lease.tenant_uid:
        raise ValueError(f"a row of tenant {subject_uid} cannot be written under the lease of {lease.tenant_uid}")


def check_duration(duration: timedelta) -> None:
    """Stops a lease that would be over before it began."""
    if duration <= timedelta(0):
        raise ValueError(f"a lease lasts longer than {duration}")


def check_count(count: int) -> None:
    """Stops a claim of nothing."""
    if count < 1:
        raise ValueError(f"a claim is of at least one tenant, not of {count}")


def check_until(until: datetime | None, now: datetime) -> None:
    """Whether a tenant can be parked until a moment.

    Raises:
        Refused: that has passed.
    """
    if until is not None and until <= now:
        raise Refused(f"{until.isoformat()} has passed: nothing can be parked until then.")


def parked_body(because: str, until: datetime | None) -> dict[str, Any]:
    """What is journalled of a tenant that is set aside."""
    return {"because": because, "until": until.isoformat() if until else None}


def parked_reason(parking: Parking) -> str:
    """Why somebody must look at a parked tenant whose destruction is late."""
    return f"its destruction is due, and it is parked since {parking.since.isoformat()}: {parking.because}"


def lease_lost(lease: Lease) -> LeaseLost:
    """The worker's lease is no longer its own."""
    return LeaseLost(
        f"The lease on tenant {lease.tenant_uid} is lost: it ended, somebody else has it, or something newer is wanted."
    )


def superseded(tenant: Tenant) -> Transient:
    """A request was made of a tenant that is no longer as it was read."""
    return Transient(
        f"Tenant {tenant.label} has changed since it was read: another request or a worker was faster.",
        hint="Nothing was written. Look at it again, then repeat the request if it still holds.",
    )


def busy(uid: str) -> Transient:
    """A tenant's row is locked for longer than anyone should wait."""
    return Transient(f"Tenant {uid} is being written by somebody else.", hint="Try again in a few seconds.")


def name_taken(name: str) -> Refused:
    """A living tenant bears this name."""
    return Refused(f"The name {name!r} is taken by a living tenant.", hint="Choose another name.")


def uid_used(uid: str) -> Refused:
    """A uid is never used again."""
    return Refused(f"The uid {uid} has been used before.", hint="Repeat the request: a new uid is drawn.")


def emptiest_or_refuse(region: str, instances: Sequence[Instance], demand: Demand, *, leaves: str = "") -> Instance:
    """The instance of a region that a tenant goes to, of those for tenants; never the one that it leaves.

    Raises:
        NoRoom: there is none, or each is full or takes no more.
    """
    others = [one for one in instances if one.name != leaves]
    if not others:
        which = "other instance" if instances else "instance"
        raise NoRoom(f"There is no {which} for tenants in {region}.", hint="Add one: tenantctl instance add")
    found = emptiest(others, demand)
    if found is None:
        reasons = ", ".join(str(objection(one, demand)) for one in others)
        raise NoRoom(
            f"Every instance in {region} is full or draining: {reasons}.", hint="Add one: tenantctl instance add"
        )
    return found


def unknown_instance(name: str) -> NotFound:
    """No instance of this name is in service."""
    return NotFound(f"There is no instance {name!r} in service.", hint="See: tenantctl instance list")


def slot_taken(backup: Backup) -> Refused:
    """Another backup has this slot."""
    return Refused(f"Tenant {backup.tenant_uid} has another backup for slot {backup.slot}, begun or complete.")


def instance_differs(known: Instance) -> Refused:
    """The instance was added with another region or role."""
    return Refused(f"Instance {known.name} is known already, as one for {known.role} in {known.region}.")


def unknown_backup(backup_id: str) -> NotFound:
    """No tenant has this backup."""
    return NotFound(f"There is no backup {backup_id!r}.", hint="List a tenant's: tenantctl backup list TENANT")


def unknown_tenant(name_or_uid: str, former_uids: Sequence[str] = ()) -> NotFound:
    """Nobody living has this name, and nobody at all this uid."""
    if former_uids:
        return NotFound(
            f"No living tenant is called {name_or_uid!r}.",
            hint=f"Of the dead, these bore that name; name them by uid: {', '.join(former_uids)}",
        )
    return NotFound(f"There is no tenant {name_or_uid!r}.", hint="See: tenantctl tenant list")
