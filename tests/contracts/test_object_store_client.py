"""What the vault needs of an object store, asked of the unmodified google-cloud-storage client.

Every check runs against the local cloud. With `TENANTCTL_TEST_PROJECT` and `TENANTCTL_TEST_BUCKET_PREFIX` set it runs
against that Google Cloud project as well (`pytest -m live`), with the caller's own credentials; buckets are made for
each check, retentions last seconds, and everything is deleted again once they are over.
"""

import base64
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud.storage import Client
from google.cloud.storage.exceptions import InvalidResponse

from tests.localcloud.object_service import ObjectService, serving

PROJECT, PREFIX = os.environ.get("TENANTCTL_TEST_PROJECT"), os.environ.get("TENANTCTL_TEST_BUCKET_PREFIX")
LIVE = pytest.param(
    "live",
    marks=[pytest.mark.live, pytest.mark.skipif(not (PROJECT and PREFIX), reason="names no Google Cloud project")],
)
UNIT = 256 * 1024


@dataclass
class Place:
    """A store under test: its client, and how its time passes."""

    client: Any
    local: ObjectService | None
    prefix: str
    made: list[str] = field(default_factory=list)

    def bucket(self, *, enable_object_retention: bool = False, **settings: Any) -> Any:
        """Make a bucket without soft delete, so that it can be emptied when the check is over."""
        bucket = self.client.bucket(f"{self.prefix}-{secrets.token_hex(6)}")
        bucket.soft_delete_policy.retention_duration_seconds = 0
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        for name, value in settings.items():
            setattr(bucket, name, value)
        self.client.create_bucket(bucket, location="europe-west1", enable_object_retention=enable_object_retention)
        self.made.append(bucket.name)
        return bucket

    def pass_seconds(self, seconds: int) -> None:
        """Let time pass: on the local cloud at once."""
        if self.local is None:
            time.sleep(seconds)
        else:
            self.local.clock.advance(timedelta(seconds=seconds))

    def now(self) -> datetime:
        return datetime.now(UTC) if self.local is None else self.local.clock.now()

    def clear(self) -> None:
        """Delete what the check has made, once its retentions are over."""
        self.pass_seconds(20)
        for name in self.made:
            for blob in self.client.list_blobs(name, versions=True):
                if blob.temporary_hold or blob.event_based_hold:
                    blob.temporary_hold = blob.event_based_hold = False
                    blob.patch()
            self.pass_seconds(20)
            for blob in self.client.list_blobs(name, versions=True):
                with suppress(exceptions.NotFound):
                    blob.delete()
            self.client.bucket(name).delete()


@pytest.fixture(params=["local", LIVE])
def place(request, tmp_path) -> Iterator[Place]:
    if request.param == "local":
        with serving(tmp_path) as service:
            yield Place(service.client(), service, "vault")
        return
    live = Place(Client(project=PROJECT), None, str(PREFIX))
    yield live
    live.clear()


def reason_of(error: exceptions.GoogleAPICallError | InvalidResponse) -> str:
    """The reason of a refusal; a refused upload hides it in the response, and a stream raises an error of its own."""
    errors = getattr(error, "errors", None) or error.response.json()["error"]["errors"]
    return str(errors[0]["reason"])


def test_a_bucket_keeps_what_it_was_made_with(place):
    """Placement, labels, access, soft delete, versioning, lifecycle and retention are all read back as written."""
    bucket = place.client.bucket(f"{place.prefix}-{secrets.token_hex(6)}")
    bucket.labels = {"region": "eu", "class": "daily"}
    bucket.storage_class = "NEARLINE"
    bucket.retention_period = 3
    bucket.versioning_enabled = False
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.add_lifecycle_delete_rule(age=90)
    place.client.create_bucket(bucket, location="EU", data_locations=["EUROPE-WEST1", "EUROPE-WEST4"])
    place.made.append(bucket.name)

    found = place.client.get_bucket(bucket.name)
    assert (found.location, found.location_type, sorted(found.data_locations)) == (
        "EU",
        "dual-region",
        ["EUROPE-WEST1", "EUROPE-WEST4"],
    )
    assert found.labels == {"region": "eu", "class": "daily"}
    assert found.storage_class == "NEARLINE"
    assert found.retention_period == 3
    assert not found.retention_policy_locked
    assert not found.versioning_enabled
    assert found.soft_delete_policy.retention_duration_seconds == 0
    assert found.iam_configuration.uniform_bucket_level_access_enabled
    assert found.iam_configuration.public_access_prevention == "enforced"
    assert [dict(rule) for rule in found.lifecycle_rules] == [{"action": {"type": "Delete"}, "condition": {"age": 90}}]
    assert bucket.name in [listed.name for listed in place.client.list_buckets(prefix=place.prefix)]


def test_soft_delete_is_on_unless_it_is_turned_off(place):
    """A bucket that says nothing keeps deleted bytes for a week: what a promise of destruction must know."""
    bucket = place.client.create_bucket(f"{place.prefix}-{secrets.token_hex(6)}", location="europe-west1")
    place.made.append(bucket.name)
    assert bucket.soft_delete_policy.retention_duration_seconds == 7 * 86_400


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


def test_a_stream_of_unknown_length_becomes_an_object(place):
    """What `pg_dump` writes goes up piece by piece and comes down the same, with the checksum of what was sent."""
    bucket = place.bucket()
    pieces = [secrets.token_bytes(100_000) for _ in range(9)]
    with bucket.blob("dump.age").open("wb", chunk_size=UNIT, if_generation_match=0) as stream:
        for piece in pieces:
            stream.write(piece)
    whole = b"".join(pieces)
    blob = bucket.get_blob("dump.age")
    assert blob.size == len(whole)
    assert blob.crc32c == base64.b64encode(google_crc32c.value(whole).to_bytes(4, "big")).decode()
    assert blob.download_as_bytes() == whole
    with bucket.blob("dump.age").open("rb", chunk_size=UNIT) as stream:
        assert stream.read(300_000) == whole[:300_000]
        stream.seek(800_000)
        assert stream.read() == whole[800_000:]
    with bucket.blob("empty").open("wb", chunk_size=UNIT):
        pass
    assert bucket.get_blob("empty").size == 0


def test_an_upload_that_is_given_up_leaves_nothing(place):
    """When the source fails, the client cancels, and no object appears."""
    bucket = place.bucket()

    def dump() -> None:
        with bucket.blob("half").open("wb", chunk_size=UNIT) as stream:
            stream.write(b"x" * UNIT * 2)
            raise RuntimeError("the dump failed")

    with pytest.raises(RuntimeError, match="the dump failed"):
        dump()
    assert bucket.get_blob("half") is None


def test_an_interrupted_upload_is_resumed_where_it_stopped(place):
    """Another process asks how much is there, and sends only the rest."""
    bucket = place.bucket()
    content = secrets.token_bytes(UNIT * 3 + 17)
    url = bucket.blob("resumed").create_resumable_upload_session(content_type="application/octet-stream")
    send = place.client._http.request
    first = send("PUT", url, data=content[:UNIT], headers={"Content-Range": f"bytes 0-{UNIT - 1}/*"})
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{UNIT - 1}")

    asked = send("PUT", url, headers={"Content-Range": "bytes */*"})
    assert (asked.status_code, asked.headers["Range"]) == (308, f"bytes=0-{UNIT - 1}")
    rest = {"Content-Range": f"bytes {UNIT}-{len(content) - 1}/{len(content)}"}
    last = send("PUT", url, data=content[UNIT:], headers=rest)
    assert last.status_code == 200
    assert int(last.json()["size"]) == len(content)
    assert bucket.blob("resumed").download_as_bytes() == content


def test_ranges_are_served(place):
    """A part of an object can be read alone; a range beyond its end is refused."""
    bucket = place.bucket()
    bucket.blob("parts").upload_from_string(b"0123456789")
    blob = bucket.blob("parts")
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=7) == b"789"
    assert blob.download_as_bytes(start=-3) == b"789"
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)


def test_listing_goes_page_by_page_in_order(place):
    """No object is missed or seen twice, whatever the size of a page."""
    bucket = place.bucket()
    names = [f"tenant/{number}" for number in range(5)] + ["tenant/deep/er", "zoo"]
    for name in names:
        bucket.blob(name).upload_from_string(b"")
    assert [blob.name for blob in place.client.list_blobs(bucket, page_size=2)] == sorted(names)
    assert [blob.name for blob in place.client.list_blobs(bucket, prefix="tenant/", max_results=3)] == [
        "tenant/0",
        "tenant/1",
        "tenant/2",
    ]
    found = place.client.list_blobs(bucket, prefix="tenant/", delimiter="/", page_size=2)
    assert [blob.name for blob in found] == [f"tenant/{number}" for number in range(5)]
    assert found.prefixes == {"tenant/deep/"}
    window = place.client.list_blobs(bucket, start_offset="tenant/3", end_offset="tenant/deep/er")
    assert [blob.name for blob in window] == ["tenant/3", "tenant/4"]


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


def test_wrong_bytes_are_refused(place):
    """A checksum that does not fit what arrived is 400, and no object appears."""
    bucket = place.bucket()
    wrong = base64.b64encode(google_crc32c.value(b"meant").to_bytes(4, "big")).decode()
    with pytest.raises(exceptions.BadRequest):
        bucket.blob("wrong").upload_from_file(io.BytesIO(b"sent"), checksum=None, crc32c_checksum_value=wrong)
    session = bucket.blob("wrong").create_resumable_upload_session()
    headers = {"Content-Range": "bytes 0-3/4", "X-Goog-Hash": f"crc32c={wrong}"}
    assert place.client._http.request("PUT", session, data=b"sent", headers=headers).status_code == 400
    assert bucket.get_blob("wrong") is None


def test_copies_and_compositions_are_new_objects(place):
    """Their age starts anew, so the backup's own time must be kept elsewhere."""
    bucket, target = place.bucket(), place.bucket()
    source = bucket.blob("source")
    source.metadata = {"uid": "t-1"}
    source.upload_from_string(b"one", content_type="text/plain")
    place.pass_seconds(2)
    token, done, total = target.blob("rewritten").rewrite(source)
    assert (token, done, total) == (None, 3, 3)
    copied = bucket.copy_blob(source, target, "copied")
    for blob in (target.get_blob("rewritten"), copied):
        assert blob.download_as_bytes() == b"one"
        assert (blob.metadata, blob.content_type) == ({"uid": "t-1"}, "text/plain")
        assert blob.time_created > bucket.get_blob("source").time_created
    second = bucket.blob("second")
    second.upload_from_string(b"two")
    joined = bucket.blob("joined")
    joined.compose([source, second])
    joined.reload()
    assert joined.download_as_bytes() == b"onetwo"
    assert (joined.component_count, joined.md5_hash) == (2, None)


def test_custom_time_only_moves_forward(place):
    """So it cannot shorten a life, but it can be moved on: no term of ours hangs on it."""
    bucket = place.bucket()
    blob = bucket.blob("dated")
    blob.custom_time = datetime(2026, 5, 1, tzinfo=UTC)
    blob.upload_from_string(b"")
    blob.custom_time = datetime(2026, 6, 1, tzinfo=UTC)
    blob.patch()
    blob.custom_time = datetime(2026, 5, 31, tzinfo=UTC)
    with pytest.raises(exceptions.BadRequest):
        blob.patch()
    assert bucket.get_blob("dated").custom_time == datetime(2026, 6, 1, tzinfo=UTC)


def test_what_is_not_there_is_said_to_be_not_there(place):
    """Gone is told from unreachable: a missing object in a bucket that answers, and a missing bucket."""
    bucket = place.bucket()
    assert bucket.get_blob("nothing") is None
    assert not bucket.blob("nothing").exists()
    for attempt in (bucket.blob("nothing").download_as_bytes, bucket.blob("nothing").delete):
        with pytest.raises(exceptions.NotFound):
            attempt()
    missing = place.client.bucket(f"{place.prefix}-{secrets.token_hex(6)}")
    assert not missing.exists()
    with pytest.raises(exceptions.NotFound):
        missing.blob("x").upload_from_string(b"x")
    with pytest.raises(exceptions.NotFound):
        list(place.client.list_blobs(missing))
