"""What a certificate is refused for: a byte, a key, a version, and whatever does not agree with itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.adapters.memory.signer import MemorySigner
from tenantctl.custody.certificate_document import file_bytes, signed_message
from tenantctl.custody.certificate_signature import public_keys, public_pem
from tenantctl.custody.certificate_verification import verified
from tenantctl.model.errors import Findings, Refused, TenantctlError
from tenantctl.ports.signer import fingerprint
from tests.rooms import certificate_samples as samples
from tests.rooms.certificate_samples import KEYS, SIGNER

GOOD = samples.content(samples.destroyed())
ENDED = samples.content(samples.forgotten())
PARTS = 8


def signed_anew(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The certificate with a change, signed with the right key by somebody who has it."""
    said = json.loads(content)
    change(said["certificate"])
    said["signature"]["value"] = SIGNER.sign(signed_message(said["certificate"])).hex()
    return file_bytes(said)


@pytest.mark.parametrize("content", [GOOD, ENDED])
def test_a_good_one_holds(content: bytes) -> None:
    assert verified(content, KEYS).certificate.tenant.uid == samples.UID


# Every byte counts


@pytest.mark.parametrize("part", range(PARTS))
def test_no_byte_can_be_changed(part: int) -> None:
    """Each byte of the file, with its lowest bit turned over: one plain sentence, whichever it is."""
    for at in range(part, len(GOOD), PARTS):
        changed = GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :]
        with pytest.raises((Refused, Findings)) as caught:
            verified(changed, KEYS)
        assert caught.value.sentence.endswith((".", "…"))
        assert "\n" not in caught.value.sentence


@given(at=st.integers(0, len(ENDED) - 1), other=st.integers(1, 255))
@settings(deadline=None, max_examples=300)
def test_no_byte_can_be_another(at: int, other: int) -> None:
    with pytest.raises((Refused, Findings)):
        verified(ENDED[:at] + bytes([ENDED[at] ^ other]) + ENDED[at + 1 :], KEYS)


@given(cut=st.integers(0, len(ENDED) - 1), more=st.binary(min_size=1, max_size=4))
@settings(deadline=None, max_examples=200)
def test_nothing_can_be_cut_off_or_added(cut: int, more: bytes) -> None:
    for changed in (ENDED[:cut], ENDED + more, more + ENDED, ENDED[:cut] + more + ENDED[cut:]):
        with pytest.raises((Refused, Findings)):
            verified(changed, KEYS)


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
@settings(deadline=None, max_examples=200)
def test_what_is_no_certificate_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(Refused):
        verified(content, KEYS)


# Each refusal by its name


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (GOOD[:-700], Refused, "not the whole of one"),
        (b"", Refused, "not the whole of one"),
        (b"[" * 100_000, Refused, "not the whole of one"),
        (b"[1]", Refused, "no certificate of destruction"),
        (b'{"certificate": {"version": 2}}', Refused, "of version 2"),
        (b'{"certificate": {"version": true}}', Refused, "of version True"),
        (b'{"certificate": {}}', Refused, "of version None"),
        (b'{"certificate": {"version": 1}}', Refused, "as version 1 has it: certificate.kind: Field required"),
        (GOOD.replace(b'"issuer": "E', b'"issuer": "\\ud800'), Refused, "as version 1 has it"),
        (GOOD.replace(b"gone", b"lost"), Refused, "as version 1 has it"),
        (GOOD.replace(b"  ", b" "), Findings, "not laid out as it was written"),
        (GOOD.replace(b"absent", b"ABSENT"), Findings, "signature is not of what it says now"),
        (GOOD.replace(b"us-south1", b"us-south2"), Findings, "signature is not of what it says now"),
    ],
)
def test_each_refusal_has_its_sentence(content: bytes, kind: type[TenantctlError], says: str) -> None:
    with pytest.raises(kind) as caught:
        verified(content, KEYS)
    assert says in caught.value.sentence
    assert len(caught.value.sentence) < 300


def test_a_key_that_is_not_trusted_proves_nothing() -> None:
    other = MemorySigner().public_key()
    with pytest.raises(Refused, match="not among those that are trusted") as caught:
        verified(GOOD, {fingerprint(other): other})
    assert fingerprint(other) in caught.value.hint


def test_a_key_that_calls_itself_by_anothers_name_proves_nothing() -> None:
    other = MemorySigner().public_key()
    with pytest.raises(Findings, match="changed after it was signed"):
        verified(GOOD, dict.fromkeys(KEYS, other))


def test_several_keys_can_be_trusted() -> None:
    """As after a rotation: the file of the old key and that of the new."""
    other = MemorySigner().public_key()
    text = "issued until 2026:\n" + public_pem(other) + "since then:\n" + public_pem(SIGNER.public_key())
    assert public_keys(text, "keys.pem") == {fingerprint(other): other, **KEYS}
    assert verified(GOOD, public_keys(text, "keys.pem")).signature.key in KEYS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no public key in keys.pem"),
        ("-----BEGIN PUBLIC KEY-----\nA\n-----END PUBLIC KEY-----", "cannot be read"),
        ("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ==\n-----END PUBLIC KEY-----", "not of Ed25519"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "no public key in keys.pem"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        public_keys(text, "keys.pem")


# What is signed must agree with itself, whoever signed it


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(certificate: dict[str, Any]) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        target: Any = certificate
        for part in way:
            target = target[part]
        target[last] = value

    return change


def _drop(path: str, at: int) -> Callable[[dict[str, Any]], None]:
    def change(certificate: dict[str, Any]) -> None:
        target: Any = certificate
        for part in path.split("."):
            target = target[part]
        del target[at]

    return change


EARLY, LATE = "2020-01-01T00:00:00.000000Z", "2030-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("content", "change", "says"),
    [
        (GOOD, _set("counts.gone", 3), "counts 3 gone and lists 2"),
        (GOOD, _set("counts.quoted", 9), "counts 9 quoted"),
        (GOOD, _drop("backups", 0), "counts 1 backups and lists 0"),
        (GOOD, _drop("places", 3), "counts 7 places and lists 6"),
        (GOOD, lambda said: said["places"].append(said["places"][0]), "counts 7 places"),
        (GOOD, _set("places.4.id", samples.residues(forgotten=False)[3].id), "lists a place twice"),
        (GOOD, _set("issued_at", EARLY), "dates are not in order"),
        (GOOD, _set("life.destroyed_at", LATE), "dates are not in order"),
        (GOOD, _set("life.created_at", "2020-13-01T00:00:00.000000Z"), "is no date"),
        (GOOD, _set("latest.date", LATE), "latest date is not the latest of its places"),
        (GOOD, _set("latest", None), "latest date is not the latest of its places"),
        (GOOD, _set("state", "forgotten"), "state is not the one that its journal says"),
        (ENDED, _set("state", "destroyed"), "state is not the one that its journal says"),
        (ENDED, _set("life.forgotten_at", None), "state is not the one that its journal says"),
        (GOOD, _set("tenant.name", None), "name has no source"),
        (GOOD, _set("tenant.uid", "another"), "does not have the hash"),
        (GOOD, _set("journal.quoted.1.actor", "mallory"), "entry 4 does not have the hash"),
        (GOOD, _set("journal.quoted.1.at", "2026-13-41T00:00:00.000000Z"), "entry 4 does not have the hash"),
        (GOOD, _set("journal.quoted.1.body", "{}"), "entry 4 does not have the hash"),
        (GOOD, _set("journal.quoted.5.hash", "0" * 64), "entry 10 does not have the hash"),
        (GOOD, _set("journal.head", "0" * 64), "journal does not end as it says"),
        (GOOD, _set("journal.length", 9), "entry 10 is later than the certificate"),
        (GOOD, lambda said: said["journal"]["quoted"].reverse(), "out of its order"),
        (GOOD, _drop("journal.quoted", 5), "counts 6 quoted and lists 5"),
        (GOOD, _set("places.0.entry", None), "of no database that it lists an entry says"),
        (GOOD, _set("places.0.entry", 99), "entry 99, which is not quoted"),
        (GOOD, _set("places.0.entry", 4), "entry 4, which does not say that it is gone"),
        (GOOD, _set("places.0.gone_at", LATE), "was gone at a time that cannot be"),
        (GOOD, _set("places.0.gone_at", EARLY), "was gone at a time that cannot be"),
        (GOOD, _set("places.0.proof", None), "gone without a time or a proof"),
        (GOOD, _set("places.0.proof", ""), "gone without a time or a proof"),
        (GOOD, _set("places.3.proof", "gone, believe me"), "is said to be gone"),
        (GOOD, _set("places.0.proof", "gone, believe me"), "does not say that it is gone"),
        (ENDED, _set("places.3.proof", "gone, believe me"), "does not say that it is gone"),
        (ENDED, _set("places.2.proof", "gone, believe me"), "does not say that it is gone"),
        (GOOD, _set("places.3.latest", None), "has no latest date"),
        (GOOD, _set("places.3.made_at", LATE), "newer than the certificate"),
        (GOOD, _set("places.3.latest.date", EARLY), "remains after its latest date"),
        (GOOD, _set("places.0.kind", "copy"), "does not say that it is gone"),
        (ENDED, _set("places.3.entry", 13), "does not say that it is gone"),
        (ENDED, _set("places.4.entry", 12), "does not say that it is gone"),
    ],
)
def test_what_contradicts_itself_is_found(content: bytes, change: Callable[[dict[str, Any]], None], says: str) -> None:
    with pytest.raises(Findings) as caught:
        verified(signed_anew(content, change), KEYS)
    assert caught.value.sentence.startswith("The certificate is signed and contradicts itself: ")
    from tenantctl.custody.certificate_document import Certificate
    from tenantctl.custody.certificate_verification import faults

    said = json.loads(signed_anew(content, change))["certificate"]
    assert any(says in fault for fault in faults(Certificate.model_validate(said)))


def test_an_entry_that_is_no_evidence_cannot_be_quoted() -> None:
    """A whole chain, made and signed by somebody who has the key: a hold has no place in it."""

    def change(certificate: dict[str, Any]) -> None:
        quote = certificate["journal"]["quoted"][0]
        lines = [(samples.on(1), "hold-placed", {"case": "4711"})]
        entry = samples.chain(lines)[0]
        quote.update(sequence=1, event=entry.event, body=entry.body, previous=entry.previous, hash=entry.hash)
        quote.update(at="2026-11-24T12:00:00.000250Z", plan_digest=entry.plan_digest)

    with pytest.raises(Findings, match="is a hold-placed, which no certificate quotes"):
        verified(signed_anew(GOOD, change), KEYS)
