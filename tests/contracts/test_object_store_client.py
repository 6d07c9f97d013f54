"""What the vault needs of an object store, asked of the unmodified google-cloud-storage client: buckets and bytes."""

import base64
import io
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import google_crc32c
import pytest
from google.api_core import exceptions

from tests.contracts.object_stores import STORES, UNIT, Place, opened


@pytest.fixture(params=STORES)
def place(request, tmp_path) -> Iterator[Place]:
    with opened(request.param, tmp_path) as one:
        yield one


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
