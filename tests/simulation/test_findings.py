"""What the simulator has found in the program, each as the shortest story that shows it."""

from datetime import datetime, timedelta

import pytest

from tenantctl.engine.actions import Work
from tenantctl.engine.heartbeat import Heartbeat
from tenantctl.engine.worker import LEASE_FOR
from tenantctl.model.backup import BackupState, CopyState
from tenantctl.model.errors import LeaseLost
from tenantctl.model.plan import Do, Plan, Step
from tenantctl.model.sighting import Present
from tenantctl.offboarding.destruction import DropDatabase
from tenantctl.ports.vault import ObjectSeen
from tests.rooms.company import HOME, PARTNER, Company


class Ticking(Company):
    """A company whose clock goes on while it works, as every clock does."""

    def clock(self) -> datetime:
        """No two readings are the same."""
        self.moment += timedelta(milliseconds=7)
        return self.moment


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
