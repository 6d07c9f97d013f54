"""What keeps an object, asked of the unmodified google-cloud-storage client: retention, holds, preconditions."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.cloud.storage.exceptions import InvalidResponse

from tests.contracts.object_stores import STORES, UNIT, Place, opened, reason_of


@pytest.fixture(params=STORES)
def place(request, tmp_path) -> Iterator[Place]:
    with opened(request.param, tmp_path) as one:
        yield one


def test_a_locked_retention_grows_and_never_shrinks(place):
    """Locking needs the metageneration that was seen; after it, shortening and removing are refused."""
    bucket = place.bucket(retention_period=5)
    stale = place.client.get_bucket(bucket.name)
    bucket.labels = {"seen": "no"}
    bucket.patch()
    with pytest.raises(exceptions.PreconditionFailed):
        stale.lock_retention_policy()
    bucket.lock_retention_policy()
    assert bucket.retention_policy_locked

    bucket.retention_period = 4
    with pytest.raises(exceptions.Forbidden) as shortened:
        bucket.patch()
    assert "Cannot reduce retention duration" in str(shortened.value)
    bucket.retention_period = None
    with pytest.raises(exceptions.Forbidden) as removed:
        bucket.patch()
    assert "cannot be removed" in str(removed.value)
    bucket = place.client.get_bucket(bucket.name)
    bucket.retention_period = 6
    bucket.patch()
    assert place.client.get_bucket(bucket.name).retention_period == 6
    assert place.client.get_bucket(bucket.name).retention_policy_locked


def test_a_retained_object_is_neither_deleted_nor_overwritten(place):
    """403 retentionPolicyNotMet until its time is over, by every way there is; afterwards it can go."""
    bucket = place.bucket(retention_period=15)
    bucket.lock_retention_policy()
    bucket.blob("copy").upload_from_string(b"sealed")
    other = bucket.blob("other")
    other.upload_from_string(b"other")

    def resumable() -> None:
        with bucket.blob("copy").open("wb", chunk_size=UNIT) as stream:
            stream.write(b"x" * (UNIT + 1))

    for attempt in (
        lambda: bucket.blob("copy").delete(),
        lambda: bucket.blob("copy", generation=bucket.get_blob("copy").generation).delete(),
        lambda: bucket.blob("copy").upload_from_string(b"forged"),
        lambda: bucket.blob("copy").rewrite(other),
        lambda: bucket.blob("copy").compose([other]),
        resumable,
    ):
        with pytest.raises((exceptions.Forbidden, InvalidResponse)) as refused:
            attempt()
        assert refused.value.response.status_code == 403
        assert reason_of(refused.value) == "retentionPolicyNotMet"
    assert bucket.blob("copy").download_as_bytes() == b"sealed"

    kept = bucket.get_blob("copy")
    assert kept.retention_expiration_time == kept.time_created + timedelta(seconds=15)
    kept.metadata = {"note": "metadata may change"}
    kept.patch()
    assert bucket.get_blob("copy").metadata == {"note": "metadata may change"}
    with pytest.raises(exceptions.Conflict):
        bucket.delete()
    place.pass_seconds(18)
    bucket.blob("copy").delete()
    assert bucket.get_blob("copy") is None


def test_preconditions_are_checked_before_retention(place):
    """An object is made once; a wrong generation or metageneration is 412, not 403, and changes nothing."""
    bucket = place.bucket(retention_period=5)
    blob = bucket.blob("once")
    blob.upload_from_string(b"first", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("once").upload_from_string(b"second", if_generation_match=0)
    stream = bucket.blob("once").open("wb", chunk_size=UNIT, if_generation_match=0)
    stream.write(b"third")
    with pytest.raises(InvalidResponse) as refused:
        stream.close()
    assert refused.value.response.status_code == 412
    assert reason_of(refused.value) == "conditionNotMet"
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("once").delete(if_generation_match=blob.generation + 1)
    blob.metadata = {"a": "1"}
    blob.patch(if_metageneration_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("once").download_as_bytes(if_generation_match=blob.generation + 1)
    fresh = bucket.get_blob("once")
    assert (fresh.generation, fresh.metageneration) == (blob.generation, 2)
    assert fresh.download_as_bytes(if_generation_match=fresh.generation) == b"first"


def test_a_temporary_hold_keeps_an_object(place):
    """A held object is refused as forbidden, released it can go; its retention clock is not touched."""
    bucket = place.bucket(retention_period=3)
    blob = bucket.blob("evidence")
    blob.upload_from_string(b"kept")
    expiration = bucket.get_blob("evidence").retention_expiration_time
    blob.temporary_hold = True
    blob.patch()
    place.pass_seconds(5)
    attempts: list[Callable[[], object]] = [
        lambda: bucket.blob("evidence").delete(),
        lambda: bucket.blob("evidence").upload_from_string(b"forged"),
    ]
    for attempt in attempts:
        with pytest.raises(exceptions.Forbidden) as refused:
            attempt()
        assert reason_of(refused.value) == "forbidden"
        assert "Temporary hold" in str(refused.value)
    assert bucket.get_blob("evidence").retention_expiration_time == expiration
    blob.temporary_hold = False
    blob.patch()
    bucket.blob("evidence").delete()


def test_releasing_an_event_based_hold_restarts_retention(place):
    """Why a legal hold of ours is a temporary one."""
    bucket = place.bucket(retention_period=15)
    blob = bucket.blob("event")
    blob.upload_from_string(b"kept")
    blob.event_based_hold = True
    blob.patch()
    assert bucket.get_blob("event").retention_expiration_time is None
    place.pass_seconds(4)
    blob.event_based_hold = False
    blob.patch()
    fresh = bucket.get_blob("event")
    assert fresh.retention_expiration_time >= fresh.time_created + timedelta(seconds=19)


def test_an_objects_own_retention_is_extended_only(place):
    """A locked configuration is neither removed, unlocked nor shortened, and it keeps the object."""
    bucket = place.bucket(enable_object_retention=True)
    blob = bucket.blob("anchor")
    blob.upload_from_string(b"root")
    until = place.now() + timedelta(seconds=15)
    blob.retention.mode, blob.retention.retain_until_time = "Locked", until
    blob.patch()
    for mode, moment in (("Locked", until - timedelta(seconds=5)), ("Unlocked", until), (None, None)):
        blob = bucket.get_blob("anchor")
        blob.retention.mode, blob.retention.retain_until_time = mode, moment
        with pytest.raises((exceptions.Forbidden, exceptions.BadRequest)):
            blob.patch(override_unlocked_retention=True)
    with pytest.raises(exceptions.Forbidden) as refused:
        bucket.blob("anchor").delete()
    assert reason_of(refused.value) == "retentionPolicyNotMet"
    blob = bucket.get_blob("anchor")
    blob.retention.retain_until_time = until + timedelta(seconds=1)
    blob.patch()
    place.pass_seconds(18)
    bucket.blob("anchor").delete()
