"""Billing in the registry's database: an event, its head, and the requests that follow from it are one transaction.

The tenant's row is locked first, so that two events of one tenant come one after the other, and no worker changes what
the event was judged by.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantctl.adapters import billing_rules as rules
from tenantctl.adapters.postgres import registry_reads, registry_requests, schema
from tenantctl.adapters.postgres.registry_alarms import TenantAlarms
from tenantctl.adapters.postgres.registry_engine import answering
from tenantctl.adapters.postgres.registry_rows import tenant_of
from tenantctl.adapters.postgres.schema_billing import dead_letters, outbox, subscriptions
from tenantctl.model.billing import (
    DeadLetter,
    Fault,
    Head,
    Outcome,
    Receipt,
    SubscriptionEvent,
    SubscriptionKind,
    SubscriptionSeen,
    Verdict,
    judge,
    seen_in,
)
from tenantctl.model.outbox import Announcement, Told
from tenantctl.model.sighting import Gone, Present, Sighting
from tenantctl.model.tenant import Tenant, Wanted

_heads, _letters, _outbox = subscriptions.c, dead_letters.c, outbox.c

_LOCKED: Final = (
    select(schema.tenants, schema.now().label("now"))
    .where(schema.tenants.c.uid == bindparam("uid"))
    .with_for_update(key_share=True)
)
# What an event is judged by, in one round trip: events of its name or its number, and the heads that it may concern.
_KNOWN: Final = text("""
    SELECT
        (SELECT json_agg(json_build_array(source = :source AND id = :id, digest, outcome, reason))
         FROM registry.billing_events
         WHERE (source = :source AND id = :id) OR (subscription = :subscription AND sequence = :sequence)),
        (SELECT json_agg(s ORDER BY subscription COLLATE "C")
         FROM registry.subscriptions s WHERE tenant_uid = :tenant_uid OR subscription = :subscription)
""")
# Event and head. An event that named another tenant, under whose lock it was, may have been faster: then a count is 0.
_RECORD: Final = text("""
    WITH event AS (
        INSERT INTO registry.billing_events (source, id, kind, subscription, tenant_uid, sequence, said_at, cause,
            instructing_party, effective_at, digest, outcome, reason)
        VALUES (:source, :id, :kind, :subscription, :tenant_uid, :sequence, :said_at, :cause,
            :instructing_party, :effective_at, :digest, :outcome, :reason)
        ON CONFLICT DO NOTHING RETURNING id
    ), head AS (
        INSERT INTO registry.subscriptions AS known
            (subscription, tenant_uid, sequence, kind, leaves_at, cause, instructing_party, known)
        VALUES (:subscription, :tenant_uid, :newest, :newest_kind, :leaves_at, :newest_cause, :newest_party, :known)
        ON CONFLICT (subscription) DO UPDATE SET sequence = excluded.sequence, kind = excluded.kind,
            leaves_at = excluded.leaves_at, cause = excluded.cause,
            instructing_party = excluded.instructing_party, known = excluded.known
        WHERE known.tenant_uid = excluded.tenant_uid RETURNING known.subscription
    )
    SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM head)
""")


class PostgresBilling:
    """Billing in the registry that `engine` reaches.

    Args:
        engine: the registry's, made by `registry_engine`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def receive(self, event: SubscriptionEvent) -> Receipt:
        """Records an event and what follows from it, under the lock of the tenant's row."""
        with self._transaction() as connection:
            row = connection.execute(_LOCKED, {"uid": event.tenant_uid}).first()
            if row is None:
                raise rules.unknown_tenant_of(event)
            events, found = connection.execute(_KNOWN, vars(event)).one()
            if (known := _on_record(event, events or ())) is not None:
                return known
            heads = [_head_of(one) for one in found or ()]
            for head in heads:
                rules.check_owner(event, head.tenant_uid)
            tenant = tenant_of(row)
            intents = registry_reads.intents(connection, tenant.uid) if tenant.wanted is Wanted.LEAVING else ()
            verdict = judge(event, tenant, heads, intents, now=row.now)
            _record(connection, event, verdict)
            _carry_out(connection, event, tenant, verdict)
            others = [head for head in heads if head.subscription != event.subscription]
            _mind_the_gap(connection, tenant.uid, heads, [*others, verdict.head])
            return Receipt(verdict.outcome, verdict.reason, tenant.uid, verdict.head.missing)

    def heads(self, tenant_uid: str) -> Sequence[Head]:
        """The newest event of each of the tenant's subscriptions."""
        with self._transaction() as connection:
            return _heads_where(connection, _heads.tenant_uid == tenant_uid)

    def look(self, tenant_uid: str) -> Sighting[SubscriptionSeen]:
        """What billing's last events say."""
        heads = self.heads(tenant_uid)
        return Present(seen_in(heads)) if heads else Gone()

    def keep_dead_letter(self, fault: Fault, reason: str, *, digest: str, body: str) -> DeadLetter:
        """Keeps what came, or counts it once more."""
        keeping = upsert(dead_letters).values(digest=digest, fault=fault.value, reason=reason, body=body)
        again = {
            "fault": keeping.excluded.fault,
            "reason": keeping.excluded.reason,
            "tries": _letters.tries + 1,
            "settled_at": None,
            "settled_as": None,
        }
        keeping = keeping.on_conflict_do_update(index_elements=["digest"], set_=again)
        with self._transaction() as connection:
            return _letter_of(connection.execute(keeping.returning(dead_letters)).one())

    def dead_letters(self) -> Sequence[DeadLetter]:
        """Those that nobody has settled."""
        question = select(dead_letters).where(_letters.settled_at.is_(None)).order_by(_letters.id)
        with self._transaction() as connection:
            return [_letter_of(row) for row in connection.execute(question)]

    def dead_letter(self, letter_id: int) -> DeadLetter:
        """The dead letter of this number."""
        with self._transaction() as connection:
            return _letter(connection, letter_id)

    def settle_dead_letter(self, letter_id: int, settled_as: str) -> DeadLetter:
        """Records what became of it."""
        settling = update(dead_letters).where(_letters.id == letter_id, _letters.settled_at.is_(None))
        with self._transaction() as connection:
            connection.execute(settling.values(settled_at=schema.now(), settled_as=settled_as))
            return _letter(connection, letter_id)

    def unpublished(self) -> Sequence[Announcement]:
        """The announcements that were not sent yet."""
        with self._transaction() as connection:
            return _unpublished(connection, None)

    def publish(self, send: Callable[[Sequence[Announcement]], None], *, most: int) -> int:
        """Sends the oldest, in a transaction that one process at a time can be in."""
        with self._transaction() as connection:
            lock = func.pg_try_advisory_xact_lock(func.hashtextextended("outbox", 0))
            if not connection.scalar(select(lock)):
                return 0
            batch = _unpublished(connection, most)
            if batch:
                send(batch)
                these = _outbox.id.in_([one.id for one in batch])
                connection.execute(update(outbox).where(these).values(published_at=schema.now()))
            return len(batch)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with answering(), self._engine.begin() as connection:
            yield connection


def _on_record(event: SubscriptionEvent, found: Sequence[tuple[bool, str, str, str]]) -> Receipt | None:
    """What became of the event, if it is on record; nothing else may have its name or its number."""
    for is_same, digest, outcome, reason in found:
        if is_same:
            rules.check_same(event, digest)
            return rules.duplicate(Outcome(outcome), reason, event)
    rules.check_number(event, bool(found))
    return None


def _record(connection: Connection, event: SubscriptionEvent, verdict: Verdict) -> None:
    """Writes event and head.

    Raises:
        Undeliverable: an event that named another tenant was faster with this name or subscription.
    """
    head, judged = verdict.head, {"outcome": verdict.outcome.value, "reason": verdict.reason}
    said = {**vars(event), "kind": event.kind.value, "said_at": event.time, "digest": event.digest, **judged}
    newest = {"newest": head.sequence, "newest_kind": head.kind.value, "leaves_at": head.leaves_at}
    by_whom = {"newest_cause": head.cause, "newest_party": head.instructing_party, "known": head.known}
    events, heads = connection.execute(_RECORD, {**said, **newest, **by_whom}).one()
    if not heads:
        rules.check_owner(event, "")
    if not events:
        rules.check_same(event, "another tenant's")


def _carry_out(connection: Connection, event: SubscriptionEvent, tenant: Tenant, verdict: Verdict) -> None:
    rules.record_requests(verdict, tenant, partial(registry_requests.record_intent, connection))
    if verdict.outcome is Outcome.REFUSED:
        registry_requests.append(connection, tenant.uid, rules.SUBSCRIPTION_REFUSED, rules.refusal_body(event))
        content = json.dumps(rules.refusal_content(event, verdict), ensure_ascii=False)
        values = {"tenant_uid": tenant.uid, "told": Told.REFUSED.value, "content": content}
        connection.execute(insert(outbox).values(values).inline())


def _mind_the_gap(connection: Connection, uid: str, before: Sequence[Head], after: Sequence[Head]) -> None:
    """Opens, renews or closes the alarm; most events concern no gap, and cost nothing here."""
    alarms, reason = TenantAlarms(connection, uid), rules.gap_reason(after)
    if reason:
        alarms.raise_alarm("billing-gap", reason)
    elif rules.gap_reason(before):
        alarms.clear_alarm("billing-gap")


def _heads_where(connection: Connection, condition: Any) -> Sequence[Head]:
    question = select(subscriptions).where(condition).order_by(_heads.subscription.collate("C"))
    return [_head_of(dict(row._mapping)) for row in connection.execute(question)]


def _head_of(row: Mapping[str, Any]) -> Head:
    """A row of `subscriptions`, or the same as JSON."""
    leaves_at = row["leaves_at"]
    moment = datetime.fromisoformat(leaves_at) if isinstance(leaves_at, str) else leaves_at
    return Head(**{**row, "kind": SubscriptionKind(row["kind"]), "leaves_at": moment})


def _letter(connection: Connection, letter_id: int) -> DeadLetter:
    row = connection.execute(select(dead_letters).where(_letters.id == letter_id)).first()
    if row is None:
        raise rules.no_dead_letter(letter_id)
    return _letter_of(row)


def _letter_of(row: Row[Any]) -> DeadLetter:
    said = {name: value for name, value in row._mapping.items() if name != "digest"}
    return DeadLetter(**{**said, "fault": Fault(row.fault)})


def _unpublished(connection: Connection, most: int | None) -> Sequence[Announcement]:
    question = select(outbox).where(_outbox.published_at.is_(None)).order_by(_outbox.id).limit(most)
    rows = connection.execute(question)
    return [
        Announcement(**{**row._mapping, "told": Told(row.told), "content": json.loads(row.content)}) for row in rows
    ]
