"""Audits of a company: what they find in its places, what they leave standing, and that they touch nothing."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.adapters.read_only import read_only_databases, read_only_instances, read_only_vault
from tenantctl.backups.exports import export_bucket_name, export_bucket_terms
from tenantctl.engine.ending import Ending
from tenantctl.model.backup import Backup, object_name
from tenantctl.model.errors import HandedBack
from tenantctl.model.finding import Grade, GradedFinding
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Tenant
from tenantctl.sweeps import vault_audit
from tenantctl.sweeps.audits import Audit, Audited, audit, due, forget_former_places, open_findings, places
from tests.rooms.company import HOME, TENANTS_INSTANCE, Company


@pytest.fixture
def company() -> Company:
    """With a bucket for exports, and ports that an audit can only look through."""
    made = Company()
    age = made.policies.lifecycle.exports.age_days
    made.vault.make_bucket(export_bucket_name("acme", HOME, age), export_bucket_terms(HOME, age))
    made.wrapped = lambda world: replace(
        world,
        vault=read_only_vault(world.vault),
        databases=read_only_databases(world.databases),
        instances=read_only_instances(world.instances),
    )
    return made


def backed_up(company: Company, name: str = "acme") -> tuple[Tenant, Backup]:
    looking, company.wrapped = company.wrapped, lambda world: world
    tenant = company.create(name)
    company.run()
    company.wrapped = looking
    return company.registry.tenant(tenant.uid), company.registry.backups(tenant.uid)[-1]


def run_audit(company: Company, which: Audit | None = None) -> list[Audited]:
    return list(audit(company.world, places(company.world, which), ending=Ending()))


def codes(done: Iterable[Audited]) -> list[tuple[str, str]]:
    return sorted((one.code, one.where) for audited in done for one in audited.findings)


def test_a_company_in_order_has_no_finding(company: Company) -> None:
    """Every bucket and instance is a place, each copy is looked at, and nothing is found."""
    backed_up(company)
    done = run_audit(company)
    assert codes(done) == []
    assert [one.unseen for one in done if one.unseen] == []
    names = [one.place for one in done]
    assert len(names) == len(set(names))
    assert {"instance tenants-1", "instance verify-1", f"key bucket keys in {HOME}"} <= set(names)
    assert len([name for name in names if name.startswith("copies in ")]) == 8
    assert open_findings(company.world) == []


def test_each_direction_between_ledger_and_vault(company: Company) -> None:
    """What is lost, and what nobody wrote down; found again it is the same finding, and gone it is cleared."""
    _, backup = backed_up(company)
    copy = backup.copies[0]
    stray = object_name("nobody", "b1")
    company.vault.lose(copy.bucket, copy.object_name)
    company.vault.put(copy.bucket, stray, b"what is this")
    where = f"copies in {copy.bucket}"
    assert codes(run_audit(company, Audit.VAULT)) == [("copy-lost", where), ("object-unknown", where)]
    since = [one.since for one in company.registry.findings()]
    company.advance(hours=1)
    changes = [one.changes for one in run_audit(company, Audit.VAULT) if one.findings]
    assert [(one.opened, one.cleared) for one in changes] == [((), ())]
    assert [one.since for one in company.registry.findings()] == since
    company.vault.lose(copy.bucket, stray)
    cleared = [one.code for done in run_audit(company, Audit.VAULT) for one in done.changes.cleared]
    assert cleared == ["object-unknown"]


def test_what_is_silent_is_neither_lost_nor_found(company: Company) -> None:
    """Its findings stand as they were, for days, and then its silence is told."""
    _, backup = backed_up(company)
    copy = backup.copies[0]
    company.vault.lose(copy.bucket, copy.object_name)
    run_audit(company)
    before = company.registry.findings()
    company.vault.unreachable = {copy.region}
    company.databases.instances[TENANTS_INSTANCE].reachable = False
    silent = {one.place for one in run_audit(company) if one.unseen}
    assert {f"copies in {copy.bucket}", f"bucket {copy.bucket}", f"instance {TENANTS_INSTANCE}"} <= silent
    assert company.registry.findings() == before
    company.advance(days=3)
    run_audit(company)
    assert {one.code for one in open_findings(company.world)} == {"copy-lost", "audit-unseen"}


def test_what_is_only_under_way_is_looked_at_twice(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that comes between the list of the store and that of the ledger is in both at the second look."""
    _, backup = backed_up(company)
    copy = backup.copies[0]
    listed = company.vault.objects(copy.bucket, after="", limit=9)
    assert isinstance(listed, Present)
    rest = tuple(one for one in listed.value if one.name != copy.object_name)
    monkeypatch.setattr(company.vault, "objects", lambda *_arguments, **_options: Present(rest))
    assert codes(run_audit(company, Audit.VAULT)) == []


def test_long_lists_are_read_page_by_page(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the page, and wherever it ends between the objects of one backup, the findings are the same."""
    pairs = [backed_up(company, f"tenant-{number}") for number in range(3)]
    lost = pairs[1][1].copies[0]
    company.vault.lose(lost.bucket, lost.object_name)
    for page in (1, 2, 3, 4):
        monkeypatch.setattr(vault_audit, "PAGE", page)
        found = [one for done in run_audit(company, Audit.VAULT) for one in done.findings]
        assert [(one.code, one.subject) for one in found] == [("copy-lost", lost.object_name)]


def test_drift_is_told_and_left_as_it_is(company: Company) -> None:
    """A database of nobody, a login that was opened, a protection and a lock that were taken off."""
    tenant, backup = backed_up(company)
    instance = company.databases.instances[TENANTS_INSTANCE]
    instance.databases["shop"] = replace(instance.databases[tenant.hosting.database], marker="")
    instance.roles[tenant.hosting.login].can_log_in = False
    bucket = backup.copies[0].bucket
    terms = company.vault.look_at_bucket(bucket)
    assert isinstance(terms, Present)
    company.vault.make_bucket(bucket, replace(terms.value, versioning=True))
    company.admin_api.drop("verify-1")
    assert codes(run_audit(company, Audit.DRIFT)) == [
        ("bucket-terms", f"bucket {bucket}"),
        ("database-unknown", f"instance {TENANTS_INSTANCE}"),
        ("instance-drift", "instance verify-1"),
        ("logins-closed", f"instance {TENANTS_INSTANCE}"),
    ]
    assert "shop" in instance.databases


def test_places_are_audited_once_a_day_the_longest_waiting_first(company: Company) -> None:
    """And one by one: a worker that is told to end leaves the rest to the next, which goes on there."""
    backed_up(company)
    world = company.world
    everything = places(world)
    assert len(due(everything, world.registry.audits(), now=company.moment)) == len(everything)
    first = next(audit(world, everything[3:], ending=Ending(), claimed=True))
    assert not world.registry.begin_audit(first.place, unless_within=timedelta(hours=1))
    left = due(everything, world.registry.audits(), now=company.moment)
    assert first.place not in {one.name for one in left}
    ending = Ending()
    pages = audit(world, left, ending=ending, claimed=True)
    next(pages)
    ending.ask("SIGTERM")
    assert list(pages) == []
    company.advance(hours=21)
    again = due(everything, world.registry.audits(), now=company.moment)
    assert len(again) == len(everything)
    assert again[-1].name in {first.place, left[0].name}


def test_a_worker_that_is_told_to_end_in_a_long_list_lets_go(company: Company) -> None:
    """The place in its hands keeps its findings."""
    backed_up(company)
    ending = Ending()
    (place, *_) = places(company.world, Audit.VAULT)
    look = place.look

    def asked(check: object) -> object:
        ending.ask("SIGTERM")
        return look(ending.check)

    with pytest.raises(HandedBack):
        list(audit(company.world, [replace(place, look=asked)], ending=ending))  # type: ignore[arg-type]
    assert company.registry.audits() == []


def test_findings_of_a_place_that_is_no_more_are_closed(company: Company) -> None:
    """No audit would ever come to it again."""
    run_audit(company)
    world = company.world
    finding = GradedFinding("bucket-terms", Grade.CRITICAL, "bucket gone", "terms", "keeps old versions", "Mend it.")
    world.registry.record_audit(finding.where, [finding])
    assert [one.where for one in open_findings(world)] == [finding.where]
    assert [one.place for one in forget_former_places(world)] == [finding.where]
    assert open_findings(world) == []
