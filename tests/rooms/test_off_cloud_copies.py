"""A further copy off Google's cloud: on top of the regions that were promised, and never in their place."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.backups.keys import open_identity
from tenantctl.backups.retention import readable_after_deletion
from tenantctl.backups.stream import opened
from tenantctl.bootstrap import policies
from tenantctl.model.backup import Backup, BackupState, Copy, CopyState, RetentionClass, bucket_name
from tenantctl.model.calendar import add_months
from tenantctl.model.lifecycle import State
from tenantctl.model.off_cloud import ROUNDING_DAYS
from tenantctl.model.sighting import Gone, Present
from tenantctl.model.tenant import Tenant
from tenantctl.ports.vault import BucketSeen
from tenantctl.sweeps.doctor import examine
from tests.rooms.company import HOME, PARTNER, Company

FURTHER = "aws:us-east-2"
POLICY = replace(policies().backups, off_cloud={"US": FURTHER})


@pytest.fixture
def company() -> Company:
    """A company that keeps a further copy of what lies under the law of the United States."""
    made = Company()
    made.wrapped = lambda world: replace(world, policies=replace(world.policies, backups=POLICY))
    for retention_class, term in POLICY.classes.items():
        name = bucket_name("acme", FURTHER, retention_class, term.age_days)
        made.vault.make_bucket(name, BucketSeen.locked_for(FURTHER, term))
    return made


def newest(company: Company, tenant: Tenant) -> Backup:
    return company.registry.backups(tenant.uid)[-1]


def copies(backup: Backup) -> Mapping[str, Copy]:
    return {copy.region: copy for copy in backup.copies}


def night(company: Company, tenant: Tenant) -> Backup:
    company.advance(days=1)
    company.run()
    return newest(company, tenant)


def test_a_backup_has_a_further_copy_without_a_key_beside_it(company: Company) -> None:
    """The same bytes; whoever has that store alone reads nothing, and either region's key opens it."""
    tenant = company.create()
    made = night(company, tenant)
    further = copies(made)[FURTHER]
    assert further.state is CopyState.WRITTEN
    assert further.wrapped_key is None
    assert further.bucket.startswith("acme-aws-us-east-2-")
    assert set(made.regions_holding()) == {HOME, PARTNER}
    assert company.alarms(tenant) == set()
    places = {one.id: one.place for one in company.registry.residues(tenant.uid)}
    assert places[further.residue_id].startswith("s3://acme-aws-us-east-2-")
    assert further.key_residue_id not in places
    company.vault.unreachable |= {HOME, PARTNER}
    company.keys.drop_key(HOME)
    archive = b"".join(
        opened(company.vault.read(further.bucket, further.object_name), open_identity(company.world, made))
    )
    assert b"one" in archive


def test_it_never_counts_toward_the_regions_that_were_promised(company: Company) -> None:
    """With one region down and the further copy made, the backup is short of copies all the same."""
    tenant = company.create()
    company.vault.unreachable.add(PARTNER)
    made = night(company, tenant)
    assert made.state is BackupState.SHORT
    assert copies(made)[FURTHER].state is CopyState.WRITTEN
    assert made.regions_holding() == (HOME,)


def test_nothing_is_destroyed_on_its_strength(company: Company) -> None:
    """A final backup that is seen in one region and off the cloud is not seen in two regions."""
    tenant = company.create()
    company.cancel(tenant)
    company.run()
    company.vault.unreachable.add(PARTNER)
    company.advance(days=30)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DEACTIVATED
    assert company.has_database(tenant)


def test_one_that_is_missing_is_alarmed_and_made_from_a_region_of_googles(company: Company) -> None:
    tenant = company.create()
    company.vault.unreachable.add(FURTHER)
    made = night(company, tenant)
    assert made.state is BackupState.COMPLETE
    alarm = next(one for one in company.registry.alarms(tenant.uid) if one.code == "short-of-copies")
    assert FURTHER in alarm.reason
    company.vault.unreachable.clear()
    company.advance(hours=8)
    company.run()
    assert copies(newest(company, tenant))[FURTHER].state is CopyState.WRITTEN
    assert company.alarms(tenant) == set()


def test_a_region_of_googles_is_made_from_it(company: Company) -> None:
    """With the home region's buckets gone for days, the further copy is the good one."""
    tenant = company.create()
    company.vault.unreachable.add(PARTNER)
    night(company, tenant)
    company.vault.unreachable = {HOME}
    company.advance(hours=8)
    company.run()
    made = copies(newest(company, tenant))
    assert made[PARTNER].state is CopyState.WRITTEN
    assert newest(company, tenant).state is BackupState.COMPLETE


def test_a_bucket_off_the_cloud_with_other_terms_gets_nothing_and_stops_nothing(company: Company) -> None:
    tenant = company.create()
    term = POLICY.classes[RetentionClass.DAILY]
    name = bucket_name("acme", FURTHER, RetentionClass.DAILY, term.age_days)
    company.vault.make_bucket(name, BucketSeen(FURTHER, False, None, term.age_days, 0, False))
    made = night(company, tenant)
    assert made.state is BackupState.COMPLETE
    assert isinstance(company.vault.look(name, copies(made)[FURTHER].object_name), Gone)
    assert {"short-of-copies", "trouble"} <= company.alarms(tenant)
    findings = {one.subject: one for one in examine(company.world)}
    assert not findings[f"bucket {name}"].good
    weekly = bucket_name("acme", FURTHER, RetentionClass.WEEKLY, POLICY.classes[RetentionClass.WEEKLY].age_days)
    assert findings[f"bucket {weekly}"].good


def test_where_the_law_has_no_further_region_there_is_no_further_copy(company: Company) -> None:
    company.wrapped = lambda world: replace(
        world, policies=replace(world.policies, backups=replace(POLICY, off_cloud={"EU": "aws:eu-central-1"}))
    )
    tenant = company.create()
    assert set(copies(night(company, tenant))) == {HOME, PARTNER}


def test_it_is_gone_within_the_promise_like_every_other(company: Company) -> None:
    """The store's own rounding comes on top of the age, is counted, and is listed as a delay."""
    tenant = company.create()
    made = night(company, tenant)
    further, home = copies(made)[FURTHER], copies(made)[HOME]
    assert further.unreadable_after - home.unreadable_after == timedelta(days=ROUNDING_DAYS)
    last = further.unreadable_after + timedelta(days=POLICY.key_residue_days)
    assert last <= add_months(made.begun_at, POLICY.promise_months)
    assert all(line.delays["rounding"] == ROUNDING_DAYS for line in readable_after_deletion(POLICY, deleted_at=last))
    assert list(POLICY.faults()) == []
    company.cancel(tenant)
    company.run()
    for _ in range(13 * 31):
        company.advance(days=1)
        company.run()
    assert company.registry.tenant(tenant.uid).state is State.FORGOTTEN
    for copy in made.copies:
        assert not isinstance(company.vault.look(copy.bucket, copy.object_name), Present)


@pytest.mark.parametrize(
    ("further", "reason"),
    [
        ({"US": "us-east1"}, "no known region off Google's cloud"),
        ({"US": "aws:atlantis-1"}, "no known region off Google's cloud"),
        ({"US": ""}, "no known region off Google's cloud"),
    ],
)
def test_a_region_that_nobody_knows_is_refused(further: Mapping[str, str], reason: str) -> None:
    assert [reason in said for _, said in replace(POLICY, off_cloud=further).faults()] == [True]


@pytest.mark.parametrize(
    ("jurisdiction", "region"), [("EU", "aws:us-east-2"), ("US", "aws:eu-central-1"), ("EU", "aws:eu-west-2")]
)
def test_a_copy_under_another_law_is_refused(jurisdiction: str, region: str) -> None:
    regions = policies().regions
    assert list(replace(POLICY, off_cloud={jurisdiction: region}).faults_beside(regions))
    assert not list(replace(POLICY, off_cloud={"EU": "aws:eu-central-1", "US": FURTHER}).faults_beside(regions))


def test_a_term_that_uses_its_last_day_leaves_none_for_rounding() -> None:
    """What is in order without a further copy can break the promise with one."""
    spare = 365 - 1 - POLICY.repair_days - POLICY.lifecycle_lag_days - POLICY.key_residue_days
    full = replace(POLICY.classes[RetentionClass.FINAL], age_days=spare, lock_days=spare - 1)
    classes = {**POLICY.classes, RetentionClass.FINAL: full}
    assert not list(replace(POLICY, classes=classes, off_cloud={}).faults())
    assert [key for key, _ in replace(POLICY, classes=classes).faults()] == ["classes.final.age_days"]
