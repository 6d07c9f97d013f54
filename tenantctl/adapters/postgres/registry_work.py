"""Claims, leases, what is set aside and quotas in the registry's database, as a part of the registry on PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, text, update

from tenantctl.adapters.postgres import registry_claims, registry_quiet, schema
from tenantctl.adapters.postgres.anchors import PostgresAnchorBook
from tenantctl.adapters.postgres.registry_alarms import TenantAlarms
from tenantctl.adapters.postgres.registry_claims import IS_LEASED, UNKNOWN_DUTY
from tenantctl.adapters.postgres.registry_reads import IS_DEAD
from tenantctl.adapters.postgres.registry_requests import append
from tenantctl.adapters.registry_rules import (
    PARKED_EVENT,
    RETRIED,
    UNPARKED,
    check_count,
    check_duration,
    check_until,
    parked_body,
    parked_reason,
    unknown_tenant,
)
from tenantctl.model.lifecycle import State
from tenantctl.model.look import Known
from tenantctl.model.plan import Duty
from tenantctl.model.work import OVERTAKEN_FOR, PARKED, STUCK, TROUBLE, Danger, Limits
from tenantctl.ports.work import Later, Lease, Parking, WorkItem, WorkState

_tenants = schema.tenants.c
_IS_PARKED: Final = and_(
    _tenants.parked_at.is_not(None), or_(_tenants.parked_until.is_(None), _tenants.parked_until > schema.now())
)
_IS_LIVE: Final = or_(_tenants.state != State.FORGOTTEN.value, _tenants.name.is_not(None))
_TURN: Final = _tenants.due_at + _tenants.danger * OVERTAKEN_FOR
_trouble = schema.alarms.alias("trouble")
_stuck = schema.alarms.alias("stuck")
_IS_IN: Final[dict[WorkState, ColumnElement[bool]]] = {
    WorkState.DUE: and_(_tenants.due_at <= schema.now(), _IS_LIVE, ~_IS_PARKED),
    WorkState.LEASED: IS_LEASED,
    WorkState.FAILING: _tenants.failures > 0,
    WorkState.STUCK: _stuck.c.code.is_not(None),
    WorkState.PARKED: _IS_PARKED,
}
assert set(_IS_IN) == set(WorkState), "each can be asked for"

# Two takers at once: the second waits for the first one's row, and counts from what that has left.
_TAKE_TOKEN: Final = text("""
    INSERT INTO registry.quotas AS known (name, tokens, refilled_at)
    VALUES (:quota, CAST(:burst AS double precision) - 1, registry.tenantctl_now())
    ON CONFLICT (name) DO UPDATE SET
        tokens = least(:burst, known.tokens
            + greatest(0, extract(epoch FROM registry.tenantctl_now() - known.refilled_at)) * :rate) - 1,
        refilled_at = greatest(registry.tenantctl_now(), known.refilled_at)
    WHERE least(:burst, known.tokens
        + greatest(0, extract(epoch FROM registry.tenantctl_now() - known.refilled_at)) * :rate) - 1 >= -:reach
    RETURNING tokens
""")


class PostgresWorkBook(PostgresAnchorBook):
    """The port `WorkBook`."""

    def claim(
        self, owner: str, *, lease: timedelta, duty: Duty | None = None, tenant: str | None = None
    ) -> Lease | None:
        """The due tenant whose turn it is, leased to `owner`."""
        check_duration(lease)
        with self._statement() as connection:
            if tenant is not None:
                return registry_claims.claim_one(connection, owner, tenant, lease=lease, duty=duty)
            claimed = registry_claims.claim_due(connection, owner, lease=lease, duty=duty, count=1, limits=None)
            return claimed[0] if claimed else None

    def claim_many(
        self, owner: str, *, lease: timedelta, count: int, limits: Limits | None, duty: Duty | None = None
    ) -> Sequence[Lease]:
        """Up to `count` due tenants, within the limits."""
        check_duration(lease)
        check_count(count)
        with self._statement() as connection:
            return registry_claims.claim_due(connection, owner, lease=lease, duty=duty, count=count, limits=limits)

    def put_off(self, decide: Callable[[Sequence[Known]], Mapping[str, Later]], *, count: int) -> Sequence[str]:
        """Has those tenants looked at later of which nothing is to be done now."""
        check_count(count)
        with self._transaction() as connection:
            return registry_quiet.put_off(connection, decide, count)

    def renew(self, lease: Lease, *, lease_for: timedelta) -> Lease:
        """The same lease, ending later."""
        check_duration(lease_for)
        with self._statement() as connection:
            return registry_claims.renew(connection, lease, lease_for)

    def release(
        self,
        lease: Lease,
        *,
        due_at: datetime,
        duty: Duty | None,
        danger: Danger | None = None,
        failures: int | None = None,
    ) -> None:
        """Lets go, due again at `due_at` by `duty`."""
        with self._statement() as connection:
            registry_claims.release(connection, lease, due_at=due_at, duty=duty, danger=danger, failures=failures)

    def work_items(
        self, *, states: Sequence[WorkState] = (), region: str | None = None, limit: int | None = None
    ) -> Sequence[WorkItem]:
        """The tenants in any of these states, by turn."""
        question = _items().where(or_(*(_IS_IN[state] for state in states or WorkState)))
        if region is not None:
            question = question.where(_tenants.region == region)
        with self._statement() as connection:
            rows = connection.execute(question.order_by(_TURN, _tenants.due_at).limit(limit))
            return [_item_of(row) for row in rows]

    def work_item(self, uid: str) -> WorkItem:
        """One tenant as workers see it."""
        with self._statement() as connection:
            row = connection.execute(_items().where(_tenants.uid == uid)).first()
        if row is None:
            raise unknown_tenant(uid)
        return _item_of(row)

    def retry(self, uid: str) -> None:
        """Has a tenant looked at now, as if it had never failed."""
        with self._transaction() as connection:
            before = _locked(connection, uid)
            _take_up(connection, uid, failures=0, danger=Danger.TERM.value)
            registry_claims.make_due(connection, uid, None)
            append(connection, uid, RETRIED, {"failures": before.failures})

    def park(self, uid: str, *, because: str, until: datetime | None) -> None:
        """Sets a tenant aside."""
        with self._transaction() as connection:
            now = _locked(connection, uid).now
            check_until(until, now)
            parking = {"parked_at": now, "parked_until": until, "parked_because": because}
            connection.execute(update(schema.tenants).where(_tenants.uid == uid).values(parking))
            append(connection, uid, PARKED_EVENT, parked_body(because, until))

    def unpark(self, uid: str) -> bool:
        """Takes up a tenant that was parked."""
        with self._transaction() as connection:
            if _locked(connection, uid).parked_at is None:
                return False
            _take_up(connection, uid)
            append(connection, uid, UNPARKED, {})
            return True

    def alarm_parked(self, *, within: timedelta) -> Sequence[str]:
        """Alarms parked tenants whose destruction is long due."""
        late = and_(_IS_PARKED, _tenants.destroy_after <= schema.now() - within, ~IS_DEAD)
        question = select(_tenants.uid, _tenants.parked_at, _tenants.parked_because, _tenants.parked_until).where(late)
        with self._transaction() as connection:
            rows = connection.execute(question.order_by(_tenants.uid.collate("C")).with_for_update()).all()
            for row in rows:
                parking = Parking(row.parked_at, row.parked_because, row.parked_until)
                TenantAlarms(connection, row.uid).raise_alarm(PARKED, parked_reason(parking))
            return [row.uid for row in rows]

    def take_token(self, quota: str, *, per_minute: int, burst: int, wait_max: timedelta) -> timedelta | None:
        """Takes one token of a quota that all share."""
        rate = per_minute / 60
        asked = {"quota": quota, "burst": float(burst), "rate": rate, "reach": wait_max.total_seconds() * rate}
        with self._statement() as connection:
            left = connection.scalar(_TAKE_TOKEN, asked)
        return None if left is None else timedelta(seconds=max(0.0, -left / rate))


def _items() -> Select[Any]:
    """Tenants with their troubles."""
    joined = schema.tenants
    for alarm, code in ((_trouble, TROUBLE), (_stuck, STUCK)):
        is_its = and_(alarm.c.tenant_uid == _tenants.uid, alarm.c.code == code, alarm.c.cleared_at.is_(None))
        joined = joined.outerjoin(alarm, is_its)  # type: ignore[assignment]
    is_in = (func.coalesce(condition, False).label(f"is_{state}") for state, condition in _IS_IN.items())
    troubles = (_trouble.c.since, _trouble.c.reason, _stuck.c.since.label("stuck_since"))
    return select(schema.tenants, *troubles, *is_in).select_from(joined)


def _item_of(row: Row[Any]) -> WorkItem:
    leased, parked = row.is_leased, row.is_parked
    return WorkItem(
        tenant_uid=row.uid,
        name=row.name,
        state=State(row.state),
        region=row.region,
        instance=row.instance,
        states=tuple(state for state in WorkState if row._mapping[f"is_{state}"]),
        due_at=row.due_at,
        danger=Danger(row.danger),
        duty=None if row.due_duty == UNKNOWN_DUTY else Duty(row.due_duty),
        owner=row.lease_owner if leased else None,
        leased_at=row.leased_at if leased else None,
        leased_until=row.lease_until if leased else None,
        failures=row.failures,
        failing_since=row.since,
        error=row.reason,
        stuck_since=row.stuck_since,
        parking=Parking(row.parked_at, row.parked_because, row.parked_until) if parked else None,
    )


def _locked(connection: Connection, uid: str) -> Row[Any]:
    """The tenant's row, which nobody else writes until the transaction ends, and the registry's time."""
    question = select(_tenants.failures, _tenants.parked_at, schema.now().label("now")).where(_tenants.uid == uid)
    row = connection.execute(question.with_for_update(key_share=True)).first()
    if row is None:
        raise unknown_tenant(uid)
    return row


def _take_up(connection: Connection, uid: str, **changes: Any) -> None:
    """Takes up a tenant that was perhaps parked."""
    free = {"parked_at": None, "parked_until": None, "parked_because": None}
    connection.execute(update(schema.tenants).where(_tenants.uid == uid).values({**free, **changes}))
    TenantAlarms(connection, uid).clear_alarm(PARKED)
