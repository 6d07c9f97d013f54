"""A tenant's whole life, with the real rooms and engine over a world in memory."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.backups.keys import open_identity
from tenantctl.backups.planning import newest_complete
from tenantctl.bootstrap import policies
from tenantctl.model.backup import BackupState, CopyState, ResidueKind, RetentionClass, VerificationLevel
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.sighting import Present
from tenantctl.ports.vault import BucketSeen
from tests.rooms.company import HOME, PARTNER, TENANTS_INSTANCE, VERIFY_INSTANCE, Company


@pytest.fixture
def company() -> Company:
    return Company()


def state(company: Company, tenant) -> State:
    return company.registry.tenant(tenant.uid).state


def test_from_request_to_forgotten(company: Company) -> None:
    """Created, backed up into two regions, closed, kept, destroyed, and forgotten within twelve months."""
    tenant = company.create()
    assert state(company, tenant) is State.ACTIVE
    newest = newest_complete(company.registry.backups(tenant.uid))
    assert newest is not None
    assert set(newest.regions_holding()) == {HOME, PARTNER}
    company.cancel(tenant)
    company.run()
    deactivated = company.registry.tenant(tenant.uid)
    assert deactivated.state is State.DEACTIVATED
    assert deactivated.destroy_after is not None
    assert deactivated.logins_closed_at is not None
    assert deactivated.destroy_after - deactivated.logins_closed_at >= timedelta(days=21)
    company.moment = deactivated.destroy_after - timedelta(seconds=1)
    company.run()
    assert company.has_database(tenant)
    company.advance(seconds=1)
    company.registry.make_due(tenant.uid)
    company.run()
    assert state(company, tenant) is State.DESTROYED
    assert not company.has_database(tenant)
    assert not company.servers[TENANTS_INSTANCE].roles
    destroyed_at = company.registry.tenant(tenant.uid).destroyed_at
    assert destroyed_at is not None
    while state(company, tenant) is not State.FORGOTTEN:
        assert company.moment < destroyed_at + timedelta(days=365), company.registry.residues(tenant.uid)
        company.advance(days=1)
        company.run()
    forgotten = company.registry.tenant(tenant.uid)
    assert forgotten.name is None
    assert company.registry.explanation(tenant.uid) == {}
    assert all(residue.lapsed_at for residue in company.registry.residues(tenant.uid))
    assert company.alarms(tenant) == set()
    assert company.events(tenant)[-1] == "residue-lapsed"


def test_nothing_to_do_twice(company: Company) -> None:
    """A sweep right after a sweep finds nothing due."""
    company.create()
    company.run()
    assert company.run() == []


def test_the_final_backup_is_begun_after_the_closing_and_proved_by_a_restore(company: Company) -> None:
    tenant = company.deactivated()
    finals = [b for b in company.registry.backups(tenant.uid) if b.retention_class is RetentionClass.FINAL]
    assert [final.verified_level for final in finals] == [VerificationLevel.RESTORED]
    assert tenant.logins_closed_at is not None
    assert finals[0].begun_at >= tenant.logins_closed_at
    assert finals[0].rows == 2
    assert company.servers[VERIFY_INSTANCE].databases == {}
    assert company.servers[VERIFY_INSTANCE].roles == {}


def test_a_cancellation_at_the_end_of_a_period_waits_for_it(company: Company) -> None:
    tenant = company.create()
    company.cancel(tenant, effective_at=company.moment + timedelta(days=10))
    company.run()
    assert state(company, tenant) is State.ACTIVE
    company.advance(days=10)
    company.run()
    assert state(company, tenant) is State.DEACTIVATED


def test_reinstatement_gives_back_login_and_forced_row_security(company: Company) -> None:
    tenant = company.create()
    company.databases.set_password(tenant.hosting, "old one")
    company.run()
    company.database(tenant).forced.add("public.orders")
    company.cancel(tenant)
    company.run()
    assert state(company, tenant) is State.DEACTIVATED
    assert company.database(tenant).forced == set()
    company.advance(days=20)
    company.reinstate(tenant)
    company.run()
    back = company.registry.tenant(tenant.uid)
    assert (back.state, back.destroy_after, back.logins_closed_at) == (State.ACTIVE, None, None)
    assert company.database(tenant).forced == {"public.orders"}
    company.servers.connect(tenant.hosting, "old one")


def test_a_second_cancellation_needs_a_new_closing_and_a_new_final_backup(company: Company) -> None:
    tenant = company.deactivated()
    first = tenant.destroy_after
    company.reinstate(tenant)
    company.run()
    company.advance(days=5)
    company.cancel(tenant)
    company.run()
    again = company.registry.tenant(tenant.uid)
    finals = [b for b in company.registry.backups(tenant.uid) if b.retention_class is RetentionClass.FINAL]
    assert again.state is State.DEACTIVATED
    assert len(finals) == 2
    assert again.destroy_after is not None
    assert first is not None
    assert again.destroy_after > first


def test_reinstatement_after_destruction_is_refused_with_what_remains(company: Company) -> None:
    tenant = company.deactivated()
    company.advance(days=23)
    company.run()
    assert state(company, tenant) is State.DESTROYED
    with pytest.raises(Refused, match=r"2 backups of it remain in us-central1, us-south1, the last until 2027"):
        company.reinstate(tenant)


def test_a_login_that_is_found_open_starts_grace_anew(company: Company) -> None:
    """Somebody opened it by hand: closed again, a later grace, and a new final backup before any destruction."""
    tenant = company.deactivated()
    company.advance(days=20)
    company.databases.open_logins(tenant.hosting)
    company.run()
    again = company.registry.tenant(tenant.uid)
    assert again.logins_closed_at is not None
    assert tenant.logins_closed_at is not None
    assert again.logins_closed_at > tenant.logins_closed_at
    assert again.destroy_after is not None
    assert again.destroy_after >= company.moment + timedelta(days=21)
    finals = [b for b in company.registry.backups(tenant.uid) if b.retention_class is RetentionClass.FINAL]
    assert len(finals) == 2


def test_an_instance_that_does_not_answer_neither_restarts_grace_nor_destroys(company: Company) -> None:
    tenant = company.deactivated()
    company.servers[TENANTS_INSTANCE].reachable = False
    company.advance(days=30)
    company.run()
    unreachable = company.registry.tenant(tenant.uid)
    assert unreachable.state is State.DEACTIVATED
    assert unreachable.destroy_after == tenant.destroy_after
    assert "blocked/instance-unreachable" in company.alarms(tenant)
    company.servers[TENANTS_INSTANCE].reachable = True
    company.advance(hours=1)
    company.run()
    assert state(company, tenant) is State.DESTROYED
    assert company.alarms(tenant) == set()


def test_another_marker_is_never_dropped(company: Company) -> None:
    tenant = company.deactivated()
    company.database(tenant).marker = "somebody else's"
    company.advance(days=30)
    company.run()
    assert company.has_database(tenant)
    assert state(company, tenant) is State.DEACTIVATED
    assert "blocked/marker" in company.alarms(tenant)


def test_a_final_backup_that_loses_a_copy_is_made_again_before_destruction(company: Company) -> None:
    tenant = company.deactivated()
    final = next(b for b in company.registry.backups(tenant.uid) if b.retention_class is RetentionClass.FINAL)
    lost = final.copies[0]
    company.vault.lose(lost.bucket, lost.object_name)
    company.advance(days=15)  # too late to make that copy again from the other
    company.run()
    backups = company.registry.backups(tenant.uid)
    states = {copy.region: copy.state for backup in backups if backup.id == final.id for copy in backup.copies}
    assert states[lost.region] is CopyState.LOST
    assert "copy-lost" in company.alarms(tenant)
    company.advance(days=1)
    company.run()
    newest = newest_complete(company.registry.backups(tenant.uid))
    assert newest is not None
    assert newest.id != final.id
    assert newest.verified_level is VerificationLevel.RESTORED
    company.advance(days=10)
    company.run()
    assert state(company, tenant) is State.DESTROYED


def test_a_lost_copy_is_lost_and_never_lapsed(company: Company) -> None:
    tenant = company.create()
    company.run()
    copy = company.registry.backups(tenant.uid)[0].copies[0]
    company.vault.lose(copy.bucket, copy.object_name)
    company.vault.lose(copy.bucket, copy.manifest_name)
    company.advance(days=15)
    company.run()
    seen = {c.region: c.state for c in company.registry.backups(tenant.uid)[0].copies}
    assert seen[copy.region] is CopyState.LOST
    assert "copy-lost" in company.alarms(tenant)


def test_a_region_that_is_down_leaves_one_copy_an_alarm_and_one_short_backup(company: Company) -> None:
    tenant = company.create()
    company.advance(days=1)
    company.vault.unreachable.add(PARTNER)
    for _ in range(5):
        company.run()
        company.advance(hours=1)
    short = [b for b in company.registry.backups(tenant.uid) if b.state is BackupState.SHORT]
    assert [b.regions_holding() for b in short] == [(HOME,)]
    assert "short-of-copies" in company.alarms(tenant)
    company.vault.unreachable.clear()
    company.advance(hours=6)
    company.run()
    assert company.alarms(tenant) == set()
    newest = newest_complete(company.registry.backups(tenant.uid))
    assert newest is not None
    assert set(newest.regions_holding()) == {HOME, PARTNER}


@pytest.mark.parametrize(
    "change",
    [{"locked": False}, {"lock_days": 1}, {"age_days": 400}, {"soft_delete_seconds": 604800}, {"versioning": True}],
)
def test_a_bucket_with_other_terms_gets_no_backup(company: Company, change: dict[str, object]) -> None:
    tenant = company.create()
    company.advance(days=1)
    term = policies().backups.classes[RetentionClass.DAILY]
    terms = BucketSeen(HOME, True, term.lock_days, term.age_days, 0, False)
    company.vault.make_bucket(f"acme-{HOME}-daily-{term.age_days}d", replace(terms, **change))  # type: ignore[arg-type]
    before = len(company.registry.backups(tenant.uid))
    company.run()
    assert len(company.registry.backups(tenant.uid)) == before
    assert "trouble" in company.alarms(tenant)


def test_a_dump_that_breaks_off_leaves_no_object(company: Company) -> None:
    tenant = company.create(rows=["x" * 50] * 40_000)
    company.advance(days=1)
    company.servers.dump_breaks_after = 1
    company.run()
    failed = [b for b in company.registry.backups(tenant.uid) if b.state is BackupState.FAILED]
    assert len(failed) == 1
    for copy in failed[0].copies:
        assert copy.object_name not in str(company.vault.names(copy.bucket, ""))
    company.servers.dump_breaks_after = None
    company.advance(hours=1)
    company.run()
    newest = newest_complete(company.registry.backups(tenant.uid))
    assert newest is not None
    assert newest.slot == failed[0].slot
    company.advance(days=1)  # until then what was given up may still arrive
    company.run()
    open_copies = {r.id for r in company.registry.residues(tenant.uid) if r.lapsed_at is None}
    assert not any(copy.residue_id in open_copies for copy in failed[0].copies)


def test_a_damaged_copy_fails_its_verification_and_blocks_deactivation_until_a_good_one(company: Company) -> None:
    tenant = company.create()
    company.cancel(tenant)

    class Damaging:
        """The vault, which flips a bit in whatever was sealed last."""

        def __getattr__(self, name: str) -> object:
            return getattr(company.vault, name)

        def read(self, bucket: str, name: str) -> object:
            if name.endswith(".age") and not damaged:
                damaged.append(name)
                company.vault.damage(bucket, name)
            return company.vault.read(bucket, name)

    damaged: list[str] = []
    company.wrapped = lambda world: replace(world, vault=Damaging())  # type: ignore[arg-type]
    company.run()
    assert damaged
    for _ in range(4):
        company.advance(hours=1)
        company.run()
    assert state(company, tenant) is State.DEACTIVATED


def test_scratch_that_was_left_behind_is_swept(company: Company) -> None:
    tenant = company.create()
    company.cancel(tenant)
    touches = 0
    while not company.servers[VERIFY_INSTANCE].databases:
        touches += 7
        company = Company()
        tenant = company.create()
        company.cancel(tenant)
        assert company.run_until_killed(touches)
    company.advance(minutes=10)
    company.run()
    assert company.servers[VERIFY_INSTANCE].databases == {}
    scratches = [r for r in company.registry.residues(tenant.uid) if r.kind is ResidueKind.SCRATCH]
    assert scratches
    assert all(residue.lapsed_at for residue in scratches)


def test_a_key_is_shredded_on_the_day_and_opens_nothing_however_late_the_bucket_is(company: Company) -> None:
    """The buckets delete nothing here: what is late in being deleted is unreadable in time."""
    tenant = company.deactivated()
    company.advance(days=25)
    company.run()
    backups = company.registry.backups(tenant.uid)
    company.moment += timedelta(days=340)  # no lifecycle runs
    company.run()
    for backup, shredded in zip(backups, company.registry.backups(tenant.uid), strict=True):
        assert all(copy.wrapped_key for copy in backup.copies)
        assert not any(copy.wrapped_key for copy in shredded.copies)
        assert any(isinstance(company.vault.look(c.bucket, c.object_name), Present) for c in shredded.copies)
        with pytest.raises(Refused, match="No key opens"):
            open_identity(company.world, shredded)
    for region in (HOME, PARTNER):
        assert company.key_store.names(region, "") == Present(())


def test_a_backup_opens_with_one_region_lost_and_without_the_registry(company: Company) -> None:
    """One region's KMS is down, and the registry's wrapped keys are gone: the other's key bucket opens it."""
    tenant = company.create()
    company.run()
    backup = company.registry.backups(tenant.uid)[0]
    bare = replace(backup, copies=tuple(replace(copy, wrapped_key=None) for copy in backup.copies))
    company.keys.drop_key(HOME)
    assert open_identity(company.world, bare).recipient == backup.recipient
