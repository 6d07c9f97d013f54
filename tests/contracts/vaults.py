"""Vaults to hold to the port's contract: in memory, on the local object store, on moto, in a real project if named.

And one that routes to each of two clouds, asked for a bucket in the one and in the other.

In S3, which moto plays, no time passes, since moto runs no lifecycle, and regions have other names.

The real one needs `TENANTCTL_TEST_PROJECT` and `TENANTCTL_TEST_BUCKET_PREFIX` (`pytest -m live`), with the caller's
own credentials. Its buckets keep objects for seconds, and are emptied and removed at the end; what needs time to pass
or a fault is not asked of it.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tenantctl.adapters.google.credentials import local_credentials, production_credentials
from tenantctl.adapters.google.estate import BucketPlan, ensure_bucket
from tenantctl.adapters.google.vault import GoogleVault, storage_client
from tenantctl.adapters.memory.vault import MemoryVault
from tenantctl.adapters.retry import Patience
from tenantctl.adapters.routed_vault import RoutedVault
from tenantctl.adapters.s3.client import s3_client
from tenantctl.adapters.s3.estate import S3BucketPlan, ensure_s3_bucket
from tenantctl.adapters.s3.multipart import PART_SIZE_MIN
from tenantctl.adapters.s3.vault import S3Vault
from tenantctl.localcloud.faults import Fault
from tenantctl.model.backup import RetentionClass, bucket_name
from tenantctl.model.errors import Refused
from tenantctl.model.policy import Term
from tenantctl.ports.vault import BucketSeen, Vault
from tests.contracts.s3_server import S3Service, serving_s3
from tests.localcloud.object_service import ObjectService, serving

REGION, BUCKET = "europe-west1", "vault-europe-west1-daily-3d"
TERMS = BucketSeen(region=REGION, locked=True, lock_days=2, age_days=3, soft_delete_seconds=0, versioning=False)
CHUNK = 256 * 1024
OPERATOR = "operator@local.example"
PROJECT, PREFIX = os.environ.get("TENANTCTL_TEST_PROJECT"), os.environ.get("TENANTCTL_TEST_BUCKET_PREFIX")
S3_REGION = "eu-west-1"
OFF_CLOUD_REGION = f"aws:{S3_REGION}"
PLACES = (
    "memory",
    "local",
    "s3",
    "routed to local",
    "routed to s3",
    pytest.param(
        "live",
        marks=[pytest.mark.live, pytest.mark.skipif(not (PROJECT and PREFIX), reason="names no Google Cloud project")],
    ),
)


def no_patience() -> Patience:
    """Patience whose waits take no time."""
    return Patience(seconds=5, sleep=lambda _seconds: None)


@dataclass
class MemoryPlace:
    """A vault in memory."""

    vault: MemoryVault
    bucket: str
    region: str = REGION
    moved: timedelta = timedelta(0)

    def advance(self, duration: timedelta) -> None:
        self.moved += duration

    def expire(self) -> None:
        self.vault.expire()

    def lose(self, name: str) -> None:
        self.vault.lose(self.bucket, name)

    def fall_silent(self) -> None:
        self.vault.unreachable.add(REGION)

    def delete_as_owner(self, name: str) -> None:
        self.vault.delete(self.bucket, name)


@dataclass
class StorePlace:
    """The real adapter on the local object store."""

    vault: Vault
    bucket: str
    service: ObjectService
    client: Any
    region: str = REGION

    def advance(self, duration: timedelta) -> None:
        self.service.clock.advance(duration)

    def expire(self) -> None:
        self.service.sweep()

    def lose(self, name: str) -> None:
        assert self.service.lose(self.bucket, name)

    def fall_silent(self) -> None:
        self.service.faults.add(Fault(api="storage", kind="status", status=503))

    def delete_as_owner(self, name: str) -> None:
        self.client.bucket(self.bucket).blob(name).delete(retry=None)


@dataclass
class S3Place:
    """The real adapter for S3, on moto's server."""

    vault: Vault
    bucket: str
    service: S3Service
    client: Any
    region: str = S3_REGION

    def advance(self, _duration: timedelta) -> None:
        pytest.skip("moto runs no lifecycle")

    def expire(self) -> None:
        pytest.skip("moto runs no lifecycle")

    def lose(self, name: str) -> None:
        self.service.lose(self.bucket, name)

    def fall_silent(self) -> None:
        self.service.fail(503)

    def delete_as_owner(self, name: str) -> None:
        for version in self.client.list_object_versions(Bucket=self.bucket, Prefix=name)["Versions"]:
            try:
                self.client.delete_object(
                    Bucket=self.bucket, Key=name, VersionId=version["VersionId"], BypassGovernanceRetention=True
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "AccessDenied":
                    raise Refused(str(error)) from error
                raise


@dataclass
class LivePlace:
    """The real adapter in a real project."""

    vault: GoogleVault
    bucket: str
    client: Any
    region: str = REGION

    def advance(self, _duration: timedelta) -> None:
        pytest.skip("time cannot be moved in a real project")

    def expire(self) -> None:
        pytest.skip("a real lifecycle acts when it likes")

    def lose(self, _name: str) -> None:
        pytest.skip("a real store loses nothing on request")

    def fall_silent(self) -> None:
        pytest.skip("a real store does not fall silent on request")

    def delete_as_owner(self, name: str) -> None:
        self.client.bucket(self.bucket).blob(name).delete(retry=None)


Place = MemoryPlace | StorePlace | S3Place | LivePlace


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """One vault with one bucket, whose terms are `TERMS` (but in a real project)."""
    if kind == "memory":
        made = MemoryPlace(MemoryVault(lambda: datetime.now(UTC) + made.moved), BUCKET)
        made.vault.make_bucket(BUCKET, TERMS)
        yield made
    elif kind == "local":
        with serving(folder) as service:
            yield store_place(service)
    elif kind == "s3":
        with serving_s3() as s3:
            yield s3_place(s3)
    elif kind == "routed to local":
        with serving(folder) as service:
            there = store_place(service)
            yield replace(there, vault=RoutedVault(there.vault, _elsewhere))
    elif kind == "routed to s3":
        with serving_s3() as s3, serving(folder) as google:
            off_cloud = s3_place(s3, bucket_name(f"v{secrets.token_hex(6)}", OFF_CLOUD_REGION, RetentionClass.DAILY, 3))
            vault = RoutedVault(store_place(google).vault, {OFF_CLOUD_REGION: off_cloud.vault}.__getitem__)
            yield replace(off_cloud, vault=vault, region=OFF_CLOUD_REGION)
    else:
        assert PROJECT is not None
        assert PREFIX is not None
        with _live_bucket(PROJECT, PREFIX) as (client, bucket):
            yield LivePlace(google_vault(client), bucket, client)


def store_place(service: ObjectService) -> StorePlace:
    """The real adapter on a store that runs, with its bucket made."""
    client = storage_client("test", local_credentials(OPERATOR), service.url)
    ensure_bucket(client, BucketPlan(BUCKET, REGION, Term(lock_days=2, age_days=3)))
    return StorePlace(google_vault(client), BUCKET, service, client)


def _elsewhere(region: str) -> Vault:
    raise AssertionError(f"{region} is not where this bucket lies")


def s3_place(service: S3Service, bucket: str | None = None) -> S3Place:
    """The real adapter on moto, with its bucket made; no two places' buckets have the same name."""
    client = s3_client(S3_REGION, endpoint=service.url, credentials=("key", "secret"))
    bucket = bucket or f"{BUCKET}-{secrets.token_hex(6)}"
    ensure_s3_bucket(client, S3BucketPlan(bucket, S3_REGION, Term(lock_days=2, age_days=3)))
    return S3Place(
        S3Vault(client, patience=no_patience(), part_size=PART_SIZE_MIN, chunk_size=CHUNK), bucket, service, client
    )


def google_vault(client: Any) -> GoogleVault:
    """The real adapter, with the smallest chunks there are."""
    return GoogleVault(client, patience=no_patience(), chunk_size=CHUNK)


@contextmanager
def _live_bucket(project: str, prefix: str) -> Iterator[tuple[Any, str]]:
    client = storage_client(project, production_credentials())
    bucket = client.bucket(f"{prefix}-{secrets.token_hex(6)}")
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.retention_period = 3
    bucket.create(location=REGION)
    try:
        yield client, bucket.name
    finally:
        time.sleep(4)
        for blob in bucket.list_blobs():
            bucket.blob(blob.name).delete()
        bucket.delete()


def stream(vault: Vault, bucket: str, name: str, *chunks: bytes) -> None:
    """Upload an object in these chunks."""
    with vault.upload(bucket, name) as upload:
        for chunk in chunks:
            upload.write(chunk)
        upload.seal()
