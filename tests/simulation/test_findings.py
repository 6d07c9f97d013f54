"""What the simulator has found in the program, each as the shortest story that shows it."""

from datetime import datetime, timedelta

import pytest

from tenantctl.adapters.memory.fuse import Crash
from tenantctl.engine.actions import Work
from tenantctl.engine.heartbeat import Heartbeat
from tenantctl.engine.worker import LEASE_FOR
from tenantctl.model.backup import Backup, BackupState, CopyState, RetentionClass, VerificationLevel
from tenantctl.model.errors import LeaseLost
from tenantctl.model.plan import Do, Plan, Step
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting, Tenant
from tenantctl.offboarding.destruction import DropDatabase
from tenantctl.offboarding.freezing import request_freeze
from tenantctl.ports.vault import ObjectSeen
from tests.rooms.company import HOME, PARTNER, Company


class Ticking(Company):
    """A company whose clock goes on while it works, as every clock does."""

    def clock(self) -> datetime:
        """No two readings are the same."""
        self.moment += timedelta(milliseconds=7)
        return self.moment


def finals_of(company: Company, tenant: Tenant) -> list[Backup]:
    """The tenant's final backups, the oldest first."""
    return [one for one in company.registry.backups(tenant.uid) if one.retention_class is RetentionClass.FINAL]


def test_a_look_is_not_held_to_what_comes_up_while_it_lasts() -> None:
    """Copies are sealed, and come up again, one after the other: that is no alarm, and no reason to look all day."""
    company = Ticking()
    tenant = company.create()
    for _ in range(40):
        company.advance(hours=6)
        turns = company.run()
        assert company.alarms(tenant) == set()
        assert len(turns) <= 1
    looks = [entry for entry in company.registry.entries(tenant.uid) if "look-at-copies" in entry.body]
    assert len(looks) <= 2 * 2 * 11, "begun and done, at most twice a day"


def test_a_manifest_that_goes_later_than_its_copy_is_no_trouble() -> None:
    """A bucket deletes object by object: until both are gone the copy has not lapsed, and nothing is wrong."""
    company = Ticking()
    tenant = company.create()
    company.advance(days=1)
    company.run()
    backup = company.registry.backups(tenant.uid)[-1]
    company.moment = max(copy.lapses_at for copy in backup.copies) + timedelta(hours=2)
    for copy in backup.copies:
        company.vault.lose(copy.bucket, copy.object_name)
    company.run()
    assert company.alarms(tenant) == set(), "nor is a copy read back whose key is gone already"
    assert {copy.state for copy in company.registry.backups(tenant.uid)[0].copies} == {CopyState.WRITTEN}
    assert "copy-lapsed" not in company.events(tenant)
    for copy in backup.copies:
        company.vault.lose(copy.bucket, copy.manifest_name)
    company.advance(hours=25)
    company.run()
    lapsed = next(one for one in company.registry.backups(tenant.uid) if one.id == backup.id)
    assert {copy.state for copy in lapsed.copies} == {CopyState.LAPSED}


@pytest.mark.parametrize("meanwhile", ["a hold came", "the lease ended"])
def test_a_worker_that_wakes_up_drops_nothing(meanwhile: str) -> None:
    """It slept between its last look and the drop."""
    company = Ticking()
    tenant = company.create()
    company.registry.make_due(tenant.uid)
    lease = company.registry.claim("sleeper", lease=LEASE_FOR, tenant=tenant.uid)
    assert lease is not None
    drop = Step(Do.DROP_DATABASE, tenant.uid, "its time has come")
    plan = Plan(tenant.uid, "destroy", (drop,))
    work = Work(company.world, tenant, plan, Heartbeat(company.registry, lease, lease_for=LEASE_FOR))
    if meanwhile == "a hold came":
        company.decisions.place_hold(tenant.uid, "AZ 12/26", company.moment + timedelta(days=30))
    else:
        company.advance(minutes=20)
    with pytest.raises(LeaseLost):
        DropDatabase().act(work, drop)
    assert company.has_database(tenant)


def test_a_worker_that_wakes_up_leaves_no_key_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """It slept between writing a backup down and keeping its key; others gave the attempt up meanwhile."""
    company = Ticking()
    tenant = company.create()
    company.advance(days=1)
    keep, slept = company.key_store.put, list[str]()

    def put(region: str, name: str, content: bytes) -> ObjectSeen:
        if not slept:
            slept.append(region)
            company.advance(hours=3)
            company.run()
        return keep(region, name, content)

    monkeypatch.setattr(company.key_store, "put", put)
    company.run()
    failed = next(one for one in company.registry.backups(tenant.uid) if one.state is BackupState.FAILED)
    for _ in range(5):
        company.advance(days=1)
        company.run()
    for region in (HOME, PARTNER):
        names = company.key_store.names(region, tenant.uid)
        assert isinstance(names, Present)
        assert not [name for name in names.value if failed.id in name]
    assert "key-shredded" in company.events(tenant)


def test_a_worker_that_dies_once_it_has_closed_again_leaves_no_old_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login was found open and closed: whoever comes next counts grace from there, though all looks as before."""
    company = Ticking()
    tenant = company.deactivated()
    company.advance(days=20)
    company.databases.open_logins(tenant.hosting)
    close = company.databases.close_logins

    def close_and_die(hosting: Hosting) -> None:
        close(hosting)
        raise Crash("just then")

    with monkeypatch.context() as patched:
        patched.setattr(company.databases, "close_logins", close_and_die)
        with pytest.raises(Crash):
            company.run()
    assert not company.can_log_in(tenant.hosting)
    closed_at = company.moment
    for _ in range(20):
        company.advance(days=1)
        company.run()
    assert company.has_database(tenant), "the old grace is over, and it has been closed for 20 days"
    after = company.registry.tenant(tenant.uid)
    assert after.destroy_after is not None
    assert after.destroy_after >= closed_at + timedelta(days=21)
    finals = finals_of(company, tenant)
    assert max(one.begun_at for one in finals) > closed_at, "what was written while it was open is in a final backup"


def test_what_was_only_intended_is_not_looked_for_ahead_of_its_time() -> None:
    """Other copies are looked at some hours ahead; this one may still be sealed, by who sleeps, until a day is over."""
    company = Ticking()
    tenant = company.create()
    company.advance(days=1)
    for hour in range(48):
        company.servers.dump_breaks_after = 0 if hour < 10 else None
        company.run()
        backups = company.registry.backups(tenant.uid)
        for copy in (copy for one in backups if one.state is BackupState.FAILED for copy in one.copies):
            assert (copy.state is CopyState.INTENDED) or company.moment >= copy.intended_at + timedelta(days=1)
        company.advance(hours=1)
    failed = [one for one in company.registry.backups(tenant.uid) if one.state is BackupState.FAILED]
    assert {copy.state for one in failed for copy in one.copies} == {CopyState.ABSENT}


def test_a_destruction_that_waited_past_the_term_of_its_final_backup_makes_another() -> None:
    """Over a cap for months it rested on a backup whose key was shredded: proved long before, and seen not long ago."""
    company = Company()
    tenant = company.deactivated()
    request_freeze(company.world, "all", "the audit is odd")
    (first,) = finals_of(company, tenant)
    while company.moment < max(copy.lapses_at for copy in first.copies) - timedelta(days=3):
        company.advance(days=1)
    company.decisions.unfreeze("all", "it was nothing")
    company.run()
    assert not company.has_database(tenant)
    finals = finals_of(company, tenant)
    assert [one.slot.partition("-after-")[2] for one in finals] == ["", first.id], "one more, once"
    assert finals[-1].verified_level is VerificationLevel.RESTORED
    assert min(copy.lapses_at for copy in finals[-1].copies) > company.moment + timedelta(days=300)
