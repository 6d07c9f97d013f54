"""What billing says of a subscription, and what that means for a tenant: pure rules.

Events come late, twice, and in the wrong order. Of each subscription only the newest event counts, by the sequence
that billing gave it; what a tenant is to be follows from the newest event of each of its subscriptions, and from
nothing else. So every order of arrival, and every repetition, ends at the same wish.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import LIVING, REINSTATABLE
from tenantctl.model.tenant import Intent, IntentKind, Tenant, Wanted
from tenantctl.model.trial import agreed_trial


class SubscriptionKind(StrEnum):
    """What happened to a subscription."""

    STARTED = "subscription.started"
    CANCELLED = "subscription.cancelled"
    RESUMED = "subscription.resumed"
    ENDED = "subscription.ended"
    TRIAL_STARTED = "trial.started"
    TRIAL_ENDED = "trial.ended"


_NEVER: Final = datetime.max.replace(tzinfo=UTC)
LASTING: Final = frozenset({SubscriptionKind.STARTED, SubscriptionKind.RESUMED})


class Outcome(StrEnum):
    """What became of an event; each is final, and the same event again is answered alike."""

    APPLIED = "applied"  # the tenant's intent was changed
    UNCHANGED = "unchanged"  # the newest of its subscription, and the tenant is wanted so already
    OLDER = "older"  # a newer event of its subscription is on record: recorded, and ignored
    REFUSED = "refused"  # it wants a tenant back whose destruction has begun: billing is told
    DUPLICATE = "duplicate"  # this very event is on record


class Fault(StrEnum):
    """Why something that came is no event: it is kept among the dead letters."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown-type"
    CARD_DATA = "card-data"
    UNKNOWN_TENANT = "unknown-tenant"
    CONFLICT = "conflict"


class Undeliverable(Refused):
    """What came is not, or not yet, an event that can be recorded; a person looks at it."""

    def __init__(self, fault: Fault, sentence: str) -> None:
        super().__init__(sentence)
        self.fault = fault


@dataclass(frozen=True)
class SubscriptionEvent:
    """One event of billing's; `source` and `id` together name it, and `sequence` counts from 1 in its subscription.

    `effective_at` is from when it counts; None means at once.
    """

    source: str
    id: str
    kind: SubscriptionKind
    subscription: str
    tenant_uid: str
    sequence: int
    time: datetime
    cause: str
    instructing_party: str
    effective_at: datetime | None = None

    @property
    def digest(self) -> str:
        """The SHA-256 of all that it says: another event under the same name is another matter."""
        moments = {
            "time": rfc3339(self.time),
            "effective_at": rfc3339(self.effective_at) if self.effective_at else None,
        }
        said = json.dumps({**vars(self), **moments}, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True)
class Head:
    """The newest event of one subscription, as the registry keeps it.

    `leaves_at` is from when the tenant leaves by it, None where the subscription lasts; `known` is how many of its
    sequence's numbers have come.
    """

    subscription: str
    tenant_uid: str
    sequence: int
    kind: SubscriptionKind
    leaves_at: datetime | None
    cause: str
    instructing_party: str
    known: int = 1

    @property
    def missing(self) -> int:
        """How many events before the newest have not come."""
        return self.sequence - self.known

    @property
    def lasts(self) -> bool:
        """Whether somebody pays, or is on trial, without an end so far."""
        return self.leaves_at is None


@dataclass(frozen=True)
class Wish:
    """What all subscriptions of a tenant together want: it lives, or leaves from `leaves_at` on."""

    leaves_at: datetime | None
    is_trial: bool
    cause: str
    instructing_party: str


@dataclass(frozen=True)
class IntentAsked:
    """A request that follows from a wish; `effective_at` None means at once."""

    kind: IntentKind
    effective_at: datetime | None = None


@dataclass(frozen=True)
class Verdict:
    """What an event comes to: its outcome with the reason, the subscription's head, and the requests to record."""

    outcome: Outcome
    reason: str
    head: Head
    asked: tuple[IntentAsked, ...] = ()
    wish: Wish | None = None


@dataclass(frozen=True)
class Receipt:
    """What billing is told of an event that was recorded; `missing` counts earlier events that have not come."""

    outcome: Outcome
    reason: str
    tenant_uid: str
    missing: int = 0


@dataclass(frozen=True)
class SubscriptionSeen:
    """A tenant's subscriptions as somebody knows them: whether one lasts, and in which words it was said."""

    lasts: bool
    finding: str


@dataclass(frozen=True)
class DeadLetter:
    """Something that came and is no event, once for each content; `body` is empty where it must not be kept."""

    id: int
    fault: Fault
    reason: str
    body: str
    received_at: datetime
    tries: int
    settled_at: datetime | None = None
    settled_as: str | None = None


def head_of(event: SubscriptionEvent) -> Head:
    """What an event would leave behind as the newest of its subscription."""
    leaves_at = None if event.kind in LASTING else (event.effective_at or event.time)
    return Head(
        event.subscription,
        event.tenant_uid,
        event.sequence,
        event.kind,
        leaves_at,
        event.cause,
        event.instructing_party,
    )


def judge(
    event: SubscriptionEvent, tenant: Tenant, heads: Sequence[Head], intents: Sequence[Intent], *, now: datetime
) -> Verdict:
    """What an event that is not on record yet comes to.

    Args:
        event: the event; nothing with its id or its number is on record.
        tenant: the tenant that it names, as it stands.
        heads: the newest event of each of the tenant's subscriptions.
        intents: the tenant's requests, oldest first.
        now: the registry's time.
    """
    known = next((head for head in heads if head.subscription == event.subscription), None)
    if known is not None and known.sequence > event.sequence:
        reason = f"number {known.sequence} of this subscription came before it"
        return Verdict(Outcome.OLDER, reason, replace(known, known=known.known + 1))
    head = replace(head_of(event), known=known.known + 1 if known else 1)
    wish = wish_of([head, *(one for one in heads if one.subscription != event.subscription)])
    if (head.leaves_at is None or head.leaves_at > now) and (late := _too_late(tenant)):
        return Verdict(Outcome.REFUSED, late, head)
    asked = tuple(requests(wish, tenant, intents, now=now))
    if not asked:
        return Verdict(Outcome.UNCHANGED, f"the tenant is {tenant.state}, and wanted {tenant.wanted} already", head)
    until = f"leaving from {rfc3339(wish.leaves_at)}" if wish.leaves_at else "living"
    return Verdict(Outcome.APPLIED, f"the tenant is wanted {until}", head, asked, wish)


def wish_of(heads: Iterable[Head]) -> Wish:
    """What the newest events of a tenant's subscriptions want: it lives as long as the longest of them."""
    by_end = sorted(heads, key=lambda head: (head.leaves_at or _NEVER, head.subscription))
    last = by_end[-1]
    return Wish(last.leaves_at, last.kind is SubscriptionKind.TRIAL_STARTED, last.cause, last.instructing_party)


def requests(wish: Wish, tenant: Tenant, intents: Sequence[Intent], *, now: datetime) -> Iterator[IntentAsked]:
    """The requests that make the newest intent say what is wished; none where it does, or nothing can be changed."""
    if tenant.state not in LIVING or tenant.wanted is Wanted.ERASED:
        return
    leaving = tenant.wanted is Wanted.LEAVING
    if wish.leaves_at is None:
        if leaving:
            yield IntentAsked(IntentKind.CONVERT if agreed_trial(intents) else IntentKind.REINSTATE)
        return
    is_over = wish.leaves_at <= now
    if leaving and (tenant.intent_effective_at == wish.leaves_at or (is_over and tenant.intent_effective_at <= now)):
        return
    if leaving and tenant.state in REINSTATABLE:
        yield IntentAsked(IntentKind.REINSTATE)  # it is closed, and is to work until a later day
    kind = IntentKind.TRIAL if wish.is_trial and not is_over else IntentKind.CANCEL
    yield IntentAsked(kind, None if is_over else wish.leaves_at)


def seen_in(heads: Sequence[Head]) -> SubscriptionSeen:
    """What the last events say of a tenant's subscriptions, of which there is at least one."""
    lasting = [head for head in heads if head.lasts]
    if lasting:
        newest = lasting[0]
        return SubscriptionSeen(True, f"subscription {newest.subscription} lasts: its last event is {newest.kind}")
    until = max(head.leaves_at for head in heads if head.leaves_at is not None)
    return SubscriptionSeen(False, f"every subscription ended by {rfc3339(until)}, as billing's last events say")


def _too_late(tenant: Tenant) -> str:
    if tenant.wanted is Wanted.ERASED:
        return "its erasure was approved: nothing newer can be wanted"
    return "" if tenant.state in LIVING else f"its destruction has begun: it is {tenant.state}"
