"""What every registry must answer to many workers: whose turn it is, limits, what was set aside, and quotas."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.journal import broken_links
from tenantctl.model.lifecycle import Event
from tenantctl.model.plan import Duty
from tenantctl.model.tenant import Instance, InstanceRole, IntentKind, Tenant
from tenantctl.model.work import OVERTAKEN_FOR, PARKED, STUCK, TROUBLE, Danger, Limits
from tenantctl.ports.work import Lease, WorkState
from tests.contracts.registry_samples import CLOSING, FIVE_MINUTES, REGION, Office

HOUR = timedelta(hours=1)
ELSEWHERE = "europe-west4"
MINUTE = timedelta(minutes=1)


def due(office: Office, name: str, *, ago: timedelta = HOUR, danger: Danger = Danger.REST, **changes: object) -> Tenant:
    """A tenant whose next look was due so long ago."""
    tenant = office.tenant(name, **changes)
    now = office.registry.now()
    office.registry.release(office.lease(tenant), due_at=now - ago, duty=Duty.BACKUP, danger=danger)
    return tenant


def names(office: Office, leases: "list[Lease]") -> list[str | None]:
    """Whom these leases are on."""
    return [office.registry.tenant(lease.tenant_uid).name for lease in leases]


def claimed_one_by_one(office: Office, limits: Limits | None = None) -> list[Lease]:
    """Whatever can be had, in the order in which it is given."""
    found: list[Lease] = []
    while leases := office.registry.claim_many("w", lease=HOUR, count=1, limits=limits):
        found += leases
    return found


class FleetContract:
    """Each test is given an `office`: a registry, a colleague's view of it, and its clock."""

    # Order

    def test_what_is_more_dangerous_comes_first(self, office: Office) -> None:
        """Expired terms, then missing backups, then the rest; in each the longest due first."""
        for hours, danger in ((50, Danger.REST), (40, Danger.BACKUP), (3, Danger.TERM), (60, Danger.BACKUP)):
            due(office, f"t{hours}", ago=hours * HOUR, danger=danger)
        assert names(office, claimed_one_by_one(office)) == ["t3", "t60", "t40", "t50"]

    def test_the_rest_is_not_starved(self, office: Office) -> None:
        """What has waited for longer than it can be overtaken comes before what is dangerous and new."""
        due(office, "old", ago=2 * OVERTAKEN_FOR + HOUR, danger=Danger.REST)
        due(office, "new", ago=MINUTE, danger=Danger.TERM)
        assert names(office, claimed_one_by_one(office)) == ["old", "new"]

    def test_what_somebody_asked_for_is_looked_at_first(self, office: Office) -> None:
        """Nobody knows yet what it is: it is taken for the worst, also if it was asked for under a lease."""
        due(office, "due", ago=9 * HOUR, danger=Danger.BACKUP)
        later = [due(office, name, ago=-9 * HOUR) for name in ("asked", "wanted", "woken", "cancelled")]
        office.registry.make_due(later[0].uid)
        for tenant in later[1:]:
            office.registry.make_due(tenant.uid)
        woken, cancelled = (office.lease(tenant) for tenant in later[2:])
        office.registry.make_due(later[2].uid)
        office.registry.record_intent(
            office.registry.tenant(later[3].uid),
            IntentKind.CANCEL,
            cause="c",
            instructing_party="p",
            effective_at=None,
        )
        for lease in (woken, cancelled):
            due_at = office.registry.now() + HOUR
            office.registry.release(lease, due_at=due_at, duty=Duty.AUDIT, danger=Danger.REST)
        assert names(office, claimed_one_by_one(office))[-1] == "due"
        assert {office.registry.work_item(one.uid).danger for one in later} == {Danger.TERM}

    def test_failures_are_counted_by_whoever_lets_go(self, office: Office) -> None:
        """And told with the next lease; they stay as they are where nobody says anything."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        assert lease.failures == 0
        office.registry.release(lease, due_at=office.registry.now(), duty=None, failures=3)
        again = office.lease(tenant)
        assert again.failures == 3
        office.registry.release(again, due_at=office.registry.now(), duty=None)
        (many,) = office.registry.claim_many("w", lease=HOUR, count=5, limits=None)
        assert many.failures == 3

    # Limits

    def test_a_full_instance_keeps_nobody_from_others(self, office: Office) -> None:
        """Nor does a full region; what is leased without limits counts, and what was let go of does not."""
        here = [due(office, f"here-{number}", ago=(9 - number) * HOUR) for number in range(4)]
        office.registry.add_instance(Instance("ew4-a", ELSEWHERE, InstanceRole.TENANTS, 500))
        for number in range(3):
            due(office, f"there-{number}", ago=MINUTE, region=ELSEWHERE)
        limits = Limits(per_instance=2, per_region=3)
        office.lease(here[3])
        given = office.registry.claim_many("w", lease=HOUR, count=9, limits=limits)
        assert sorted(map(str, names(office, list(given)))) == ["here-0", "there-0", "there-1"]
        assert not office.registry.claim_many("w", lease=HOUR, count=9, limits=limits)
        first = next(lease for lease in given if lease.tenant_uid == here[0].uid)
        office.registry.release(first, due_at=office.registry.now() + HOUR, duty=Duty.BACKUP)
        assert names(office, claimed_one_by_one(office, limits)) == ["here-1"]
        wider = Limits(per_instance=9, per_region=3)
        assert sorted(map(str, names(office, claimed_one_by_one(office, wider)))) == ["here-2", "there-2"]

    def test_a_region_has_its_own_limit(self, office: Office) -> None:
        """Over several instances; a lease that ended takes no place any more."""
        tenants = [due(office, f"t{number}") for number in range(6)]
        limits = Limits(per_instance=9, per_region=4)
        assert len(office.registry.claim_many("w", lease=FIVE_MINUTES, count=9, limits=limits)) == 4
        assert not office.registry.claim_many("w", lease=FIVE_MINUTES, count=9, limits=limits)
        assert office.registry.claim("w", lease=FIVE_MINUTES) is not None, "who names no limits is held to none"
        office.advance(FIVE_MINUTES + MINUTE)
        assert len(office.registry.claim_many("w", lease=FIVE_MINUTES, count=9, limits=limits)) == 4
        assert len(tenants) == 6

    def test_the_limit_holds_whoever_claims(self, office: Office) -> None:
        """Contract 3 with real threads: at no moment does one of them see more leases than there may be."""
        office.registry.add_instance(Instance("ew4-a", ELSEWHERE, InstanceRole.TENANTS, 500))
        for number in range(30):
            due(office, f"t{number}", region=ELSEWHERE if number % 3 else REGION)
        limits, start = Limits(per_instance=3, per_region=3), threading.Barrier(6)
        seen: list[int] = []
        done: Counter[str] = Counter()

        def work(number: int) -> None:
            registry = office.registry if number % 2 else office.colleague
            start.wait()
            while any(one.due_at <= registry.now() for one in registry.tenants()):
                for lease in registry.claim_many(f"w{number}", lease=HOUR, count=2, limits=limits):
                    leased = registry.work_items(states=[WorkState.LEASED])
                    seen.append(max(Counter(item.region for item in leased).values()))
                    done[lease.tenant_uid] += 1
                    registry.release(lease, due_at=registry.now() + 9 * HOUR, duty=Duty.BACKUP)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
        assert len(done) == 30
        assert set(done.values()) == {1}
        assert max(seen) <= 3

    @pytest.mark.parametrize("count", [0, -1])
    def test_a_claim_of_nothing_is_a_bug(self, office: Office, count: int) -> None:
        """Nobody should wait for what was never asked for."""
        with pytest.raises(ValueError, match="at least one"):
            office.registry.claim_many("w", lease=HOUR, count=count, limits=None)

    # What is set aside

    def test_what_is_parked_is_passed_over(self, office: Office) -> None:
        """Until its moment, whoever asks for it, and however; then it is as it was, and due."""
        tenant, other = due(office, "parked", ago=9 * HOUR), due(office, "other")
        until = office.registry.now() + 2 * HOUR
        office.registry.park(tenant.uid, because="ticket 4711", until=until)
        office.registry.make_due(tenant.uid)
        assert office.registry.claim("w", lease=HOUR, tenant=tenant.uid) is None
        assert names(office, claimed_one_by_one(office)) == ["other"]
        item = office.registry.work_item(tenant.uid)
        assert item.states == (WorkState.PARKED,)
        assert item.parking is not None
        assert (item.parking.because, item.parking.until) == ("ticket 4711", until)
        office.advance(2 * HOUR)
        assert office.registry.work_item(tenant.uid).states == (WorkState.DUE,)
        assert office.registry.claim("w", lease=HOUR, tenant=tenant.uid) is not None
        assert office.registry.work_item(tenant.uid).parking is None
        assert office.events(tenant.uid) == ["requested", "parked"]
        assert not list(broken_links(office.registry.entries(tenant.uid), office.registry.head(tenant.uid)))
        assert not office.registry.unpark(other.uid)

    def test_what_is_parked_without_an_end_is_taken_up_by_a_person(self, office: Office) -> None:
        """A lease that runs when it is parked goes on to its end."""
        tenant = office.tenant()
        lease = office.lease(tenant)
        office.registry.park(tenant.uid, because="ticket 4711", until=None)
        assert office.registry.work_item(tenant.uid).states == (WorkState.LEASED, WorkState.PARKED)
        office.registry.renew(lease, lease_for=FIVE_MINUTES)
        office.registry.release(lease, due_at=office.registry.now(), duty=None)
        office.advance(9 * HOUR)
        assert office.registry.claim("w", lease=HOUR) is None
        assert office.registry.unpark(tenant.uid)
        assert office.registry.claim("w", lease=HOUR) is not None
        assert office.events(tenant.uid) == ["requested", "parked", "unparked"]

    def test_a_retry_forgets_what_failed(self, office: Office) -> None:
        """It is due at once, as if it had never failed, whatever it was set aside for."""
        tenant = office.tenant()
        later = office.registry.now() + 6 * HOUR
        office.registry.release(office.lease(tenant), due_at=later, duty=Duty.AUDIT, danger=Danger.REST, failures=7)
        office.registry.park(tenant.uid, because="ticket 4711", until=None)
        office.registry.retry(tenant.uid)
        item = office.registry.work_item(tenant.uid)
        assert (item.states, item.failures, item.danger, item.parking) == ((WorkState.DUE,), 0, Danger.TERM, None)
        assert office.events(tenant.uid) == ["requested", "parked", "retry-asked"]
        lease = office.lease(tenant)
        office.registry.retry(tenant.uid)
        office.registry.release(lease, due_at=later, duty=Duty.AUDIT)
        assert office.registry.tenant(tenant.uid).due_at < later, "a retry under a lease follows it"

    def test_what_cannot_be_parked(self, office: Office) -> None:
        """Until a moment that has passed; and nobody is nobody."""
        tenant = office.tenant()
        with pytest.raises(Refused, match="has passed"):
            office.registry.park(tenant.uid, because="x", until=office.registry.now() - MINUTE)
        for call in (
            lambda: office.registry.park("nobody", because="x", until=None),
            lambda: office.registry.unpark("nobody"),
            lambda: office.registry.retry("nobody"),
            lambda: office.registry.work_item("nobody"),
        ):
            with pytest.raises(NotFound):
                call()

    def test_no_parking_hides_a_destruction_that_is_late(self, office: Office) -> None:
        """It is alarmed, for as long as it is parked; journalled once."""
        tenant, lease = office.led_to(*CLOSING, Event.FINAL_BACKUP_VERIFIED)
        now = office.registry.now()
        with office.registry.fenced(lease) as writes:
            writes.record_closing(now, now + HOUR)
        office.registry.release(lease, due_at=now, duty=None)
        office.registry.park(tenant.uid, because="ticket 4711", until=None)
        within = timedelta(days=1)
        assert office.registry.alarm_parked(within=within) == []
        office.advance(within + 2 * HOUR)
        for _ in range(2):
            assert office.registry.alarm_parked(within=within) == [tenant.uid]
        (alarm,) = office.registry.alarms(tenant.uid)
        assert alarm.code == PARKED
        assert "ticket 4711" in alarm.reason
        assert office.registry.unpark(tenant.uid)
        assert office.registry.alarms(tenant.uid) == []
        assert office.registry.alarm_parked(within=within) == []
        assert office.events(tenant.uid)[-4:] == ["parked", "alarm-raised", "alarm-cleared", "unparked"]

    # What there is

    def test_the_work_there_is(self, office: Office) -> None:
        """By state, region and number, in the order of turns; with who has it, and what went wrong."""
        waiting, overdue = due(office, "waiting", ago=-HOUR), due(office, "overdue", ago=HOUR)
        office.registry.add_instance(Instance("ew4-a", ELSEWHERE, InstanceRole.TENANTS, 500))
        failing, parked = due(office, "failing", region=ELSEWHERE), due(office, "parked", ago=9 * HOUR)
        lease = office.lease(failing)
        with office.registry.fenced(lease) as writes:
            writes.raise_alarm(TROUBLE, "nobody answers")
            writes.raise_alarm(STUCK, "failed 12 times")
        later = office.registry.now() + HOUR
        office.registry.release(lease, due_at=later, duty=None, danger=Danger.BACKUP, failures=12)
        office.registry.park(parked.uid, because="ticket", until=None)
        leased = office.tenant("leased")
        held = office.lease(leased, "worker-7")

        def found(*states: WorkState, region: str | None = None, limit: int | None = None) -> list[str | None]:
            return [item.name for item in office.registry.work_items(states=states, region=region, limit=limit)]

        assert found() == ["leased", "failing", "parked", "overdue"]
        assert found(limit=2) == ["leased", "failing"]
        assert found(WorkState.DUE, WorkState.PARKED) == ["parked", "overdue"]
        assert found(WorkState.STUCK) == found(WorkState.FAILING) == found(region=ELSEWHERE) == ["failing"]
        assert found(WorkState.LEASED, region=ELSEWHERE) == []
        item = office.registry.work_item(leased.uid)
        assert (item.owner, item.leased_until, item.states) == ("worker-7", held.until, (WorkState.LEASED,))
        assert item.leased_at is not None
        assert item.leased_at + FIVE_MINUTES == held.until
        item = office.registry.work_item(failing.uid)
        assert (item.failures, item.error, item.duty) == (12, "nobody answers", None)
        assert item.failing_since is not None
        assert item.stuck_since is not None
        assert (item.region, item.instance, item.danger) == (ELSEWHERE, "ew4-a", Danger.BACKUP)
        assert office.registry.work_item(waiting.uid).states == ()
        assert office.registry.work_item(overdue.uid).duty is Duty.BACKUP
        office.advance(FIVE_MINUTES)
        abandoned = office.registry.work_item(leased.uid)
        assert (abandoned.owner, abandoned.states) == (None, (WorkState.DUE,))

    # Quotas

    def test_a_quota_is_shared_and_refilled(self, office: Office) -> None:
        """A burst at once, then one after the other, each told how long to wait; by the registry's clock."""

        def take(quota: str = "api", wait_max: timedelta = MINUTE) -> timedelta | None:
            registry = office.colleague if quota == "api" else office.registry
            return registry.take_token(quota, per_minute=6, burst=3, wait_max=wait_max)

        assert [take() for _ in range(3)] == [timedelta(0)] * 3
        waits = [take() for _ in range(6)]
        for number, wait in enumerate(waits, 1):
            assert wait is not None
            assert number * 10 - 5 < wait.total_seconds() <= number * 10
        assert take() is None, "the seventh would wait for longer than a minute"
        assert take("another") == timedelta(0)
        office.advance(MINUTE)
        wait = take()
        assert wait is not None
        assert wait <= timedelta(seconds=10), "what nobody got was not taken"
        office.advance(timedelta(days=1))
        assert [take(wait_max=timedelta(0)) for _ in range(3)] == [timedelta(0)] * 3
        assert take(wait_max=timedelta(0)) is None, "it never holds more than a burst"

    def test_no_two_get_the_same_token(self, office: Office) -> None:
        """With real threads: as many go through at once as there are tokens."""
        start = threading.Barrier(6)

        def take(number: int) -> int:
            registry = office.registry if number % 2 else office.colleague
            start.wait()
            given = (registry.take_token("api", per_minute=1, burst=10, wait_max=timedelta(0)) for _ in range(5))
            return sum(wait is not None for wait in given)

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(take, range(6))) == 10
