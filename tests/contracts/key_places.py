"""Keys and key stores to hold to their ports' contracts: in memory, on the local cloud, and in a real project.

The real one needs `TENANTCTL_TEST_PROJECT` and `TENANTCTL_TEST_KMS_REGION`, where the key `tenantctl/backups` is
(`pytest -m live`): keys of Cloud KMS are never deleted, so none is made for a test.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tenantctl.adapters.google.credentials import local_credentials, production_credentials
from tenantctl.adapters.google.estate import ensure_key_buckets, ensure_kms_keys
from tenantctl.adapters.google.key_store import GoogleKeyStore, key_bucket_name
from tenantctl.adapters.google.keys import GoogleKeys, key_name, kms_client
from tenantctl.adapters.google.vault import storage_client
from tenantctl.adapters.memory.keys import MemoryKeys, MemoryKeyStore
from tenantctl.localcloud.faults import Fault
from tests.localcloud.kms_service import KmsService, serving_kms
from tests.localcloud.object_service import ObjectService, serving

PROJECT, OPERATOR, PREFIX = "test", "operator@local.example", "acme"
HERE, THERE, NOWHERE = "europe-west1", "europe-west4", "us-south1"
LIVE_PROJECT, LIVE_REGION = os.environ.get("TENANTCTL_TEST_PROJECT"), os.environ.get("TENANTCTL_TEST_KMS_REGION")
LIVE = pytest.param(
    "live",
    marks=[pytest.mark.live, pytest.mark.skipif(not (LIVE_PROJECT and LIVE_REGION), reason="names no key")],
)


@dataclass
class MemoryKeysPlace:
    """Keys in memory."""

    keys: MemoryKeys
    here: str = HERE

    def rotate(self, region: str) -> None:
        self.keys.rotate(region)

    def set_state(self, region: str, number: int, state: str) -> None:
        self.keys.set_state(region, number, state)

    def fall_silent(self, region: str) -> None:
        self.keys.unreachable.add(region)


@dataclass
class LocalKeysPlace:
    """The real adapter on a local Cloud KMS."""

    keys: GoogleKeys
    service: KmsService
    client: Any
    here: str = HERE

    def rotate(self, region: str) -> None:
        made = self.client.create_crypto_key_version({"parent": key_name(PROJECT, region), "crypto_key_version": {}})
        number = made.name.rpartition("/")[2]
        self.client.update_crypto_key_primary_version(
            {"name": key_name(PROJECT, region), "crypto_key_version_id": number}
        )

    def set_state(self, region: str, number: int, state: str) -> None:
        name = f"{key_name(PROJECT, region)}/cryptoKeyVersions/{number}"
        if state in ("ENABLED", "DISABLED"):
            request = {"crypto_key_version": {"name": name, "state": state}, "update_mask": "state"}
            self.client.update_crypto_key_version(request)
            return
        self.client.destroy_crypto_key_version({"name": name})
        if state == "DESTROYED":
            self.service.clock.advance(timedelta(days=31))

    def fall_silent(self, region: str) -> None:
        self.service.faults.add(Fault(api="kms", kind="status", status=503, path=f"locations/{region}/"))


@dataclass
class LiveKeysPlace:
    """The real adapter in a real project, whose key is not touched."""

    keys: GoogleKeys
    here: str

    def rotate(self, _region: str) -> None:
        pytest.skip("a real key is not rotated for a test")

    def set_state(self, _region: str, _number: int, _state: str) -> None:
        pytest.skip("a real key is not disabled for a test")

    def fall_silent(self, _region: str) -> None:
        pytest.skip("a real service does not fall silent on request")


KeysPlace = MemoryKeysPlace | LocalKeysPlace | LiveKeysPlace


@contextmanager
def keys_place(kind: str, folder: Path) -> Iterator[KeysPlace]:
    """Keys in `HERE` and `THERE`, and none in `NOWHERE`."""
    if kind == "memory":
        yield MemoryKeysPlace(MemoryKeys((HERE, THERE)))
    elif kind == "local":
        with serving_kms(folder) as service:
            yield local_keys_place(service)
    else:
        assert LIVE_PROJECT is not None
        assert LIVE_REGION is not None
        yield LiveKeysPlace(GoogleKeys(kms_client(production_credentials()), LIVE_PROJECT), LIVE_REGION)


def local_keys_place(service: KmsService) -> LocalKeysPlace:
    """The real adapter on a service that runs, with its keys made."""
    client = kms_client(local_credentials(OPERATOR), service.url)
    ensure_kms_keys(client, PROJECT, (HERE, THERE), now=service.clock.now())
    return LocalKeysPlace(GoogleKeys(client, PROJECT), service, client)


@dataclass
class MemoryStorePlace:
    """A key store in memory."""

    store: MemoryKeyStore

    def fall_silent(self, region: str) -> None:
        self.store.unreachable.add(region)

    def keep_what_is_removed(self, region: str, **terms: Any) -> None:
        self.store.make_bucket(region, **terms)


@dataclass
class LocalStorePlace:
    """The real adapter on the local object store."""

    store: GoogleKeyStore
    service: ObjectService
    client: Any

    def fall_silent(self, region: str) -> None:
        path = f"/b/{key_bucket_name(PREFIX, region)}"
        self.service.faults.add(Fault(api="storage", kind="status", status=503, path=path))

    def keep_what_is_removed(self, region: str, *, versioning: bool = False, soft_delete_seconds: int = 0) -> None:
        bucket = self.client.get_bucket(key_bucket_name(PREFIX, region))
        bucket.versioning_enabled = versioning
        bucket.soft_delete_policy.retention_duration_seconds = soft_delete_seconds
        bucket.patch()


StorePlace = MemoryStorePlace | LocalStorePlace


@contextmanager
def store_place(kind: str, folder: Path) -> Iterator[StorePlace]:
    """Key stores in `HERE` and `THERE`, and none in `NOWHERE`."""
    if kind == "memory":
        yield MemoryStorePlace(MemoryKeyStore((HERE, THERE), lambda: datetime.now(UTC)))
        return
    with serving(folder) as service:
        yield local_store_place(service)


def local_store_place(service: ObjectService) -> LocalStorePlace:
    """The real adapter on a store that runs, with its buckets made."""
    client = storage_client(PROJECT, local_credentials(OPERATOR), service.url)
    ensure_key_buckets(client, PREFIX, (HERE, THERE))
    return LocalStorePlace(GoogleKeyStore(client, PREFIX), service, client)
