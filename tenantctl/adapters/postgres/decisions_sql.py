"""Statements on freezes, holds, proposals, acts and notices: what requests and leased transactions both need."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, exists, func, or_, select, update

from tenantctl.adapters.postgres import schema
from tenantctl.model.decisions import (
    EVERYWHERE,
    Act,
    Approval,
    CapCount,
    Freeze,
    Hold,
    Notice,
    Proposal,
    ProposalKind,
)
from tenantctl.model.lifecycle import DEAD, State
from tenantctl.model.tenant import Wanted

ROLLING: Final = timedelta(hours=24)
_tenants = schema.tenants.c


def open_freezes(connection: Connection, region: str | None) -> Sequence[Freeze]:
    """The open freezes, of all scopes or those that cover a region."""
    columns = schema.freezes.c
    question = select(schema.freezes).where(columns.ended_at.is_(None)).order_by(columns.id)
    if region is not None:
        question = question.where(columns.scope.in_([EVERYWHERE, region]))
    return [Freeze(**row._mapping) for row in connection.execute(question)]


def open_holds(connection: Connection, uid: str | None) -> Sequence[Hold]:
    """The open holds, of all tenants or of one."""
    columns = schema.holds.c
    question = select(schema.holds).where(columns.ended_at.is_(None)).order_by(columns.id)
    if uid is not None:
        question = question.where(columns.tenant_uid == uid)
    return [Hold(**row._mapping) for row in connection.execute(question)]


def proposals_where(connection: Connection, *conditions: ColumnElement[bool]) -> Sequence[Proposal]:
    """The proposals that meet all conditions, oldest first, with their approvals."""
    columns = schema.proposals.c
    rows = connection.execute(select(schema.proposals).where(*conditions).order_by(columns.made_at, columns.digest))
    found = list(rows)
    if not found:
        return []
    of_these = select(schema.approvals).where(schema.approvals.c.digest.in_([row.digest for row in found]))
    approvals: dict[str, list[Approval]] = {}
    for row in connection.execute(of_these.order_by(schema.approvals.c.at)):
        approvals.setdefault(row.digest, []).append(Approval(row.actor, row.at))
    return [_proposal(row, approvals.get(row.digest, [])) for row in found]


def _proposal(row: Row[Any], approvals: Sequence[Approval]) -> Proposal:
    typed = {"kind": ProposalKind(row.kind), "content": json.loads(row.content), "approvals": tuple(approvals)}
    return Proposal(**{**row._mapping, **typed})


def due_for(act: Act, region: str) -> Select[Any]:
    """The uids that an act is due for in a region; those under a hold wait for something else."""
    question = select(_tenants.uid).where(
        _tenants.region == region,
        _tenants.wanted == Wanted.LEAVING.value,
        _tenants.intent_effective_at <= schema.now(),
    )
    if act is Act.DEACTIVATE:
        return question.where(_tenants.state == State.ACTIVE.value)
    held = exists().where(schema.holds.c.tenant_uid == _tenants.uid, schema.holds.c.ended_at.is_(None))
    return question.where(_tenants.state == State.DEACTIVATED.value, _tenants.destroy_after <= schema.now(), ~held)


def cap_count(connection: Connection, act: Act, region: str) -> CapCount:
    """What the cap is held against."""
    acts = schema.acts.c
    lately = select(func.count()).where(acts.region == region, acts.act == act.value, acts.at > schema.now() - ROLLING)
    due = select(func.count()).select_from(due_for(act, region).subquery())
    alive = select(func.count()).where(
        _tenants.region == region, _tenants.state.not_in(sorted(state.value for state in DEAD))
    )
    question = select(lately.scalar_subquery(), due.scalar_subquery(), alive.scalar_subquery())
    return CapCount(*connection.execute(question).one())


def lock_cap(connection: Connection, act: Act, region: str) -> None:
    """Waits for everybody who counts the same, until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"cap/{act.value}/{region}", 0))))


def supersede_leases(connection: Connection, *conditions: ColumnElement[bool]) -> None:
    """Makes whoever holds these tenants lose the lease at the next renewal, and look anew."""
    leased = _tenants.lease_owner.is_not(None)
    connection.execute(update(schema.tenants).where(*conditions, leased).values(lease_intent_id=0))


def concerned_by(scope: str) -> tuple[ColumnElement[bool], ...]:
    """The tenants that a freeze of this scope concerns: those that are on their way out."""
    on_the_way = or_(
        _tenants.wanted != Wanted.LIVING.value,
        _tenants.state.in_([State.DEACTIVATING.value, State.DEACTIVATED.value, State.DESTROYING.value]),
    )
    return (on_the_way,) if scope == EVERYWHERE else (on_the_way, _tenants.region == scope)


def notices_where(connection: Connection, *conditions: ColumnElement[bool]) -> Sequence[Notice]:
    """The notices that meet all conditions, oldest first."""
    question = select(schema.notices).where(*conditions).order_by(schema.notices.c.id)
    return [Notice(**row._mapping) for row in connection.execute(question)]


def notices_of(connection: Connection, uids: Sequence[str]) -> Mapping[str, Sequence[Notice]]:
    """The notices of each of these tenants that has any, oldest first."""
    found = defaultdict[str, list[Notice]](list)
    for notice in notices_where(connection, schema.notices.c.tenant_uid.in_(uids)):
        found[notice.tenant_uid].append(notice)
    return found
