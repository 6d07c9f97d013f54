"""What every keeper of billing's events must answer: once in effect, in the order of their numbers, and announced."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.model.billing import Fault, Outcome, SubscriptionEvent, SubscriptionKind, Undeliverable
from tenantctl.model.errors import NotFound, Transient
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.outbox import Announcement, Told
from tenantctl.model.sighting import Gone, Present
from tenantctl.model.tenant import IntentKind, Tenant, Wanted
from tests.contracts.registry_samples import DYING, LONG_AGO, Office

A_MONTH = timedelta(days=30)


def said(tenant: Tenant, sequence: int, kind: SubscriptionKind, **changes: object) -> SubscriptionEvent:
    """An event of the tenant's subscription, which bears its number as its id."""
    subscription = f"sub-{tenant.uid}"
    event = SubscriptionEvent(
        source="/billing",
        id=f"{subscription}/{sequence}",
        kind=kind,
        subscription=subscription,
        tenant_uid=tenant.uid,
        sequence=sequence,
        time=LONG_AGO,
        cause="contract",
        instructing_party="customer",
    )
    return replace(event, **changes)  # type: ignore[arg-type]


class BillingContract:
    """Each test is given an `office`: the registry with its billing, and its clock."""

    def test_a_cancellation_is_intent_and_event_in_one(self, office: Office) -> None:
        """Contract 1: with the cause and the party that billing named; a worker does the rest."""
        tenant, _ = office.led_to(Event.DATABASE_READY)
        receipt = office.billing.receive(said(tenant, 1, SubscriptionKind.CANCELLED, cause="not paid"))
        assert (receipt.outcome, receipt.tenant_uid, receipt.missing) == (Outcome.APPLIED, tenant.uid, 0)
        newest = office.registry.intents(tenant.uid)[-1]
        assert (newest.kind, newest.cause, newest.instructing_party) == (IntentKind.CANCEL, "not paid", "customer")
        assert office.registry.tenant(tenant.uid).wanted is Wanted.LEAVING
        assert office.events(tenant.uid)[-1] == "cancel-requested"

    def test_the_same_event_again_changes_nothing(self, office: Office) -> None:
        """Contract 2: nor does it when many come at once; under the same name nothing else is taken."""
        tenant, _ = office.led_to(Event.DATABASE_READY)
        event = said(tenant, 1, SubscriptionKind.CANCELLED)
        with ThreadPoolExecutor(4) as pool:
            outcomes = [receipt.outcome for receipt in pool.map(office.billing.receive, [event] * 8)]
        assert sorted(outcomes) == [Outcome.APPLIED, *[Outcome.DUPLICATE] * 7]
        assert [one.kind for one in office.registry.intents(tenant.uid)] == [IntentKind.CREATE, IntentKind.CANCEL]
        with pytest.raises(Undeliverable, match="something else") as caught:
            office.billing.receive(replace(event, kind=SubscriptionKind.RESUMED))
        assert caught.value.fault is Fault.CONFLICT
        with pytest.raises(Undeliverable, match="has number 1"):
            office.billing.receive(replace(event, id="another"))

    def test_a_cancellation_at_the_end_of_a_period_can_be_revoked(self, office: Office) -> None:
        """It counts from its day, and the resumption before that leaves no trace but the record."""
        tenant, _ = office.led_to(Event.DATABASE_READY)
        day = (office.registry.now() + A_MONTH).replace(microsecond=0)
        office.billing.receive(said(tenant, 1, SubscriptionKind.STARTED))
        office.billing.receive(said(tenant, 2, SubscriptionKind.CANCELLED, effective_at=day))
        leaving = office.registry.tenant(tenant.uid)
        assert (leaving.wanted, leaving.intent_effective_at) == (Wanted.LEAVING, day)
        assert office.billing.receive(said(tenant, 3, SubscriptionKind.RESUMED)).outcome is Outcome.APPLIED
        assert office.registry.tenant(tenant.uid).wanted is Wanted.LIVING

    def test_an_older_event_is_recorded_and_ignored_and_a_gap_is_an_alarm(self, office: Office) -> None:
        """Contract 3: the alarm names what is missing, and closes when it has come."""
        tenant, _ = office.led_to(Event.DATABASE_READY)
        receipt = office.billing.receive(said(tenant, 3, SubscriptionKind.RESUMED))
        assert (receipt.outcome, receipt.missing) == (Outcome.UNCHANGED, 2)
        assert [alarm.code for alarm in office.registry.alarms(tenant.uid)] == ["billing-gap"]
        assert office.billing.receive(said(tenant, 2, SubscriptionKind.CANCELLED)).outcome is Outcome.OLDER
        assert office.registry.tenant(tenant.uid).wanted is Wanted.LIVING
        (alarm,) = office.registry.alarms(tenant.uid)
        assert alarm.reason.startswith("events of billing that have not come: 1 before number 3")
        office.billing.receive(said(tenant, 1, SubscriptionKind.STARTED))
        assert office.registry.alarms(tenant.uid) == []
        assert office.events(tenant.uid)[-2:] == ["alarm-raised", "alarm-cleared"]
        (head,) = office.billing.heads(tenant.uid)
        assert (head.sequence, head.known, head.lasts) == (3, 3, True)

    def test_a_subscription_stays_its_tenants(self, office: Office) -> None:
        """Nobody is cancelled by the event of a subscription that is another's; nobody unknown is guessed at."""
        tenant, other = office.led_to(Event.DATABASE_READY)[0], office.tenant("other")
        office.billing.receive(said(tenant, 1, SubscriptionKind.STARTED))
        with pytest.raises(Undeliverable, match="another tenant's"):
            office.billing.receive(
                said(tenant, 2, SubscriptionKind.CANCELLED, tenant_uid=other.uid, subscription=f"sub-{tenant.uid}")
            )
        assert office.registry.tenant(other.uid).wanted is Wanted.LIVING
        with pytest.raises(Undeliverable, match="no tenant") as caught:
            office.billing.receive(said(tenant, 2, SubscriptionKind.CANCELLED, tenant_uid="nobody"))
        assert caught.value.fault is Fault.UNKNOWN_TENANT

    def test_a_resumption_too_late_is_refused_once_and_told(self, office: Office) -> None:
        """Contract 1 and 4: the refusal goes out once, however often asked, after what the tenant went through."""
        tenant, _ = office.led_to(*DYING)
        event = said(tenant, 1, SubscriptionKind.RESUMED)
        assert office.billing.receive(event).outcome is Outcome.REFUSED
        again = office.billing.receive(event)
        assert (again.outcome, again.reason.startswith("it is on record as refused")) == (Outcome.DUPLICATE, True)
        told = office.billing.unpublished()
        assert [one.told for one in told] == [*[Told.STATE] * len(DYING), Told.REFUSED]
        assert told[-1].content["event"] == event.id
        assert "its destruction has begun" in told[-1].content["reason"]
        assert office.events(tenant.uid)[-1] == "subscription-refused"

    def test_what_changes_is_announced_in_order_and_once_it_is_sent(self, office: Office) -> None:
        """Contract 4: what could not be sent is sent again, with all that came after it."""
        tenant, _ = office.led_to(Event.DATABASE_READY, Event.CANCELLATION_EFFECTIVE)
        sent: list[Announcement] = []

        def breaks(_: Sequence[Announcement]) -> None:
            raise Transient("The topic does not answer.")

        with pytest.raises(Transient):
            office.billing.publish(breaks, most=10)
        assert office.billing.publish(sent.extend, most=1) == 1
        assert office.billing.publish(sent.extend, most=10) == 1
        assert office.billing.publish(sent.extend, most=10) == 0
        assert [one.content["to"] for one in sent] == [State.ACTIVE.value, State.DEACTIVATING.value]
        assert {one.tenant_uid for one in sent} == {tenant.uid}
        wanted = {"from": "requested", "to": "active", "wanted": "living", "destroy_after": None}
        assert dict(sent[0].content) == wanted
        assert office.billing.unpublished() == []

    def test_two_do_not_publish_at_once(self, office: Office) -> None:
        """Contract 4: or the younger could overtake the older."""
        office.led_to(Event.DATABASE_READY)
        counts: list[int] = []

        def meanwhile(batch: Sequence[Announcement]) -> None:
            counts.append(office.billing.publish(lambda _: None, most=10))

        assert office.billing.publish(meanwhile, most=10) == 1
        assert counts == [0]

    def test_a_dead_letter_is_kept_once_for_its_content(self, office: Office) -> None:
        """Contract 5: counted, settled, and open again if it comes again."""
        kept = office.billing.keep_dead_letter(Fault.MALFORMED, "no type", digest="d1", body="{}")
        again = office.billing.keep_dead_letter(Fault.UNKNOWN_TENANT, "no tenant", digest="d1", body="{}")
        assert (again.id, again.tries, again.fault) == (kept.id, 2, Fault.UNKNOWN_TENANT)
        assert [one.id for one in office.billing.dead_letters()] == [kept.id]
        settled = office.billing.settle_dead_letter(kept.id, "applied")
        assert (settled.settled_as, office.billing.dead_letters()) == ("applied", [])
        assert office.billing.settle_dead_letter(kept.id, "again") == settled
        assert office.billing.dead_letter(kept.id) == settled
        office.billing.keep_dead_letter(Fault.MALFORMED, "no type", digest="d1", body="{}")
        assert len(office.billing.dead_letters()) == 1
        with pytest.raises(NotFound, match="no dead letter 4711"):
            office.billing.settle_dead_letter(4711, "applied")

    def test_what_billing_last_said_can_be_looked_at(self, office: Office) -> None:
        """A tenant that billing never spoke of is gone, not ended."""
        tenant, _ = office.led_to(Event.DATABASE_READY)
        assert office.billing.look(tenant.uid) == Gone()
        office.billing.receive(said(tenant, 1, SubscriptionKind.STARTED))
        office.billing.receive(said(tenant, 1, SubscriptionKind.ENDED, id="b", subscription=f"b-{tenant.uid}"))
        seen = office.billing.look(tenant.uid)
        assert isinstance(seen, Present)
        assert (seen.value.lasts, "lasts" in seen.value.finding) == (True, True)
