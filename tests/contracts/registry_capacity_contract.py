"""What every registry must answer about room: limits, evenness, draining, waiting; and about trials and residency."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.model.errors import NoRoom, NotFound, Refused, Transient
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.tenant import Instance, InstanceRole, InstanceState, IntentKind, Wanted
from tests.contracts.registry_samples import EXPLANATION, REGION, Office, new_tenant

CREATES = 200
ROOM = {"ew1-a": 25, "ew1-b": 20, "ew1-c": 15}


def tenants_instance(name: str, databases_max: int = 100, **limits: int) -> Instance:
    return Instance(name, REGION, InstanceRole.TENANTS, databases_max, **limits)  # type: ignore[arg-type]  # ints all


class CapacityContract:
    """Each test is given an `office`: a registry, a colleague's view of it, and its clock."""

    # Limits

    @pytest.mark.parametrize(
        ("limits", "said"),
        [({"connections_max": 50}, "40 of 50 connections"), ({"bytes_max": 1000}, "900 of 1,000 bytes")],
    )
    def test_each_limit_fills_an_instance_by_itself(self, office: Office, limits: dict[str, int], said: str) -> None:
        """Two tenants of 20 connections and 450 bytes each are all that it takes, with room for 98 databases."""
        office.registry.add_instance(tenants_instance("ew1-a", **limits))
        for number in range(2):
            office.registry.request_tenant(new_tenant(f"t{number}", size=450))
        with pytest.raises(NoRoom, match=said):
            office.registry.request_tenant(new_tenant("t2", size=450))
        (seen,) = office.registry.instances()
        assert (seen.databases, seen.connections, seen.bytes_seen) == (2, 40, 900)

    def test_newcomers_leave_the_headroom_alone(self, office: Office) -> None:
        """With a fifth kept free, 800 of 1,000 bytes are full; who comes from a lost region may use it."""
        office.registry.add_instance(tenants_instance("ew1-a", bytes_max=1000))
        office.registry.request_tenant(new_tenant("t0", size=800))
        with pytest.raises(NoRoom, match="20 % are kept free"):
            office.registry.request_tenant(new_tenant("t1", headroom_percent=20))
        office.registry.request_tenant(new_tenant("t2", headroom_percent=0))

    def test_the_fullest_share_decides(self, office: Office) -> None:
        """Few databases do not make an instance empty whose bytes, or connections, are nearly used up."""
        office.registry.add_instance(tenants_instance("ew1-a", bytes_max=1000))
        office.registry.request_tenant(new_tenant("big", size=600))
        office.registry.add_instance(tenants_instance("ew1-b", connections_max=100))
        taken = [office.registry.request_tenant(new_tenant(f"t{n}")).hosting.instance for n in range(4)]
        # b goes from 0 to 60 percent of its connections; then a, at 60 percent of its bytes, has fewer tenants.
        assert taken == ["ew1-b", "ew1-b", "ew1-b", "ew1-a"]

    def test_what_was_seen_counts(self, office: Office) -> None:
        """A database that has grown takes the room of others."""
        office.registry.add_instance(tenants_instance("ew1-a", 500, bytes_max=1000))
        tenant = office.registry.request_tenant(new_tenant())
        lease = office.lease(tenant)
        office.write(lease, lambda writes: writes.record_size(700))
        assert office.registry.tenant(tenant.uid).size == 700
        assert [one.bytes_seen for one in office.registry.instances()] == [700]
        with pytest.raises(NoRoom):
            office.registry.request_tenant(new_tenant("t1", size=300))

    def test_two_hundred_creates_at_once_overfill_nothing(self, office: Office) -> None:
        """Of 200 that come together, as many are placed as there is room for, and no instance has one too many."""
        for name, limit in ROOM.items():
            office.registry.add_instance(tenants_instance(name, 60, connections_max=limit * 20))
        start = threading.Barrier(CREATES)

        def ask(number: int) -> str:
            registry = (office.registry, office.colleague)[number % 2]
            start.wait()
            while True:
                try:
                    return registry.request_tenant(new_tenant(f"t{number}")).hosting.instance
                except NoRoom:
                    return "full"
                except Transient:  # waited too long for its turn, and was told to come again
                    continue

        with ThreadPoolExecutor(CREATES) as pool:
            answers = Counter(pool.map(ask, range(CREATES)))
        assert answers == {**ROOM, "full": CREATES - sum(ROOM.values())}
        assert {one.name: one.databases for one in office.registry.instances()} == ROOM

    # Draining

    def test_a_draining_instance_takes_no_more(self, office: Office) -> None:
        """It keeps whom it has, stays so when it is added again, and serves again when told so."""
        office.registry.add_instance(tenants_instance("ew1-a"))
        office.registry.request_tenant(new_tenant("t0"))
        for _ in range(2):
            office.registry.set_instance_state("ew1-a", InstanceState.DRAINING)
        with pytest.raises(NoRoom, match="ew1-a is draining"):
            office.registry.request_tenant(new_tenant("t1"))
        office.registry.add_instance(tenants_instance("ew1-a", 7))
        (seen,) = office.registry.instances()
        assert (seen.state, seen.databases, seen.databases_max) == (InstanceState.DRAINING, 1, 7)
        office.registry.set_instance_state("ew1-a", InstanceState.SERVING)
        assert office.registry.request_tenant(new_tenant("t1")).hosting.instance == "ew1-a"
        with pytest.raises(NotFound, match="'ew1-x'"):
            office.registry.set_instance_state("ew1-x", InstanceState.DRAINING)

    def test_limits_are_what_was_last_said(self, office: Office) -> None:
        """None is no limit, and nobody's count is ever written."""
        limited = tenants_instance("ew1-a", 5, connections_max=100, bytes_max=10**12)
        for said in (limited, replace(limited, connections_max=None), replace(limited, databases=3, connections=9)):
            office.registry.add_instance(said)
        assert office.registry.instances() == [limited]

    # Waiting

    def test_who_waits_is_requested_and_has_no_place(self, office: Office) -> None:
        """No instance is asked for one that waits, and no place of its bytes is expected yet."""
        tenant = office.registry.request_tenant(new_tenant(waits=True, kept_in="EU"))
        assert (tenant.state, tenant.is_placed, tenant.hosting.region) == (State.REQUESTED, False, REGION)
        assert tenant.kept_in == "EU"
        assert list(office.registry.residues(tenant.uid)) == []
        assert [one.tenant for one in office.registry.waiting()] == [tenant]
        assert [one.explanation for one in office.registry.waiting()] == [EXPLANATION]
        assert office.events(tenant.uid) == ["requested"]

    def test_the_queue_is_in_the_order_of_requests(self, office: Office) -> None:
        """Who is placed, or gone, is no longer in it."""
        waiting = []
        for name in ("c", "b", "a"):
            waiting.append(office.registry.request_tenant(new_tenant(name, waits=True)).uid)
            office.advance(timedelta(seconds=1))
        office.tenant("placed")
        assert [one.tenant.uid for one in office.registry.waiting()] == waiting
        lease = office.lease(office.registry.tenant(waiting[1]))
        office.write(lease, lambda writes: writes.move(Event.REQUEST_WITHDRAWN))
        assert [one.tenant.uid for one in office.registry.waiting()] == [waiting[0], waiting[2]]

    def test_a_place_is_written_with_all_that_a_request_writes(self, office: Office) -> None:
        """Instance, region, explanation and residue, in one transaction; once, and only where there is room."""
        tenant = office.registry.request_tenant(new_tenant(waits=True))
        office.registry.add_instance(Instance("ew4-a", "europe-west4", InstanceRole.TENANTS, 0))
        lease = office.lease(tenant)
        with pytest.raises(NoRoom):
            office.write(lease, lambda writes: writes.place("europe-west4", {}, headroom_percent=0))
        office.registry.add_instance(Instance("ew4-a", "europe-west4", InstanceRole.TENANTS, 1))
        office.write(lease, lambda writes: writes.place("europe-west4", {"region": "europe-west4"}, headroom_percent=0))
        placed = office.registry.tenant(tenant.uid)
        assert (placed.hosting.instance, placed.hosting.region, placed.hosting.generation) == (
            "ew4-a",
            "europe-west4",
            1,
        )
        assert office.registry.explanation(tenant.uid) == {"region": "europe-west4"}
        (residue,) = office.registry.residues(tenant.uid)
        assert residue.place == f"ew4-a/{placed.hosting.database}"
        assert office.events(tenant.uid) == ["requested", "placed"]
        assert list(office.registry.waiting()) == []
        with pytest.raises(Refused, match="does not wait"):
            office.write(lease, lambda writes: writes.place("europe-west4", {}, headroom_percent=0))

    def test_places_given_at_once_overfill_nothing(self, office: Office) -> None:
        """Several workers place those that waited, and newcomers ask meanwhile."""
        office.registry.add_instance(tenants_instance("ew1-a", 5))
        waiting = [office.registry.request_tenant(new_tenant(f"w{n}", waits=True)) for n in range(6)]
        leases = [office.lease(one, f"worker-{n}") for n, one in enumerate(waiting)]
        start = threading.Barrier(12)

        def place(number: int) -> bool:
            start.wait()
            try:
                if number < 6:
                    office.write(leases[number], lambda writes: writes.place(REGION, {}, headroom_percent=0))
                else:
                    office.colleague.request_tenant(new_tenant(f"n{number}"))
            except NoRoom:
                return False
            return True

        with ThreadPoolExecutor(12) as pool:
            assert sum(pool.map(place, range(12))) == 5
        assert [one.databases for one in office.registry.instances()] == [5]

    # Trials

    def test_a_trial_ends_unless_it_is_converted(self, office: Office) -> None:
        """Its end is on record from the beginning, as the newest request; converting is a newer one."""
        ends = office.registry.now() + timedelta(days=14)
        tenant = office.tenant(trial_ends_at=ends)
        assert (tenant.wanted, tenant.intent_id, tenant.intent_effective_at) == (Wanted.LEAVING, 2, ends)
        assert tenant.due_at <= office.registry.now()
        create, trial = office.registry.intents(tenant.uid)
        assert (create.kind, create.effective_at) == (IntentKind.CREATE, tenant.created_at)
        assert (trial.kind, trial.cause, trial.effective_at) == (IntentKind.TRIAL, "trial.ended", ends)
        office.registry.record_intent(
            tenant, IntentKind.CONVERT, cause="bought", instructing_party="customer", effective_at=None
        )
        assert office.registry.tenant(tenant.uid).wanted is Wanted.LIVING
        assert office.events(tenant.uid) == ["requested", "trial-agreed", "convert-requested"]

    # Residency

    def test_where_data_is_kept_is_the_tenants_own(self, office: Office) -> None:
        """Written with the request, and blanked with the name."""
        tenant = office.tenant(kept_in="EU", waits=True)
        assert office.registry.tenant(tenant.uid).kept_in == "EU"
        lease = office.lease(tenant)
        with office.registry.fenced(lease) as writes:
            writes.move(Event.REQUEST_WITHDRAWN)
            writes.blank_names()
        assert office.registry.tenant(tenant.uid).kept_in is None
