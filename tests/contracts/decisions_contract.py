"""What every keeper of decisions must answer: freezes, holds, what takes two people, caps, and the outbox."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from operator import methodcaller

import pytest

from tenantctl.model.decisions import Act, CapCount, NewProposal, ProposalKind
from tenantctl.model.errors import LeaseLost, NotFound, Refused
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.tenant import IntentKind, Tenant, Wanted
from tenantctl.ports.registry import FencedWrites, Lease
from tests.contracts.registry_samples import CLOSING, FIVE_MINUTES, REGION, Office

AN_HOUR = timedelta(hours=1)
A_DAY = timedelta(days=1)
IN_GRACE = (*CLOSING, Event.FINAL_BACKUP_VERIFIED)


def waiver(office: Office, tenant: Tenant) -> NewProposal:
    """A proposal about a tenant."""
    content = {"blocker": "notice"}
    return NewProposal(ProposalKind.WAIVER, tenant.uid, content, office.registry.now() + A_DAY)


def leaving(office: Office, name: str) -> Tenant:
    """An active tenant whose cancellation is in effect."""
    tenant, lease = office.led_to(Event.DATABASE_READY, name=name)
    office.registry.release(lease, due_at=office.registry.now(), duty=None)
    office.registry.record_intent(tenant, IntentKind.CANCEL, cause="c", instructing_party="p", effective_at=None)
    return office.registry.tenant(tenant.uid)


def in_grace(office: Office, name: str) -> tuple[Tenant, Lease]:
    """A tenant whose grace is over, and the lease on it."""
    tenant, lease = office.led_to(*IN_GRACE, name=name)
    with office.registry.fenced(lease) as writes:
        writes.record_closing(writes.now, writes.now)
    office.registry.release(lease, due_at=office.registry.now(), duty=None)
    office.registry.record_intent(tenant, IntentKind.CANCEL, cause="c", instructing_party="p", effective_at=None)
    return tenant, office.lease(tenant)


class DecisionsContract:
    """Each test is given an `office`: registry and decisions, a colleague's view of both, and their clock."""

    # Freezes

    def test_a_freeze_stands_until_it_is_ended(self, office: Office) -> None:
        """Contract 1: by whom and when is the registry's word; placing it again changes nothing."""
        placed = office.decisions.freeze(REGION, "the audit looks odd")
        assert (placed.placed_by, placed.reason) == (office.registry.actor(), "the audit looks odd")
        assert office.colleagues_decisions.freeze(REGION, "another reason") == placed
        assert list(office.decisions.freezes()) == [placed]
        ended = office.colleagues_decisions.unfreeze(REGION, "it was nothing")
        assert (ended.ended_by, ended.ended_because) == (office.colleague.actor(), "it was nothing")
        assert list(office.decisions.freezes()) == []
        with pytest.raises(NotFound, match="no freeze"):
            office.decisions.unfreeze(REGION, "again")

    def test_a_freeze_of_all_covers_each_region_and_is_another(self, office: Office) -> None:
        """The end of a region's freeze does not end the one of all."""
        office.decisions.freeze("all", "everything")
        office.decisions.freeze("us-south1", "there")
        assert [one.scope for one in office.decisions.freezes(REGION)] == ["all"]
        assert [one.scope for one in office.decisions.freezes("us-south1")] == ["all", "us-south1"]
        office.decisions.unfreeze("us-south1", "mended")
        assert [one.scope for one in office.decisions.freezes("us-south1")] == ["all"]

    def test_a_freeze_takes_the_lease_from_those_on_their_way_out(self, office: Office) -> None:
        """Contract 2: and from nobody else."""
        _, dying = in_grace(office, "dying")
        working = office.lease(office.tenant("working"))
        office.decisions.freeze(REGION, "stop")
        with pytest.raises(LeaseLost):
            office.registry.renew(dying, lease_for=FIVE_MINUTES)
        office.registry.renew(working, lease_for=FIVE_MINUTES)
        with office.registry.fenced(dying) as writes:
            assert [one.scope for one in writes.freezes()] == [REGION]

    # Holds

    def test_a_hold_is_seen_by_the_next_transaction(self, office: Office) -> None:
        """Contract 2: whoever holds the tenant loses it; the case itself stands nowhere in the journal."""
        tenant, lease = in_grace(office, "acme")
        until = office.registry.now() + 30 * A_DAY
        placed = office.colleagues_decisions.place_hold(tenant.uid, "AZ 12/26", until)
        assert (placed.case_reference, placed.review_by, placed.placed_by) == (
            "AZ 12/26",
            until,
            office.colleague.actor(),
        )
        assert office.decisions.place_hold(tenant.uid, "AZ 12/26", until) == placed
        with pytest.raises(LeaseLost):
            office.registry.renew(lease, lease_for=FIVE_MINUTES)
        with office.registry.fenced(lease) as writes:
            assert list(writes.holds()) == [placed]
        assert list(office.decisions.holds()) == list(office.decisions.holds(tenant.uid)) == [placed]
        assert list(office.decisions.holds("nobody")) == []
        released = office.decisions.release_hold(tenant.uid, "AZ 12/26", "the court said so")
        assert (released.ended_by, released.ended_because) == (office.registry.actor(), "the court said so")
        assert list(office.decisions.holds()) == []
        assert office.events(tenant.uid)[-2:] == ["hold-placed", "hold-released"]
        assert not any("AZ 12" in entry.body for entry in office.registry.entries(tenant.uid))

    def test_a_hold_needs_its_tenant_and_its_release_the_case(self, office: Office) -> None:
        tenant = office.tenant()
        with pytest.raises(NotFound):
            office.decisions.place_hold("nobody", "AZ 1", office.registry.now())
        office.decisions.place_hold(tenant.uid, "AZ 1", office.registry.now())
        with pytest.raises(NotFound, match="AZ 2"):
            office.decisions.release_hold(tenant.uid, "AZ 2", "why")

    def test_a_review_keeps_the_hold_and_leaves_no_moment_without_one(self, office: Office) -> None:
        """What was placed and when it was to be reviewed stay on record; work that is under way goes on."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        first = office.decisions.place_hold(tenant.uid, "AZ 1", office.registry.now())
        other = office.decisions.place_hold(tenant.uid, "AZ 2", office.registry.now())
        until = office.registry.now() + 90 * A_DAY
        with pytest.raises(NotFound, match="AZ 3"):
            office.decisions.review_hold(tenant.uid, "AZ 3", until, "asked")
        placed = office.colleagues_decisions.review_hold(tenant.uid, "AZ 1", until, "the court wants it still")
        assert (placed.case_reference, placed.review_by, placed.placed_by) == ("AZ 1", until, office.colleague.actor())
        assert placed.id not in {first.id, other.id}
        with office.registry.fenced(lease) as writes:
            assert {one.id for one in writes.holds()} == {placed.id, other.id}
        assert {one.id for one in office.decisions.holds(tenant.uid)} == {placed.id, other.id}
        assert office.events(tenant.uid)[-1] == "hold-reviewed"
        assert not any("AZ 1" in entry.body for entry in office.registry.entries(tenant.uid))
        office.decisions.release_hold(tenant.uid, "AZ 1", "over")
        assert [one.id for one in office.decisions.holds(tenant.uid)] == [other.id]

    # What takes two people

    def test_two_approvals_are_two_peoples(self, office: Office) -> None:
        """Contract 3: the actor is the registry's word, so nobody is two."""
        tenant = office.tenant()
        made = office.decisions.propose(waiver(office, tenant))
        assert made == office.decisions.propose(waiver(office, tenant))
        once = office.decisions.approve(made.digest)
        assert not once.is_approved(now=office.registry.now())
        with pytest.raises(Refused, match="two people"):
            office.decisions.approve(made.digest)
        twice = office.colleagues_decisions.approve(made.digest)
        assert twice.is_approved(now=office.registry.now())
        assert [one.actor for one in twice.approvals] == [office.registry.actor(), office.colleague.actor()]
        assert list(office.decisions.proposals(tenant.uid)) == list(office.decisions.proposals()) == [twice]
        assert office.events(tenant.uid) == ["requested", "proposed", "approved", "approved"]

    def test_what_nobody_proposed_cannot_be_approved(self, office: Office) -> None:
        made = office.decisions.propose(waiver(office, office.tenant()))
        with pytest.raises(NotFound) as caught:
            office.decisions.approve("0123456789abcdef")
        assert made.digest in caught.value.hint

    def test_a_proposal_lapses_and_so_does_its_approval(self, office: Office) -> None:
        """A yes was said to the situation of then."""
        tenant = office.tenant()
        stale = office.decisions.propose(waiver(office, tenant))
        office.advance(A_DAY)
        with pytest.raises(Refused, match="lapsed"):
            office.decisions.approve(stale.digest)
        fresh = office.decisions.propose(waiver(office, tenant))
        office.advance(23 * AN_HOUR)
        office.decisions.approve(fresh.digest)
        approved = office.colleagues_decisions.approve(fresh.digest)
        office.advance(23 * AN_HOUR)
        assert approved.is_approved(now=office.registry.now())
        assert list(office.decisions.proposals()) == [approved]
        office.advance(AN_HOUR)
        assert list(office.decisions.proposals()) == []
        with pytest.raises(Refused, match="two people"):
            office.write(office.lease(tenant), methodcaller("spend", fresh.digest))

    def test_an_approval_is_spent_once(self, office: Office) -> None:
        """Contract 4: and not by a transaction that was undone."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        made = office.decisions.propose(waiver(office, tenant))
        with pytest.raises(Refused, match="two people"):
            office.write(lease, methodcaller("spend", made.digest))
        office.decisions.approve(made.digest)
        office.colleagues_decisions.approve(made.digest)

        def spend_and_fail(writes: FencedWrites) -> None:
            writes.spend(made.digest)
            raise KeyError

        with pytest.raises(KeyError):
            office.write(lease, spend_and_fail)
        office.write(lease, methodcaller("spend", made.digest))
        assert office.decisions.proposal(made.digest).spent_at is not None
        assert list(office.decisions.proposals()) == []
        with pytest.raises(Refused):
            office.write(lease, methodcaller("spend", made.digest))
        with pytest.raises(Refused, match="made use of"):
            office.decisions.approve(made.digest)

    # Caps

    def test_a_cap_is_held_against_what_was_done_and_what_is_due(self, office: Office) -> None:
        """Of the last 24 hours, and of this region alone."""
        tenants = [leaving(office, f"acme-{number}") for number in range(3)]
        office.tenant("staying")
        assert office.decisions.cap_count(Act.DEACTIVATE, REGION) == CapCount(acted=0, due=3, tenants=4)
        assert office.decisions.cap_count(Act.DEACTIVATE, "us-south1") == CapCount(0, 0, 0)
        with office.registry.fenced(office.lease(tenants[0])) as writes:
            assert writes.cap_count(Act.DEACTIVATE) == CapCount(0, 3, 4)
            writes.count_act(Act.DEACTIVATE)
            writes.move(Event.CANCELLATION_EFFECTIVE)
        assert office.decisions.cap_count(Act.DEACTIVATE, REGION) == CapCount(1, 2, 4)
        assert office.decisions.cap_count(Act.DESTROY, REGION) == CapCount(0, 0, 4)
        office.advance(A_DAY)
        assert office.decisions.cap_count(Act.DEACTIVATE, REGION) == CapCount(0, 2, 4)

    def test_who_is_held_is_not_due_for_destruction(self, office: Office) -> None:
        tenant, _ = in_grace(office, "acme")
        assert office.decisions.cap_count(Act.DESTROY, REGION).due == 1
        office.decisions.place_hold(tenant.uid, "AZ 1", office.registry.now() + A_DAY)
        assert office.decisions.cap_count(Act.DESTROY, REGION).due == 0

    def test_a_batch_is_frozen_as_it_was(self, office: Office) -> None:
        """Who comes later forms the next; each member is let through once."""
        first = leaving(office, "first")
        batch = office.decisions.propose_batch(Act.DEACTIVATE, REGION)
        assert (batch.content["act"], batch.content["members"]) == ("deactivate", [first.uid])
        leaving(office, "second")
        assert office.colleagues_decisions.propose_batch(Act.DEACTIVATE, REGION) == batch
        assert office.decisions.batch(Act.DEACTIVATE, REGION) == batch
        assert office.decisions.batch(Act.DESTROY, REGION) is None
        lease = office.lease(first)
        office.write(lease, lambda writes: writes.count_act(Act.DEACTIVATE, batch.digest))
        with pytest.raises(Refused, match="once"):
            office.write(lease, lambda writes: writes.count_act(Act.DEACTIVATE, batch.digest))
        office.advance(A_DAY)
        following = office.decisions.propose_batch(Act.DEACTIVATE, REGION)
        assert len(following.content["members"]) == 2
        assert following.digest != batch.digest

    def test_two_workers_count_one_after_the_other(self, office: Office) -> None:
        """So that no number of workers exceeds a cap together."""
        leases = [office.lease(leaving(office, f"acme-{number}")) for number in range(6)]
        ready = threading.Barrier(len(leases))

        def act(lease: Lease) -> bool:
            ready.wait()
            with office.registry.fenced(lease) as writes:
                if writes.cap_count(Act.DEACTIVATE).acted >= 2:
                    return False
                writes.count_act(Act.DEACTIVATE)
                return True

        with ThreadPoolExecutor(len(leases)) as pool:
            assert sum(pool.map(act, leases)) == 2

    # Notices

    def test_a_notice_is_put_once_and_delivered_once(self, office: Office) -> None:
        """What delivers it reports back; the journal says both, and no name."""
        tenant, lease = in_grace(office, "acme")
        closing = office.registry.now()
        for _ in range(2):
            with office.registry.fenced(lease) as writes:
                writes.put_notice("deactivated", closing=closing, destroy_after=closing + A_DAY)
        (notice,) = office.decisions.undelivered()
        assert (notice.tenant_uid, notice.kind, notice.delivered_at) == (tenant.uid, "deactivated", None)
        assert office.decisions.report_failed(notice.id, "mailbox full").failure == "mailbox full"
        told = office.colleagues_decisions.report_delivered(notice.id)
        assert (told.delivered_by, told.failure) == (office.colleague.actor(), None)
        assert office.decisions.report_delivered(notice.id) == told
        assert office.decisions.report_failed(notice.id, "late") == told
        assert list(office.decisions.undelivered()) == []
        assert list(office.decisions.notices(tenant.uid)) == [told]
        assert office.events(tenant.uid)[-2:] == ["notice-written", "notice-delivered"]
        with pytest.raises(NotFound):
            office.decisions.report_delivered(4711)

    # Erasure

    def test_after_an_erasure_nothing_newer_is_wanted(self, office: Office) -> None:
        tenant, lease = office.led_to(Event.DATABASE_READY)
        with office.registry.fenced(lease) as writes:
            writes.want_erased()
            writes.move(Event.ERASURE_APPROVED)
        erased = office.registry.tenant(tenant.uid)
        assert (erased.state, erased.wanted) == (State.DESTROYING, Wanted.ERASED)
