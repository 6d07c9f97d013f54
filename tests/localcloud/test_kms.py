"""The local Cloud KMS, asked by the real client: keys wrap, rotate and end as they do in the real one."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from google.api_core.exceptions import AlreadyExists, BadRequest, Conflict, MethodNotImplemented, NotFound
from google.cloud.kms_v1 import CryptoKeyVersion, KeyManagementServiceClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.localcloud.kms_service import KEY, LOCATION, RING, KmsService, make_key, serving_kms

State = CryptoKeyVersion.CryptoKeyVersionState


@pytest.fixture
def service(tmp_path: Path) -> Iterator[KmsService]:
    """A service without any key."""
    with serving_kms(tmp_path) as made:
        yield made


@pytest.fixture
def client(service: KmsService) -> KeyManagementServiceClient:
    """The real client, with the key made."""
    client = service.client()
    make_key(client)
    return client


def crc32c(content: bytes) -> int:
    return int.from_bytes(google_crc32c.Checksum(content).digest(), "big")


def encrypted(client: KeyManagementServiceClient, plaintext: bytes = b"secret", context: bytes = b"") -> bytes:
    answer = client.encrypt({"name": KEY, "plaintext": plaintext, "additional_authenticated_data": context})
    ciphertext: bytes = answer.ciphertext
    return ciphertext


def decrypted(client: KeyManagementServiceClient, ciphertext: bytes, context: bytes = b"") -> bytes:
    request = {"name": KEY, "ciphertext": ciphertext, "additional_authenticated_data": context}
    plaintext: bytes = client.decrypt(request, retry=None).plaintext
    return plaintext


def version(number: int) -> str:
    return f"{KEY}/cryptoKeyVersions/{number}"


# Encryption


@given(plaintext=st.binary(max_size=1000), context=st.binary(max_size=200))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_encrypted_is_decrypted(client: KeyManagementServiceClient, plaintext: bytes, context: bytes) -> None:
    assert decrypted(client, encrypted(client, plaintext, context), context) == plaintext


def test_no_two_ciphertexts_are_equal(client: KeyManagementServiceClient) -> None:
    assert encrypted(client) != encrypted(client)


def test_the_context_is_bound(client: KeyManagementServiceClient) -> None:
    ciphertext = encrypted(client, context=b"mine")
    for other in (b"", b"min", b"mine "):
        with pytest.raises(BadRequest, match="Decryption failed"):
            decrypted(client, ciphertext, other)


def test_every_byte_of_a_ciphertext_counts(client: KeyManagementServiceClient) -> None:
    ciphertext = encrypted(client)
    for at in range(len(ciphertext)):
        with pytest.raises(BadRequest, match="Decryption failed"):
            decrypted(client, ciphertext[:at] + bytes([ciphertext[at] ^ 1]) + ciphertext[at + 1 :])
    for cut in (b"", ciphertext[:-1], ciphertext[:10], ciphertext + b"\0"):
        with pytest.raises(BadRequest, match="Decryption failed"):
            decrypted(client, cut)


def test_another_key_decrypts_nothing(client: KeyManagementServiceClient) -> None:
    client.create_crypto_key({"parent": RING, "crypto_key_id": "other", "crypto_key": {"purpose": 1}})
    other = f"{RING}/cryptoKeys/other"
    with pytest.raises(BadRequest, match="Decryption failed"):
        client.decrypt({"name": other, "ciphertext": encrypted(client)}, retry=None)


def test_checksums_are_taken_and_given(client: KeyManagementServiceClient) -> None:
    answer = client.encrypt(
        {
            "name": KEY,
            "plaintext": b"secret",
            "plaintext_crc32c": crc32c(b"secret"),
            "additional_authenticated_data": b"context",
            "additional_authenticated_data_crc32c": crc32c(b"context"),
        }
    )
    assert answer.verified_plaintext_crc32c
    assert answer.verified_additional_authenticated_data_crc32c
    assert answer.ciphertext_crc32c == crc32c(answer.ciphertext)
    assert answer.name == version(1)
    back = client.decrypt({"name": KEY, "ciphertext": answer.ciphertext, "additional_authenticated_data": b"context"})
    assert (back.plaintext_crc32c, back.used_primary) == (crc32c(b"secret"), True)
    plain = client.encrypt({"name": KEY, "plaintext": b"secret"})
    assert not plain.verified_plaintext_crc32c


@pytest.mark.parametrize("field", ["plaintext", "additional_authenticated_data"])
def test_a_wrong_checksum_is_refused(client: KeyManagementServiceClient, field: str) -> None:
    request = {"name": KEY, "plaintext": b"secret", f"{field}_crc32c": 1}
    with pytest.raises(BadRequest, match="checksum"):
        client.encrypt(request, retry=None)
    with pytest.raises(BadRequest, match="checksum"):
        client.decrypt({"name": KEY, "ciphertext": encrypted(client), "ciphertext_crc32c": 1}, retry=None)


def test_the_size_is_limited(client: KeyManagementServiceClient) -> None:
    largest = bytes(64 * 1024)
    assert decrypted(client, encrypted(client, largest, largest), largest) == largest
    for request in (
        {"plaintext": largest + b"\0"},
        {"plaintext": b"", "additional_authenticated_data": largest + b"x"},
    ):
        with pytest.raises(BadRequest, match="longer than"):
            client.encrypt({"name": KEY, **request}, retry=None)


# Rings and keys


def test_what_is_made_is_there_and_stays(client: KeyManagementServiceClient) -> None:
    assert client.get_key_ring(name=RING).name == RING
    key = client.get_crypto_key(name=KEY)
    assert (key.primary.name, key.primary.state) == (version(1), State.ENABLED)
    assert key.destroy_scheduled_duration == timedelta(days=30)
    assert "rotation_period" not in key
    assert [one.name for one in client.list_key_rings(parent=LOCATION)] == [RING]
    assert [one.name for one in client.list_crypto_keys(parent=RING)] == [KEY]
    with pytest.raises((AlreadyExists, Conflict)):
        client.create_key_ring({"parent": LOCATION, "key_ring_id": "tenantctl", "key_ring": {}})
    with pytest.raises((AlreadyExists, Conflict)):
        client.create_crypto_key({"parent": RING, "crypto_key_id": "backups", "crypto_key": {"purpose": 1}})


def test_what_is_not_there_is_not_found(service: KmsService) -> None:
    client = service.client()
    calls: list[Any] = [
        lambda: client.get_key_ring(name=RING),
        lambda: client.get_crypto_key(name=KEY),
        lambda: client.get_crypto_key_version(name=version(1)),
        lambda: client.encrypt({"name": KEY, "plaintext": b""}, retry=None),
        lambda: client.decrypt({"name": KEY, "ciphertext": b""}, retry=None),
        lambda: client.create_crypto_key({"parent": RING, "crypto_key_id": "k", "crypto_key": {"purpose": 1}}),
        lambda: list(client.list_crypto_keys(parent=RING)),
        lambda: list(client.list_crypto_key_versions(parent=KEY)),
        lambda: client.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="1"),
    ]
    for call in calls:
        with pytest.raises(NotFound, match="not found"):
            call()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation_period": timedelta(hours=1)},
        {"rotation_period": timedelta(days=90)},  # without the first time
        {"destroy_scheduled_duration": timedelta(hours=1)},
        {"destroy_scheduled_duration": timedelta(days=121)},
    ],
)
def test_what_makes_no_sense_is_refused(service: KmsService, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        make_key(service.client(), **wrong)


@pytest.mark.parametrize(
    "other",
    [{"purpose": "ASYMMETRIC_DECRYPT"}, {"version_template": {"protection_level": "HSM"}}, {"import_only": True}],
)
def test_what_is_not_emulated_is_said(service: KmsService, other: dict[str, Any]) -> None:
    with pytest.raises(MethodNotImplemented):
        make_key(service.client(), **other)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", f"{LOCATION}/keyRings?keyRingId=a%2Fb", "{}", 400),
        ("POST", f"{LOCATION}/keyRings", "{}", 400),
        ("POST", f"{LOCATION}/keyRings?keyRingId=r", "[]", 400),
        ("POST", f"{LOCATION}/keyRings?keyRingId=r", "{", 400),
        ("POST", f"{KEY}:encrypt", '{"plaintext": "%%%"}', 400),
        ("POST", f"{KEY}:encrypt", '{"plaintext": 7}', 400),
        ("POST", f"{KEY}:encrypt", b"\xff", 400),
        ("POST", f"{KEY}:encrypt", "x" * (2 << 20), 400),
        ("POST", f"{KEY}:updatePrimaryVersion", '{"cryptoKeyVersionId": "99999999999999999999"}', 404),
        ("POST", f"{RING}/cryptoKeys?cryptoKeyId=k", '{"purpose": 1, "labels": []}', 400),
        ("POST", f"{RING}/cryptoKeys?cryptoKeyId=k", '{"purpose": 1, "rotationPeriod": "xs"}', 400),
        ("PATCH", KEY, "{}", 400),
        ("PATCH", f"{KEY}?updateMask=purpose", "{}", 400),
        ("GET", f"{KEY}/cryptoKeyVersions?pageToken=x", None, 400),
        ("DELETE", KEY, None, 501),
        ("GET", f"{RING}/importJobs", None, 501),
        ("GET", "", None, 501),
    ],
)
def test_misshapen_requests(service: KmsService, method: str, path: str, body: Any, status: int) -> None:
    """Each is refused in Google's shape; none is a fault of the server."""
    make_key(service.client())
    answer = service.api(method, path, data=body)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == status


def test_lists_come_in_pages(client: KeyManagementServiceClient) -> None:
    for _ in range(4):
        client.create_crypto_key_version({"parent": KEY, "crypto_key_version": {}})
    listed = client.list_crypto_key_versions({"parent": KEY, "page_size": 2})
    assert [one.name for one in listed] == [version(number) for number in range(1, 6)]
    sizes = [
        len(page.crypto_key_versions) for page in client.list_crypto_key_versions({"parent": KEY, "page_size": 2}).pages
    ]
    assert sizes == [2, 2, 1]


def test_other_hosts_are_refused(service: KmsService) -> None:
    assert service.api("GET", RING, headers={"Host": "keys.example.com"}).status_code == 403
