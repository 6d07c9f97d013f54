"""Billing's rules: no order and no repetition of events ends elsewhere; what is read, refused, and asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.adapters.google.asked_subscriptions import AskedSubscriptions
from tenantctl.adapters.memory.billing import MemoryBilling
from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.billing.request import receive, replay, replay_all
from tenantctl.entrypoints.cli.main import cli
from tenantctl.entrypoints.service.envelopes import event_of
from tenantctl.model.billing import (
    Head,
    Outcome,
    SubscriptionEvent,
    SubscriptionKind,
    SubscriptionSeen,
    Undeliverable,
)
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.outbox import Announcement, Told, cloud_event_text
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.model.tenant import Instance, InstanceRole, Tenant, Wanted
from tests.contracts.registry_samples import REGION, new_tenant
from tests.rooms.billing_cases import NOW, UID, registry_with_a_tenant, without
from tests.rooms.callers import cloud_event
from tests.rooms.company import Company

DAYS = st.integers(-30, 30).map(lambda days: NOW + timedelta(days=days))


def event(number: int, kind: SubscriptionKind, at: datetime | None, subscription: str = "sub-1") -> SubscriptionEvent:
    """The event of a number, which says at most one thing."""
    return SubscriptionEvent("/b", f"{subscription}/{number}", kind, subscription, UID, number, NOW, "c", "p", at)


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


# At a shell


def test_dead_letters_are_seen_replayed_and_dismissed_at_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is open ends with 6; what is published is the outbox, once."""
    registry = registry_with_a_tenant()
    sent: list[Announcement] = []
    billing = MemoryBilling(registry)

    @contextmanager
    def opened_world(*, looks_only: bool = False) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(registry=registry, billing=billing, topic=SimpleNamespace(send=sent.extend))

    def ended(*arguments: str) -> tuple[int, str]:
        said = CliRunner().invoke(cli, ["billing", *arguments], standalone_mode=False)
        return said.return_value or 0, said.output

    monkeypatch.setattr("tenantctl.bootstrap.opened_world", opened_world)
    assert ended("dead-letters", "list") == (0, "No dead letter is open.\n")
    assert ended("dead-letters", "replay", "--all") == (0, "No dead letter is open.\n")
    for body in ("[]", json.dumps(cloud_event("nobody", 1))):
        with pytest.raises(Undeliverable):
            receive(billing, body, event_of)
    code, table = ended("dead-letters", "list")
    assert (code, "unknown-tenant" in table) == (6, True)
    assert json.loads(ended("dead-letters", "list", "-o", "json")[1])[0]["body"] == "[]"
    assert ended("dead-letters", "show", "1") == (0, "[]\n")
    registry.request_tenant(new_tenant(uid="nobody", name="nobody"))
    code, said = ended("dead-letters", "replay", "1", "2")
    assert (code, said.splitlines()[0]) == (6, "Dead letter 1: as it was: It is no JSON object.")
    assert said.splitlines()[1].startswith("Dead letter 2: applied: ")
    assert "dismissed: a test" in ended("dead-letters", "dismiss", "1", "--because", "a test")[1]
    assert ended("dead-letters", "list")[0] == 0
    assert "sub-nobody" in ended("show", "nobody")[1]
    assert "never told" in ended("show", UID)[1]
    registry.shelf.billing.announce(UID, Told.STATE, {"to": "active"}, at=NOW)
    assert ended("publish") == (0, "1 announcements were published.\n")
    assert ended("publish") == (0, "There was nothing to publish.\n")
    assert [one.tenant_uid for one in sent] == [UID]


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
