"""What is S3's own about the terms of its vaults: locks by default, a lifecycle for all there is, refusals to all."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tenantctl.adapters.s3.client import s3_client
from tenantctl.adapters.s3.estate import S3BucketPlan, ensure_s3_bucket
from tenantctl.adapters.s3.terms import _expiry
from tenantctl.adapters.s3.vault import S3Vault
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.policy import Term
from tenantctl.model.sighting import Present
from tenantctl.ports.vault import BucketSeen
from tests.contracts.s3_server import serving_s3
from tests.contracts.vaults import S3_REGION

PLAN = S3BucketPlan("vault-eu-west-1-daily-31d", S3_REGION, Term(lock_days=30, age_days=31))


@pytest.fixture
def client() -> Iterator[Any]:
    """Amazon's client on an S3 without buckets."""
    with serving_s3() as service:
        yield s3_client(S3_REGION, endpoint=service.url, credentials=("key", "secret"))


def test_a_bucket_has_the_terms_of_its_plan(client: Any) -> None:
    """Made once, and looked at for ever after."""
    assert ensure_s3_bucket(client, PLAN)
    assert not ensure_s3_bucket(client, PLAN)
    assert S3Vault(client).look_at_bucket(PLAN.name) == Present(PLAN.terms)
    assert client.get_bucket_versioning(Bucket=PLAN.name)["Status"] == "Enabled"
    assert all(client.get_public_access_block(Bucket=PLAN.name)["PublicAccessBlockConfiguration"].values())


def test_the_bucket_refuses_what_would_cover_or_hide() -> None:
    """The policy that S3 is given; moto does not carry it out."""
    with serving_s3() as service:
        ensure_s3_bucket(s3_client(S3_REGION, endpoint=service.url, credentials=("key", "secret")), PLAN)
        policy = json.loads(service.policies[PLAN.name])
    refused = {statement["Sid"]: statement for statement in policy["Statement"]}
    assert {statement["Effect"] for statement in refused.values()} == {"Deny"}
    assert refused["WriteOnce"]["Condition"]["Null"] == {"s3:if-none-match": "true"}
    assert refused["HideNothing"]["Action"] == "s3:DeleteObject"


@pytest.mark.parametrize("requests", range(12))
def test_a_crash_at_every_request(requests: int) -> None:
    """Broken off anywhere, running again completes the bucket."""
    with serving_s3() as service:
        client = s3_client(S3_REGION, endpoint=service.url, credentials=("key", "secret"))
        count = 0

        def crash(**_arguments: Any) -> None:
            nonlocal count
            count += 1
            if count > requests:
                raise OSError("the process was killed")

        client.meta.events.register("before-send.s3", crash)
        with pytest.raises(Transient):
            ensure_s3_bucket(client, PLAN)
        client.meta.events.unregister("before-send.s3", crash)
        ensure_s3_bucket(client, PLAN)
        assert S3Vault(client).look_at_bucket(PLAN.name) == Present(PLAN.terms)


@pytest.mark.parametrize("other", [Term(lock_days=29, age_days=31), Term(lock_days=30, age_days=32)])
def test_other_terms_are_refused(client: Any, other: Term) -> None:
    ensure_s3_bucket(client, S3BucketPlan(PLAN.name, PLAN.region, other))
    with pytest.raises(Refused, match="is there with other terms"):
        ensure_s3_bucket(client, PLAN)


@pytest.mark.parametrize("begun", ["plain", "in use"])
def test_a_bucket_of_somebody_elses_use_is_not_taken(client: Any, begun: str) -> None:
    """Locking and expiring what others keep there would be a disaster."""
    client.create_bucket(
        Bucket=PLAN.name,
        ObjectLockEnabledForBucket=begun != "plain",
        CreateBucketConfiguration={"LocationConstraint": S3_REGION},
    )
    if begun == "in use":
        client.put_object(Bucket=PLAN.name, Key="payroll", Body=b"1")
    with pytest.raises(Refused, match="other terms"):
        ensure_s3_bucket(client, PLAN)
    sighting = S3Vault(client).look_at_bucket(PLAN.name)
    assert sighting == Present(BucketSeen(S3_REGION, False, None, None, 0, versioning=True))


EXPIRES = {"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
DELETES = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
FORGETS = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}


@pytest.mark.parametrize(
    ("rule", "age_days", "versioning"),
    [
        ({**EXPIRES, **DELETES, **FORGETS}, 31, False),
        ({**EXPIRES, **DELETES}, None, False),  # parts of broken uploads would stay
        ({**EXPIRES, **FORGETS}, None, True),  # markers alone delete nothing
        ({**DELETES, **FORGETS, "Status": "Enabled", "Filter": {"Prefix": ""}}, None, False),
        ({**EXPIRES, **DELETES, **FORGETS, "Status": "Disabled"}, None, True),
        ({**EXPIRES, **DELETES, **FORGETS, "Filter": {"Prefix": "some/"}}, None, True),
    ],
)
def test_an_age_is_one_only_if_everything_goes(
    client: Any, rule: dict[str, Any], age_days: int | None, versioning: bool
) -> None:
    ensure_s3_bucket(client, PLAN)
    client.put_bucket_lifecycle_configuration(Bucket=PLAN.name, LifecycleConfiguration={"Rules": [rule]})
    sighting = S3Vault(client).look_at_bucket(PLAN.name)
    assert isinstance(sighting, Present)
    assert (sighting.value.age_days, sighting.value.versioning) == (age_days, versioning)


def test_versions_of_which_some_are_kept_outlive_deletion() -> None:
    """Of each name three would stay for ever; moto does not keep this word of a rule, so S3's answer is read alone."""
    deletes = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 3}}
    assert _expiry([{**EXPIRES, **deletes, **FORGETS}]) == (None, True)


def test_everything_is_forgotten_that_can_be_in_a_bucket(client: Any) -> None:
    """Objects hidden and then deleted, the markers that hid them, and the parts of uploads that nobody ended."""
    ensure_s3_bucket(client, PLAN)
    rules = client.get_bucket_lifecycle_configuration(Bucket=PLAN.name)["Rules"]
    said = {word: rule[word] for rule in rules for word in rule if word not in {"ID", "Status", "Filter"}}
    everything, markers = rules
    assert everything["Expiration"] == {"Days": 30}
    assert said["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert said["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert markers["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    assert {rule["Filter"]["Prefix"] for rule in rules} == {""}


def test_the_lock_of_a_bucket_is_of_the_mode_that_nobody_lifts(client: Any) -> None:
    ensure_s3_bucket(client, PLAN)
    rule = client.get_object_lock_configuration(Bucket=PLAN.name)["ObjectLockConfiguration"]["Rule"]
    assert (rule["DefaultRetention"]["Mode"], rule["DefaultRetention"]["Days"]) == ("COMPLIANCE", 30)


@pytest.mark.parametrize(
    ("retention", "locked", "days"),
    [({"Mode": "GOVERNANCE", "Days": 30}, False, 30), ({"Mode": "COMPLIANCE", "Years": 1}, True, 365)],
)
def test_a_lock_that_is_not_the_plans_is_seen(client: Any, retention: Any, locked: bool, days: int) -> None:
    """Who may, can change what a bucket gives to objects to come: each write looks before."""
    ensure_s3_bucket(client, PLAN)
    client.put_object_lock_configuration(
        Bucket=PLAN.name,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
    )
    sighting = S3Vault(client).look_at_bucket(PLAN.name)
    assert isinstance(sighting, Present)
    assert (sighting.value.locked, sighting.value.lock_days) == (locked, days)
    with pytest.raises(Refused, match="other terms"):
        ensure_s3_bucket(client, PLAN)


def test_a_term_of_a_day_is_none_that_s3_has() -> None:
    with pytest.raises(ValueError, match="2 days"):
        S3BucketPlan("b", S3_REGION, Term(lock_days=1, age_days=1))
