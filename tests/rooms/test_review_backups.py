"""Backups under bad luck: proofs that never work, alarms about several copies at once, copies that come late."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.model.backup import Backup, BackupState, CopyState
from tenantctl.model.errors import LeaseLost, Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Hosting, Tenant
from tenantctl.ports.databases import Dump
from tenantctl.sweeps.tenants import sweep
from tests.rooms.company import HOME, Company


@pytest.fixture
def company() -> Company:
    return Company()


def days_pass(company: Company, days: int) -> Iterator[int]:
    for day in range(days):
        company.advance(days=1)
        company.run()
        yield day


def backups(company: Company, tenant: Tenant) -> list[Backup]:
    return list(company.registry.backups(tenant.uid))


def _refused(*_: object) -> None:
    raise Refused("the archive holds a customer's secret that does not restore")


@pytest.mark.parametrize("proof", ["restore", "read_through"])
def test_a_proof_that_never_works_neither_fills_the_buckets_nor_eats_the_backups(company: Company, proof: str) -> None:
    """A night has a few backups at most, and the tenant always has a complete one, if an unproved one."""
    tenant = company.create()
    setattr(company.scratch, proof, _refused)
    company.advance(days=91)  # so that a restore is due
    before = len(backups(company, tenant))
    for _ in range(3 * 24 * 2):
        company.run()
        company.advance(minutes=30)
    made = backups(company, tenant)[before:]
    assert 3 <= len(made) <= 4 * 3
    assert any(one.state is BackupState.COMPLETE and one.regions_holding() for one in made)
    assert "verification-failed" in company.alarms(tenant)


def test_a_copy_that_cannot_be_read_is_followed_until_it_is_gone(company: Company) -> None:
    """Its bytes are there, whatever they are worth: the tenant is forgotten when they are not, and not never."""
    tenant = company.create()
    company.run()
    copy = backups(company, tenant)[0].copies[0]
    company.vault.damage(copy.bucket, copy.object_name)
    for _ in days_pass(company, 40):
        pass
    assert next(one for one in backups(company, tenant)[0].copies if one.region == copy.region).state is CopyState.LOST
    company.cancel(tenant)
    company.run()
    for _ in days_pass(company, 380):
        pass
    assert company.registry.tenant(tenant.uid).state is State.FORGOTTEN
    lost = backups(company, tenant)[0]
    assert CopyState.LOST in {one.state for one in lost.copies}, "what was lost once is not said to have lapsed"


def test_an_overdue_copy_stays_an_alarm_while_others_lapse(company: Company) -> None:
    """Each night some copy lapses as it should; that does not close the alarm about the one that has not."""
    tenant = company.create()
    for _ in days_pass(company, 3):
        pass
    held = next(one for one in backups(company, tenant) if one.retention_class == "daily").copies[0]
    company.vault.hold(held.bucket, held.object_name)
    alarmed = [
        "copy-overdue" in company.alarms(tenant)
        for _ in days_pass(company, 40)
        if company.moment > held.unreadable_after
    ]
    assert alarmed.count(False) <= 1, alarmed
    company.vault.release(held.bucket, held.object_name)
    for _ in days_pass(company, 4):
        pass
    assert "copy-overdue" not in company.alarms(tenant)


def test_what_a_proof_found_is_told_in_the_alarm_and_not_in_the_journal(company: Company) -> None:
    """The journal is for ever: what a restore says may name a customer's tables, and quote its rows."""
    tenant = company.create()
    company.cancel(tenant)
    company.scratch.restore = _refused  # type: ignore[method-assign, assignment]
    company.run()
    assert "secret" in next(one.reason for one in company.registry.alarms(tenant.uid) if "verif" in one.code)
    assert "verification-failed" in company.events(tenant)
    assert "secret" not in "".join(entry.body for entry in company.registry.entries(tenant.uid))


def test_what_holds_up_backups_holds_up_nothing_else(company: Company) -> None:
    """A table that cannot be dumped is one alarm; copies are looked at, and keys shredded, all the same."""
    tenant = company.create()
    company.run()
    copy = backups(company, tenant)[0].copies[0]
    company.database(tenant).forced.add("public.orders")
    company.vault.lose(copy.bucket, copy.object_name)
    company.advance(days=2)
    company.run()
    assert {"trouble", "copy-lost"} <= company.alarms(tenant)


def test_a_region_that_is_gone_from_the_policy_is_told_and_ends_nothing(company: Company) -> None:
    tenant = company.create()
    regions = company.world.policies.regions
    without = replace(regions, regions={name: word for name, word in regions.regions.items() if name != HOME})
    company.wrapped = lambda world: replace(world, policies=replace(world.policies, regions=without))
    company.advance(days=1)
    company.run()
    assert "trouble" in company.alarms(tenant)


def test_a_worker_that_slept_through_its_lease_seals_nothing(company: Company) -> None:
    """A locked object is for months: the registry is asked once more before there is one."""
    tenant = company.create()
    company.run()
    company.advance(days=1)
    known = objects(company)
    dump = company.databases.dump

    @contextmanager
    def slow(hosting: Hosting) -> Iterator[object]:
        with dump(hosting) as running:
            yield Slow(running, company)

    company.databases.dump = slow  # type: ignore[method-assign, assignment]
    turn = next(sweep(company.world, tenant=tenant.uid))
    assert isinstance(turn.trouble, LeaseLost)
    assert objects(company) == known


def test_a_copy_that_comes_late_is_not_said_to_have_never_been(company: Company) -> None:
    """The last request of an attempt that was given up can still arrive; the object is found, and its place counted."""
    tenant = company.create()
    company.run()
    company.advance(days=1)
    upload = company.vault.upload
    late: list[tuple[str, str]] = []

    def lost(bucket: str, name: str) -> object:
        late.append((bucket, name))
        raise Transient("no answer")

    company.vault.upload = lost  # type: ignore[method-assign, assignment]
    company.run()
    assert late
    company.vault.upload = upload  # type: ignore[method-assign]
    company.advance(hours=1)
    company.run()
    company.vault.put(*late[0], b"what arrived after all")
    company.advance(days=2)
    company.run()
    copies = [one for backup in backups(company, tenant) for one in backup.copies]
    assert [one.state for one in copies if (one.bucket, one.object_name) == late[0]] == [CopyState.WRITTEN]


def objects(company: Company) -> int:
    return sum(len(bucket.objects) for bucket in company.vault._buckets.values())


class Slow:
    """A dump that takes longer than a lease, in a process that is asleep meanwhile."""

    def __init__(self, dump: Dump, company: Company) -> None:
        self._dump, self._company = dump, company
        self.server_version = dump.server_version

    @property
    def tables(self) -> object:
        return self._dump.tables

    def chunks(self) -> Iterator[bytes]:
        yield from self._dump.chunks()
        self._company.moment += timedelta(minutes=6)
