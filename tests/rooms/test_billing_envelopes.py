"""What billing sends: each form of an envelope says the same, and whatever is no event is refused for what it is."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.adapters.memory.billing import MemoryBilling
from tenantctl.billing.cards import card_data_in
from tenantctl.billing.request import receive
from tenantctl.entrypoints.service.envelopes import event_of, unwrapped
from tenantctl.model.billing import Fault, Undeliverable
from tests.rooms.billing_cases import UID, registry_with_a_tenant, without
from tests.rooms.callers import cloud_event


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
