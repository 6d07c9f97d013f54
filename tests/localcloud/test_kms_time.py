"""The local Cloud KMS over time: rotation, the end of versions, and what kill -9 leaves."""

import itertools
import sqlite3
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud.kms_v1 import CryptoKeyVersion, KeyManagementServiceClient

from tests.localcloud.kms_service import KEY, KmsService, client_of, make_key, serving_kms, serving_kms_process

State = CryptoKeyVersion.CryptoKeyVersionState
PERIOD = timedelta(days=90)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[KmsService]:
    """A service with a key that rotates."""
    with serving_kms(tmp_path) as made:
        make_key(made.client(), rotation_period=PERIOD, next_rotation_time=made.clock.now() + PERIOD)
        yield made


def version(number: int) -> str:
    return f"{KEY}/cryptoKeyVersions/{number}"


def states(client: KeyManagementServiceClient) -> list[Any]:
    return [one.state for one in client.list_crypto_key_versions(parent=KEY)]


def encrypted(client: KeyManagementServiceClient) -> bytes:
    ciphertext: bytes = client.encrypt({"name": KEY, "plaintext": b"secret"}).ciphertext
    return ciphertext


def decrypted(client: KeyManagementServiceClient, ciphertext: bytes) -> bytes:
    plaintext: bytes = client.decrypt({"name": KEY, "ciphertext": ciphertext}, retry=None).plaintext
    return plaintext


def test_rotation_when_it_is_due_and_not_before(service: KmsService) -> None:
    client = service.client()
    old = encrypted(client)
    service.clock.advance(PERIOD - timedelta(minutes=1))
    assert client.get_crypto_key(name=KEY).primary.name == version(1)
    before = client.get_crypto_key(name=KEY).next_rotation_time
    service.clock.advance(timedelta(minutes=2))
    key = client.get_crypto_key(name=KEY)
    assert key.primary.name == version(2)
    assert key.next_rotation_time - before == PERIOD
    assert client.encrypt({"name": KEY, "plaintext": b""}).name == version(2)
    back = client.decrypt({"name": KEY, "ciphertext": old})
    assert (back.plaintext, back.used_primary) == (b"secret", False)


def test_a_year_that_passes_at_once(service: KmsService) -> None:
    """Rotations that fell due meanwhile have each happened at their time."""
    client = service.client()
    service.clock.advance(timedelta(days=365))
    made = [one.create_time for one in client.list_crypto_key_versions(parent=KEY)]
    assert len(made) == 5
    assert all(timedelta(days=89) < later - sooner < timedelta(days=91) for sooner, later in itertools.pairwise(made))


def test_rotation_by_hand(service: KmsService) -> None:
    client = service.client()
    client.create_crypto_key_version({"parent": KEY, "crypto_key_version": {}})
    assert client.get_crypto_key(name=KEY).primary.name == version(1)
    client.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="2")
    assert client.encrypt({"name": KEY, "plaintext": b""}).name == version(2)
    assert client.encrypt({"name": version(1), "plaintext": b""}).name == version(1)


def test_rotation_is_changed_and_taken_away(service: KmsService) -> None:
    client = service.client()
    at = service.clock.now() + timedelta(days=10)
    wanted = {"name": KEY, "rotation_period": timedelta(days=30), "next_rotation_time": at, "labels": {"a": "b"}}
    request = {"crypto_key": wanted, "update_mask": "rotationPeriod,nextRotationTime,labels"}
    key = client.update_crypto_key(request)
    assert (key.rotation_period, key.labels) == (timedelta(days=30), {"a": "b"})
    service.clock.advance(timedelta(days=11))
    assert client.get_crypto_key(name=KEY).primary.name == version(2)
    key = client.update_crypto_key({"crypto_key": {"name": KEY}, "update_mask": "rotationPeriod,nextRotationTime"})
    assert "rotation_period" not in key
    service.clock.advance(timedelta(days=365))
    assert client.get_crypto_key(name=KEY).primary.name == version(2)


def test_the_end_of_a_version(service: KmsService, tmp_path: Path) -> None:
    """Scheduled, called off, scheduled again and carried out: then its material is nowhere any more."""
    client = service.client()
    ciphertext = encrypted(client)
    material = _material(tmp_path)
    assert client.destroy_crypto_key_version(name=version(1)).state is State.DESTROY_SCHEDULED
    with pytest.raises(BadRequest, match="current state is: DESTROY_SCHEDULED"):
        decrypted(client, ciphertext)
    with pytest.raises(BadRequest, match="current state is"):
        client.encrypt({"name": KEY, "plaintext": b""}, retry=None)
    assert client.restore_crypto_key_version(name=version(1)).state is State.DISABLED
    with pytest.raises(BadRequest, match="current state is: DISABLED"):
        decrypted(client, ciphertext)
    enabled = {"crypto_key_version": {"name": version(1), "state": "ENABLED"}, "update_mask": "state"}
    assert client.update_crypto_key_version(enabled).state is State.ENABLED
    assert decrypted(client, ciphertext) == b"secret"
    scheduled = client.destroy_crypto_key_version(name=version(1))
    assert scheduled.destroy_time - scheduled.create_time > timedelta(days=29)
    service.clock.advance(timedelta(days=30))
    assert states(client) == [State.DESTROYED]
    assert material not in b"".join(path.read_bytes() for path in (tmp_path / "kms").iterdir())
    for call in (
        lambda: decrypted(client, ciphertext),
        lambda: client.restore_crypto_key_version(name=version(1)),
        lambda: client.destroy_crypto_key_version(name=version(1)),
        lambda: client.update_crypto_key_version(enabled),
        lambda: client.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="1"),
    ):
        with pytest.raises(BadRequest, match="current state is: DESTROYED"):
            call()


def _material(folder: Path) -> bytes:
    with sqlite3.connect(folder / "kms" / "kms.sqlite3") as rows:
        material: bytes = rows.execute("SELECT material FROM version").fetchone()[0]
    rows.close()
    assert len(material) == 32
    assert material in (folder / "kms" / "kms.sqlite3").read_bytes()
    return material


def test_the_details_name_the_version(service: KmsService) -> None:
    """As the real service does: clients need not read the sentence."""
    client = service.client()
    ciphertext = encrypted(client)
    client.destroy_crypto_key_version(name=version(1))
    with pytest.raises(BadRequest) as caught:
        decrypted(client, ciphertext)
    violations = caught.value.details[0]["violations"]
    assert violations == [{"type": "KEY_DESTROY_SCHEDULED", "subject": version(1)}]


def test_key_material_is_for_its_owner_alone(service: KmsService, tmp_path: Path) -> None:
    encrypted(service.client())
    assert stat.S_IMODE((tmp_path / "kms").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "kms").iterdir()} == {0o600}


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    with serving_kms_process(tmp_path) as (url, process):
        client = client_of(url)
        make_key(client)
        client.create_crypto_key_version({"parent": KEY, "crypto_key_version": {}})
        first = encrypted(client)
        client.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="2")
        second = encrypted(client)
        client.destroy_crypto_key_version(name=version(1))
        process.kill()
        process.wait(timeout=30)
    with serving_kms(tmp_path) as service:
        client = service.client()
        assert states(client) == [State.DESTROY_SCHEDULED, State.ENABLED]
        assert decrypted(client, second) == b"secret"
        with pytest.raises(BadRequest, match="DESTROY_SCHEDULED"):
            decrypted(client, first)
        client.restore_crypto_key_version(name=version(1))
        client.update_crypto_key_version(
            {"crypto_key_version": {"name": version(1), "state": "ENABLED"}, "update_mask": "state"}
        )
        assert decrypted(client, first) == b"secret"
