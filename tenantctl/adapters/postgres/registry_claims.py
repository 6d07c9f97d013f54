"""Who works on which tenant: claiming, renewing and letting go, each in one statement.

Times are the registry's, never the worker's. Each statement names the lease's owner and epoch, so one that comes from a
worker that slept past its lease finds no row.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, case, func, literal, or_, select, text, update

from tenantctl.adapters.postgres import schema
from tenantctl.adapters.registry_rules import lease_lost, unknown_tenant
from tenantctl.model.plan import Duty
from tenantctl.model.work import OVERTAKEN_FOR, Danger, Limits
from tenantctl.ports.work import Lease

UNKNOWN_DUTY: Final = ""

# The function stands in the schema (0016_claims.sql): all of a claim is one statement of the worker's.
_CLAIM_DUE: Final = text("""
    SELECT * FROM registry.claim_due(
        CAST(:owner AS text), CAST(:lease AS interval), CAST(:duties AS text[]), CAST(:wanted AS integer),
        CAST(:instance_max AS integer), CAST(:region_max AS integer), CAST(:overtaken AS interval))
""")
_CLAIM_ONE: Final = text("""
    UPDATE registry.tenants
    SET lease_owner = :owner, lease_epoch = lease_epoch + 1, lease_intent_id = intent_id, wake_at = NULL,
        leased_at = registry.tenantctl_now(), lease_until = registry.tenantctl_now() + CAST(:lease AS interval),
        due_at = registry.tenantctl_now() + CAST(:lease AS interval),
        parked_at = NULL, parked_until = NULL, parked_because = NULL
    WHERE uid = (
        SELECT uid FROM registry.tenants
        WHERE uid = :tenant AND due_duty = ANY (CAST(:duties AS text[])) AND due_at <= registry.tenantctl_now()
        AND (state <> 'forgotten' OR name IS NOT NULL)
        AND (parked_at IS NULL OR parked_until <= registry.tenantctl_now())
        FOR UPDATE SKIP LOCKED
    )
    RETURNING uid, new.lease_owner, new.lease_epoch, new.lease_until, old.lease_owner IS NOT NULL, failures
""")

_tenants = schema.tenants.c
IS_LEASED: Final = func.coalesce(_tenants.lease_until > schema.now(), False)


def claim_one(connection: Connection, owner: str, tenant: str, *, lease: timedelta, duty: Duty | None) -> Lease | None:
    """Leases one tenant, if it is due."""
    parameters = {"owner": owner, "lease": lease, "duties": _duties(duty), "tenant": tenant}
    row = connection.execute(_CLAIM_ONE, parameters).first()
    return None if row is None else Lease(*row)


def claim_due(
    connection: Connection, owner: str, *, lease: timedelta, duty: Duty | None, count: int, limits: Limits | None
) -> Sequence[Lease]:
    """Leases the tenants whose turn it is."""
    parameters = {
        "owner": owner,
        "lease": lease,
        "duties": _duties(duty),
        "wanted": count,
        "instance_max": limits.per_instance if limits else None,
        "region_max": limits.per_region if limits else None,
        "overtaken": OVERTAKEN_FOR,
    }
    return [Lease(*row) for row in connection.execute(_CLAIM_DUE, parameters)]


def _duties(duty: Duty | None) -> Sequence[str]:
    """A duty's own lanes and those of the unknown; of all, without one."""
    return [UNKNOWN_DUTY, *(one.value for one in ([duty] if duty else Duty))]


def renew(connection: Connection, lease: Lease, lease_for: timedelta) -> Lease:
    """Moves the lease's end, unless something newer is wanted than when it was taken."""
    until = schema.now() + lease_for
    statement = (
        update(schema.tenants)
        .where(*_is_held(lease), _tenants.intent_id == _tenants.lease_intent_id)
        .values(lease_until=until, due_at=until)
        .returning(_tenants.lease_until)
    )
    row = connection.execute(statement).first()
    if row is None:
        raise lease_lost(lease)
    return replace(lease, until=row.lease_until)


def release(
    connection: Connection,
    lease: Lease,
    *,
    due_at: datetime,
    duty: Duty | None,
    danger: Danger | None,
    failures: int | None,
) -> None:
    """Lets go; what came in meanwhile makes the tenant due earlier, by whoever can tell its next step."""
    is_superseded = _tenants.intent_id != _tenants.lease_intent_id
    is_woken = _tenants.wake_at < due_at
    known = duty.value if duty else UNKNOWN_DUTY
    statement = (
        update(schema.tenants)
        .where(*_is_held(lease))
        .values(
            due_at=case((is_superseded, schema.now()), else_=func.least(due_at, _tenants.wake_at)),
            due_duty=case((is_superseded, UNKNOWN_DUTY), (is_woken, UNKNOWN_DUTY), else_=known),
            danger=case((or_(is_superseded, is_woken), Danger.TERM.value), else_=_or_as_it_is(danger, _tenants.danger)),
            failures=_or_as_it_is(failures, _tenants.failures),
            wake_at=None,
            leased_at=None,
            lease_owner=None,
            lease_until=None,
            lease_intent_id=None,
        )
    )
    if connection.execute(statement).rowcount != 1:
        raise lease_lost(lease)


def make_due(connection: Connection, uid: str, at: datetime | None) -> None:
    """Brings the next look forward; under a lease, the look that follows it."""
    wanted = schema.now() if at is None else at
    brings_forward = ~IS_LEASED & (_tenants.due_at > wanted)
    statement = (
        update(schema.tenants)
        .where(_tenants.uid == uid)
        .values(
            due_at=case((brings_forward, wanted), else_=_tenants.due_at),
            due_duty=case((brings_forward, UNKNOWN_DUTY), else_=_tenants.due_duty),
            danger=case((brings_forward, Danger.TERM.value), else_=_tenants.danger),
            wake_at=case((IS_LEASED, func.least(_tenants.wake_at, wanted)), else_=_tenants.wake_at),
        )
    )
    if connection.execute(statement).rowcount != 1:
        raise unknown_tenant(uid)


def now(connection: Connection) -> datetime:
    """The registry's time."""
    return connection.scalars(select(schema.now())).one()


def _or_as_it_is(value: int | None, column: ColumnElement[int]) -> ColumnElement[int]:
    return column if value is None else literal(int(value), column.type)


def _is_held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        _tenants.uid == lease.tenant_uid,
        _tenants.lease_owner == lease.owner,
        _tenants.lease_epoch == lease.epoch,
        _tenants.lease_until > schema.now(),
    )
