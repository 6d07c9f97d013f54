"""The rules of buckets, without a server: what a new one gets, and that a locked policy only grows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.localcloud.object_bucket_rules import changed_bucket, locked_bucket, new_bucket
from tenantctl.localcloud.object_refusals import Refusal

rules = settings(deadline=None)  # a busy machine is no failure
BEGUN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECONDS = st.integers(1, 400 * 86_400)


def bucket(**settings: Any) -> dict[str, Any]:
    return new_bucket({"name": "vault", "location": "europe-west1", **settings}, BEGUN, object_retention=False)


@rules
@given(first=SECONDS, second=SECONDS)
def test_a_locked_policy_of_a_bucket_only_grows(first, second):
    """Shorter is refused, longer is taken, removal is refused; the lock stays."""
    locked = locked_bucket(bucket(retentionPolicy={"retentionPeriod": str(first)}), BEGUN)
    change = {"retentionPolicy": {"retentionPeriod": str(second), "isLocked": False}}
    if second < first:
        with pytest.raises(Refusal) as refused:
            changed_bucket(locked, change, BEGUN)
        assert (refused.value.status, refused.value.reason) == (403, "forbidden")
    else:
        changed = changed_bucket(locked, change, BEGUN + timedelta(days=1))
        assert changed["retentionPolicy"]["retentionPeriod"] == str(second)
        assert changed["retentionPolicy"]["effectiveTime"] == locked["retentionPolicy"]["effectiveTime"]
        assert changed["retentionPolicy"]["isLocked"]
    for replace in (False, True):
        with pytest.raises(Refusal) as refused:
            changed_bucket(locked, {"retentionPolicy": None}, BEGUN, replace=replace)
        assert (refused.value.status, refused.value.reason) == (403, "retentionPolicyNotMet")


def test_a_bucket_without_a_policy_has_nothing_to_lock():
    """400, not a lock of nothing."""
    with pytest.raises(Refusal) as refused:
        locked_bucket(bucket(), BEGUN)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "No Such Name"},
        {"name": "x"},
        {"name": None},
        {"retentionPolicy": {"retentionPeriod": "0"}},
        {"retentionPolicy": {"retentionPeriod": "a year"}},
        {"retentionPolicy": {"retentionPeriod": "3155760001"}},
        {"softDeletePolicy": {"retentionDurationSeconds": "3600"}},
        {"softDeletePolicy": {"retentionDurationSeconds": "7776001"}},
        {"storageClass": "FROZEN"},
        {"versioning": "on"},
        {"lifecycle": [{"action": {"type": "Delete"}, "condition": {"age": 1}}]},
        {"retentionPolicy": 86400},
        {"iamConfiguration": {"uniformBucketLevelAccess": True}},
        {"labels": {"Upper": "x"}},
        {"labels": {"a": "UPPER"}},
        {"rpo": "ASYNC_TURBO"},
        {"location": "EU", "customPlacementConfig": {"dataLocations": ["EUROPE-WEST1"]}},
        {"iamConfiguration": {"publicAccessPrevention": "perhaps"}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Shred"}, "condition": {"age": 1}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": -1}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"createdBefore": "soon"}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "SetStorageClass"}, "condition": {"age": 1}}]}},
    ],
)
def test_a_bucket_that_cannot_be_is_refused(settings):
    """400 `invalid`: a misspelt term never becomes a default."""
    with pytest.raises(Refusal) as refused:
        bucket(**settings)
    assert (refused.value.status, refused.value.reason) == (400, "invalid")


@pytest.mark.parametrize(
    "settings",
    [
        {"hierarchicalNamespace": {"enabled": True}},
        {"autoclass": {"enabled": True}},
        {"lifecycle": {"rule": [{"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 1}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"sizeAboveBytes": "1"}}]}},
    ],
)
def test_what_is_not_emulated_is_said_to_be_so(settings):
    """501: never accepted, and then not done."""
    with pytest.raises(Refusal) as refused:
        bucket(**settings)
    assert refused.value.status == 501


def test_defaults_and_absences_of_a_bucket_are_the_real_ones():
    """Soft delete on for a week, and back to it with None; an empty object changes nothing; labels merge."""
    document = new_bucket({"name": "vault", "labels": {"a": "1"}}, BEGUN, object_retention=False)
    assert document["softDeletePolicy"]["retentionDurationSeconds"] == "604800"
    assert (document["location"], document["locationType"], document["rpo"]) == ("US", "multi-region", "DEFAULT")
    off = changed_bucket(document, {"softDeletePolicy": {"retentionDurationSeconds": 0}}, BEGUN)
    assert off["softDeletePolicy"]["retentionDurationSeconds"] == "0"
    back = changed_bucket(off, {"softDeletePolicy": None, "retentionPolicy": {}, "lifecycle": {}}, BEGUN)
    assert back["softDeletePolicy"]["retentionDurationSeconds"] == "604800"
    assert "retentionPolicy" not in back
    assert changed_bucket(back, {"labels": {"b": "2"}}, BEGUN)["labels"] == {"a": "1", "b": "2"}
    assert "labels" not in changed_bucket(back, {"labels": {"a": None}}, BEGUN)
    assert "objectRetention" not in back
