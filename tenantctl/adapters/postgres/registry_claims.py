"""Who works on which tenant: claiming, renewing and letting go, each in one statement.

Times are the registry's, never the worker's. Each statement names the lease's owner and epoch, so one that comes from a
worker that slept past its lease finds no row.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, case, func, select, text, update

from tenantctl.adapters.postgres import schema
from tenantctl.adapters.registry_rules import lease_lost, unknown_tenant
from tenantctl.model.plan import Duty
from tenantctl.ports.registry import Lease

UNKNOWN_DUTY: Final = ""

# The duties are visited in the order of their earliest due date, and the outer LIMIT ends the visit with the first row
# found: one row is locked, the index is entered once for each duty, and nothing is sorted but the duties.
_LONGEST_DUE: Final = """
    SELECT candidate.uid
    FROM (
        SELECT duty FROM (
            SELECT duty, (
                SELECT min(due_at) FROM registry.tenants
                WHERE due_duty = duty AND due_at <= registry.tenantctl_now()
                AND (state <> 'forgotten' OR name IS NOT NULL)
            ) AS earliest
            FROM unnest(CAST(:duties AS text[])) AS duty
        ) AS dates ORDER BY earliest NULLS LAST
    ) AS duties
    CROSS JOIN LATERAL (
        SELECT uid FROM registry.tenants
        WHERE due_duty = duties.duty AND due_at <= registry.tenantctl_now()
        AND (state <> 'forgotten' OR name IS NOT NULL)
        ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS candidate
    LIMIT 1
"""
_THIS_ONE: Final = """
    SELECT uid FROM registry.tenants
    WHERE uid = :tenant AND due_duty = ANY (CAST(:duties AS text[])) AND due_at <= registry.tenantctl_now()
    AND (state <> 'forgotten' OR name IS NOT NULL)
    FOR UPDATE SKIP LOCKED
"""
_CLAIM: Final = """
UPDATE registry.tenants
SET lease_owner = :owner, lease_epoch = lease_epoch + 1, lease_intent_id = intent_id, wake_at = NULL,
    lease_until = registry.tenantctl_now() + CAST(:lease AS interval),
    due_at = registry.tenantctl_now() + CAST(:lease AS interval)
WHERE uid = ({candidate})
RETURNING uid, new.lease_owner, new.lease_epoch, new.lease_until, old.lease_owner IS NOT NULL
"""
_CLAIM_ANY: Final = text(_CLAIM.format(candidate=_LONGEST_DUE))
_CLAIM_ONE: Final = text(_CLAIM.format(candidate=_THIS_ONE))

_tenants = schema.tenants.c
IS_LEASED: Final = func.coalesce(_tenants.lease_until > schema.now(), False)


def claim(
    connection: Connection, owner: str, *, lease: timedelta, duty: Duty | None, tenant: str | None
) -> Lease | None:
    """Leases the tenant longest due."""
    duties: Sequence[str] = [UNKNOWN_DUTY, *(one.value for one in ([duty] if duty else Duty))]
    parameters = {"owner": owner, "lease": lease, "duties": duties}
    if tenant is None:
        row = connection.execute(_CLAIM_ANY, parameters).first()
    else:
        row = connection.execute(_CLAIM_ONE, {**parameters, "tenant": tenant}).first()
    return None if row is None else Lease(*row)


def renew(connection: Connection, lease: Lease, lease_for: timedelta) -> Lease:
    """Moves the lease's end, unless something newer is wanted than when it was taken."""
    until = schema.now() + lease_for
    statement = (
        update(schema.tenants)
        .where(*_is_held(lease), _tenants.intent_id == _tenants.lease_intent_id)
        .values(lease_until=until, due_at=until)
        .returning(_tenants.uid, _tenants.lease_owner, _tenants.lease_epoch, _tenants.lease_until)
    )
    row = connection.execute(statement).first()
    if row is None:
        raise lease_lost(lease)
    return Lease(*row)


def release(connection: Connection, lease: Lease, *, due_at: datetime, duty: Duty | None) -> None:
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
            wake_at=None,
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
            wake_at=case((IS_LEASED, func.least(_tenants.wake_at, wanted)), else_=_tenants.wake_at),
        )
    )
    if connection.execute(statement).rowcount != 1:
        raise unknown_tenant(uid)


def now(connection: Connection) -> datetime:
    """The registry's time."""
    return connection.scalars(select(schema.now())).one()


def _is_held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        _tenants.uid == lease.tenant_uid,
        _tenants.lease_owner == lease.owner,
        _tenants.lease_epoch == lease.epoch,
        _tenants.lease_until > schema.now(),
    )
