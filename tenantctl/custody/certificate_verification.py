"""Whether a certificate holds: by itself, without a registry or a network. Pure.

First its bytes and its signature, then what it says: each count, each date, and each fact against the entry of the
journal that it names, whose hash is made anew.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tenantctl.custody.certificate_document import VERSION, Certificate, Document, Place, Quote, file_bytes
from tenantctl.custody.certificate_facts import QUOTED, claims_of_a_place, claims_of_an_entry, latest_of
from tenantctl.custody.certificate_signature import is_signed
from tenantctl.model.backup import ResidueKind
from tenantctl.model.errors import Findings, Refused
from tenantctl.model.journal import Entry
from tenantctl.model.lifecycle import Event

CHANGED = "The certificate was changed after it was signed: "


def verified(content: bytes, keys: Mapping[str, bytes]) -> Document:
    """The certificate in a file, once everything about it holds.

    Args:
        content: the file's bytes.
        keys: the public keys that are trusted, by fingerprint.

    Raises:
        Refused: it is no certificate, not whole, of another version, or signed with a key that is not trusted.
        Findings: it was changed after it was signed, or contradicts itself.
    """
    said = _parsed(content)
    document = _validated(said)
    if file_bytes(said) != content:
        raise Findings(f"{CHANGED}it is not laid out as it was written.", hint="Ask for the file as it was issued.")
    signature = document.signature
    if signature.key not in keys:
        raise Refused(
            f"The certificate is signed with key {signature.key}, which is not among those that are trusted.",
            hint=f"Trusted: {', '.join(sorted(keys)) or 'none'}. Give the issuer's own key: --public-key FILE",
        )
    if not is_signed(said["certificate"], signature, keys[signature.key]):
        raise Findings(f"{CHANGED}the signature is not of what it says now.", hint="Believe nothing of it.")
    found = list(faults(document.certificate))
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise Findings(f"The certificate is signed and contradicts itself: {found[0]}{more}.")
    return document


def faults(certificate: Certificate) -> Iterator[str]:
    """What in a certificate does not agree with itself, a clause for each."""
    yield from _faults_of_the_counts(certificate)
    yield from _faults_of_the_dates(certificate)
    yield from _faults_of_the_journal(certificate)
    quotes = {quote.sequence: quote for quote in certificate.journal.quoted}
    for place in certificate.places:
        yield from _faults_of_a_place(place, certificate, quotes)
    yield from _faults_of_the_state(certificate)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        said = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise Refused(
            "This is no certificate, or not the whole of one: it cannot be read as JSON.",
            hint="Ask for the file as it was issued; it ends with a closing brace.",
        ) from error
    if not isinstance(said, dict) or not isinstance(said.get("certificate"), dict):
        raise Refused("This is JSON, and no certificate of destruction.")
    version = said["certificate"].get("version")
    if version != VERSION or isinstance(version, bool):
        raise Refused(
            f"The certificate is of version {version!r}, and this program reads version {VERSION}.",
            hint="A newer tenantctl may read it.",
        )
    return said


def _validated(said: dict[str, Any]) -> Document:
    try:
        return Document.model_validate(said)
    except (ValidationError, UnicodeError) as error:
        reason = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_context=False)[0]
            reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise Refused(f"This is no certificate as version {VERSION} has it: {reason}.") from error


def _faults_of_the_counts(certificate: Certificate) -> Iterator[str]:
    gone = sum(place.state == "gone" for place in certificate.places)
    counted = {
        "backups": len(certificate.backups),
        "places": len(certificate.places),
        "gone": gone,
        "remaining": len(certificate.places) - gone,
        "quoted": len(certificate.journal.quoted),
    }
    stated = certificate.counts.model_dump()
    for what, count in counted.items():
        if stated[what] != count:
            yield f"it counts {stated[what]} {what} and lists {count}"
    for what, names in (
        ("place", [place.id for place in certificate.places]),
        ("backup", [backup.id for backup in certificate.backups]),
    ):
        if len(set(names)) != len(names):
            yield f"it lists a {what} twice"


def _faults_of_the_dates(certificate: Certificate) -> Iterator[str]:
    life = certificate.life
    in_order = [life.created_at, life.logins_closed_at, life.destroyed_at, life.forgotten_at, certificate.issued_at]
    known = [moment for moment in in_order if moment is not None]
    if known != sorted(known):
        yield "its dates are not in order"
    for moment in known:
        try:
            datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f%z")
        except ValueError:
            yield f"{moment} is no date"


def _faults_of_the_journal(certificate: Certificate) -> Iterator[str]:
    journal, before = certificate.journal, None
    for quote in journal.quoted:
        where = f"entry {quote.sequence}"
        if hash_of(quote, certificate.tenant.uid) != quote.hash:
            yield f"{where} does not have the hash that its content gives"
        if quote.event not in QUOTED:
            yield f"{where} is a {quote.event}, which no certificate quotes"
        if quote.at > certificate.issued_at or quote.sequence > journal.length:
            yield f"{where} is later than the certificate"
        if before is not None and quote.sequence <= before.sequence:
            yield f"{where} is out of its order"
        if before is not None and quote.sequence == before.sequence + 1 and quote.previous != before.hash:
            yield f"{where} does not continue the entry before it"
        before = quote
    if before is not None and before.sequence == journal.length and before.hash != journal.head:
        yield "the journal does not end as it says"


def hash_of(quote: Quote, uid: str) -> str:
    """The hash that a quoted entry's fields give; blank if its time is none."""
    try:
        at = datetime.strptime(quote.at, "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        return ""
    fields = quote.model_dump() | {"at": at}
    return Entry(tenant_uid=uid, **fields).expected_hash()


def _faults_of_a_place(place: Place, certificate: Certificate, quotes: Mapping[int, Quote]) -> Iterator[str]:
    where = f"place {place.id}"
    if place.made_at > certificate.issued_at:
        yield f"{where} is newer than the certificate"
    if place.state == "remains":
        if place.latest is None or (place.gone_at, place.proof, place.entry) != (None, None, None):
            yield f"{where} remains and has no latest date, or is said to be gone"
        elif place.latest.date < certificate.issued_at:
            yield f"{where} remains after its latest date"
        return
    if place.gone_at is None or not place.proof or place.latest is not None:
        yield f"{where} is gone without a time or a proof"
    elif not place.made_at <= place.gone_at <= certificate.issued_at:
        yield f"{where} was gone at a time that cannot be"
    if place.entry is None:
        return
    quote = quotes.get(place.entry)
    if quote is None:
        yield f"{where} refers to entry {place.entry}, which is not quoted"
    elif not _says(quote, place):
        yield f"{where} refers to entry {place.entry}, which does not say that it is gone"


def _says(quote: Quote, place: Place) -> bool:
    try:
        body = json.loads(quote.body)
    except (ValueError, RecursionError):
        return False
    if place.gone_at is None or place.gone_at > quote.at or not isinstance(body, dict):
        return False
    claims = claims_of_a_place(place.kind, place.id, place.proof)
    return not claims_of_an_entry(quote.event, body).isdisjoint(claims)


def _faults_of_the_state(certificate: Certificate) -> Iterator[str]:
    remaining = [place for place in certificate.places if place.state == "remains"]
    events = [quote.event for quote in certificate.journal.quoted]
    if Event.DATABASE_GONE not in events:
        yield "no entry says that the database is gone"
    databases = [place for place in certificate.places if place.kind == ResidueKind.DATABASE]
    if not any(place.state == "gone" and place.entry for place in databases):
        yield "of no database that it lists an entry says that it is gone"
    is_forgotten = certificate.state == "forgotten"
    if is_forgotten != (certificate.life.forgotten_at is not None) or is_forgotten != (Event.RESIDUE_LAPSED in events):
        yield "its state is not the one that its journal says"
    if is_forgotten and remaining:
        yield "it says that nothing remains, and lists what does"
    if certificate.latest != latest_of([place.latest for place in remaining if place.latest]):
        yield "its latest date is not the latest of its places"
    if (certificate.tenant.name is None) != (certificate.tenant.name_source == "none"):
        yield "its name has no source"
