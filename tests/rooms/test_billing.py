"""Billing's rules: no order and no repetition of events ends elsewhere; what is read, refused, and asked."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.adapters.google.asked_subscriptions import AskedSubscriptions
from tenantctl.adapters.memory.billing import MemoryBilling
from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.billing.cards import card_data_in
from tenantctl.billing.request import receive, replay, replay_all
from tenantctl.entrypoints.service.envelopes import event_of, unwrapped
from tenantctl.model.billing import (
    Fault,
    Head,
    Outcome,
    SubscriptionEvent,
    SubscriptionKind,
    SubscriptionSeen,
    Undeliverable,
)
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.outbox import Told, cloud_event_text
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.model.tenant import Instance, InstanceRole, Tenant, Wanted
from tests.contracts.registry_samples import REGION, new_tenant
from tests.rooms.callers import cloud_event
from tests.rooms.company import Company

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAYS = st.integers(-30, 30).map(lambda days: NOW + timedelta(days=days))
UID = "k7m2qp5xw3ab"


def event(number: int, kind: SubscriptionKind, at: datetime | None, subscription: str = "sub-1") -> SubscriptionEvent:
    """The event of a number, which says at most one thing."""
    return SubscriptionEvent("/b", f"{subscription}/{number}", kind, subscription, UID, number, NOW, "c", "p", at)


def registry_with_a_tenant() -> MemoryRegistry:
    """A registry whose clock stands still, with a tenant that billing may speak of."""
    registry = MemoryRegistry(lambda: NOW)
    registry.add_instance(Instance("one", REGION, InstanceRole.TENANTS, 500))
    registry.request_tenant(new_tenant(uid=UID))
    return registry


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[SubscriptionEvent], list[SubscriptionEvent]]:
    """What happened to up to two subscriptions in order, and how it arrived: in any order, some of it repeatedly."""
    happened = []
    for subscription in draw(st.sampled_from([("a",), ("a", "b")])):
        kinds = draw(st.lists(st.sampled_from(SubscriptionKind), min_size=1, max_size=5))
        happened += [event(number, kind, draw(DAYS), subscription) for number, kind in enumerate(kinds, 1)]
    again = draw(st.lists(st.sampled_from(happened), max_size=4))
    return happened, draw(st.permutations([*happened, *again]))


def told(events: list[SubscriptionEvent]) -> tuple[Wanted, datetime | None, list[Head], int]:
    """What is wanted of the tenant after these events, from when where that is to come, and what is on record."""
    registry = registry_with_a_tenant()
    billing = MemoryBilling(registry)
    for one in events:
        billing.receive(one)
    tenant = registry.tenant(UID)
    until = max(tenant.intent_effective_at, NOW) if tenant.wanted is Wanted.LEAVING else None
    return tenant.wanted, until, list(billing.heads(UID)), len(registry.alarms(UID))


@settings(max_examples=150)
@given(lives())
def test_every_order_and_every_repetition_ends_where_the_newest_says(
    life: tuple[list[SubscriptionEvent], list[SubscriptionEvent]],
) -> None:
    """In order or not, once or often: the same is wanted, from the same moment, with the same on record and no gap."""
    happened, arrived = life
    in_order, as_it_came = told(happened), told(arrived)
    assert as_it_came == in_order
    wanted, _, heads, alarms = as_it_came
    assert (wanted is Wanted.LIVING) == any(head.lasts for head in heads)
    assert alarms == 0


def test_a_subscription_that_starts_converts_a_trial() -> None:
    """And a trial that billing tells of ends by itself."""
    registry = registry_with_a_tenant()
    billing = MemoryBilling(registry)
    ends = NOW + timedelta(days=14)
    billing.receive(event(1, SubscriptionKind.TRIAL_STARTED, ends))
    assert registry.tenant(UID).intent_effective_at == ends
    billing.receive(event(2, SubscriptionKind.STARTED, None))
    assert [one.kind.value for one in registry.intents(UID)] == ["create", "trial", "convert"]


def test_a_closed_tenant_that_is_to_leave_later_comes_back_until_then() -> None:
    """The cancellation at once was taken back before the one at the end of the period, and that word is on its way."""
    company = Company()
    closed = company.deactivated()
    later = company.clock() + timedelta(days=30)
    said = replace(event(3, SubscriptionKind.CANCELLED, later), tenant_uid=closed.uid)
    assert company.billing.receive(said).outcome is Outcome.APPLIED
    company.run()
    back = company.registry.tenant(closed.uid)
    assert (back.state, back.wanted, back.intent_effective_at) == (State.ACTIVE, Wanted.LEAVING, later)


def test_more_cancellations_than_the_cap_allows_are_taken_and_stopped() -> None:
    """Billing is never told no for being many: each is intent, and the sweep asks two people."""
    company = Company()
    tenants = [company.request(f"acme-{number}") for number in range(12)]
    company.run()
    for one in tenants:
        said = replace(event(1, SubscriptionKind.CANCELLED, None, f"sub-{one.uid}"), tenant_uid=one.uid)
        assert company.billing.receive(said).outcome is Outcome.APPLIED
    company.run()
    states = [company.registry.tenant(one.uid).state for one in tenants]
    assert set(states) == {State.ACTIVE}
    assert "blocked/cap" in company.alarms(tenants[0])


# Before a destruction


def ripe(company: Company) -> Tenant:
    """A tenant whose grace is over, and of which nobody but billing has another word."""
    tenant = company.deactivated()
    company.advance(days=22)
    return tenant


class Asked:
    """Billing, when it is asked."""

    def __init__(self, answer: Sighting[SubscriptionSeen]) -> None:
        self._answer = answer

    def look(self, tenant_uid: str) -> Sighting[SubscriptionSeen]:
        return self._answer


@pytest.mark.parametrize(
    ("answer", "destroyed"),
    [
        (Present(SubscriptionSeen(lasts=True, finding="it is paid for")), False),
        (Unreachable("it does not answer"), False),
        (Present(SubscriptionSeen(lasts=False, finding="it has ended")), True),
        (Gone(), True),
    ],
)
def test_billing_is_asked_again_before_a_destruction(answer: Sighting[SubscriptionSeen], destroyed: bool) -> None:
    """Unknown is no yes: who does not answer, or says that somebody pays, keeps the database."""
    company = Company()
    company.wrapped = lambda world: replace(world, subscriptions=Asked(answer))
    tenant = ripe(company)
    company.run()
    assert company.has_database(tenant) is not destroyed
    company.advance(days=8)
    company.run()
    assert ("blocked/subscription" in company.alarms(tenant)) is not destroyed


def test_a_subscription_of_another_kind_keeps_the_database() -> None:
    """Cancelled at a shell, while billing's last word is that it lasts."""
    company = Company()
    tenant = company.create()
    company.billing.receive(replace(event(1, SubscriptionKind.STARTED, None), tenant_uid=tenant.uid))
    company.cancel(tenant)
    company.run()
    company.advance(days=22)
    company.run()
    assert company.has_database(tenant)
    company.billing.receive(replace(event(2, SubscriptionKind.ENDED, None), tenant_uid=tenant.uid))
    company.run()
    company.advance(days=22)
    company.run()
    assert not company.has_database(tenant)
    late = replace(event(3, SubscriptionKind.RESUMED, None), tenant_uid=tenant.uid)
    assert company.billing.receive(late).outcome is Outcome.REFUSED
    last = company.billing.unpublished()[-1]
    assert (last.told, json.loads(cloud_event_text(last))["data"]["event"]) == (Told.REFUSED, late.id)


@pytest.mark.parametrize(
    "url", ["https://billing.example/subscription", "http://billing.example/{tenant}", "file:///{tenant}"]
)
def test_billing_is_asked_for_a_tenant_and_not_in_the_clear(url: str) -> None:
    """Or anybody on the way could have a database destroyed."""
    with pytest.raises(Refused):
        AskedSubscriptions(url, Asked(Gone()), None)


# What is read


def test_each_form_of_an_envelope_says_the_same() -> None:
    """Structured, binary, and both of them inside of Pub/Sub's envelope."""
    said = cloud_event(UID, 7, effective_at="2026-12-31T00:00:00+01:00")
    attributes = {f"ce-{name}": value for name, value in said.items() if name != "data"}
    data = json.dumps(said["data"]).encode()

    def pushed(content: bytes, **more: Any) -> bytes:
        return json.dumps({"message": {"data": base64.b64encode(content).decode(), "messageId": "1", **more}}).encode()

    forms = [
        (json.dumps(said).encode(), {}),
        (data, {name.title(): value for name, value in attributes.items()}),
        (pushed(json.dumps(said).encode()), {}),
        (pushed(data, attributes=attributes), {}),
    ]
    read = [event_of(unwrapped(body, headers)) for body, headers in forms]
    assert len(set(read)) == 1
    assert (read[0].sequence, read[0].effective_at) == (7, datetime(2026, 12, 30, 23, tzinfo=UTC))


def without(name: str, **changes: Any) -> dict[str, Any]:
    """An event whose data lack a field, or say something else."""
    said = cloud_event(UID, 1)
    said["data"] = {key: value for key, value in {**said["data"], **changes}.items() if key != name}
    return said


WRONG: dict[str, tuple[Any, Fault]] = {
    "no object": ([1, 2], Fault.MALFORMED),
    "another type": ({**cloud_event(UID, 1), "type": "subscription.paused"}, Fault.UNKNOWN_TYPE),
    "no type": ({**cloud_event(UID, 1), "type": None}, Fault.MALFORMED),
    "no tenant": (without("tenant"), Fault.MALFORMED),
    "a blank cause": (without("", cause=""), Fault.MALFORMED),
    "a number that is a text": (without("", sequence="1"), Fault.MALFORMED),
    "the number zero": (without("", sequence=0), Fault.MALFORMED),
    "a time that is a number": (without("", effective_at=1764892800), Fault.MALFORMED),
    "a time of nowhere": (without("", effective_at="2026-12-31T00:00:00"), Fault.MALFORMED),
    "a time that nobody means": (without("", effective_at="0001-01-01T00:00:00Z"), Fault.MALFORMED),
    "a line break": (without("", cause="a\nb"), Fault.MALFORMED),
    "a character that ends a text": (without("", cause="a\x00b"), Fault.MALFORMED),
    "half a character": (without("", cause="\ud800"), Fault.MALFORMED),
    "a trial without an end": (cloud_event(UID, 1, "trial.started"), Fault.MALFORMED),
    "a card": (without("", note="4111 1111 1111 1111"), Fault.CARD_DATA),
    "a card's field": (without("", card={"last4": "1111"}), Fault.CARD_DATA),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_event_is_kept_and_refused_for_what_it_is(wrong: str) -> None:
    """Once, however often it comes; of card data nothing but that it came."""
    said, fault = WRONG[wrong]
    billing = MemoryBilling(registry_with_a_tenant())
    for _ in range(2):
        with pytest.raises(Undeliverable) as caught:
            receive(billing, unwrapped(json.dumps(said).encode(), {}), event_of)
        assert caught.value.fault is fault
    (letter,) = billing.dead_letters()
    assert (letter.fault, letter.tries, bool(letter.body)) == (fault, 2, fault is not Fault.CARD_DATA)
    assert "4111" not in f"{letter}"


def test_numbers_that_are_no_cards_are_left_alone() -> None:
    """A card's number has its check digit and its first digit; whoever numbers messages may hit one."""
    assert card_data_in({"a": "4111111111111112", "b": 1111111111111117, "c": "2026-11-23T12:00:00Z"}) == ""
    assert card_data_in({"messageId": "4111111111111111", "discard": "x", "company": "y"}) == ""
    assert card_data_in([{"x": ["4111-1111-1111-1111"]}]) == "a number"
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    assert "too deep" in card_data_in(deep)


@settings(max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=8,
        ).map(lambda value: json.dumps({"message": value, "specversion": "1.0", "data": value}).encode()),
        st.sampled_from(sorted(cloud_event(UID, 1))).flatmap(
            lambda name: st.text(max_size=20).map(lambda text: json.dumps({**cloud_event(UID, 1), name: text}).encode())
        ),
    ),
    st.dictionaries(st.sampled_from(["ce-specversion", "ce-type", "ce-id", "x"]), st.text(max_size=8), max_size=3),
)
def test_whatever_comes_is_an_event_or_undeliverable(body: bytes, headers: dict[str, str]) -> None:
    """No envelope is an error of ours, and what is kept of it can be kept: no text has an end inside."""
    text = unwrapped(body, headers)
    assert "\x00" not in text
    refusals = []
    try:
        event_of(text)
    except Undeliverable as refusal:
        refusals.append(refusal.sentence)
    assert all(map(str.isprintable, refusals))


def test_a_dead_letter_is_replayed_once_its_tenant_is_there() -> None:
    """Settled then; one that is still no event stays, and one that was not kept says so."""
    registry = MemoryRegistry(lambda: NOW)
    registry.add_instance(Instance("one", REGION, InstanceRole.TENANTS, 500))
    billing = MemoryBilling(registry)
    letters: list[Any] = [cloud_event(UID, 1), [], without("", cvv=1)]
    for said in letters:
        with pytest.raises(Undeliverable):
            receive(billing, json.dumps(said), event_of)
    registry.request_tenant(new_tenant(uid=UID))
    early, malformed, card = replay_all(billing, event_of)
    assert early.letter.settled_as == "replayed: applied"
    assert registry.tenant(UID).wanted is Wanted.LEAVING
    assert (malformed.receipt, card.reason) == (None, "its content was not kept")
    assert replay(billing, early.letter, event_of).reason == "it is settled: replayed: applied"
    assert len(billing.dead_letters()) == 2
