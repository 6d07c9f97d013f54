"""Alarms in the registry on PostgreSQL: a row for each code, open or cleared."""

from sqlalchemy import Connection, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantctl.adapters.postgres import schema
from tenantctl.adapters.postgres.registry_requests import append
from tenantctl.adapters.registry_rules import ALARM_CLEARED, ALARM_RAISED

_alarms = schema.alarms.c


class TenantAlarms:
    """One tenant's alarms in one transaction, whose row the caller has locked."""

    def __init__(self, connection: Connection, uid: str) -> None:
        self._connection, self._uid = connection, uid

    def open(self, code: str, reason: str) -> bool:
        """Renews an alarm that is open, or opens one; whether it is new."""
        this = (_alarms.tenant_uid == self._uid, _alarms.code == code)
        renewal = update(schema.alarms).where(*this, _alarms.cleared_at.is_(None)).values(reason=reason)
        if self._connection.execute(renewal).rowcount:
            return False
        opening = upsert(schema.alarms).values(tenant_uid=self._uid, code=code, reason=reason)
        again = {"reason": opening.excluded.reason, "since": schema.now(), "cleared_at": None}
        self._connection.execute(
            opening.on_conflict_do_update(index_elements=list(schema.alarms.primary_key), set_=again).inline()
        )
        return True

    def close(self, code: str) -> bool:
        """Closes an alarm; whether it was open."""
        this = (_alarms.tenant_uid == self._uid, _alarms.code == code, _alarms.cleared_at.is_(None))
        return bool(
            self._connection.execute(update(schema.alarms).where(*this).values(cleared_at=schema.now())).rowcount
        )

    def raise_alarm(self, code: str, reason: str) -> None:
        """Opens an alarm or renews it, journalled when opened."""
        if self.open(code, reason):
            append(self._connection, self._uid, ALARM_RAISED, {"code": code})

    def clear_alarm(self, code: str) -> None:
        """Closes an alarm if it is open, journalled when it was."""
        if self.close(code):
            append(self._connection, self._uid, ALARM_CLEARED, {"code": code})
