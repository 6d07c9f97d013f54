"""Opening a backup: for a reason, on record, and never for one person alone once the tenant is destroyed."""

import json
from pathlib import Path

import pytest

from tenantctl.backups.age import Identity
from tenantctl.backups.stream import opened
from tenantctl.custody.basis import Basis, Ground
from tenantctl.custody.export import export_backup
from tenantctl.model.errors import Refused, Transient
from tests.rooms.company import HOME, PARTNER, Company

TICKET = Basis(Ground.CUSTOMER_REQUEST, "SUPPORT-1")


@pytest.fixture
def company() -> Company:
    return Company()


def test_an_export_opens_with_its_key_and_is_on_record(company: Company, tmp_path: Path) -> None:
    tenant = company.create(rows=("sold", "bought"))
    company.advance(days=1)
    company.run()
    backup = company.registry.backups(tenant.uid)[-1]
    files = export_backup(company.world, tenant, backup, TICKET, tmp_path)
    identity = Identity.parse(files.key.read_text())
    assert b"bought" in b"".join(opened(iter([files.archive.read_bytes()]), identity))
    assert json.loads(files.manifest.read_text())["backup"] == backup.id
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    entry = company.registry.entries(tenant.uid)[-1]
    assert (entry.event, json.loads(entry.body)["reference"]) == ("backup-exported", "SUPPORT-1")
    assert identity.text not in str(company.registry.entries(tenant.uid))


def test_nothing_is_written_over_and_no_key_leaves_without_a_record(company: Company, tmp_path: Path) -> None:
    tenant = company.create()
    company.run()
    backup = company.registry.backups(tenant.uid)[-1]
    export_backup(company.world, tenant, backup, TICKET, tmp_path)
    before = company.events(tenant)
    with pytest.raises(Refused, match="File exists"):
        export_backup(company.world, tenant, backup, TICKET, tmp_path)
    assert company.events(tenant) == before


def test_a_basis_refers_to_something(company: Company, tmp_path: Path) -> None:
    tenant = company.create()
    backup = company.registry.backups(tenant.uid)[-1]
    with pytest.raises(Refused, match="refers to something"):
        export_backup(company.world, tenant, backup, Basis(Ground.INCIDENT, " "), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_destroyed_tenants_backups_do_not_open_for_one_person(company: Company, tmp_path: Path) -> None:
    tenant = company.deactivated()
    company.advance(days=25)
    company.run()
    destroyed = company.registry.tenant(tenant.uid)
    backup = company.registry.backups(tenant.uid)[-1]
    with pytest.raises(Refused, match="two people"):
        export_backup(company.world, destroyed, backup, TICKET, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_other_region_gives_what_one_does_not(company: Company, tmp_path: Path) -> None:
    tenant = company.create()
    company.run()
    backup = company.registry.backups(tenant.uid)[-1]
    company.vault.unreachable.add(HOME)
    company.keys.unreachable.add(HOME)
    assert export_backup(company.world, tenant, backup, TICKET, tmp_path).archive.exists()
    company.vault.unreachable.add(PARTNER)
    (tmp_path / "again").mkdir()
    with pytest.raises(Transient):
        export_backup(company.world, tenant, backup, TICKET, tmp_path / "again")
    assert list((tmp_path / "again").iterdir()) == []
