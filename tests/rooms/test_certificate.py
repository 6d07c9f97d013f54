"""Issuing a certificate: from a whole life in memory, on record, and never of anything but one state of the chain."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.adapters.memory.signer import MemorySigner
from tenantctl.bootstrap import catalogue
from tenantctl.custody.certificate import Issued, issue_certificate, read_record
from tenantctl.custody.certificate_page import page
from tenantctl.custody.certificate_verification import verified
from tenantctl.model.backup import ResidueKind
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.journal import Head
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Tenant
from tenantctl.ports.registry import Registry
from tenantctl.ports.signer import fingerprint
from tests.rooms.company import Company

# Places whose end has an entry of its own in the journal, which the certificate quotes.
WITH_AN_ENTRY = {
    *(ResidueKind.DATABASE, ResidueKind.COPY, ResidueKind.KEY, ResidueKind.KEY_BACKUPS),
    *(ResidueKind.INSTANCE_BACKUPS, ResidueKind.REGISTRY_BACKUPS),
}


@pytest.fixture
def company() -> Company:
    return Company()


@pytest.fixture
def signer() -> MemorySigner:
    return MemorySigner()


def issued(registry: Registry, signer: MemorySigner, tenant: Tenant, name: str | None = None) -> Issued:
    now = registry.tenant(tenant.uid)
    return issue_certificate(registry, signer, now, catalogue().regions, issuer="Us", stated_name=name)


def keys(signer: MemorySigner) -> dict[str, bytes]:
    return {fingerprint(signer.public_key()): signer.public_key()}


def destroyed(company: Company) -> Tenant:
    """A tenant with nightly backups, an old name, and a past."""
    tenant = company.create()
    company.advance(days=1)
    company.run()
    company.cancel(tenant)
    company.run()
    company.advance(days=25)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED
    return tenant


def forgotten(company: Company, tenant: Tenant) -> None:
    """Until nothing is left."""
    for _ in range(60):
        company.advance(days=7)
        company.run()
        if company.registry.tenant(tenant.uid).state is State.FORGOTTEN:
            return
    pytest.fail("it is never forgotten")


def test_a_whole_life_is_certified_twice(company: Company, signer: MemorySigner) -> None:
    """At the destruction with what remains, at the end with nothing, each whole by itself."""
    tenant = destroyed(company)
    first = verified(issued(company.registry, signer, tenant).content, keys(signer)).certificate
    assert (first.state, first.tenant.name, first.tenant.name_source) == ("destroyed", "acme", "record")
    assert first.counts.remaining > 0
    assert first.latest is not None
    assert first.latest.kind == "final"
    forgotten(company, tenant)
    last = verified(issued(company.registry, signer, tenant).content, keys(signer)).certificate
    assert (last.state, last.counts.remaining, last.latest, last.tenant.name) == ("forgotten", 0, None, None)
    assert {place.id for place in first.places} < {place.id for place in last.places}
    assert len(last.backups) == len(company.registry.backups(tenant.uid))
    for place in last.places:
        assert (place.entry is not None) == (place.kind in WITH_AN_ENTRY), place


def test_it_is_on_record_with_its_digest(company: Company, signer: MemorySigner) -> None:
    """Also of a forgotten tenant, which nobody can lease any more; and its chain holds."""
    tenant = destroyed(company)
    first = issued(company.registry, signer, tenant)
    forgotten(company, tenant)
    last = issued(company.registry, signer, tenant, "Acme, Inc.")
    assert company.events(tenant).count("certificate-issued") == 2
    entries = [e for e in company.registry.entries(tenant.uid) if e.event == "certificate-issued"]
    for entry, one, state in zip(entries, (first, last), ("destroyed", "forgotten"), strict=True):
        digest = hashlib.sha256(one.content).hexdigest()
        body = {"sha256": digest, "state": state, "key": fingerprint(signer.public_key())}
        assert json.loads(entry.body) == body
        assert digest == one.digest
    assert "Acme" not in "".join(entry.body for entry in company.registry.entries(tenant.uid))


def test_another_can_be_issued_and_holds_the_one_before(company: Company, signer: MemorySigner) -> None:
    tenant = destroyed(company)
    lengths = [issued(company.registry, signer, tenant).document.certificate.journal.length for _ in range(3)]
    assert lengths == [lengths[0], lengths[0] + 1, lengths[0] + 2]


def test_issuing_changes_nothing_but_the_chain(company: Company, signer: MemorySigner) -> None:
    """Neither when the tenant is looked at next, nor a lease that a worker holds."""
    tenant = destroyed(company)
    before = company.registry.tenant(tenant.uid)
    issued(company.registry, signer, tenant)
    assert company.registry.tenant(tenant.uid) == before


def test_what_is_refused_or_not_signed_is_not_on_record(company: Company, signer: MemorySigner) -> None:
    living = company.create("living")
    before = company.events(living)
    with pytest.raises(Refused, match="Tenant living is active"):
        issued(company.registry, signer, living)
    assert company.events(living) == before
    tenant = destroyed(company)
    before = company.events(tenant)
    signer.unreachable = True
    with pytest.raises(Transient):
        issued(company.registry, signer, tenant)
    signer.unreachable, signer.enabled = False, False
    with pytest.raises(Refused):
        issued(company.registry, signer, tenant)
    assert company.events(tenant) == before


def test_a_request_that_was_withdrawn_left_nothing_to_certify(company: Company, signer: MemorySigner) -> None:
    tenant = company.request("never")
    company.cancel(tenant)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.FORGOTTEN
    with pytest.raises(Refused, match="never had a database"):
        issued(company.registry, signer, tenant)


class BusyRegistry(MemoryRegistry):
    """A registry in which a worker writes an entry whenever the journal was read, twice."""

    writes = 2

    def entries(self, uid):
        found = super().entries(uid)
        if self.writes:
            self.writes -= 1
            self.append_entry(uid, "meanwhile", {})
        return found


def test_it_rests_on_one_state_of_the_chain(company: Company) -> None:
    tenant = destroyed(company)
    busy = BusyRegistry(company.clock)
    busy.__dict__.update(company.registry.__dict__)
    record = read_record(busy, tenant.uid, catalogue().regions)
    newest = record.entries[-1]
    assert newest.event == "meanwhile"
    assert record.head == Head(tenant.uid, newest.sequence, newest.hash)
    assert busy.writes == 0


class ForgetfulRegistry(MemoryRegistry):
    """A registry whose inventory says of the database that it is still there."""

    def residues(self, uid):
        return [
            replace(one, lapsed_at=None, proof=None) if one.kind is ResidueKind.DATABASE else one
            for one in super().residues(uid)
        ]


def test_a_record_that_contradicts_itself_is_not_certified(company: Company, signer: MemorySigner) -> None:
    tenant = destroyed(company)
    forgetful = ForgetfulRegistry(company.clock)
    forgetful.__dict__.update(company.registry.__dict__)
    before = company.events(tenant)
    with pytest.raises(Refused, match=r"contradicts itself, and is not certified: of no database"):
        issued(forgetful, signer, tenant)
    assert company.events(tenant) == before


def test_of_a_sealed_case_nothing_is_said(company: Company, signer: MemorySigner) -> None:
    """Neither while the hold stands, when the dates are open, nor after it."""
    tenant = destroyed(company)
    company.decisions.place_hold(tenant.uid, "case-xyz-1", company.moment + timedelta(days=90))
    held = issued(company.registry, signer, tenant)
    assert held.document.certificate.latest is not None
    assert held.document.certificate.latest.kind == "not-before"
    company.decisions.release_hold(tenant.uid, "case-xyz-1", "the court is done")
    released = issued(company.registry, signer, tenant)
    assert released.document.certificate.latest is not None
    assert released.document.certificate.latest.kind == "final"
    for one in (held, released):
        assert verified(one.content, keys(signer)) == one.document
        page_of_it = page(one.document, one.digest)
        for word in ("xyz-1", "hold", "court", "legal", "law"):
            assert word not in one.content.decode().lower() + page_of_it.lower(), word
