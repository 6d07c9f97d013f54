"""Legal holds on copies, in a whole company: held whatever happens, kept past their terms, and let go once."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tenantctl.backups.holding import ASKED_AGAIN_AFTER
from tenantctl.model.backup import Copy, CopyState, ResidueKind
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.sighting import Gone, Present
from tenantctl.model.tenant import Tenant
from tenantctl.offboarding.holding import request_hold, request_release, request_review
from tests.rooms.company import HOME, PARTNER, Company

CASE = "AZ 12/26"
# What only a date proves is written down with the next run, and not at the very moment.
SEEN_LATE = {ResidueKind.INSTANCE_BACKUPS, ResidueKind.KEY_BACKUPS, ResidueKind.REGISTRY_BACKUPS}
YEARS = timedelta(days=3 * 365)


@pytest.fixture
def company() -> Company:
    """A company."""
    return Company()


def hold(company: Company, tenant: Tenant, *, review_in: timedelta = YEARS, case: str = CASE) -> None:
    """Put a tenant under a hold; nothing else has happened yet."""
    now, review_by = company.registry.tenant(tenant.uid), company.moment + review_in
    request_hold(company.bare_world, now, case_reference=case, review_by=review_by)


def release(company: Company, tenant: Tenant, *, case: str = CASE) -> None:
    """End it."""
    now = company.registry.tenant(tenant.uid)
    request_release(company.bare_world, now, case_reference=case, because="order of the court")


def copies(company: Company, tenant: Tenant) -> list[Copy]:
    """The copies as the registry has them."""
    return [copy for backup in company.registry.backups(tenant.uid) for copy in backup.copies]


def held(company: Company, copy: Copy) -> bool:
    """Whether the store holds a copy and its manifest; it never holds one of them alone, as far as tests ask."""
    sights = [company.vault.look(copy.bucket, name) for name in (copy.object_name, copy.manifest_name)]
    said = {isinstance(sight, Present) and sight.value.held for sight in sights}
    assert len(said) == 1
    return said.pop()


def days_pass(company: Company, days: int) -> Iterator[None]:
    """Days, each with a run."""
    for _ in range(days):
        company.advance(days=1)
        company.run()
        yield


def look_again(company: Company, tenant: Tenant) -> None:
    """A run, once stores that could not be asked are asked again."""
    company.moment += ASKED_AGAIN_AFTER + timedelta(minutes=1)
    company.registry.make_due(tenant.uid)
    company.run()


def with_nights(company: Company, days: int = 3) -> Tenant:
    """A working tenant with some nights' backups."""
    tenant = company.create()
    for _ in days_pass(company, days):
        pass
    return tenant


def test_a_hold_is_put_on_every_copy_and_on_those_written_while_it_stands(company: Company) -> None:
    """Each with its manifest, in every region, and by the next run."""
    tenant = with_nights(company)
    assert not any(held(company, copy) for copy in copies(company, tenant))
    hold(company, tenant)
    company.run()
    assert len(copies(company, tenant)) >= 6
    for _ in days_pass(company, 3):
        assert all(held(company, copy) and copy.held_at for copy in copies(company, tenant))
    assert "copies-held" in company.events(tenant)
    assert company.alarms(tenant) == set()
    assert not any(CASE in entry.body for entry in company.registry.entries(tenant.uid))


@pytest.mark.parametrize("state", [State.DEACTIVATED, State.DESTROYED])
def test_a_hold_reaches_the_copies_in_every_state(company: Company, state: State) -> None:
    """Also where nothing is written any more."""
    tenant = company.deactivated()
    if state is State.DESTROYED:
        company.advance(days=25)
        company.run()
    assert company.registry.tenant(tenant.uid).state is state
    hold(company, tenant)
    company.run()
    written = [copy for copy in copies(company, tenant) if copy.state is CopyState.WRITTEN]
    assert written
    assert all(held(company, copy) for copy in written)


def test_a_destroyed_tenant_stays_until_the_release_and_is_forgotten_after_it(company: Company) -> None:
    """Nothing held lapses, is shredded or overdue, for years; then all of it goes, and the dates say when."""
    tenant = company.deactivated()
    company.advance(days=25)
    company.run()
    hold(company, tenant)
    for _ in days_pass(company, 700):
        assert company.alarms(tenant) == set()
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED
    kept = [copy for copy in copies(company, tenant) if copy.state is CopyState.WRITTEN]
    assert len(kept) >= 2
    assert all(held(company, copy) and copy.wrapped_key for copy in kept)
    assert all(copy.lapses_at < company.moment for copy in kept)
    release(company, tenant)
    released_at = company.moment
    company.run()
    after = [copy for copy in copies(company, tenant) if copy.backup_id in {one.backup_id for one in kept}]
    lag = timedelta(days=company.world.policies.backups.lifecycle_lag_days)
    assert all(copy.unreadable_after == released_at + lag for copy in after if not copy.may_be_held)
    assert not any(copy.may_be_held or copy.wrapped_key for copy in after)
    places = {place.id: place for place in company.registry.residues(tenant.uid)}
    assert all(places[copy.residue_id].unreadable_after == released_at + lag for copy in after)
    for _ in days_pass(company, 60):
        assert company.alarms(tenant) == set()
    assert company.registry.tenant(tenant.uid).state is State.FORGOTTEN
    assert all(isinstance(company.vault.look(copy.bucket, copy.object_name), Gone) for copy in kept)
    assert all(place.lapsed_at for place in company.registry.residues(tenant.uid))
    for place in company.registry.residues(tenant.uid):
        late = (
            place.lapsed_at is not None
            and place.unreadable_after is not None
            and place.lapsed_at > place.unreadable_after
        )
        assert not late or place.kind in SEEN_LATE, place


def test_a_working_tenants_backups_pile_up_and_go_after_the_release(company: Company) -> None:
    """A daily copy outlives its month while the hold stands; what is within its term is not touched by the release."""
    tenant = with_nights(company)
    hold(company, tenant)
    for _ in days_pass(company, 60):
        pass
    assert company.alarms(tenant) == set()
    assert all(held(company, copy) and copy.wrapped_key for copy in copies(company, tenant))
    dates = {copy.residue_id: copy.unreadable_after for copy in copies(company, tenant)}
    release(company, tenant)
    company.run()
    for copy in copies(company, tenant):
        assert not held(company, copy)
        assert (copy.unreadable_after == dates[copy.residue_id]) is (company.moment <= copy.lapses_at)
        assert (copy.wrapped_key is None) is (copy.lapses_at <= company.moment)
    for _ in days_pass(company, 5):
        pass
    gone = [copy for copy in copies(company, tenant) if copy.state is CopyState.LAPSED]
    assert len(gone) >= 40
    assert company.alarms(tenant) == set()


def test_a_second_hold_keeps_what_the_first_lets_go(company: Company) -> None:
    """Two cases, two holds; nothing is let go before the last of them."""
    tenant = with_nights(company)
    hold(company, tenant)
    hold(company, tenant, case="AZ 13/26")
    company.run()
    release(company, tenant)
    company.run()
    assert all(held(company, copy) for copy in copies(company, tenant))
    release(company, tenant, case="AZ 13/26")
    company.run()
    assert not any(held(company, copy) or copy.may_be_held for copy in copies(company, tenant))


def test_a_copy_that_cannot_be_held_is_an_alarm_that_names_it_until_it_is(company: Company) -> None:
    """The others are held meanwhile, the customer is backed up meanwhile, and a silent store is asked again."""
    tenant = with_nights(company)
    company.vault.unreachable.add(PARTNER)
    hold(company, tenant)
    company.run()
    assert "blocked/hold-not-placed" in company.alarms(tenant)
    reason = next(one.reason for one in company.registry.alarms(tenant.uid) if one.code == "blocked/hold-not-placed")
    for copy in copies(company, tenant):
        assert (copy.held_at is not None) is (copy.region == HOME)
        assert (copy.address in reason) is (copy.region == PARTNER)
    for _ in days_pass(company, 1):
        pass
    look_again(company, tenant)
    here = [copy for copy in copies(company, tenant) if copy.region == HOME]
    assert all(held(company, copy) for copy in here)
    company.vault.unreachable.clear()
    look_again(company, tenant)
    assert all(held(company, copy) for copy in copies(company, tenant) if copy.state is CopyState.WRITTEN)
    assert "blocked/hold-not-placed" not in company.alarms(tenant)


def test_a_silent_store_keeps_nobody_from_being_closed(company: Company) -> None:
    """A hold stops destruction; that one of its copies cannot be held stops nothing else."""
    tenant = with_nights(company)
    company.vault.unreachable.add(PARTNER)
    hold(company, tenant)
    company.cancel(tenant)
    company.run()
    assert company.registry.tenant(tenant.uid).logins_closed_at is not None


def test_a_copy_that_is_gone_cannot_be_held_and_is_lost(company: Company) -> None:
    """It is named until it was looked for, and an incident from then on."""
    tenant = with_nights(company)
    victim = copies(company, tenant)[0]
    company.vault.lose(victim.bucket, victim.object_name)
    hold(company, tenant)
    company.run()
    assert "blocked/hold-not-placed" in company.alarms(tenant)
    said = [json.loads(entry.body) for entry in company.registry.entries(tenant.uid) if entry.event == "copies-held"]
    assert list(said[-1]["not_held"]) == [f"{victim.backup_id}/{victim.region}"]
    for _ in days_pass(company, 2):
        pass
    assert "copy-lost" in (alarms := company.alarms(tenant))
    assert "blocked/hold-not-placed" not in alarms


def test_a_held_copy_that_is_gone_is_lost_and_not_lapsed(company: Company) -> None:
    """Past its term too: somebody got past a hold."""
    tenant = with_nights(company)
    hold(company, tenant)
    for _ in days_pass(company, 50):
        pass
    victim = next(copy for copy in copies(company, tenant) if copy.lapses_at < company.moment)
    company.vault.lose(victim.bucket, victim.object_name)
    company.vault.lose(victim.bucket, victim.manifest_name)
    for _ in days_pass(company, 2):
        pass
    found = next(one for one in copies(company, tenant) if one.residue_id == victim.residue_id)
    assert (found.state, found.may_be_held) == (CopyState.LOST, False)
    assert "copy-lost" in company.alarms(tenant)


def test_what_somebody_lets_go_by_hand_is_held_again(company: Company) -> None:
    """The store's own word counts, each day anew."""
    tenant = with_nights(company)
    hold(company, tenant)
    company.run()
    victim = copies(company, tenant)[0]
    company.vault.release(victim.bucket, victim.object_name)
    company.vault.release(victim.bucket, victim.manifest_name)
    for _ in days_pass(company, 2):
        pass
    assert held(company, victim)
    assert "copy-found-unheld" in company.events(tenant)


def test_a_hold_put_by_somebody_else_is_not_ours_to_end(company: Company) -> None:
    """Without a hold on record no copy is let go: it stays held, and is overdue in the end."""
    tenant = with_nights(company)
    theirs = next(copy for copy in copies(company, tenant) if "daily" in copy.bucket)
    company.vault.hold(theirs.bucket, theirs.object_name)
    for _ in days_pass(company, 40):
        pass
    assert isinstance(sight := company.vault.look(theirs.bucket, theirs.object_name), Present)
    assert sight.value.held
    assert "copy-overdue" in company.alarms(tenant)


def test_what_cannot_be_let_go_is_an_alarm_and_let_go_later(company: Company) -> None:
    """And nothing is forgotten of it: it is asked for until it is let go."""
    tenant = with_nights(company)
    hold(company, tenant)
    company.run()
    company.vault.unreachable.add(PARTNER)
    release(company, tenant)
    company.run()
    assert "blocked/hold-not-released" in company.alarms(tenant)
    assert all(copy.may_be_held is (copy.region == PARTNER) for copy in copies(company, tenant))
    company.vault.unreachable.clear()
    look_again(company, tenant)
    assert not any(held(company, copy) or copy.may_be_held for copy in copies(company, tenant))
    assert "blocked/hold-not-released" not in company.alarms(tenant)


def test_an_overdue_review_is_an_alarm_until_it_was_made(company: Company) -> None:
    """By whoever asks; a later date closes it, and so does the release."""
    tenant = with_nights(company)
    hold(company, tenant, review_in=timedelta(days=10))
    for _ in days_pass(company, 9):
        assert company.alarms(tenant) == set()
    company.advance(days=1, hours=1)
    company.run()
    assert company.alarms(tenant) == {"blocked/hold-review-overdue"}
    now, later = company.registry.tenant(tenant.uid), company.moment + timedelta(days=90)
    with pytest.raises(Refused, match="passed"):
        request_review(company.bare_world, now, case_reference=CASE, review_by=company.moment, because="asked")
    with pytest.raises(Refused, match="result"):
        request_review(company.bare_world, now, case_reference=CASE, review_by=later, because=" ")
    with pytest.raises(NotFound):
        request_review(company.bare_world, now, case_reference="AZ 1", review_by=later, because="asked")
    request_review(company.bare_world, now, case_reference=CASE, review_by=later, because="asked")
    company.run()
    assert company.alarms(tenant) == set()
    assert all(held(company, copy) for copy in copies(company, tenant))


def _placing(company: Company) -> Tenant:
    tenant = with_nights(company, 2)
    hold(company, tenant)
    return tenant


def _releasing(company: Company) -> Tenant:
    tenant = with_nights(company, 2)
    hold(company, tenant)
    company.run()
    release(company, tenant)
    return tenant


def _interrupted(company: Company) -> Tenant:
    """A hold that is released before it was carried out to its end."""
    tenant = with_nights(company, 2)
    hold(company, tenant)
    company.run_until_killed(60)
    assert {copy.may_be_held and held(company, copy) for copy in copies(company, tenant)} == {True, False}
    release(company, tenant)
    company.moment += timedelta(minutes=6)  # until the dead worker's lease has ended
    return tenant


@pytest.mark.parametrize(("prepare", "is_held"), [(_placing, True), (_releasing, False), (_interrupted, False)])
def test_a_crash_at_any_call_is_finished_by_running_again(prepare: Callable[[Company], Tenant], is_held: bool) -> None:
    """Whenever the worker dies, the next one leaves every copy as people decided, and none is held and forgotten."""
    touches = 0
    while True:
        company = Company()
        tenant = prepare(company)
        killed = company.run_until_killed(touches)
        look_again(company, tenant)  # by another worker, once the lease has ended
        look_again(company, tenant)
        for copy in copies(company, tenant):
            assert held(company, copy) is is_held, (touches, copy)
            assert (copy.held_at is not None, copy.may_be_held) == (is_held, is_held), (touches, copy)
        assert company.alarms(tenant) == set(), touches
        assert company.events(tenant)
        if not killed:
            break
        touches += 1
    assert touches > 30
