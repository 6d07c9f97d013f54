"""A lost region brought back elsewhere, in a company in memory; and what becomes of what it left behind."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.adapters.memory.fuse import Crash, Fuse
from tenantctl.custody.basis import Basis, Ground
from tenantctl.model.backup import BackupState, CopyState
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Instance, InstanceRole, Tenant
from tenantctl.sweeps.fleet_restore import FleetRestore, restore_fleet
from tests.rooms.company import HOME, PARTNER, TENANTS_INSTANCE, Company, fused_world

INCIDENT = Basis(Ground.INCIDENT, "INC-9")
ELSEWHERE = "elsewhere-1"


@pytest.fixture
def company() -> Company:
    return Company()


def fleet(company: Company, count: int = 3) -> list[Tenant]:
    """Tenants with a backup, room for them elsewhere, and then their region is lost."""
    company.registry.add_instance(Instance(ELSEWHERE, PARTNER, InstanceRole.TENANTS, 50))
    tenants = [company.create(f"t{number}", rows=(f"row of t{number}",)) for number in range(count)]
    company.advance(days=1)
    company.run()
    for tenant in tenants:
        company.database(tenant).tables["public.orders"].append("after the backup")
    return [company.registry.tenant(tenant.uid) for tenant in tenants]


def lose(company: Company) -> None:
    company.servers[TENANTS_INSTANCE].reachable = False
    company.vault.unreachable.add(HOME)
    company.keys.unreachable.add(HOME)
    company.key_store.unreachable.add(HOME)


def come_back(company: Company) -> None:
    company.servers[TENANTS_INSTANCE].reachable = True
    company.vault.unreachable.clear()
    company.keys.unreachable.clear()
    company.key_store.unreachable.clear()


def rescue(company: Company, **options: object) -> FleetRestore:
    given = {"to": "partners", "parallel": 3, **options}
    return restore_fleet(company.world, HOME, INCIDENT, **given)  # type: ignore[arg-type]  # tests name what they need


def test_a_lost_region_comes_back_elsewhere(company: Company) -> None:
    """The same tenants, the next generation, the rows of the newest backup, and how old they are."""
    tenants = fleet(company)
    leaving = company.create("leaving")
    company.cancel(leaving)
    company.run()
    lose(company)
    company.moment += timedelta(hours=5)
    ended = rescue(company)
    assert [one.name for one in ended.of("restored")] == ["t0", "t1", "t2"]
    assert [(one.name, one.reason) for one in ended.of("stays")] == [
        ("leaving", "it is deactivated: it stays with its copies")
    ]
    assert ended.within_rto
    assert ended.oldest_data_hours is not None
    assert 5 <= ended.oldest_data_hours < 30
    for tenant in tenants:
        now = company.registry.tenant(tenant.uid)
        assert (now.state, now.uid, now.name) == (State.ACTIVE, tenant.uid, tenant.name)
        assert (now.hosting.region, now.hosting.generation) == (PARTNER, 2)
        assert company.database(now).tables == {"public.orders": [f"row of {tenant.name}"]}
        assert company.can_log_in(now.hosting)
        assert "former-database" in company.alarms(now)
        assert company.registry.explanation(tenant.uid)["region"] == PARTNER
        said = next(e for e in company.registry.entries(tenant.uid) if e.event == "restore-requested")
        assert json.loads(said.body)["reference"] == "INC-9"
    assert company.registry.tenant(leaving.uid).hosting.region == HOME


def test_run_again_nothing_is_done_twice(company: Company) -> None:
    tenants = fleet(company, 2)
    lose(company)
    rescue(company)
    again = rescue(company)
    assert list(again.tenants) == []
    assert {company.registry.tenant(tenant.uid).hosting.generation for tenant in tenants} == {2}


def test_a_region_that_answers_is_not_lost(company: Company) -> None:
    """Unless somebody says that it is to be left; then its logins are closed first."""
    tenants = fleet(company, 1)
    with pytest.raises(Refused, match="is not lost"):
        rescue(company)
    assert company.registry.tenant(tenants[0].uid) == tenants[0]
    assert rescue(company, although_it_answers=True).of("restored")
    assert not company.can_log_in(tenants[0].hosting)
    assert company.database(tenants[0]).tables["public.orders"][-1] == "after the backup"


def test_the_former_database_is_closed_when_it_comes_back_and_never_dropped(company: Company) -> None:
    """Its rows stay, its line stays open; once the instance itself shows it no more, alarm and line end."""
    (tenant,) = fleet(company, 1)
    lose(company)
    rescue(company)
    company.run()
    come_back(company)
    assert company.can_log_in(tenant.hosting)
    company.advance(hours=2)
    company.run()
    assert not company.can_log_in(tenant.hosting)
    assert company.database(tenant).tables["public.orders"][-1] == "after the backup"
    assert "former-database" in company.alarms(tenant)
    line = f"database/{tenant.uid}/1"
    assert {r.id: r.lapsed_at for r in company.registry.residues(tenant.uid)}[line] is None
    company.databases.drop_database(tenant.hosting)  # by a person, past the program
    company.advance(hours=2)
    company.run()
    residues = {residue.id: residue for residue in company.registry.residues(tenant.uid)}
    assert residues[line].lapsed_at is not None
    assert residues[f"instance-backups/{TENANTS_INSTANCE}/1"].unreadable_after is not None
    assert "former-database" not in company.alarms(tenant)


def test_a_destruction_does_not_write_off_what_lies_in_a_lost_region(company: Company) -> None:
    """Destroyed is the database that was dropped; the other one keeps the tenant from being forgotten."""
    (tenant,) = fleet(company, 1)
    lose(company)
    rescue(company)
    come_back(company)
    company.cancel(tenant)
    company.run()
    for _ in range(26):
        company.advance(days=1)
        company.run()
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED
    lines = {residue.id: residue.lapsed_at for residue in company.registry.residues(tenant.uid)}
    assert lines[f"database/{tenant.uid}/1"] is None
    assert lines[f"database/{tenant.uid}/2"] is not None
    assert company.has_database(tenant), "the former one: no step of ours drops it"


@pytest.mark.parametrize(
    ("to", "says"),
    [
        (HOME, "to be left"),
        ("europe-west1", "outside US"),
        ("mars-north1", "does not name"),
    ],
)
def test_where_a_tenant_may_not_go_it_is_not_sent(company: Company, to: str, says: str) -> None:
    tenants = fleet(company, 1)
    lose(company)
    try:
        (one,) = rescue(company, to=to).tenants
        said = one.reason
        assert one.outcome == "refused"
    except Refused as refused:
        said = refused.sentence
    assert says in said
    assert company.registry.tenant(tenants[0].uid) == tenants[0]


def test_a_tenant_without_a_copy_elsewhere_is_told_and_the_others_go_on(company: Company) -> None:
    tenants = fleet(company, 2)
    backups = company.registry.backups(tenants[0].uid)
    company.registry.make_due(tenants[0].uid)
    lease = company.registry.claim("test", lease=timedelta(minutes=1), tenant=tenants[0].uid)
    assert lease is not None
    with company.registry.fenced(lease) as writes:
        for backup in backups:
            for copy in backup.copies:
                if copy.region == PARTNER:
                    writes.put_copy(replace(copy, state=CopyState.LOST))
            writes.put_backup(replace(backup, state=BackupState.SHORT, copies=()))
    company.registry.release(lease, due_at=company.moment, duty=None)
    lose(company)
    ended = {one.name: one for one in rescue(company).tenants}
    assert ended["t0"].outcome == "refused"
    assert "no backup with a copy outside" in ended["t0"].reason
    assert ended["t1"].outcome == "restored"


def test_a_crash_anywhere_in_a_fleet_restore_is_finished_by_running_it_again() -> None:
    """Each tenant is placed once, and filled once, whenever the process dies."""

    def prepare() -> tuple[Company, Tenant]:
        company = Company()
        (tenant,) = fleet(company, 1)
        lose(company)
        return company, tenant

    def run(company: Company, fuse: Fuse) -> None:
        with suppress(Crash):
            restore_fleet(fused_world(company.bare_world, fuse), HOME, INCIDENT, to="partners", parallel=1)

    company, _ = prepare()
    fuse = Fuse()
    run(company, fuse)
    assert fuse.count > 60
    for touches in range(fuse.count):
        company, tenant = prepare()
        run(company, Fuse(touches))
        company.moment += timedelta(minutes=10)
        rescue(company, parallel=1)
        now = company.registry.tenant(tenant.uid)
        when = f"killed after {touches} touches"
        assert (now.state, now.hosting.region, now.hosting.generation) == (State.ACTIVE, PARTNER, 2), when
        assert company.database(now).tables == {"public.orders": ["row of t0"]}, when
        assert Counter(company.events(now))["rehosted"] == 1, when
        assert company.alarms(now) == {"former-database"}, (when, company.registry.alarms(tenant.uid))
