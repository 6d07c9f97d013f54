"""The buckets of a local cloud have the terms that Terraform gives those in production, and nobody can ease them."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import Forbidden, GoogleAPICallError

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.estate import BucketPlan, bucket_plans, ensure_bucket, ensure_buckets
from tenantctl.adapters.google.vault import GoogleVault, storage_client
from tenantctl.adapters.policy_files import load_backups, policies_folder
from tenantctl.localcloud.faults import Fault
from tenantctl.model.backup import RetentionClass
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.policy import Term
from tenantctl.model.sighting import Present
from tests.contracts.vaults import OPERATOR
from tests.localcloud.object_service import ObjectService, serving

REGIONS = ("europe-west1", "us-south1")
POLICY = load_backups(policies_folder())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ObjectService]:
    """An empty store."""
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def client(service: ObjectService) -> Any:
    """Google's client, as an operator."""
    return storage_client("test", local_credentials(OPERATOR), service.url)


def test_a_bucket_for_each_region_and_class(client: Any) -> None:
    """Terms are the policy's; names say region, class and term."""
    made = ensure_buckets(client, "acme", REGIONS, POLICY)
    assert len(made) == len(REGIONS) * len(RetentionClass)
    assert "acme-europe-west1-final-331d" in made
    for plan in bucket_plans("acme", REGIONS, POLICY):
        assert GoogleVault(client).look_at_bucket(plan.name) == Present(plan.terms)
        bucket = client.get_bucket(plan.name)
        assert bucket.iam_configuration.uniform_bucket_level_access_enabled is True
        assert bucket.iam_configuration.public_access_prevention == "enforced"


def test_again_changes_nothing(client: Any) -> None:
    ensure_buckets(client, "acme", REGIONS, POLICY)
    before = {bucket.name: bucket.metageneration for bucket in client.list_buckets()}
    assert ensure_buckets(client, "acme", REGIONS, POLICY) == ()
    assert {bucket.name: bucket.metageneration for bucket in client.list_buckets()} == before


@pytest.mark.parametrize("requests", range(4))
def test_a_crash_at_every_request(service: ObjectService, client: Any, requests: int) -> None:
    """Broken off anywhere, also between the making and the locking, running again completes it."""
    plan = next(bucket_plans("acme", REGIONS, POLICY))
    send, sent = client._http.request, 0

    def count_and_send(*arguments: Any, **options: Any) -> Any:
        nonlocal sent
        if sent == requests:
            service.faults.add(Fault(api="storage", kind="status", status=503))
        sent += 1
        return send(*arguments, **options)

    client._http.request = count_and_send
    with pytest.raises(Transient):
        ensure_bucket(client, plan)
    service.faults.clear()
    ensure_bucket(client, plan)
    assert GoogleVault(client).look_at_bucket(plan.name) == Present(plan.terms)


def test_two_at_once(service: ObjectService) -> None:
    """Instances of one region are taken into service side by side: each finds or makes the buckets."""
    failures: list[BaseException] = []

    def ensure() -> None:
        try:
            own = storage_client("test", local_credentials(OPERATOR), service.url)
            ensure_buckets(own, "acme", REGIONS[:1], POLICY)
        except BaseException as error:  # noqa: BLE001 - shown below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("other", [Term(lock_days=29, age_days=31), Term(lock_days=30, age_days=32)])
def test_other_terms_are_refused(client: Any, other: Term) -> None:
    """A bucket that is there with other terms is named, and neither used nor changed."""
    plan = BucketPlan("acme-europe-west1-daily-31d", "europe-west1", Term(lock_days=30, age_days=31))
    ensure_bucket(client, BucketPlan(plan.name, plan.region, other))
    with pytest.raises(Refused, match="acme-europe-west1-daily-31d is there with other terms"):
        ensure_bucket(client, plan)
    with pytest.raises(Refused, match="with other terms"):
        ensure_bucket(client, BucketPlan(plan.name, "us-south1", other))


def test_unlocked_with_other_terms_is_not_locked(client: Any) -> None:
    """Locking is for ever: it is done only when everything else is as it should be."""
    bucket = client.bucket("acme-europe-west1-daily-31d")
    bucket.retention_period = 86_400
    bucket.create(location="europe-west1")
    with pytest.raises(Refused, match="with other terms"):
        ensure_bucket(client, BucketPlan(bucket.name, "europe-west1", Term(lock_days=30, age_days=31)))
    assert not client.get_bucket(bucket.name).retention_policy_locked


def test_nobody_eases_a_locked_bucket(client: Any) -> None:
    """Shortening or removing the retention, or removing the bucket with its objects, is refused by the store."""
    plan = BucketPlan("acme-europe-west1-daily-31d", "europe-west1", Term(lock_days=30, age_days=31))
    ensure_bucket(client, plan)
    GoogleVault(client).put(plan.name, "o", b"kept")
    for period in (int(timedelta(days=29).total_seconds()), None):
        bucket = client.get_bucket(plan.name)
        bucket.retention_period = period
        with pytest.raises(Forbidden):
            bucket.patch(retry=None)
    with pytest.raises(GoogleAPICallError):
        client.get_bucket(plan.name).delete(retry=None)
    assert GoogleVault(client).look_at_bucket(plan.name) == Present(plan.terms)


def test_what_a_bucket_does_not_say_is_not_taken_for_good(client: Any) -> None:
    """A bucket without lock, lifecycle or word on soft delete is seen as such."""
    bucket = client.bucket("plain")
    bucket.add_lifecycle_delete_rule(age=3, matches_prefix=["some/"])
    bucket.create(location="EUROPE-WEST1")
    sighting = GoogleVault(client).look_at_bucket("plain")
    assert isinstance(sighting, Present)
    seen = sighting.value
    assert (seen.region, seen.locked, seen.lock_days, seen.age_days) == ("europe-west1", False, None, None)
    assert seen.soft_delete_seconds == 7 * 86_400
    assert seen.versioning is False
