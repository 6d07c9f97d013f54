"""What every registry must answer to workers: claims, leases, epochs, and what makes a tenant due."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.model.errors import LeaseLost, Transient
from tenantctl.model.journal import broken_links
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.plan import Duty
from tenantctl.model.tenant import IntentKind, Tenant
from tenantctl.ports.registry import Lease
from tests.contracts.registry_samples import FIVE_MINUTES, Office

HOUR = timedelta(hours=1)


def cancel(office: Office, tenant: Tenant, *, after: timedelta | None = None) -> None:
    """A cancellation, effective at once or after this time."""
    effective_at = None if after is None else office.registry.now() + after
    office.registry.record_intent(
        office.registry.tenant(tenant.uid),
        IntentKind.CANCEL,
        cause="c",
        instructing_party="p",
        effective_at=effective_at,
    )


def claim(office: Office, duty: Duty | None = None, tenant: str | None = None) -> Lease | None:
    """A claim by some worker."""
    return office.registry.claim("worker-9", lease=FIVE_MINUTES, duty=duty, tenant=tenant)


class WorkContract:
    """Each test is given an `office`: a registry, a colleague's view of it, and its clock."""

    # Claims

    def test_nothing_due_is_nobody_claimed(self, office: Office) -> None:
        """Neither an empty registry nor one whose tenants are due later gives a lease."""
        assert claim(office) is None
        tenant = office.tenant()
        office.registry.release(office.lease(tenant), due_at=office.registry.now() + HOUR, duty=None)
        assert claim(office) is None
        assert claim(office, tenant=tenant.uid) is None
        office.advance(HOUR)
        assert claim(office) is not None

    def test_a_lease_names_its_holder_and_end(self, office: Office) -> None:
        """Contract 2: while it runs nobody else gets the tenant, and its due date is its end."""
        tenant = office.tenant()
        before = office.registry.now()
        lease = office.lease(tenant, "worker-1")
        assert (lease.tenant_uid, lease.owner, lease.epoch) == (tenant.uid, "worker-1", 1)
        assert before + FIVE_MINUTES <= lease.until <= office.registry.now() + FIVE_MINUTES
        assert office.registry.lease_of(tenant.uid) == lease
        assert office.registry.tenant(tenant.uid).due_at == lease.until
        assert claim(office) is None
        office.advance(FIVE_MINUTES)
        assert office.registry.lease_of(tenant.uid) is None

    def test_the_longest_due_comes_first(self, office: Office) -> None:
        """Whatever their duties are."""
        now = office.registry.now()
        ages = {"b": (3, Duty.BACKUP), "a": (1, None), "c": (2, Duty.DESTROY), "d": (4, Duty.AUDIT)}
        for name, (hours, duty) in ages.items():
            office.registry.release(office.lease(office.tenant(name)), due_at=now - hours * HOUR, duty=duty)
        order = []
        while lease := claim(office):
            order.append(office.registry.tenant(lease.tenant_uid).name)
        assert order == ["d", "b", "c", "a"]

    def test_a_duty_gets_its_own_and_the_unknown(self, office: Office) -> None:
        """What is another's is left to it."""
        now = office.registry.now()
        for hours, (name, duty) in enumerate((("a", Duty.BACKUP), ("b", None), ("c", Duty.DESTROY)), 1):
            office.registry.release(office.lease(office.tenant(name)), due_at=now - hours * HOUR, duty=duty)
        names = []
        while lease := claim(office, Duty.BACKUP):
            names.append(office.registry.tenant(lease.tenant_uid).name)
        assert names == ["b", "a"]
        assert claim(office, Duty.BACKUP, office.registry.find("c").uid) is None
        assert claim(office, Duty.DESTROY, office.registry.find("c").uid) is not None

    def test_one_tenant_can_be_asked_for(self, office: Office) -> None:
        """And no other is given instead."""
        first, second = office.tenant("a"), office.tenant("b")
        lease = claim(office, tenant=second.uid)
        assert lease is not None
        assert lease.tenant_uid == second.uid
        assert claim(office, tenant=second.uid) is None
        assert claim(office, tenant="nobody") is None
        assert office.registry.lease_of(first.uid) is None

    def test_the_forgotten_are_let_be_once_they_are_blanked(self, office: Office) -> None:
        """Until then somebody has to see to it."""
        tenant, lease = office.led_to(Event.REQUEST_WITHDRAWN)
        office.registry.release(lease, due_at=office.registry.now(), duty=None)
        again = claim(office)
        assert again is not None
        office.write(again, lambda writes: writes.blank_names())
        office.registry.release(again, due_at=office.registry.now(), duty=None)
        assert claim(office) is None
        assert claim(office, tenant=tenant.uid) is None

    def test_many_workers_share_without_meeting(self, office: Office) -> None:
        """Contract 2 with real threads: each tenant to one of them, and all of them served."""
        uids = {office.tenant(f"t{number}").uid for number in range(24)}
        start = threading.Barrier(6)

        def work(number: int) -> list[Lease]:
            start.wait()
            leases = []
            while lease := office.registry.claim(f"w{number}", lease=HOUR):
                with office.registry.fenced(lease) as writes:
                    writes.journal("worked", owner=lease.owner)
                leases.append(lease)
            return leases

        with ThreadPoolExecutor(6) as pool:
            leases = [lease for found in pool.map(work, range(6)) for lease in found]
        assert sorted(lease.tenant_uid for lease in leases) == sorted(uids)
        assert {lease.epoch for lease in leases} == {1}
        for uid in uids:
            assert office.events(uid) == ["requested", "worked"]

    # Leases that end

    def test_a_lease_that_ended_writes_nothing(self, office: Office) -> None:
        """Contract 3: not even while nobody else has the tenant yet."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        office.advance(FIVE_MINUTES)
        self.assert_lost(office, lease)
        assert office.events(tenant.uid) == ["requested"]

    def test_a_lease_that_was_taken_over_writes_nothing(self, office: Office) -> None:
        """The worker that slept is stopped by the epoch, even if it bears the same name."""
        tenant = office.tenant()
        slept = office.lease(tenant, "worker-1")
        office.advance(FIVE_MINUTES)
        taken = office.lease(tenant, "worker-1")
        assert taken.epoch == slept.epoch + 1
        self.assert_lost(office, slept)
        self.assert_lost(office, replace(taken, owner="worker-2"))
        assert office.registry.lease_of(tenant.uid) == taken
        office.write(taken, lambda writes: writes.journal("still-mine"))
        assert office.events(tenant.uid) == ["requested", "still-mine"]

    def assert_lost(self, office: Office, lease: Lease) -> None:
        """Every use of a lease is refused."""
        with pytest.raises(LeaseLost), office.registry.fenced(lease) as writes:
            writes.move(Event.DATABASE_READY)
        with pytest.raises(LeaseLost):
            office.registry.renew(lease, lease_for=FIVE_MINUTES)
        with pytest.raises(LeaseLost):
            office.registry.release(lease, due_at=office.registry.now(), duty=None)

    def test_a_lease_is_let_go_of_once(self, office: Office) -> None:
        """Then it writes nothing more."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        due_at = office.registry.now() + HOUR
        office.registry.release(lease, due_at=due_at, duty=Duty.BACKUP)
        assert office.registry.lease_of(tenant.uid) is None
        assert office.registry.tenant(tenant.uid).due_at == due_at
        self.assert_lost(office, lease)

    def test_a_renewed_lease_ends_later(self, office: Office) -> None:
        """With the same epoch; the lease as it was before still names it."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        office.advance(timedelta(minutes=4))
        renewed = office.registry.renew(lease, lease_for=FIVE_MINUTES)
        assert renewed.until > lease.until
        assert replace(renewed, until=lease.until) == lease
        office.advance(timedelta(minutes=4))
        office.write(renewed, lambda writes: writes.journal("one"))
        office.write(lease, lambda writes: writes.journal("two"))
        assert office.registry.tenant(tenant.uid).due_at == renewed.until
        assert claim(office) is None

    def test_a_fenced_block_keeps_its_tenant(self, office: Office) -> None:
        """While it runs, neither a claim nor a request gets past it, whatever the clock says."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        asking = threading.Event()

        def ask() -> None:
            asking.set()
            office.registry.record_intent(
                tenant, IntentKind.CANCEL, cause="c", instructing_party="p", effective_at=None
            )

        with ThreadPoolExecutor(1) as pool:
            with office.registry.fenced(lease) as writes:
                writes.move(Event.DATABASE_READY)
                office.advance(HOUR)
                assert claim(office) is None
                request = pool.submit(ask)
                asking.wait()
            with pytest.raises(Transient, match="changed"):
                request.result()
        assert office.registry.tenant(tenant.uid).state is State.ACTIVE
        assert claim(office) is not None

    # What makes a tenant due

    @pytest.mark.parametrize("after", [None, timedelta(minutes=30)])
    def test_an_intent_makes_its_tenant_due(self, office: Office, after: timedelta | None) -> None:
        """At its effective time, by whoever can tell what follows."""
        tenant = office.tenant()
        office.registry.release(office.lease(tenant), due_at=office.registry.now() + HOUR, duty=Duty.BACKUP)
        cancel(office, tenant, after=after)
        if after is not None:
            assert claim(office, Duty.DEACTIVATE) is None
            office.advance(after)
        assert claim(office, Duty.DEACTIVATE) is not None

    def test_an_intent_for_later_leaves_an_earlier_date(self, office: Office) -> None:
        """The nightly backup is still made before the customer leaves."""
        tenant = office.tenant()
        due_at = office.registry.now() + HOUR
        office.registry.release(office.lease(tenant), due_at=due_at, duty=Duty.BACKUP)
        cancel(office, tenant, after=2 * HOUR)
        assert office.registry.tenant(tenant.uid).due_at == due_at
        office.advance(HOUR)
        assert claim(office, Duty.DEACTIVATE) is None
        assert claim(office, Duty.BACKUP) is not None

    def test_an_intent_ends_the_renewals_of_a_running_lease(self, office: Office) -> None:
        """A running child is ended; the tenant is due at once when it is let go of, and not before."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        cancel(office, tenant, after=2 * HOUR)
        assert office.registry.tenant(tenant.uid).due_at == lease.until
        assert claim(office) is None
        with pytest.raises(LeaseLost):
            office.registry.renew(lease, lease_for=FIVE_MINUTES)
        office.write(lease, lambda writes: writes.journal("cleared-up"))
        office.registry.release(lease, due_at=office.registry.now() + HOUR, duty=Duty.BACKUP)
        newer = claim(office, Duty.DEACTIVATE)
        assert newer is not None
        office.registry.renew(newer, lease_for=FIVE_MINUTES)

    def test_a_look_can_be_asked_for(self, office: Office) -> None:
        """At once or at a time; never later than the tenant is due anyway."""
        tenant = office.tenant()
        now = office.registry.now()
        office.registry.release(office.lease(tenant), due_at=now + 2 * HOUR, duty=Duty.BACKUP)
        office.registry.make_due(tenant.uid, now + 3 * HOUR)
        assert office.registry.tenant(tenant.uid).due_at == now + 2 * HOUR
        office.registry.make_due(tenant.uid, now + HOUR)
        assert office.registry.tenant(tenant.uid).due_at == now + HOUR
        assert claim(office) is None
        office.registry.make_due(tenant.uid)
        assert claim(office, Duty.AUDIT) is not None

    @pytest.mark.parametrize(("asked", "found"), [(0, 0), (1, 1), (3, 2)])
    def test_a_look_asked_for_under_a_lease_follows_it(self, office: Office, asked: int, found: int) -> None:
        """The one that is under way may have looked already; the claim after it starts afresh."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        now = office.registry.now()
        office.registry.make_due(tenant.uid, now + 4 * HOUR)
        office.registry.make_due(tenant.uid, now + asked * HOUR)
        assert office.registry.tenant(tenant.uid).due_at == lease.until
        office.registry.renew(lease, lease_for=FIVE_MINUTES)
        office.registry.release(lease, due_at=now + 2 * HOUR, duty=Duty.BACKUP)
        assert office.registry.tenant(tenant.uid).due_at == now + found * HOUR
        office.advance(found * HOUR)
        again = claim(office, Duty.BACKUP)
        assert again is not None
        office.registry.release(again, due_at=now + 9 * HOUR, duty=Duty.BACKUP)
        assert office.registry.tenant(tenant.uid).due_at == now + 9 * HOUR

    def test_a_look_asked_for_under_a_lease_that_ended_is_the_next_claims(self, office: Office) -> None:
        """Whoever takes over looks afresh; nothing of the old wish is left."""
        tenant = office.tenant()
        office.lease(tenant)
        office.registry.make_due(tenant.uid)
        office.advance(FIVE_MINUTES)
        taken = office.lease(tenant)
        due_at = office.registry.now() + HOUR
        office.registry.release(taken, due_at=due_at, duty=Duty.BACKUP)
        assert office.registry.tenant(tenant.uid).due_at == due_at

    def test_a_lease_without_length_is_a_bug(self, office: Office) -> None:
        """It would be over before its first write."""
        lease = office.lease(office.tenant())
        with pytest.raises(ValueError, match="longer"):
            office.registry.claim("w", lease=timedelta(0))
        with pytest.raises(ValueError, match="longer"):
            office.registry.renew(lease, lease_for=-FIVE_MINUTES)

    # Evidence under pressure

    def test_the_chain_holds_whoever_writes(self, office: Office) -> None:
        """Requests of people and entries of a worker interleave in one unbroken chain."""
        tenant = office.tenant()
        lease = office.lease(tenant)

        def entries(number: int) -> None:
            for turn in range(5):
                with office.registry.fenced(lease) as writes:
                    writes.journal("step", number=number, turn=turn)
                    writes.journal("step-done", number=number, turn=turn)

        def requests() -> None:
            for _ in range(5):
                cancel(office, tenant)

        with ThreadPoolExecutor(4) as pool:
            futures = [*(pool.submit(entries, number) for number in range(3)), pool.submit(requests)]
            for future in futures:
                future.result()
        found = office.registry.entries(tenant.uid)
        assert len(found) == 1 + 3 * 5 * 2 + 5
        assert list(broken_links(found, office.registry.head(tenant.uid))) == []
