"""A backup brought back as a new tenant, and a lost region brought back elsewhere, in a company in memory."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.adapters.memory.fuse import Fuse
from tenantctl.custody.basis import Basis, Ground
from tenantctl.custody.restore import request_restore
from tenantctl.model.backup import Backup, BackupState, CopyState, RetentionClass
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Duty
from tenantctl.model.tenant import Instance, InstanceRole, Tenant
from tenantctl.sweeps.fleet_restore import FleetRestore, restore_fleet
from tenantctl.sweeps.tenants import sweep
from tests.rooms.company import HOME, PARTNER, TENANTS_INSTANCE, Company
from tests.rooms.test_crashes import _assert_evidence_is_finished

TICKET = Basis(Ground.CUSTOMER_REQUEST, "SUPPORT-1")
INCIDENT = Basis(Ground.INCIDENT, "INC-9")
ELSEWHERE = "elsewhere-1"


@pytest.fixture
def company() -> Company:
    return Company()


def backed_up(company: Company, name: str = "acme", **options: object) -> tuple[Tenant, Backup]:
    """A living tenant with some data, and the newest backup of it."""
    tenant = company.create(name, **options)
    company.advance(days=1)
    company.run()
    return company.registry.tenant(tenant.uid), company.registry.backups(tenant.uid)[-1]


def restored(
    company: Company, source: Tenant, backup: Backup, name: str = "acme-again", basis: Basis = TICKET
) -> Tenant:
    """What a request for a restore comes to after a run."""
    made = request_restore(company.world, company.registry.tenant(source.uid), backup, basis, name=name)
    company.run()
    return company.registry.tenant(made.uid)


def test_a_backup_becomes_a_new_tenant_with_the_rows_of_its_day(company: Company) -> None:
    """Based where the old one is, on the books like every other, and the old one as it was."""
    source, backup = backed_up(company, extensions=("citext",))
    company.database(source).tables["public.orders"].append("later")
    made = restored(company, source, backup)
    assert made.state is State.ACTIVE
    assert (made.restored_from, made.awaits_data) == (replace(made.restored_from, backup_id=backup.id), False)
    assert made.restored_from.tenant_uid == source.uid
    assert company.database(made).tables == {"public.orders": ["one", "two"]}
    assert company.database(source).tables == {"public.orders": ["one", "two", "later"]}
    assert (made.time_zone, made.extensions, made.hosting.region) == (source.time_zone, ("citext",), HOME)
    assert company.registry.explanation(made.uid) == company.registry.explanation(source.uid)
    assert company.databases.look_at_logins(made.hosting).value.can_log_in
    assert company.registry.backups(made.uid), "it is backed up as every tenant is"
    company.cancel(made)
    company.run()
    assert company.registry.tenant(made.uid).state is State.DEACTIVATED


def test_the_reason_stands_in_both_chains_before_anything_is_opened(company: Company) -> None:
    source, backup = backed_up(company)
    made = request_restore(company.world, source, backup, TICKET, name="acme-again")
    asked = company.registry.entries(source.uid)[-1]
    said = json.loads(asked.body)
    assert (asked.event, asked.actor) == ("restore-requested", company.registry.actor())
    assert said == {"backup": backup.id, "ground": "customer-request", "reference": "SUPPORT-1", "into": made.uid}
    began = json.loads(company.registry.entries(made.uid)[0].body)
    assert (began["backup"], began["of_tenant"], began["reference"]) == (backup.id, source.uid, "SUPPORT-1")
    company.run()
    assert "data-restored" in company.events(made)


@pytest.mark.parametrize(
    ("basis", "name", "says"),
    [
        (Basis(Ground.CUSTOMER_REQUEST, " "), "fresh", "refers to something"),
        (TICKET, "acme", "never restored over one"),
        (TICKET, "No_Good", "cannot be a tenant's name"),
    ],
)
def test_what_is_refused_leaves_nothing(company: Company, basis: Basis, name: str, says: str) -> None:
    source, backup = backed_up(company)
    before = company.events(source)
    with pytest.raises(Refused, match=says):
        request_restore(company.world, source, backup, basis, name=name)
    assert company.events(source) == before
    assert [one.uid for one in company.registry.tenants()] == [source.uid]


def test_nothing_is_restored_from_a_backup_without_a_copy(company: Company) -> None:
    source, backup = backed_up(company)
    gone = replace(backup, copies=tuple(replace(copy, state=CopyState.LOST) for copy in backup.copies))
    with pytest.raises(NotFound, match="No copy"):
        request_restore(company.world, source, gone, TICKET, name="fresh")


def test_a_damaged_copy_is_passed_over_for_the_other_region(company: Company) -> None:
    """What broke off is dropped and begun anew; of two damaged ones nothing comes, and nobody is let in."""
    source, backup = backed_up(company)
    home = next(copy for copy in backup.copies if copy.region == HOME)
    away = next(copy for copy in backup.copies if copy.region == PARTNER)
    company.vault.damage(home.bucket, home.object_name)
    made = restored(company, source, backup)
    assert company.database(made).tables == {"public.orders": ["one", "two"]}
    company.vault.damage(away.bucket, away.object_name)
    failing = restored(company, source, backup, "second")
    assert failing.state is State.REQUESTED
    assert failing.awaits_data
    assert "trouble" in company.alarms(failing)
    assert not company.databases.look_at_logins(failing.hosting).value.can_log_in


def test_a_restore_that_cannot_succeed_can_be_cancelled(company: Company) -> None:
    """It leaves as every tenant does, and its login was never open."""
    source, backup = backed_up(company)
    for copy in backup.copies:
        company.vault.damage(copy.bucket, copy.object_name)
    made = restored(company, source, backup)
    company.cancel(made)
    company.run()
    now = company.registry.tenant(made.uid)
    assert now.state is State.DEACTIVATED
    assert "data-restored" not in company.events(made)
    begun = [json.loads(e.body)["do"] for e in company.registry.entries(made.uid) if e.event == "step-begun"]
    assert "open-logins" not in begun


def test_other_rows_than_were_dumped_are_never_opened(company: Company) -> None:
    """The comparison is with what the dump itself counted."""
    source, backup = backed_up(company)
    real = company.databases.restore

    def lossy(hosting, chunks, *, source):
        left_out = real(hosting, chunks, source=source)
        company.servers[hosting.instance].databases[hosting.database].tables["public.orders"].pop()
        return left_out

    company.databases.restore = lossy  # type: ignore[method-assign]
    made = restored(company, source, backup)
    assert made.awaits_data
    assert any("public.orders" in alarm.reason for alarm in company.registry.alarms(made.uid))


def test_forced_row_security_is_set_again(company: Company) -> None:
    """It was lifted for the dump of a tenant that left; who comes back has it."""
    tenant = company.create()
    company.database(tenant).forced.add("public.orders")
    company.cancel(tenant)
    company.run()
    source = company.registry.tenant(tenant.uid)
    backup = next(one for one in company.registry.backups(tenant.uid) if one.retention_class is RetentionClass.FINAL)
    assert backup.forced_row_security == ("public.orders",)
    made = restored(company, source, backup)
    assert company.database(made).forced == {"public.orders"}


def test_each_duty_does_its_own_part_of_a_restore(company: Company) -> None:
    """Who may open a backup makes no database, and who makes databases opens no backup."""
    source, backup = backed_up(company)
    made = request_restore(company.world, source, backup, TICKET, name="acme-again")
    done = []
    for duty in (Duty.RESTORE, Duty.PROVISION, Duty.RESTORE, Duty.PROVISION):
        turns = sweep(company.world, duty=duty, tenant=made.uid)
        done += [(duty, [step.do.value for step in turn.steps]) for turn in turns]
    assert [(duty, steps) for duty, steps in done if steps] == [
        (Duty.PROVISION, ["create-roles", "create-database", "prepare-database"]),
        (Duty.RESTORE, ["restore-data"]),
        (Duty.PROVISION, ["open-logins", "mark-active"]),
    ]
    assert company.registry.tenant(made.uid).state is State.ACTIVE


def test_a_destroyed_tenants_backup_takes_two_people_and_a_lawful_reason(company: Company) -> None:
    """The digest is of this backup and this reason; two say yes, and it opens once."""
    tenant = company.deactivated()
    company.advance(days=25)
    company.run()
    source = company.registry.tenant(tenant.uid)
    assert source.state is State.DESTROYED
    backup = next(one for one in company.registry.backups(tenant.uid) if one.retention_class is RetentionClass.FINAL)
    with pytest.raises(Refused, match="no incident"):
        request_restore(company.world, source, backup, INCIDENT, name="back")
    for _ in range(2):
        with pytest.raises(Refused, match="two people"):
            request_restore(company.world, source, backup, TICKET, name="back")
    (proposal,) = company.decisions.proposals(tenant.uid)
    others = type(company.decisions)(company.registry.as_actor("bob@example.com"))
    company.decisions.approve(proposal.digest)
    with pytest.raises(Refused, match="two people"):
        request_restore(company.world, source, backup, TICKET, name="back")
    others.approve(proposal.digest)
    with pytest.raises(Refused, match="two people"):
        request_restore(company.world, source, backup, Basis(Ground.LEGAL_ORDER, "AZ 7"), name="back")
    made = restored(company, source, backup, "back")
    assert company.database(made).tables == {"public.orders": ["one", "two"]}
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED
    with pytest.raises(Refused, match="two people"):
        request_restore(company.world, source, backup, TICKET, name="again")


def test_a_region_without_room_gives_way_to_a_partner(company: Company) -> None:
    source, backup = backed_up(company)
    company.registry.add_instance(Instance(TENANTS_INSTANCE, HOME, InstanceRole.TENANTS, 1))
    with pytest.raises(Refused, match="has room"):
        request_restore(company.world, source, backup, TICKET, name="fresh")
    company.registry.add_instance(Instance(ELSEWHERE, PARTNER, InstanceRole.TENANTS, 5))
    made = restored(company, source, backup, "fresh")
    assert made.hosting.region == PARTNER
    assert "has no room" in company.registry.explanation(made.uid)["deviation"]


def test_a_crash_anywhere_in_a_restore_is_finished_by_running_again() -> None:
    """Whole rows, once, whatever was there when it died; nobody was let in before."""

    def prepare() -> tuple[Company, Tenant]:
        company = Company()
        source, backup = backed_up(company)
        return company, request_restore(company.world, source, backup, TICKET, name="acme-again")

    company, _ = prepare()
    fuse = Fuse()
    company.run(fuse=fuse)
    assert fuse.count > 60
    killed = 0
    for touches in range(fuse.count):
        company, made = prepare()
        killed += company.run_until_killed(touches)
        for _ in range(3):
            company.advance(minutes=10)
            company.run()
        _assert_restored(company, made, f"killed after {touches} touches")
    assert killed > fuse.count // 2


def _assert_restored(company: Company, made: Tenant, when: str) -> None:
    now = company.registry.tenant(made.uid)
    assert now.state is State.ACTIVE, (when, company.registry.alarms(made.uid))
    assert company.alarms(now) == set(), when
    assert company.database(now).tables == {"public.orders": ["one", "two"]}, when
    counts = Counter(company.events(now))
    assert counts["data-restored"] == 1, when
    assert counts["restore-begun-anew"] <= 1, when
    _assert_evidence_is_finished(company, now, when)


# A lost region


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
        assert company.databases.look_at_logins(now.hosting).value.can_log_in
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
    assert not company.databases.look_at_logins(tenants[0].hosting).value.can_log_in
    assert company.database(tenants[0]).tables["public.orders"][-1] == "after the backup"


def test_the_former_database_is_closed_when_it_comes_back_and_never_dropped(company: Company) -> None:
    """Its rows stay, its line stays open; once the instance itself shows it no more, alarm and line end."""
    (tenant,) = fleet(company, 1)
    lose(company)
    rescue(company)
    company.run()
    come_back(company)
    assert company.databases.look_at_logins(tenant.hosting).value.can_log_in
    company.advance(hours=2)
    company.run()
    assert not company.databases.look_at_logins(tenant.hosting).value.can_log_in
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
    from contextlib import suppress

    from tenantctl.adapters.memory.fuse import Crash
    from tests.rooms.company import fused_world

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
