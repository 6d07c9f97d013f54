"""The contract of the port `Signer`, rule by rule, in memory and by the real client on the local Cloud KMS."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.keys import key_name, kms_client
from tenantctl.adapters.google.signer import GoogleSigner, ensure_signing_key, signing_key_name
from tenantctl.adapters.memory.signer import MemorySigner
from tenantctl.localcloud.faults import Fault
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.ports.signer import MESSAGE_MAX, Signer, fingerprint
from tests.localcloud.kms_service import KmsService, serving_kms

PROJECT = "test"


@dataclass
class Place:
    """A signer, and what a test does to it."""

    signer: Signer
    without_key: Callable[[], Signer]
    disable: Callable[[], None]
    fall_silent: Callable[[], None]


def memory_place() -> Place:
    signer, keyless = MemorySigner(), MemorySigner()
    keyless.there = False

    def change(name: str, value: bool) -> Callable[[], None]:
        return lambda: setattr(signer, name, value)

    return Place(signer, lambda: keyless, change("enabled", False), change("unreachable", True))


def local_place(service: KmsService) -> Place:
    client = kms_client(local_credentials("operator@local.example"), service.url)
    ensure_signing_key(client, PROJECT)
    name = signing_key_name(PROJECT)

    def disable() -> None:
        version = {"name": f"{name}/cryptoKeyVersions/1", "state": "DISABLED"}
        client.update_crypto_key_version({"crypto_key_version": version, "update_mask": "state"})

    def fall_silent() -> None:
        service.faults.add(Fault(api="kms", kind="status", status=503))

    return Place(GoogleSigner(client, name), lambda: GoogleSigner(client, name + "-not"), disable, fall_silent)


@pytest.fixture(params=["memory", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        yield memory_place()
        return
    with serving_kms(tmp_path) as service:
        yield local_place(service)


@pytest.mark.parametrize("message", [b"\0", "Ærø/東京".encode(), bytes(MESSAGE_MAX)])
def test_1_a_signature_is_of_these_bytes_by_this_key(place: Place, message: bytes) -> None:
    signature, public = place.signer.sign(message), place.signer.public_key()
    assert (len(signature), len(public), len(fingerprint(public))) == (64, 32, 64)
    key = Ed25519PublicKey.from_public_bytes(public)
    key.verify(signature, message)
    with pytest.raises(InvalidSignature):
        key.verify(signature, message + b"\0")


def test_1_more_than_can_be_signed_is_refused(place: Place) -> None:
    with pytest.raises(Refused, match="up to"):
        place.signer.sign(bytes(MESSAGE_MAX + 1))


def test_2_the_same_bytes_get_the_same_signature(place: Place) -> None:
    assert place.signer.sign(b"once") == place.signer.sign(b"once") != place.signer.sign(b"twice")


def test_3_no_key_is_not_found(place: Place) -> None:
    signer = place.without_key()
    for ask in (signer.public_key, lambda: signer.sign(b"x")):
        with pytest.raises(NotFound):
            ask()


def test_3_a_key_that_may_not_sign_is_refused(place: Place) -> None:
    place.disable()
    for ask in (place.signer.public_key, lambda: place.signer.sign(b"x")):
        with pytest.raises(Refused):
            ask()


def test_3_silence_is_transient(place: Place) -> None:
    place.fall_silent()
    for ask in (place.signer.public_key, lambda: place.signer.sign(b"x")):
        with pytest.raises(Transient):
            ask()


# What only Cloud KMS has


def test_the_key_is_made_once(tmp_path: Path) -> None:
    with serving_kms(tmp_path) as service:
        client = kms_client(local_credentials("operator@local.example"), service.url)
        made = ensure_signing_key(client, PROJECT)
        assert ensure_signing_key(client, PROJECT) == made
        assert GoogleSigner(client, signing_key_name(PROJECT)).public_key() == made


def test_the_newest_enabled_version_signs(tmp_path: Path) -> None:
    """A rotation by hand takes over at the next command, and a signer that is at work stays with its key."""
    with serving_kms(tmp_path) as service:
        client = kms_client(local_credentials("operator@local.example"), service.url)
        first, name = ensure_signing_key(client, PROJECT), signing_key_name(PROJECT)
        at_work = GoogleSigner(client, name)
        assert at_work.public_key() == first
        client.create_crypto_key_version({"parent": name, "crypto_key_version": {}})
        second = GoogleSigner(client, name).public_key()
        assert second != first
        Ed25519PublicKey.from_public_bytes(first).verify(at_work.sign(b"x"), b"x")
        disabled = {"name": f"{name}/cryptoKeyVersions/2", "state": "DISABLED"}
        client.update_crypto_key_version({"crypto_key_version": disabled, "update_mask": "state"})
        assert GoogleSigner(client, name).public_key() == first


def test_a_key_signs_or_encrypts_and_never_both(tmp_path: Path) -> None:
    """The local service says so, as the real one does; and a key that encrypts is no signer."""
    with serving_kms(tmp_path) as service:
        client = kms_client(local_credentials("operator@local.example"), service.url)
        ensure_signing_key(client, PROJECT)
        signing = signing_key_name(PROJECT)
        for call, request in (
            (client.encrypt, {"name": signing, "plaintext": b"x"}),
            (client.decrypt, {"name": signing, "ciphertext": b"x"}),
            (client.update_crypto_key_primary_version, {"name": signing, "crypto_key_version_id": "1"}),
        ):
            with pytest.raises(Exception, match="400"):
                call(request)
        ring = key_name(PROJECT, "global").rpartition("/cryptoKeys/")[0]
        client.create_crypto_key(
            {"parent": ring, "crypto_key_id": "backups", "crypto_key": {"purpose": "ENCRYPT_DECRYPT"}}
        )
        with pytest.raises(Refused, match="Ed25519"):
            GoogleSigner(client, key_name(PROJECT, "global")).sign(b"x")
        with pytest.raises(Exception, match="400"):
            client.asymmetric_sign({"name": key_name(PROJECT, "global") + "/cryptoKeyVersions/1", "data": b"x"})
        with pytest.raises(Exception, match="400"):
            client.asymmetric_sign({"name": signing + "/cryptoKeyVersions/1", "digest": {"sha256": bytes(32)}})
