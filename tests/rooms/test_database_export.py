"""Handing a database out, in a whole company in memory: on record before the first byte, and whole or not at all."""

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tenantctl.adapters.memory.archives import LAST_LINE
from tenantctl.adapters.memory.fuse import Crash, Fuse
from tenantctl.backups.exports import export_bucket_name, export_bucket_terms
from tenantctl.custody.basis import Basis, Ground
from tenantctl.custody.database_export import Exported, export_database
from tenantctl.custody.export_bucket import BucketDestination, check_address
from tenantctl.custody.export_file import FileDestination
from tenantctl.custody.export_link import check_link, sign_link
from tenantctl.model.backup import Residue, ResidueKind, RetentionClass
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.sighting import Gone, Present
from tenantctl.model.tenant import Tenant
from tenantctl.ports.databases import LoginsSeen
from tests.rooms.company import HOME, PARTNER, Company, fused_world

TICKET = Basis(Ground.CUSTOMER_REQUEST, "SUPPORT-7")


@pytest.fixture
def company() -> Company:
    return Company()


def export(company: Company, tenant: Tenant, path: Path) -> Exported:
    return export_database(company.world, tenant, TICKET, FileDestination(path))


def is_whole(path: Path) -> bool:
    """Whether archive and manifest agree, to the last byte."""
    content, manifest = path.read_bytes(), json.loads(Path(f"{path}.manifest.json").read_text())
    same = (manifest["size"], manifest["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    return same and content.endswith(LAST_LINE)


def test_a_working_tenants_database(company: Company, tmp_path: Path) -> None:
    """Whole, for its owner's eyes alone, and on record with its reason but without the file's name."""
    tenant = company.create(rows=("sold", "bought"))
    exported = export(company, tenant, tmp_path / "acme.dump")
    assert is_whole(tmp_path / "acme.dump")
    assert (exported.tables, exported.rows, exported.taken_from) == (1, 2, "database")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 2
    begun, done = company.registry.entries(tenant.uid)[-2:]
    assert (begun.event, json.loads(begun.body)["reference"]) == ("export-begun", "SUPPORT-7")
    assert (done.event, json.loads(done.body)["sha256"]) == ("export-done", exported.sha256)
    assert "acme.dump" not in begun.body + done.body


def test_in_grace_from_the_final_backup(company: Company, tmp_path: Path) -> None:
    """No login is opened; the opening is on record with backup and reason."""
    tenant = company.deactivated()
    exported = export(company, tenant, tmp_path / "acme.dump")
    assert is_whole(tmp_path / "acme.dump")
    backups = company.registry.backups(tenant.uid)
    final = next(backup for backup in backups if backup.retention_class is RetentionClass.FINAL)
    assert exported.taken_from == f"backup {final.id}"
    assert company.databases.look_at_logins(tenant.hosting) == Present(LoginsSeen(can_log_in=False, sessions=0))
    begun = json.loads(company.registry.entries(tenant.uid)[-2].body)
    assert (begun["backup"], begun["ground"]) == (final.id, "customer-request")
    company.vault.unreachable.add(HOME)
    company.keys.unreachable.add(HOME)
    assert export(company, tenant, tmp_path / "again.dump").sha256 == exported.sha256
    company.vault.unreachable.add(PARTNER)
    with pytest.raises(Transient, match="No region gives"):
        export(company, tenant, tmp_path / "third.dump")


def test_what_is_refused_hands_nothing_out(company: Company, tmp_path: Path) -> None:
    """A file that is there, a folder that is not, a tenant without a database, forced row security: a sentence each."""
    tenant = company.create()
    before = company.events(tenant)
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(Refused, match="exists"):
        export(company, tenant, taken)
    assert taken.read_text() == "mine"
    with pytest.raises(Refused, match="no folder"):
        export(company, tenant, tmp_path / "nowhere" / "x")
    with pytest.raises(Refused, match="refers to something"):
        export_database(
            company.world, tenant, Basis(Ground.CUSTOMER_REQUEST, " "), FileDestination(tmp_path / "acme.dump")
        )
    company.database(tenant).forced.add("public.orders")
    with pytest.raises(Refused, match="force row security"):
        export(company, tenant, tmp_path / "acme.dump")
    company.database(tenant).forced.clear()
    assert company.events(tenant) == before
    company.cancel(tenant)
    company.run()
    company.advance(days=25)
    company.run()
    with pytest.raises(Refused, match="no database to hand out"):
        export(company, tenant, tmp_path / "acme.dump")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_dump_that_breaks_off_leaves_no_file(company: Company, tmp_path: Path) -> None:
    tenant = company.create()
    company.servers.dump_breaks_after = 1
    with pytest.raises(Transient, match="broke off"):
        export(company, tenant, tmp_path / "acme.dump")
    assert list(tmp_path.iterdir()) == []


def test_into_the_bucket_of_exports_it_is_residue_until_the_bucket_has_deleted_it(company: Company) -> None:
    """Written down before the first byte, with its date; gone by the bucket's own age, and proved by name."""
    age_days = company.policies.lifecycle.exports.age_days
    bucket = export_bucket_name("acme", HOME, age_days)
    tenant = company.create()
    with pytest.raises(Refused, match="no bucket"):
        export_database(company.world, tenant, TICKET, BucketDestination(company.world, tenant))
    company.vault.make_bucket(bucket, replace(export_bucket_terms(HOME, age_days), soft_delete_seconds=60))
    with pytest.raises(Refused, match="other terms"):
        export_database(company.world, tenant, TICKET, BucketDestination(company.world, tenant))
    assert not exports_of(company, tenant)
    company.vault.make_bucket(bucket, export_bucket_terms(HOME, age_days))
    destination = BucketDestination(company.world, tenant)
    exported = export_database(company.world, tenant, TICKET, destination)
    content = b"".join(company.vault.read(bucket, destination.name))
    assert hashlib.sha256(content).hexdigest() == exported.sha256
    place = exports_of(company, tenant)[0]
    assert place.place == exported.archive
    assert place.unreadable_after == place.made_at + timedelta(days=1 + age_days + 3)
    for _ in range(age_days + 5):
        company.advance(days=1)
        company.run()
    assert isinstance(company.vault.look(bucket, destination.name), Gone)
    place = exports_of(company, tenant)[0]
    assert place.lapsed_at is not None
    assert f"{HOME} reported it absent" in (place.proof or "")
    assert company.alarms(tenant) == set()


def test_an_export_that_its_bucket_does_not_delete_is_told_of(company: Company) -> None:
    """Its line stays open past its date, with an alarm; nothing else of the tenant waits for it."""
    age_days = company.policies.lifecycle.exports.age_days
    company.vault.make_bucket(export_bucket_name("acme", HOME, age_days), export_bucket_terms(HOME, age_days))
    tenant = company.create()
    destination = BucketDestination(company.world, tenant)
    export_database(company.world, tenant, TICKET, destination)
    company.vault.hold(destination.bucket, destination.name)
    for _ in range(age_days + 6):
        company.advance(days=1)
        company.run()
    assert exports_of(company, tenant)[0].lapsed_at is None
    assert "still there past its date" in company.registry.alarms(tenant.uid)[0].reason
    newest = max(backup.begun_at for backup in company.registry.backups(tenant.uid))
    assert newest > company.moment - timedelta(days=2)
    company.vault.release(destination.bucket, destination.name)
    for _ in range(3):
        company.advance(days=1)
        company.run()
    assert exports_of(company, tenant)[0].lapsed_at is not None


def test_a_link_is_on_record_and_never_outlives_the_object(company: Company) -> None:
    """Whether one can be signed is asked before; what is signed ends in time, and the journal has no link."""
    links = SignedHere()
    age_days = company.policies.lifecycle.exports.age_days
    company.vault.make_bucket(export_bucket_name("acme", HOME, age_days), export_bucket_terms(HOME, age_days))
    tenant = company.create()
    with pytest.raises(Refused, match="168 hours at most"):
        check_link(company.world, links, timedelta(days=8))
    destination = BucketDestination(company.world, tenant)
    check_link(company.world, links, timedelta(hours=24))
    export_database(company.world, tenant, TICKET, destination)
    link = sign_link(company.world, links, destination, TICKET, timedelta(hours=24))
    entry = company.registry.entries(tenant.uid)[-1]
    assert (entry.event, json.loads(entry.body)["until"]) == ("export-linked", "2026-11-24T12:00:00Z")
    assert link not in entry.body
    with pytest.raises(Refused, match="alone, which deletes"):
        check_address(destination, "gs://somebody-elses")
    check_address(destination, "gs://")
    check_address(destination, f"gs://{destination.bucket}/")


class SignedHere:
    """Links that anybody could forge."""

    def check(self) -> None:
        """They can always be signed."""

    def signed(self, bucket: str, name: str, *, valid: timedelta) -> str:
        return f"https://{bucket}.example/{name}?signed={valid.total_seconds():g}"


def exports_of(company: Company, tenant: Tenant) -> list[Residue]:
    return [one for one in company.registry.residues(tenant.uid) if one.kind is ResidueKind.EXPORT]


def test_a_crash_at_any_call_hands_out_all_or_nothing(tmp_path: Path) -> None:
    """Whatever is under the name is whole, and on record; the tenant is free again once the lease has ended."""
    for of in (Company.create, Company.deactivated):
        touches, blown = 0, True
        while blown:
            company = Company()
            tenant = of(company)
            path = tmp_path / f"{of.__name__}-{touches}.dump"
            fuse = Fuse(touches)
            world = fused_world(company.bare_world, fuse)
            with suppress(Crash):
                export_database(world, tenant, TICKET, FileDestination(path))
            blown, touches = fuse.blown, touches + 1
            if path.exists():
                assert is_whole(path)
                assert "export-begun" in company.events(tenant)
            company.advance(minutes=6)
            path.with_name(f"{path.name}.part").unlink(missing_ok=True)
            assert export(company, tenant, path.with_suffix(".again")).size
        assert touches > 15
