"""The key store as a drill: lost in the registry, in a bucket, or in a region's KMS, and brought back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.backups.key_audit import KeyFault, examine_keys, rebuild_keys
from tenantctl.backups.keys import key_name, open_identity
from tenantctl.model.backup import Backup
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.tenant import Tenant
from tests.rooms.company import HOME, PARTNER, Company


@pytest.fixture
def company() -> Company:
    return Company()


def backed_up(company: Company) -> tuple[Tenant, Backup]:
    tenant = company.create()
    company.run()
    return company.registry.tenant(tenant.uid), company.registry.backups(tenant.uid)[-1]


def forget_in_registry(company: Company, backup: Backup, *regions: str) -> None:
    """What a registry that was restored from before the backup does not know."""
    uid = backup.tenant_uid
    company.registry.make_due(uid)
    lease = company.registry.claim("test", lease=timedelta(minutes=1), tenant=uid)
    assert lease is not None
    with company.registry.fenced(lease) as writes:
        for copy in backup.copies:
            if copy.region in regions:
                writes.put_copy(replace(copy, wrapped_key=None))
    company.registry.release(lease, due_at=company.moment + timedelta(days=1), duty=None)


def wrapped(company: Company, backup: Backup) -> dict[str, str | None]:
    now = next(one for one in company.registry.backups(backup.tenant_uid) if one.id == backup.id)
    return {copy.region: copy.wrapped_key for copy in now.copies}


def faults(company: Company) -> list[tuple[str, KeyFault]]:
    return sorted((finding.region, finding.fault) for finding in examine_keys(company.world).findings)


def test_what_is_whole_has_no_findings(company: Company) -> None:
    backed_up(company)
    report = examine_keys(company.world)
    assert (list(report.regions), report.good, list(report.findings)) == ([PARTNER, HOME], 2, [])
    assert list(rebuild_keys(company.world).rebuilt) == []


def test_the_registrys_keys_are_rebuilt_from_the_key_buckets(company: Company) -> None:
    """The same bytes, each proved to open its backup, and on record."""
    tenant, backup = backed_up(company)
    before = wrapped(company, backup)
    forget_in_registry(company, backup, HOME, PARTNER)
    assert faults(company) == [(PARTNER, KeyFault.NOT_IN_REGISTRY), (HOME, KeyFault.NOT_IN_REGISTRY)]
    ended = rebuild_keys(company.world)
    assert (len(ended.rebuilt), list(ended.left)) == (2, [])
    assert wrapped(company, backup) == before
    assert faults(company) == []
    assert company.events(tenant)[-2:] == ["key-rebuilt"] * 2


def test_a_lost_key_bucket_is_rebuilt_from_the_registry(company: Company) -> None:
    _, backup = backed_up(company)
    company.key_store.drop_bucket(HOME)
    assert faults(company) == [(HOME, KeyFault.UNREACHABLE)]
    company.key_store.make_bucket(HOME)
    assert faults(company) == [(HOME, KeyFault.NOT_IN_BUCKET)]
    assert len(rebuild_keys(company.world).rebuilt) == 1
    assert faults(company) == []
    assert company.key_store.read(HOME, key_name(backup.tenant_uid, backup.id))


def test_a_key_that_is_lost_in_both_places_is_wrapped_anew_from_the_other_region(company: Company) -> None:
    _, backup = backed_up(company)
    forget_in_registry(company, backup, HOME)
    company.key_store.remove(HOME, key_name(backup.tenant_uid, backup.id))
    assert faults(company) == [(HOME, KeyFault.NOWHERE)]
    assert len(rebuild_keys(company.world).rebuilt) == 1
    assert faults(company) == []
    now = next(one for one in company.registry.backups(backup.tenant_uid) if one.id == backup.id)
    company.keys.unreachable.add(PARTNER)
    assert open_identity(company.world, now).recipient == backup.recipient


def test_one_regions_kms_lost_the_other_opens_everything(company: Company) -> None:
    """Also with the registry's keys lost; without both regions nothing opens, and it says which way."""
    _, backup = backed_up(company)
    forget_in_registry(company, backup, HOME, PARTNER)
    now = company.registry.backups(backup.tenant_uid)[-1]
    for lost in (HOME, PARTNER):
        company.keys.drop_key(lost)
        if lost == HOME:
            assert open_identity(company.world, now).recipient == backup.recipient
    with pytest.raises(Refused):
        open_identity(company.world, now)


def test_what_opens_another_backup_is_not_rebuilt_from(company: Company) -> None:
    """A key bucket that somebody filled by hand does not get into the registry."""
    _, backup = backed_up(company)
    forget_in_registry(company, backup, HOME)
    name = key_name(backup.tenant_uid, backup.id)
    company.key_store.remove(HOME, name)
    company.key_store.put(HOME, name, b"not what was there")
    ended = rebuild_keys(company.world)
    assert list(ended.rebuilt) == []
    assert [finding.region for finding in ended.left] == [HOME]
    assert wrapped(company, backup)[HOME] is None


def test_a_shredded_key_is_never_brought_back(company: Company) -> None:
    """Found in a bucket after its day, it is a finding, and stays out of the registry."""
    tenant, backup = backed_up(company)
    sealed = company.key_store.read(HOME, key_name(backup.tenant_uid, backup.id))
    company.advance(days=340)
    company.run()
    assert wrapped(company, backup) == {HOME: None, PARTNER: None}
    company.key_store.put(HOME, key_name(tenant.uid, backup.id), sealed)
    assert (HOME, KeyFault.SHREDDED) in faults(company)
    ended = rebuild_keys(company.world)
    assert [finding.fault for finding in ended.left] == [KeyFault.SHREDDED]
    assert wrapped(company, backup)[HOME] is None


def test_other_bytes_and_foreign_keys_are_for_a_person(company: Company) -> None:
    _, backup = backed_up(company)
    name = key_name(backup.tenant_uid, backup.id)
    company.key_store.remove(HOME, name)
    company.key_store.put(HOME, name, b"other bytes")
    company.key_store.put(PARTNER, "nobody/nothing.key", b"whose?")
    assert faults(company) == [(PARTNER, KeyFault.FOREIGN), (HOME, KeyFault.DIFFERS)]
    ended = rebuild_keys(company.world)
    assert list(ended.rebuilt) == []
    assert company.key_store.read(HOME, name) == b"other bytes"


def test_a_bucket_that_does_not_answer_hides_nothing_else(company: Company) -> None:
    _, backup = backed_up(company)
    forget_in_registry(company, backup, PARTNER)
    company.key_store.unreachable.add(HOME)
    assert faults(company) == [(PARTNER, KeyFault.NOT_IN_REGISTRY), (HOME, KeyFault.UNREACHABLE)]
    assert [finding.fault for finding in rebuild_keys(company.world).left] == [KeyFault.UNREACHABLE]


def test_a_tenant_that_a_worker_has_is_told_and_left(company: Company) -> None:
    tenant, backup = backed_up(company)
    forget_in_registry(company, backup, HOME)
    company.registry.make_due(tenant.uid)
    assert company.registry.claim("worker", lease=timedelta(hours=1), tenant=tenant.uid) is not None
    (left,) = rebuild_keys(company.world).left
    assert "worker" in left.sentence


def test_a_kms_that_does_not_answer_rebuilds_nothing_unproved(company: Company) -> None:
    _, backup = backed_up(company)
    forget_in_registry(company, backup, HOME)
    company.keys.unreachable.add(HOME)
    (left,) = rebuild_keys(company.world).left
    assert "do not answer" in left.sentence
    with pytest.raises(Transient):
        company.keys.unwrap(HOME, b"", context="")
