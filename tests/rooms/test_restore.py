"""A backup brought back as a new tenant, and a lost region brought back elsewhere, in a company in memory."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tenantctl.adapters.memory.fuse import Fuse
from tenantctl.custody.basis import Basis, Ground
from tenantctl.custody.restore import request_restore
from tenantctl.model.backup import Backup, CopyState, RetentionClass
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Duty
from tenantctl.model.tenant import Instance, InstanceRole, Origin, Tenant
from tenantctl.sweeps.tenants import sweep
from tests.rooms.company import HOME, PARTNER, TENANTS_INSTANCE, Company
from tests.rooms.test_crashes import assert_evidence_is_finished

TICKET = Basis(Ground.CUSTOMER_REQUEST, "SUPPORT-1")
INCIDENT = Basis(Ground.INCIDENT, "INC-9")
ELSEWHERE = "elsewhere-1"


@pytest.fixture
def company() -> Company:
    return Company()


def backed_up(company: Company, name: str = "acme", **options: Any) -> tuple[Tenant, Backup]:
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
    assert (made.restored_from, made.awaits_data) == (Origin(backup.id, source.uid), False)
    assert company.database(made).tables == {"public.orders": ["one", "two"]}
    assert company.database(source).tables == {"public.orders": ["one", "two", "later"]}
    assert (made.time_zone, made.extensions, made.hosting.region) == (source.time_zone, ("citext",), HOME)
    assert company.registry.explanation(made.uid) == company.registry.explanation(source.uid)
    assert company.can_log_in(made.hosting)
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
    assert not company.can_log_in(failing.hosting)


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
    assert_evidence_is_finished(company, now, when)
