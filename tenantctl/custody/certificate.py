"""Issuing a certificate of destruction: read at one state of the chain, checked, signed, and put on record."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from tenantctl.custody.certificate_document import Document, file_bytes
from tenantctl.custody.certificate_facts import Record, certify, refuse_uncertifiable
from tenantctl.custody.certificate_signature import signed
from tenantctl.custody.certificate_verification import faults
from tenantctl.model.errors import Refused
from tenantctl.model.region import Region
from tenantctl.model.tenant import Tenant
from tenantctl.ports.registry import Registry
from tenantctl.ports.signer import Signer

ISSUED = "certificate-issued"


@dataclass(frozen=True)
class Issued:
    """A certificate as it was issued; `content` is the file, `digest` its SHA-256 in hexadecimal."""

    document: Document
    content: bytes
    digest: str


def issue_certificate(
    registry: Registry,
    signer: Signer,
    tenant: Tenant,
    regions: Sequence[Region],
    *,
    issuer: str,
    stated_name: str | None = None,
) -> Issued:
    """Certifies what is on record of a destroyed or forgotten tenant, and puts the certificate's digest on record.

    Args:
        registry: where it is on record.
        signer: who signs.
        tenant: whose destruction it is.
        regions: all regions, for what they are called.
        issuer: who certifies, as customers know them.
        stated_name: the tenant's name as who asks states it, where it is on record no more.

    Raises:
        Refused: there is nothing to certify, or what is on record contradicts itself.
        Transient: registry or signer do not answer.
    """
    refuse_uncertifiable(tenant)
    record = read_record(registry, tenant.uid, regions)
    certificate = certify(record, now=registry.now(), issuer=issuer, stated_name=stated_name)
    for fault in faults(certificate):
        raise Refused(
            f"What is on record of tenant {tenant.uid} contradicts itself, and is not certified: {fault}.",
            hint=f"See: tenantctl residue {tenant.uid} --all, and: tenantctl journal show {tenant.uid}",
        )
    document = signed(certificate, signer)
    content = file_bytes(document.model_dump(mode="json"))
    digest = hashlib.sha256(content).hexdigest()
    body = {"sha256": digest, "state": certificate.state, "key": document.signature.key}
    registry.append_entry(tenant.uid, ISSUED, body)
    return Issued(document, content, digest)


def read_record(registry: Registry, uid: str, regions: Sequence[Region]) -> Record:
    """What is on record of a tenant, read anew as long as somebody writes meanwhile."""
    head = registry.head(uid)
    while True:
        record = Record(
            tenant=registry.tenant(uid),
            backups=registry.backups(uid),
            residues=registry.residues(uid),
            entries=registry.entries(uid),
            head=head,
            instances=registry.instances(),
            regions=regions,
        )
        head = registry.head(uid)
        if head == record.head:
            return record
