"""The keys and key buckets of a local cloud are made as Terraform makes those in production, and never changed."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.estate import ROTATION, ensure_key_buckets, ensure_kms_keys
from tenantctl.adapters.google.key_store import GoogleKeyStore
from tenantctl.adapters.google.keys import GoogleKeys, key_name, kms_client
from tenantctl.adapters.google.vault import storage_client
from tenantctl.localcloud.faults import Fault
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.sighting import Gone, Present
from tenantctl.ports.keys import forgets
from tests.contracts.key_places import OPERATOR, PROJECT
from tests.localcloud.kms_service import KmsService, serving_kms
from tests.localcloud.object_service import ObjectService, serving

REGIONS = ("europe-west1", "us-south1")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ObjectService]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def kms(tmp_path: Path) -> Iterator[KmsService]:
    with serving_kms(tmp_path) as made:
        yield made


def storage_of(service: ObjectService) -> Any:
    return storage_client(PROJECT, local_credentials(OPERATOR), service.url)


def kms_of(service: KmsService) -> Any:
    return kms_client(local_credentials(OPERATOR), service.url)


def test_a_key_bucket_for_each_region(service: ObjectService) -> None:
    client = storage_of(service)
    names = tuple(f"acme-{region}-keys" for region in REGIONS)
    assert ensure_key_buckets(client, "acme", REGIONS) == names
    store = GoogleKeyStore(client, "acme")
    for region, name in zip(REGIONS, names, strict=True):
        sighting = store.look_at_bucket(region)
        assert isinstance(sighting, Present)
        assert forgets(sighting.value)
        assert sighting.value.region == region
        bucket = client.get_bucket(name)
        assert bucket.iam_configuration.uniform_bucket_level_access_enabled is True
        assert bucket.iam_configuration.public_access_prevention == "enforced"
        assert list(bucket.lifecycle_rules) == []
    before = {bucket.name: bucket.metageneration for bucket in client.list_buckets()}
    assert ensure_key_buckets(client, "acme", REGIONS) == ()
    assert {bucket.name: bucket.metageneration for bucket in client.list_buckets()} == before


@pytest.mark.parametrize("wrong", ["soft delete", "versioning", "retention", "lifecycle", "region"])
def test_a_key_bucket_with_other_terms_is_refused(service: ObjectService, wrong: str) -> None:
    """Each of them would keep a shredded key readable, lose a needed one, or have it elsewhere."""
    client = storage_of(service)
    bucket = client.bucket(f"acme-{REGIONS[0]}-keys")
    bucket.soft_delete_policy.retention_duration_seconds = 604_800 if wrong == "soft delete" else 0
    bucket.versioning_enabled = wrong == "versioning"
    if wrong == "retention":
        bucket.retention_period = 86_400
    if wrong == "lifecycle":
        bucket.add_lifecycle_delete_rule(age=30)
    bucket.create(location=REGIONS[1] if wrong == "region" else REGIONS[0])
    with pytest.raises(Refused, match="there with other terms"):
        ensure_key_buckets(client, "acme", REGIONS[:1])


def test_a_key_for_each_region(kms: KmsService) -> None:
    client = kms_of(kms)
    now = kms.clock.now()
    assert ensure_kms_keys(client, PROJECT, REGIONS, now=now) == REGIONS
    keys = GoogleKeys(client, PROJECT)
    for region in REGIONS:
        sighting = keys.look(region)
        assert isinstance(sighting, Present)
        assert (sighting.value.state, sighting.value.rotation) == ("ENABLED", ROTATION)
        assert sighting.value.rotates_at is not None
        assert abs(sighting.value.rotates_at - now - ROTATION) < timedelta(seconds=1)
        assert keys.unwrap(region, keys.wrap(region, b"key", context="c"), context="c") == b"key"
    assert ensure_kms_keys(client, PROJECT, REGIONS, now=now) == ()


def test_on_a_cloud_whose_clock_is_ahead(kms: KmsService) -> None:
    """The first rotation is reckoned from the cloud's own time."""
    kms.clock.advance(timedelta(days=400))
    assert ensure_kms_keys(kms_of(kms), PROJECT, REGIONS, now=kms.clock.now()) == REGIONS


def test_a_key_that_does_not_wrap_or_never_rotates_is_refused(kms: KmsService) -> None:
    client = kms_of(kms)
    ensure_kms_keys(client, PROJECT, REGIONS, now=kms.clock.now())
    client.destroy_crypto_key_version({"name": f"{key_name(PROJECT, REGIONS[0])}/cryptoKeyVersions/1"})
    with pytest.raises(Refused, match="not as it should be"):
        ensure_kms_keys(client, PROJECT, REGIONS[:1], now=kms.clock.now())
    fields = "rotationPeriod,nextRotationTime"
    client.update_crypto_key({"crypto_key": {"name": key_name(PROJECT, REGIONS[1])}, "update_mask": fields})
    with pytest.raises(Refused, match="not as it should be"):
        ensure_kms_keys(client, PROJECT, REGIONS[1:], now=kms.clock.now())


@pytest.mark.parametrize("requests", range(5))
def test_a_crash_at_every_request(kms: KmsService, requests: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off anywhere, also between ring and key, running again completes it."""
    client = kms_of(kms)
    session: Any = client.transport._session
    send, sent = session.send, 0

    def count_and_send(*arguments: Any, **options: Any) -> Any:
        nonlocal sent
        if sent == requests:
            kms.faults.add(Fault(api="kms", kind="status", status=503))
        sent += 1
        return send(*arguments, **options)

    monkeypatch.setattr(session, "send", count_and_send)
    with pytest.raises(Transient):
        ensure_kms_keys(client, PROJECT, REGIONS[:1], now=kms.clock.now())
    kms.faults.clear()
    ensure_kms_keys(client, PROJECT, REGIONS[:1], now=kms.clock.now())
    assert isinstance(GoogleKeys(client, PROJECT).look(REGIONS[0]), Present)
    assert GoogleKeys(client, PROJECT).look(REGIONS[1]) == Gone()


def test_several_at_once(kms: KmsService, service: ObjectService) -> None:
    """Instances of one region are taken into service side by side: each finds or makes what it needs."""
    failures: list[BaseException] = []

    def ensure() -> None:
        try:
            ensure_key_buckets(storage_of(service), "acme", REGIONS)
            ensure_kms_keys(kms_of(kms), PROJECT, REGIONS, now=kms.clock.now())
        except BaseException as error:  # noqa: BLE001 - shown below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
