"""Billing in memory, beside the registry in memory; held to the contract of the real one."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tenantctl.adapters import billing_rules as rules
from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.adapters.registry_rules import ALARM_CLEARED, ALARM_RAISED
from tenantctl.model.billing import (
    DeadLetter,
    Fault,
    Head,
    Outcome,
    Receipt,
    SubscriptionEvent,
    SubscriptionSeen,
    Verdict,
    judge,
    seen_in,
)
from tenantctl.model.errors import NotFound
from tenantctl.model.outbox import Announcement, Told
from tenantctl.model.sighting import Gone, Present, Sighting
from tenantctl.model.tenant import Tenant


class MemoryBilling:
    """Billing as whoever uses `registry` keeps it."""

    def __init__(self, registry: MemoryRegistry) -> None:
        self._registry = registry
        self._shelf = registry.shelf
        self._ledger = registry.shelf.billing

    def receive(self, event: SubscriptionEvent) -> Receipt:
        """Records an event; one at a time."""
        with self._ledger.receiving:
            try:
                tenant = self._registry.tenant(event.tenant_uid)
            except NotFound as error:
                raise rules.unknown_tenant_of(event) from error
            if (known := self._ledger.events.get((event.source, event.id))) is not None:
                rules.check_same(event, known[0].digest)
                return rules.duplicate(known[1].outcome, known[1].reason, event)
            numbers = {(one.subscription, one.sequence) for one, _ in self._ledger.events.values()}
            rules.check_number(event, (event.subscription, event.sequence) in numbers)
            owned = self._ledger.heads.get(event.subscription)
            rules.check_owner(event, owned.tenant_uid if owned else event.tenant_uid)
            heads, now = self.heads(tenant.uid), self._registry.now()
            verdict = judge(event, tenant, heads, self._registry.intents(tenant.uid), now=now)
            self._carry_out(event, tenant, verdict)
            receipt = Receipt(verdict.outcome, verdict.reason, tenant.uid, verdict.head.missing)
            with self._ledger.lock:
                self._ledger.events[event.source, event.id] = (event, receipt)
                self._ledger.heads[event.subscription] = verdict.head
            self._mind_the_gap(tenant.uid)
            return receipt

    def heads(self, tenant_uid: str) -> Sequence[Head]:
        """The newest event of each of the tenant's subscriptions."""
        with self._ledger.lock:
            found = [head for head in self._ledger.heads.values() if head.tenant_uid == tenant_uid]
        return sorted(found, key=lambda head: head.subscription)

    def look(self, tenant_uid: str) -> Sighting[SubscriptionSeen]:
        """What billing's last events say."""
        heads = self.heads(tenant_uid)
        return Present(seen_in(heads)) if heads else Gone()

    def keep_dead_letter(self, fault: Fault, reason: str, *, digest: str, body: str) -> DeadLetter:
        """Keeps what came, or counts it once more."""
        with self._ledger.lock:
            known = self._ledger.letters.get(digest)
            if known is None:
                kept = DeadLetter(len(self._ledger.letters) + 1, fault, reason, body, self._registry.now(), tries=1)
            else:
                tries = known.tries + 1
                kept = replace(known, fault=fault, reason=reason, tries=tries, settled_at=None, settled_as=None)
            self._ledger.letters[digest] = kept
            return kept

    def dead_letters(self) -> Sequence[DeadLetter]:
        """Those that nobody has settled."""
        with self._ledger.lock:
            return [one for one in self._ledger.letters.values() if one.settled_at is None]

    def dead_letter(self, letter_id: int) -> DeadLetter:
        """The dead letter of this number."""
        with self._ledger.lock:
            for one in self._ledger.letters.values():
                if one.id == letter_id:
                    return one
        raise rules.no_dead_letter(letter_id)

    def settle_dead_letter(self, letter_id: int, settled_as: str) -> DeadLetter:
        """Records what became of it."""
        with self._ledger.lock:
            known = self.dead_letter(letter_id)
            if known.settled_at is not None:
                return known
            settled = replace(known, settled_at=self._registry.now(), settled_as=settled_as)
            digest = next(name for name, one in self._ledger.letters.items() if one.id == letter_id)
            self._ledger.letters[digest] = settled
            return settled

    def unpublished(self) -> Sequence[Announcement]:
        """The announcements that were not sent yet."""
        with self._ledger.lock:
            return [self._ledger.outbox[number] for number in self._ledger.unsent]

    def publish(self, send: Callable[[Sequence[Announcement]], None], *, most: int) -> int:
        """Sends the oldest, unless somebody else is at it."""
        if not self._ledger.publishing.acquire(blocking=False):
            return 0
        try:
            batch = self.unpublished()[:most]
            if batch:
                send(batch)
            with self._ledger.lock:
                for one in batch:
                    self._ledger.outbox[one.id] = replace(one, published_at=self._registry.now())
                    del self._ledger.unsent[one.id]
            return len(batch)
        finally:
            self._ledger.publishing.release()

    def _carry_out(self, event: SubscriptionEvent, tenant: Tenant, verdict: Verdict) -> None:
        rules.record_requests(verdict, tenant, self._registry.record_intent)
        if verdict.outcome is Outcome.REFUSED:
            content = rules.refusal_content(event, verdict)
            self._registry.append_entry(tenant.uid, rules.SUBSCRIPTION_REFUSED, rules.refusal_body(event))
            self._ledger.announce(tenant.uid, Told.REFUSED, content, at=self._registry.now())

    def _mind_the_gap(self, uid: str) -> None:
        reason, now, actor = rules.gap_reason(self.heads(uid)), self._registry.now(), self._registry.actor()
        with self._shelf.writing(uid) as book:
            is_open = rules.BILLING_GAP in book.alarms
            if reason:
                changed = book.with_alarm(rules.BILLING_GAP, reason, at=now)
            elif is_open:
                changed = book.without_alarm(rules.BILLING_GAP)
            else:
                return
            if is_open != bool(reason):
                word = ALARM_RAISED if reason else ALARM_CLEARED
                changed = changed.with_entry(word, {"code": rules.BILLING_GAP}, at=now, actor=actor)
            self._shelf.replace(changed)
