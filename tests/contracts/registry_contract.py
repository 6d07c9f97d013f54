"""What every registry must answer: requests, what is known, and what is written under a lease."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.model.backup import Residue, ResidueKind
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.journal import broken_links
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.tenant import Instance, InstanceRole, IntentKind, Wanted
from tests.contracts.registry_samples import DYING, EXPLANATION, REGION, Office, new_tenant


class RegistryContract:
    """Each test is given an `office`: a registry, a colleague's view of it, and its clock."""

    # The clock and who we are

    def test_the_clock_is_the_registrys_own(self, office: Office) -> None:
        """Contract 1: moved time is what `now`, and all that is written, goes by."""
        before = office.registry.now()
        office.advance(timedelta(days=21))
        assert office.registry.now() >= before + timedelta(days=21)
        assert office.registry.now().utcoffset() == timedelta(0)
        assert office.tenant().created_at >= before + timedelta(days=21)

    def test_two_people_are_two_actors(self, office: Office) -> None:
        """Who acts is known to the registry, and stands in what they write."""
        tenant = office.tenant()
        office.colleague.record_intent(tenant, IntentKind.CANCEL, cause="c", instructing_party="p", effective_at=None)
        assert office.registry.actor() != office.colleague.actor()
        people = [office.registry.actor(), office.colleague.actor()]
        assert [intent.actor for intent in office.registry.intents(tenant.uid)] == people
        assert [entry.actor for entry in office.registry.entries(tenant.uid)] == people

    # Requests

    def test_a_requested_tenant_is_due_at_once(self, office: Office) -> None:
        """All of a request is written: tenant, intent, placement, residue and evidence."""
        asked_at = office.registry.now()
        tenant = office.tenant()
        assert (tenant.state, tenant.wanted, tenant.intent_id) == (State.REQUESTED, Wanted.LIVING, 1)
        assert asked_at <= tenant.due_at <= office.registry.now()
        assert office.registry.find("acme") == office.registry.find(tenant.uid) == tenant
        assert office.registry.explanation(tenant.uid) == EXPLANATION
        (intent,) = office.registry.intents(tenant.uid)
        assert (intent.kind, intent.cause, intent.instructing_party) == (IntentKind.CREATE, "contract 4711", "sales")
        assert intent.effective_at == tenant.intent_effective_at
        (residue,) = office.registry.residues(tenant.uid)
        assert residue == Residue(
            id=f"database/{tenant.uid}/1",
            tenant_uid=tenant.uid,
            kind=ResidueKind.DATABASE,
            place=f"ew1-a/{tenant.hosting.database}",
            made_at=tenant.created_at,
            unreadable_after=None,
        )
        assert office.events(tenant.uid) == ["requested"]

    def test_neither_name_nor_place_is_in_the_journal(self, office: Office) -> None:
        """What is blanked one day must not stand where nothing can be blanked."""
        tenant = office.tenant("zebra-corporation")
        office.registry.record_intent(
            tenant, IntentKind.CANCEL, cause="Mrs Zebra", instructing_party="Zorro", effective_at=None
        )
        texts = " ".join(entry.body for entry in office.registry.entries(tenant.uid))
        assert not any(word in texts.lower() for word in ("zebra", "luik", "brussels", "zorro"))

    def test_a_name_has_one_living_bearer(self, office: Office) -> None:
        """Contract 6: a name is free again once its bearer is destroyed, and a uid never is."""
        first, lease = office.led_to(*DYING[:-1])
        with pytest.raises(Refused, match="taken"):
            office.tenant()
        office.write(lease, lambda writes: writes.move(Event.DATABASE_GONE))
        with pytest.raises(NotFound) as caught:
            office.registry.find("acme")
        assert first.uid in caught.value.hint
        second = office.tenant()
        assert office.registry.find("acme").uid == second.uid
        assert office.registry.find(first.uid).state is State.DESTROYED
        with pytest.raises(Refused, match="uid"):
            office.tenant("other", uid=first.uid)
        assert [one.uid for one in office.registry.tenants()] == sorted([first.uid, second.uid])

    def test_a_refused_request_leaves_nothing(self, office: Office) -> None:
        """Not a row of it, not even an entry."""
        tenant = office.tenant()
        refused = new_tenant("acme")
        with pytest.raises(Refused):
            office.registry.request_tenant(refused)
        assert office.registry.chains() == [tenant.uid]
        assert list(office.registry.intents(refused.uid)) == []
        assert list(office.registry.residues(refused.uid)) == []

    def test_a_name_that_looks_like_a_uid_hides_nobody(self, office: Office) -> None:
        """People may call a tenant by another's uid; machines still get the one they mean."""
        first = office.tenant("acme", uid="abcdefghijkl")
        impostor = office.tenant("abcdefghijkl")
        assert office.registry.find("abcdefghijkl").uid == impostor.uid
        assert office.registry.tenant("abcdefghijkl").uid == first.uid
        for look in (office.registry.tenant, office.registry.find):
            with pytest.raises(NotFound):
                look("nobody")

    def test_the_emptiest_instance_of_the_region_is_taken(self, office: Office) -> None:
        """Instances for verification, of other regions, or full ones are passed over."""
        add = office.registry.add_instance
        for name, limit in (("ew1-a", 3), ("ew1-b", 2), ("ew1-c", 0)):
            add(Instance(name, REGION, InstanceRole.TENANTS, limit))
        add(Instance("ew1-v", REGION, InstanceRole.VERIFY, 500))
        add(Instance("us1-a", "us-east1", InstanceRole.TENANTS, 500))
        taken = [office.registry.request_tenant(new_tenant(f"t{n}")).hosting.instance for n in range(5)]
        assert taken == ["ew1-a", "ew1-b", "ew1-a", "ew1-b", "ew1-a"]
        with pytest.raises(Refused, match=r"full.*ew1-a 3 of 3"):
            office.registry.request_tenant(new_tenant("t5"))
        with pytest.raises(Refused, match="no instance"):
            office.registry.request_tenant(new_tenant("t5", region="asia-east1"))
        counts = {instance.name: instance.databases for instance in office.registry.instances()}
        assert counts == {"ew1-a": 3, "ew1-b": 2, "ew1-c": 0, "ew1-v": 0, "us1-a": 0}

    def test_many_requests_at_once_overfill_nothing(self, office: Office) -> None:
        """The count is taken under a lock."""
        office.registry.add_instance(Instance("ew1-a", REGION, InstanceRole.TENANTS, 3))
        office.registry.add_instance(Instance("ew1-b", REGION, InstanceRole.TENANTS, 2))
        start = threading.Barrier(8)

        def ask(number: int) -> str:
            start.wait()
            try:
                return office.registry.request_tenant(new_tenant(f"t{number}")).hosting.instance
            except Refused:
                return "refused"

        with ThreadPoolExecutor(8) as pool:
            answers = sorted(pool.map(ask, range(8)))
        assert answers == ["ew1-a"] * 3 + ["ew1-b"] * 2 + ["refused"] * 3

    def test_an_instance_is_what_it_was_added_as(self, office: Office) -> None:
        """The same again is nothing new, another limit is taken up, another region or role is refused."""
        instance = Instance("ew1-a", REGION, InstanceRole.TENANTS, 10)
        for _ in range(2):
            office.registry.add_instance(instance)
        office.registry.add_instance(replace(instance, databases_max=12))
        for other in (replace(instance, region="us-east1"), replace(instance, role=InstanceRole.VERIFY)):
            with pytest.raises(Refused, match="known already"):
                office.registry.add_instance(replace(other, databases_max=1))
        assert office.registry.instances() == [replace(instance, databases_max=12)]

    def test_an_intent_sets_what_is_wanted(self, office: Office) -> None:
        """Cancel and reinstate are recorded with cause, party and effective time."""
        tenant = office.tenant()
        later = office.registry.now() + timedelta(days=30)
        cancel = office.registry.record_intent(
            tenant, IntentKind.CANCEL, cause="invoice 9", instructing_party="billing", effective_at=later
        )
        cancelled = office.registry.find("acme")
        assert (cancelled.wanted, cancelled.intent_id, cancelled.intent_effective_at) == (Wanted.LEAVING, 2, later)
        back = office.registry.record_intent(
            cancelled, IntentKind.REINSTATE, cause="paid", instructing_party="customer", effective_at=None
        )
        again = office.registry.find("acme")
        assert (again.wanted, again.intent_id) == (Wanted.LIVING, 3)
        assert again.intent_effective_at == back.effective_at <= office.registry.now()
        assert office.registry.intents(tenant.uid)[1:] == [cancel, back]
        assert (cancel.id, cancel.effective_at, cancel.instructing_party) == (2, later, "billing")
        assert office.events(tenant.uid) == ["requested", "cancel-requested", "reinstate-requested"]

    def test_a_request_on_what_has_changed_is_told_so(self, office: Office) -> None:
        """Contract 4: neither an intent nor a state that was not seen is overwritten."""
        read = office.tenant()
        office.colleague.record_intent(read, IntentKind.CANCEL, cause="c", instructing_party="p", effective_at=None)
        with pytest.raises(Transient, match="changed"):
            office.registry.record_intent(
                read, IntentKind.REINSTATE, cause="r", instructing_party="p", effective_at=None
            )
        read_again = office.registry.tenant(read.uid)
        lease = office.lease(read)
        office.write(lease, lambda writes: writes.move(Event.DATABASE_READY))
        with pytest.raises(Transient, match="changed"):
            office.registry.record_intent(
                read_again, IntentKind.REINSTATE, cause="r", instructing_party="p", effective_at=None
            )
        assert len(office.registry.intents(read.uid)) == 2
        assert office.registry.tenant(read.uid).wanted is Wanted.LEAVING

    def test_of_two_requests_at_once_one_is_refused(self, office: Office) -> None:
        """Contract 4, with real threads."""
        tenant = office.tenant()
        start = threading.Barrier(4)

        def cancel(number: int) -> str:
            start.wait()
            try:
                office.registry.record_intent(
                    tenant, IntentKind.CANCEL, cause=str(number), instructing_party="p", effective_at=None
                )
            except Transient:
                return "refused"
            return "recorded"

        with ThreadPoolExecutor(4) as pool:
            answers = sorted(pool.map(cancel, range(4)))
        assert answers == ["recorded", "refused", "refused", "refused"]
        assert [intent.id for intent in office.registry.intents(tenant.uid)] == [1, 2]

    # Entries of acts that change nothing

    def test_an_entry_alone_is_one_more_link(self, office: Office) -> None:
        """In the chain, with time and actor as the registry sees them, and nothing else of the tenant is touched."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        before = office.registry.tenant(tenant.uid)
        office.colleague.append_entry(tenant.uid, "looked-at", {"Ærø": [1, None]})
        office.write(lease, lambda writes: writes.journal("step"))
        assert office.registry.tenant(tenant.uid) == before
        entries = office.registry.entries(tenant.uid)
        assert [entry.event for entry in entries] == ["requested", "looked-at", "step"]
        assert (entries[1].actor, entries[1].body) == (office.colleague.actor(), '{"Ærø":[1,null]}')
        assert tenant.created_at <= entries[1].at <= office.registry.now()
        assert list(broken_links(entries, office.registry.head(tenant.uid))) == []

    def test_the_forgotten_have_a_chain_that_goes_on(self, office: Office) -> None:
        """Nobody can lease them any more, and what is done about them is still on record; of nobody, nothing is."""
        tenant, lease = office.led_to(Event.REQUEST_WITHDRAWN)
        office.write(lease, lambda writes: writes.blank_names())
        office.registry.release(lease, due_at=office.registry.now(), duty=None)
        office.registry.append_entry(tenant.uid, "looked-at", {})
        assert office.events(tenant.uid) == ["requested", "request-withdrawn", "looked-at"]
        with pytest.raises(NotFound):
            office.registry.append_entry("nobody", "looked-at", {})
        assert office.registry.chains() == [tenant.uid]

    # What is known

    def test_tenants_come_by_name_and_by_state(self, office: Office) -> None:
        """The forgotten, who have no name, come last."""
        forgotten, lease = office.led_to(Event.REQUEST_WITHDRAWN, name="aaa")
        office.write(lease, lambda writes: writes.blank_names())
        names = ["b-b", "b", "b1", "a"]
        for name in names:
            office.tenant(name)
        assert [tenant.name for tenant in office.registry.tenants()] == [*sorted(names), None]
        living = office.registry.tenants(states=[State.REQUESTED, State.ACTIVE])
        assert [tenant.name for tenant in living] == sorted(names)
        assert [one.uid for one in office.registry.tenants(states=[State.FORGOTTEN])] == [forgotten.uid]
        assert office.registry.tenants(states=[State.MOVING]) == []

    def test_nothing_is_known_of_nobody(self, office: Office) -> None:
        """Lists of an unknown uid are empty, whatever else is there."""
        office.tenant()
        registry = office.registry
        assert [list(read("nobody")) for read in (registry.intents, registry.backups, registry.residues)] == [[]] * 3
        assert [list(read("nobody")) for read in (registry.entries, registry.alarms)] == [[]] * 2
        assert registry.lease_of("nobody") is None
        assert registry.head("nobody") is None
        assert registry.explanation("nobody") == {}
        with pytest.raises(NotFound):
            registry.make_due("nobody")
