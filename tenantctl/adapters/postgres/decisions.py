"""Decisions in the registry's database: who and when are its own word, and what ended stays on record."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

from sqlalchemy import Connection, Engine, Text, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantctl.adapters import decision_rules as rules
from tenantctl.adapters.postgres import decisions_sql, schema
from tenantctl.adapters.postgres.registry_claims import make_due
from tenantctl.adapters.postgres.registry_claims import now as registry_now
from tenantctl.adapters.postgres.registry_engine import answering
from tenantctl.adapters.postgres.registry_requests import append
from tenantctl.adapters.registry_rules import unknown_tenant
from tenantctl.model.decisions import (
    APPROVED_FOR,
    Act,
    CapCount,
    CapSeen,
    Freeze,
    Hold,
    NewProposal,
    Notice,
    Proposal,
    Standing,
)
from tenantctl.model.errors import Transient


class PostgresDecisions:
    """The decisions that `engine` reaches, as the login that its connections have.

    Args:
        engine: the registry's, made by `registry_engine`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def standing(self, uid: str, region: str, act: Act | None) -> Standing:
        """What all decisions mean for one tenant, read in one transaction."""
        with self._transaction() as connection:
            cap = None
            if act is not None:
                count = decisions_sql.cap_count(connection, act, region)
                cap = CapSeen(act, count, _open_batch(connection, act, region))
            return Standing(
                freezes=tuple(decisions_sql.open_freezes(connection, region)),
                holds=tuple(decisions_sql.open_holds(connection, uid)),
                proposals=tuple(_open_proposals(connection, uid)),
                notices=tuple(decisions_sql.notices_where(connection, schema.notices.c.tenant_uid == uid)),
                cap=cap,
            )

    def freeze(self, scope: str, reason: str) -> Freeze:
        """Stops deactivation and destruction; who is at work on it loses the lease."""
        with self._transaction() as connection:
            placing = upsert(schema.freezes).values(scope=scope, reason=reason)
            columns = schema.freezes.c
            connection.execute(
                placing.on_conflict_do_nothing(
                    index_elements=[columns.scope], index_where=columns.ended_at.is_(None)
                ).inline()
            )
            placed = next(one for one in decisions_sql.open_freezes(connection, None) if one.scope == scope)
        with suppress(Transient), self._transaction() as connection:  # the freeze stands; each step asks for it anyway
            decisions_sql.supersede_leases(connection, *decisions_sql.concerned_by(scope))
        return placed

    def unfreeze(self, scope: str, because: str) -> Freeze:
        """Ends the freeze of this very scope."""
        columns = schema.freezes.c
        ending = update(schema.freezes).where(columns.scope == scope, columns.ended_at.is_(None))
        with self._transaction() as connection:
            row = connection.execute(ending.values(ended_because=because).returning(schema.freezes)).first()
        if row is None:
            raise rules.no_freeze(scope)
        return Freeze(**row._mapping)

    def freezes(self, region: str | None = None) -> Sequence[Freeze]:
        """The open freezes, oldest first."""
        with self._transaction() as connection:
            return decisions_sql.open_freezes(connection, region)

    def place_hold(self, uid: str, case_reference: str, review_by: datetime) -> Hold:
        """Puts a tenant under a hold, after whatever transaction is open on it."""
        with self._transaction() as connection:
            _lock_tenant(connection, uid)
            for known in decisions_sql.open_holds(connection, uid):
                if known.case_reference == case_reference:
                    return known
            values = {"tenant_uid": uid, "case_reference": case_reference, "review_by": review_by}
            row = connection.execute(insert(schema.holds).values(values).returning(schema.holds)).one()
            append(connection, uid, rules.HOLD_PLACED, {"hold": row.id})
            decisions_sql.supersede_leases(connection, schema.tenants.c.uid == uid)
            make_due(connection, uid, None)
            return Hold(**row._mapping)

    def release_hold(self, uid: str, case_reference: str, because: str) -> Hold:
        """Ends a hold."""
        with self._transaction() as connection:
            ended = _end_hold(connection, uid, case_reference, because)
            append(connection, uid, rules.HOLD_RELEASED, {"hold": ended.id})
            make_due(connection, uid, None)
            return ended

    def review_hold(self, uid: str, case_reference: str, review_by: datetime, because: str) -> Hold:
        """Ends a hold and places it anew, with nothing in between."""
        with self._transaction() as connection:
            _lock_tenant(connection, uid)
            ended = _end_hold(connection, uid, case_reference, because)
            values = {"tenant_uid": uid, "case_reference": case_reference, "review_by": review_by}
            row = connection.execute(insert(schema.holds).values(values).returning(schema.holds)).one()
            append(connection, uid, rules.HOLD_REVIEWED, {"hold": ended.id, "goes_on_as": row.id})
            make_due(connection, uid, None)
            return Hold(**row._mapping)

    def holds(self, uid: str | None = None) -> Sequence[Hold]:
        """The open holds, oldest first."""
        with self._transaction() as connection:
            return decisions_sql.open_holds(connection, uid)

    def propose(self, new: NewProposal) -> Proposal:
        """Writes a proposal; the same again is the one that is there."""
        with self._transaction() as connection:
            return _propose(connection, new)

    def propose_batch(self, act: Act, region: str) -> Proposal:
        """The open batch, or one of all that are due now; of two workers at once, one waits for the other's."""
        with self._transaction() as connection:
            decisions_sql.lock_cap(connection, act, region)
            found = _open_batch(connection, act, region)
            if found is not None:
                return found
            members = [str(uid) for uid in connection.scalars(decisions_sql.due_for(act, region))]
            return _propose(connection, rules.new_batch(act, region, members, now=registry_now(connection)))

    def approve(self, digest: str) -> Proposal:
        """Says yes, as the session's own user."""
        with self._transaction() as connection:
            columns = schema.proposals.c
            connection.execute(select(columns.digest).where(columns.digest == digest).with_for_update(key_share=True))
            found = _proposal(connection, digest)
            actor = connection.scalars(select(literal_column("session_user", Text))).one()
            rules.check_approvable(found, actor, now=registry_now(connection))
            connection.execute(insert(schema.approvals).values(digest=digest).inline())
            if found.tenant_uid is not None:
                append(connection, found.tenant_uid, rules.APPROVED, {"kind": found.kind.value, "digest": digest})
                make_due(connection, found.tenant_uid, None)
            return _proposal(connection, digest)

    def proposal(self, digest: str) -> Proposal:
        """The proposal of this digest."""
        with self._transaction() as connection:
            return _proposal(connection, digest)

    def proposals(self, uid: str | None = None) -> Sequence[Proposal]:
        """The open proposals, oldest first."""
        with self._transaction() as connection:
            return _open_proposals(connection, uid)

    def batch(self, act: Act, region: str) -> Proposal | None:
        """The open batch of an act in a region."""
        with self._transaction() as connection:
            return _open_batch(connection, act, region)

    def cap_count(self, act: Act, region: str) -> CapCount:
        """What the cap of an act is held against."""
        with self._transaction() as connection:
            return decisions_sql.cap_count(connection, act, region)

    def notices(self, uid: str) -> Sequence[Notice]:
        """All notices of a tenant."""
        with self._transaction() as connection:
            return decisions_sql.notices_where(connection, schema.notices.c.tenant_uid == uid)

    def undelivered(self) -> Sequence[Notice]:
        """The notices of all tenants that nobody has reported as delivered."""
        with self._transaction() as connection:
            return decisions_sql.notices_where(connection, schema.notices.c.delivered_at.is_(None))

    def report_delivered(self, notice_id: int) -> Notice:
        """Records that a customer has been told."""
        with self._transaction() as connection:
            columns = schema.notices.c
            known = _notice(connection, notice_id)
            reporting = update(schema.notices).where(columns.id == notice_id, columns.delivered_at.is_(None))
            row = connection.execute(
                reporting.values(delivered_at=schema.now(), failure=None).returning(schema.notices)
            ).first()
            if row is None:
                return known
            append(connection, known.tenant_uid, rules.NOTICE_DELIVERED, {"notice": notice_id, "kind": known.kind})
            make_due(connection, known.tenant_uid, None)
            return Notice(**row._mapping)

    def report_failed(self, notice_id: int, failure: str) -> Notice:
        """Records what the last try to deliver met."""
        columns = schema.notices.c
        reporting = update(schema.notices).where(columns.id == notice_id, columns.delivered_at.is_(None))
        with self._transaction() as connection:
            connection.execute(reporting.values(failure=failure))
            return _notice(connection, notice_id)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with answering(), self._engine.begin() as connection:
            yield connection


def _end_hold(connection: Connection, uid: str, case_reference: str, because: str) -> Hold:
    columns = schema.holds.c
    ending = update(schema.holds).where(
        columns.tenant_uid == uid, columns.case_reference == case_reference, columns.ended_at.is_(None)
    )
    row = connection.execute(ending.values(ended_because=because).returning(schema.holds)).first()
    if row is None:
        raise rules.no_hold(uid, case_reference)
    return Hold(**row._mapping)


def _lock_tenant(connection: Connection, uid: str) -> None:
    columns = schema.tenants.c
    locking = select(columns.uid).where(columns.uid == uid).with_for_update()
    if connection.execute(locking).first() is None:
        raise unknown_tenant(uid)


def _propose(connection: Connection, new: NewProposal) -> Proposal:
    writing = upsert(schema.proposals).values(
        digest=new.digest, kind=new.kind.value, tenant_uid=new.tenant_uid, content=new.text, expires_at=new.expires_at
    )
    written = connection.execute(writing.on_conflict_do_nothing().returning(schema.proposals.c.digest)).first()
    if written is not None and new.tenant_uid is not None:
        append(connection, new.tenant_uid, rules.PROPOSED, {"kind": new.kind.value, "digest": new.digest})
    return _proposal(connection, new.digest)


def _proposal(connection: Connection, digest: str) -> Proposal:
    for found in decisions_sql.proposals_where(connection, schema.proposals.c.digest == digest):
        return found
    raise rules.unknown_proposal(digest, _open_proposals(connection, None))


def _notice(connection: Connection, notice_id: int) -> Notice:
    for found in decisions_sql.notices_where(connection, schema.notices.c.id == notice_id):
        return found
    raise rules.no_notice(notice_id)


def _open_proposals(connection: Connection, uid: str | None) -> Sequence[Proposal]:
    """Those that are not over; an approval lasts longer than what it is of may have waited for it."""
    columns, now = schema.proposals.c, registry_now(connection)
    conditions = [columns.spent_at.is_(None), columns.expires_at > now - APPROVED_FOR]
    if uid is not None:
        conditions.append(columns.tenant_uid == uid)
    return [one for one in decisions_sql.proposals_where(connection, *conditions) if one.is_open(now=now)]


def _open_batch(connection: Connection, act: Act, region: str) -> Proposal | None:
    batches = (one for one in _open_proposals(connection, None) if one.tenant_uid is None and "members" in one.content)
    return next((one for one in batches if (one.content["act"], one.content["region"]) == (act.value, region)), None)
