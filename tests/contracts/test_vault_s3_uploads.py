"""What is S3's own about the way into its vaults: uploads in parts, those that are abandoned, lost answers."""

from collections.abc import Iterator
from typing import Any

import pytest

from tenantctl.adapters.retry import Patience
from tenantctl.adapters.s3.client import s3_client
from tenantctl.adapters.s3.multipart import PART_SIZE, PART_SIZE_MIN, PARTS_MAX, MultipartUpload
from tenantctl.adapters.watch import TimeLimits
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.sighting import Gone, Present
from tests.contracts.s3_server import crc32c, serving_s3
from tests.contracts.vaults import S3_REGION, S3Place, s3_place

MEGABYTE = 1024 * 1024


@pytest.fixture
def here() -> Iterator[S3Place]:
    """A vault with one empty bucket, on moto put right."""
    with serving_s3() as service:
        yield s3_place(service)


def content_of(here: S3Place, name: str) -> bytes:
    return b"".join(here.vault.read(here.bucket, name))


@pytest.mark.parametrize("size", [5 * MEGABYTE - 1, 5 * MEGABYTE, 5 * MEGABYTE + 1, 10 * MEGABYTE, 11 * MEGABYTE])
def test_an_upload_in_parts_has_the_checksum_of_the_whole(here: S3Place, size: int) -> None:
    """Whatever the number of parts, and locked for the bucket's term."""
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    with here.vault.upload(here.bucket, "o") as upload:
        for start in range(0, size, 700_001):
            upload.write(content[start : start + 700_001])
        seen = upload.seal()
    assert (seen.size, seen.crc32c) == (size, crc32c(content))
    assert seen.retained_until is not None
    assert here.vault.look(here.bucket, "o") == Present(seen)
    assert content_of(here, "o") == content
    in_parts = any("uploadId" in request for request in here.service.requests)
    assert in_parts == (size > PART_SIZE_MIN)


def test_leaving_without_seal_leaves_no_parts(here: S3Place) -> None:
    """Parts would be bytes of a customer that no listing shows."""
    with here.vault.upload(here.bucket, "o") as upload:
        upload.write(b"x" * (6 * MEGABYTE))
        assert len(here.client.list_multipart_uploads(Bucket=here.bucket).get("Uploads", ())) == 1
    assert "Uploads" not in here.client.list_multipart_uploads(Bucket=here.bucket)
    assert here.vault.look(here.bucket, "o") == Gone()


def test_of_two_uploads_in_parts_the_first_seal_wins(here: S3Place) -> None:
    with here.vault.upload(here.bucket, "o") as one, here.vault.upload(here.bucket, "o") as two:
        one.write(b"1" * (6 * MEGABYTE))
        two.write(b"2" * (6 * MEGABYTE))
        one.seal()
        with pytest.raises(Refused, match="written once"):
            two.seal()
    assert content_of(here, "o")[:1] == b"1"
    assert "Uploads" not in here.client.list_multipart_uploads(Bucket=here.bucket)


def test_an_upload_that_s3_has_forgotten_is_lost(here: S3Place) -> None:
    with here.vault.upload(here.bucket, "o") as upload:
        upload.write(b"x" * (6 * MEGABYTE))
        (begun,) = here.client.list_multipart_uploads(Bucket=here.bucket)["Uploads"]
        here.client.abort_multipart_upload(Bucket=here.bucket, Key="o", UploadId=begun["UploadId"])
        with pytest.raises(Transient, match="forgotten"):
            upload.write(b"x" * (6 * MEGABYTE))
        with pytest.raises(Transient, match="lost"):
            upload.seal()
    assert here.vault.look(here.bucket, "o") == Gone()


def test_parts_grow_so_that_they_suffice() -> None:
    """10,000 of them, none larger than memory allows, make 300 GiB."""
    upload = MultipartUpload(
        s3_client(S3_REGION, credentials=("key", "secret")),
        {},
        "s3://bucket/o",
        part_size=PART_SIZE,
        limits=TimeLimits(),
        patience=Patience(),
    )
    sizes = []
    for number in range(PARTS_MAX):
        sizes.append(upload._next_part_size())
        upload._parts.append({"PartNumber": number + 1})
    assert sum(sizes) > 290 * 1024 * MEGABYTE
    assert (sizes[0], max(sizes)) == (8 * MEGABYTE, 64 * MEGABYTE)


def test_a_checksum_of_checksums_is_none(here: S3Place) -> None:
    """What somebody wrote in parts without asking for the checksum of the whole has none that says anything."""
    target = {"Bucket": here.bucket, "Key": "o"}
    upload = here.client.create_multipart_upload(**target, ChecksumAlgorithm="CRC32C")["UploadId"]
    tag = here.client.upload_part(
        **target, UploadId=upload, PartNumber=1, Body=b"1", ChecksumAlgorithm="CRC32C", ChecksumCRC32C=crc32c(b"1")
    )["ETag"]
    part = {"PartNumber": 1, "ETag": tag, "ChecksumCRC32C": crc32c(b"1")}
    here.client.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": [part]})
    sighting = here.vault.look(here.bucket, "o")
    assert isinstance(sighting, Present)
    assert (sighting.value.size, sighting.value.crc32c) == (1, "")


def test_bytes_that_change_on_their_way_are_sent_again(here: S3Place) -> None:
    """S3 finds the checksum wrong; what it then gets is whole."""
    flips = iter([True, False, True])

    def flip(request: Any, **_arguments: Any) -> None:
        if request.method == "PUT" and next(flips, False):
            body = request.body if isinstance(request.body, bytes) else request.body.read()
            request.body = bytes([body[0] ^ 1]) + body[1:]

    here.client.meta.events.register("before-send.s3", flip)
    content = b"x" * (6 * MEGABYTE)
    with here.vault.upload(here.bucket, "o") as upload:
        upload.write(content)
        assert upload.seal().crc32c == crc32c(content)
    assert content_of(here, "o") == content


def test_an_object_damaged_in_the_store_is_not_read_as_whole(here: S3Place) -> None:
    here.vault.put(here.bucket, "o", b"whole")
    here.service.damage(here.bucket, "o")
    with pytest.raises(Transient, match="not what S3 has"):
        content_of(here, "o")


@pytest.mark.parametrize("size", [1, 6 * MEGABYTE + 1])
def test_an_answer_that_is_lost_after_the_object_was_made(here: S3Place, size: int) -> None:
    """The second try finds the object there: it is this one, not somebody else's. Put at once, or in parts."""
    asked, lost = here.client._make_api_call, iter([True])

    def ask(name: str, arguments: Any) -> Any:
        answer = asked(name, arguments)
        if name in {"PutObject", "CompleteMultipartUpload"} and next(lost, False):
            raise OSError("the answer was lost")
        return answer

    here.client._make_api_call = ask
    content = b"x" * size
    with here.vault.upload(here.bucket, "o") as upload:
        upload.write(content)
        seen = upload.seal()
    assert (seen.size, seen.crc32c) == (size, crc32c(content))
    assert not list(lost)
