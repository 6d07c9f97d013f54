"""Notices: what a customer must be told on its way out, and when. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from tenantctl.model.calendar import rfc3339
from tenantctl.model.decisions import Notice
from tenantctl.model.policy import NoticesPolicy
from tenantctl.model.tenant import Tenant

DEACTIVATED: Final = "deactivated"


def near(days: int) -> str:
    """The kind of the notice that is put out so many days before the destruction."""
    return f"destruction-near/{days}"


def owed(tenant: Tenant, policy: NoticesPolicy) -> Iterator[tuple[str, datetime]]:
    """Each kind of notice that this closing owes, and from when; nothing before a closing is on record."""
    if tenant.logins_closed_at is None or tenant.destroy_after is None:
        return
    yield DEACTIVATED, tenant.logins_closed_at
    for days in sorted(policy.before_destruction_days, reverse=True):
        yield near(days), tenant.destroy_after - timedelta(days=days)


def to_put(tenant: Tenant, notices: Sequence[Notice], policy: NoticesPolicy, *, now: datetime) -> Iterator[str]:
    """The kinds that are due and not in the outbox yet."""
    put = {notice.kind for notice in of_this_closing(tenant, notices)}
    for kind, due_at in owed(tenant, policy):
        if due_at <= now and kind not in put:
            yield kind


def coming(tenant: Tenant, policy: NoticesPolicy, *, now: datetime) -> Iterator[datetime]:
    """When the notices that are not due yet will be."""
    return (due_at for _, due_at in owed(tenant, policy) if due_at > now)


def of_this_closing(tenant: Tenant, notices: Sequence[Notice]) -> list[Notice]:
    """Those that belong to the closing on record, and not to one that the customer came back from."""
    return [notice for notice in notices if notice.closing == tenant.logins_closed_at]


def missing(tenant: Tenant, notices: Sequence[Notice], policy: NoticesPolicy, *, now: datetime) -> str:
    """Why the customer does not count as told; empty where it does."""
    known = {notice.kind: notice for notice in of_this_closing(tenant, notices)}
    kinds = [kind for kind, _ in owed(tenant, policy)]
    if not kinds:
        return "no closing is on record that a notice could be of"
    if lacking := [kind for kind in kinds if kind not in known]:
        return f"not put out: {', '.join(lacking)}"
    if not policy.delivery_required:
        return ""
    delivered = [known[kind].delivered_at for kind in kinds]
    if silent := [kind for kind, at in zip(kinds, delivered, strict=True) if at is None]:
        return f"not delivered: {', '.join(silent)}"
    since = max(at for at in delivered if at is not None) + timedelta(hours=policy.hours_min)
    return f"the last was delivered so lately that it counts from {rfc3339(since)}" if now < since else ""


def overdue(tenant: Tenant, notices: Sequence[Notice], policy: NoticesPolicy, *, now: datetime) -> list[Notice]:
    """Required notices that nobody has reported as delivered for too long."""
    if not policy.delivery_required:
        return []
    patience = timedelta(hours=policy.page_after_hours)
    mine = of_this_closing(tenant, notices)
    return [notice for notice in mine if notice.delivered_at is None and now - notice.written_at > patience]
