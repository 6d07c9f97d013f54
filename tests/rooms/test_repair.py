"""A copy that is missing is made again from a good one, within its days; and nobody's backup waits for a region."""

from dataclasses import replace

import pytest

from tenantctl.backups.keys import key_name, open_identity
from tenantctl.backups.manifest import Manifest
from tenantctl.backups.stream import opened
from tenantctl.model.backup import Backup, BackupState, CopyState, RetentionClass
from tenantctl.model.errors import Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Duty
from tenantctl.model.sighting import Gone, Present
from tenantctl.model.tenant import Tenant
from tenantctl.sweeps.tenants import sweep
from tests.rooms.company import HOME, PARTNER, Company


@pytest.fixture
def company() -> Company:
    return Company()


def newest(company: Company, tenant: Tenant) -> Backup:
    return company.registry.backups(tenant.uid)[-1]


def partner_down(company: Company, *, down: bool = True) -> None:
    for port in (company.vault, company.keys, company.key_store):
        (port.unreachable.add if down else port.unreachable.discard)(PARTNER)


def night(company: Company, tenant: Tenant) -> Backup:
    """The next night's backup."""
    company.advance(days=1)
    company.run()
    return newest(company, tenant)


def test_a_backup_that_is_short_of_a_copy_gets_it_once_its_region_answers(company: Company) -> None:
    """The same bytes, the same manifest, a key of the region's own, and the alarm closes."""
    tenant = company.create()
    partner_down(company)
    short = night(company, tenant)
    assert (short.state, short.regions_holding()) == (BackupState.SHORT, (HOME,))
    assert {"short-of-copies", "trouble"} <= company.alarms(tenant)
    partner_down(company, down=False)
    company.advance(hours=3)
    company.run()
    whole = newest(company, tenant)
    assert (whole.id, whole.state) == (short.id, BackupState.COMPLETE)
    assert set(whole.regions_holding()) == {HOME, PARTNER}
    first, second = (b"".join(company.vault.read(copy.bucket, copy.object_name)) for copy in whole.copies)
    assert first == second
    manifests = [b"".join(company.vault.read(copy.bucket, copy.manifest_name)) for copy in whole.copies]
    assert manifests[0] == manifests[1]
    assert Manifest.from_bytes(manifests[0]).describes(whole)
    assert company.alarms(tenant) == set()
    assert "copy-repaired" in company.events(tenant)


def test_a_repaired_region_opens_the_backup_without_the_other(company: Company) -> None:
    """Its key was wrapped by the region that answered alone; the repair has wrapped it in the other too."""
    tenant = company.create()
    company.keys.unreachable.add(PARTNER)
    night(company, tenant)
    company.keys.unreachable.clear()
    company.advance(hours=3)
    company.run()
    whole = newest(company, tenant)
    company.keys.drop_key(HOME)
    company.vault.unreachable.add(HOME)
    copy = next(one for one in whole.copies if one.region == PARTNER)
    archive = b"".join(opened(company.vault.read(copy.bucket, copy.object_name), open_identity(company.world, whole)))
    assert b"one" in archive


def test_a_region_whose_kms_is_down_gets_no_copy_that_nobody_could_open(company: Company) -> None:
    """Neither bytes nor key are there; the other region has both, and an alarm names the one that lacks them."""
    tenant = company.create()
    company.keys.unreachable.add(PARTNER)
    short = night(company, tenant)
    assert open_identity(company.world, short).recipient == short.recipient
    assert isinstance(company.key_store.look(PARTNER, key_name(tenant.uid, short.id)), Gone)
    for copy in short.copies:
        there = Present if copy.region == HOME else Gone
        assert isinstance(company.vault.look(copy.bucket, copy.object_name), there)
    assert PARTNER in next(one.reason for one in company.registry.alarms(tenant.uid) if one.code == "short-of-copies")


@pytest.mark.parametrize("port", ["vault", "keys", "key_store"])
def test_whatever_of_a_region_is_down_the_other_has_its_backup(company: Company, port: str) -> None:
    """Its bucket, its KMS, or its key bucket."""
    tenant = company.create()
    getattr(company, port).unreachable.add(HOME)
    short = night(company, tenant)
    assert short.regions_holding() == (PARTNER,)
    assert HOME in next(one.reason for one in company.registry.alarms(tenant.uid) if one.code == "short-of-copies")
    getattr(company, port).unreachable.clear()
    company.advance(hours=3)
    company.run()
    assert newest(company, tenant).state is BackupState.COMPLETE
    assert company.alarms(tenant) == set()


def test_a_slot_gets_one_backup_however_often_it_is_tried(company: Company) -> None:
    tenant = company.create()
    partner_down(company)
    night(company, tenant)
    known = len(company.registry.backups(tenant.uid))
    for _ in range(8):
        company.advance(hours=1)
        company.run()
    assert len(company.registry.backups(tenant.uid)) == known


def test_without_days_to_repair_a_slot_is_tried_once_a_day(company: Company) -> None:
    """What is short then stays so, and a region that is down does not fill the other's buckets."""
    policies = company.world.policies
    hasty = replace(policies, backups=replace(policies.backups, repair_days=0))
    company.wrapped = lambda world: replace(world, policies=hasty)
    tenant = company.create()
    partner_down(company)
    known = len(company.registry.backups(tenant.uid))
    for _ in range(3 * 24):
        company.advance(hours=1)
        company.run()
    assert known < len(company.registry.backups(tenant.uid)) <= known + 4
    assert "copy-repair-begun" not in company.events(tenant)


def test_a_week_without_a_region_is_made_good_and_takes_no_turn_twice(company: Company) -> None:
    """Each night has its backup, each is completed, and the month and the week have one of their class."""
    company.moment = company.moment.replace(month=11, day=30)
    tenant = company.create()
    partner_down(company)
    nights = [night(company, tenant) for _ in range(7)]
    assert {one.state for one in nights} == {BackupState.SHORT}
    partner_down(company, down=False)
    company.advance(hours=8)
    company.run()
    made = {one.id: one for one in company.registry.backups(tenant.uid)}
    assert {made[one.id].state for one in nights} == {BackupState.COMPLETE}
    classes = [one.retention_class for one in nights]
    assert classes.count(RetentionClass.MONTHLY) == 1
    assert classes.count(RetentionClass.DAILY) >= 5
    assert company.alarms(tenant) == set()


def test_after_its_days_a_copy_is_not_made_again(company: Company) -> None:
    """A new object's age starts at zero: it would outlive the promise. New dumps have both regions instead."""
    tenant = company.create()
    partner_down(company)
    short = night(company, tenant)
    for _ in range(company.world.policies.backups.repair_days):
        night(company, tenant)
    partner_down(company, down=False)
    company.advance(hours=8)
    company.run()
    made = {one.id: one for one in company.registry.backups(tenant.uid)}
    assert made[short.id].state is BackupState.SHORT
    assert made[short.id].regions_holding() == (HOME,)
    assert newest(company, tenant).state is BackupState.COMPLETE
    assert night(company, tenant).state is BackupState.COMPLETE
    company.run()
    assert company.alarms(tenant) == set()


def test_a_copy_that_vanished_is_made_again_and_its_loss_stays_on_record(company: Company) -> None:
    tenant = company.create()
    copy = night(company, tenant).copies[0]
    company.vault.lose(copy.bucket, copy.object_name)
    company.vault.lose(copy.bucket, copy.manifest_name)
    company.advance(days=1)
    company.run()
    made = next(one for one in company.registry.backups(tenant.uid) if one.id == copy.backup_id)
    again = next(one for one in made.copies if one.region == copy.region)
    assert (again.state, again.repairs) == (CopyState.WRITTEN, 1)
    assert isinstance(company.vault.look(copy.bucket, copy.object_name), Present)
    assert {"copy-lost", "copy-repaired"} <= set(company.events(tenant))
    assert company.alarms(tenant) == {"copy-lost"}
    lines = {one.id: one.lapsed_at for one in company.registry.residues(tenant.uid)}
    assert lines[copy.residue_id] is not None
    assert lines[again.residue_id] is None


def test_other_bytes_under_its_name_are_no_copy(company: Company) -> None:
    """They are locked and cannot be written over: the copy is lost, alarmed, and a new dump takes its place."""
    tenant = company.create()
    partner_down(company)
    short = night(company, tenant)
    partner_down(company, down=False)
    copy = next(one for one in short.copies if one.region == PARTNER)
    company.vault.put(copy.bucket, copy.object_name, b"what nobody wrote")
    company.advance(hours=3)
    company.run()
    company.run()
    made = next(one for one in company.registry.backups(tenant.uid) if one.id == short.id)
    assert next(one for one in made.copies if one.region == PARTNER).state is CopyState.LOST
    assert "copy-lost" in company.alarms(tenant)
    assert newest(company, tenant).state is BackupState.COMPLETE
    assert newest(company, tenant).id != short.id


def test_nothing_is_made_from_a_copy_that_is_not_good(company: Company) -> None:
    """The bytes are compared before the seal: what is sealed is locked."""
    tenant = company.create()
    partner_down(company)
    short = night(company, tenant)
    good = next(one for one in short.copies if one.region == HOME)
    company.vault.damage(good.bucket, good.object_name)
    partner_down(company, down=False)
    company.advance(hours=3)
    company.run()
    there = [company.vault.names(copy.bucket, tenant.uid) for copy in short.copies if copy.region == PARTNER]
    assert short.id not in str(there)
    assert {"short-of-copies", "trouble"} <= company.alarms(tenant)


def test_an_attempt_left_open_does_not_wait_for_its_region(company: Company) -> None:
    """A worker died in the middle of it, and then its region went: the next backup is made all the same."""
    tenant = company.create()
    company.advance(days=1)
    upload = company.vault.upload

    def dies(bucket: str, name: str) -> object:
        raise KeyboardInterrupt

    company.vault.upload = dies  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        company.run()
    company.vault.upload = upload  # type: ignore[method-assign]
    left = newest(company, tenant)
    assert left.state is BackupState.BEGUN
    partner_down(company)
    company.advance(hours=1)
    company.run()
    states = {one.id: one.state for one in company.registry.backups(tenant.uid)}
    assert states[left.id] is BackupState.FAILED
    assert newest(company, tenant).regions_holding() == (HOME,)


def test_a_whole_attempt_left_open_is_adopted_from_the_region_that_answers(company: Company) -> None:
    """Both copies were sealed; one region is down: it is found short, and completed without another byte."""
    tenant = company.create()
    company.advance(days=1)
    put = company.vault.put
    described = 0

    def dies(bucket: str, name: str, content: bytes) -> object:
        nonlocal described
        described += 1
        if described > 1:
            raise KeyboardInterrupt
        return put(bucket, name, content)

    company.vault.put = dies  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        company.run()
    company.vault.put = put  # type: ignore[method-assign]
    left = newest(company, tenant)
    partner_down(company)
    company.advance(hours=1)
    company.run()
    assert (newest(company, tenant).id, newest(company, tenant).state) == (left.id, BackupState.SHORT)
    partner_down(company, down=False)
    company.advance(hours=1)
    company.vault.upload = _refuses  # type: ignore[method-assign, assignment]
    company.run()
    assert (newest(company, tenant).id, newest(company, tenant).state) == (left.id, BackupState.COMPLETE)


def _refuses(*_: object) -> None:
    raise Transient("nothing is uploaded")


def test_a_final_backup_is_completed_before_its_tenant_is_deactivated(company: Company) -> None:
    tenant = company.create()
    company.advance(hours=1)
    partner_down(company)
    company.cancel(tenant)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DEACTIVATING
    final = newest(company, tenant)
    assert (final.retention_class, final.state) == (RetentionClass.FINAL, BackupState.SHORT)
    partner_down(company, down=False)
    company.advance(hours=3)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DEACTIVATED
    assert (newest(company, tenant).id, newest(company, tenant).state) == (final.id, BackupState.COMPLETE)
    assert company.alarms(tenant) == set()


def test_a_final_backup_that_could_not_be_completed_in_time_is_made_anew(company: Company) -> None:
    tenant = company.create()
    company.advance(hours=1)
    partner_down(company)
    company.cancel(tenant)
    company.run()
    final = newest(company, tenant)
    company.advance(days=company.world.policies.backups.repair_days)
    company.run()
    assert newest(company, tenant).id != final.id
    partner_down(company, down=False)
    company.advance(hours=8)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DEACTIVATED


def test_the_backups_of_the_destroyed_are_completed_too(company: Company) -> None:
    """What is kept for them is kept whole: a court may ask for it."""
    tenant = company.deactivated()
    company.advance(days=25)
    copy = newest(company, tenant).copies[0]
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED
    policies = company.world.policies
    patient = replace(policies, backups=replace(policies.backups, repair_days=60))
    company.wrapped = lambda world: replace(world, policies=patient)
    company.vault.lose(copy.bucket, copy.object_name)
    company.advance(days=2)
    company.run()
    assert isinstance(company.vault.look(copy.bucket, copy.object_name), Present)


def test_who_makes_backups_opens_no_key_and_who_completes_them_does(company: Company) -> None:
    """The duty of backup wraps and never unwraps; the repair is the restoring duty's."""
    tenant = company.create()
    company.keys.unreachable.add(PARTNER)
    company.advance(days=1)
    unwrapped: list[str] = []
    unwrap = company.keys.unwrap

    def counted(region: str, wrapped: bytes, *, context: str) -> bytes:
        unwrapped.append(region)
        return unwrap(region, wrapped, context=context)

    company.keys.unwrap = counted  # type: ignore[method-assign]
    list(sweep(company.world, duty=Duty.BACKUP))
    assert newest(company, tenant).state is BackupState.SHORT
    assert unwrapped == []
    company.keys.unreachable.clear()
    for _ in range(3):
        for duty in Duty:
            if duty is not Duty.VERIFY:
                list(sweep(company.world, duty=duty))
    assert newest(company, tenant).state is BackupState.COMPLETE
    assert unwrapped == [HOME]
