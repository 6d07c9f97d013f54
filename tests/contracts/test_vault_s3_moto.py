"""Where moto differs from S3: moto is held to each difference as it comes, so that a better one is noticed.

The suite runs on moto put right (`s3_server.py` has the table). What cannot be put right there, since it is a promise
of the real service that the vaults rest on, is asked of S3 itself: `TENANTCTL_TEST_S3_BUCKET` names a bucket made by
`ensure_s3_bucket` with a lock of 1 day and an age of 3, in `TENANTCTL_TEST_S3_REGION`, with Amazon's usual credentials
(`pytest -m live`). What is written there goes by itself.
"""

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tenantctl.adapters.s3.client import s3_client
from tenantctl.adapters.s3.estate import S3BucketPlan, ensure_s3_bucket
from tenantctl.adapters.s3.vault import S3Vault
from tenantctl.model.policy import Term
from tenantctl.model.sighting import Present
from tests.contracts.s3_server import crc32c, serving_s3
from tests.contracts.vaults import S3_REGION

BUCKET, TERM = "as-it-comes", Term(lock_days=2, age_days=3)
REAL_BUCKET, REAL_REGION = os.environ.get("TENANTCTL_TEST_S3_BUCKET"), os.environ.get("TENANTCTL_TEST_S3_REGION")
PART = {"Bucket": BUCKET, "Key": "o"}
real_only = [
    pytest.mark.live,
    pytest.mark.skipif(
        not (REAL_BUCKET and REAL_REGION),
        reason="S3 alone keeps this promise (moto does not), and no bucket there is named",
    ),
]


@pytest.fixture
def moto() -> Iterator[Any]:
    """Amazon's client on moto as it comes, with one bucket; no policy, which moto would take for unconditional."""
    with serving_s3(strict=False) as service:
        client: Any = s3_client(S3_REGION, endpoint=service.url, credentials=("key", "secret"))
        client.put_bucket_policy = lambda **_arguments: None
        ensure_s3_bucket(client, S3BucketPlan(BUCKET, S3_REGION, TERM))
        yield client


def multipart(client: Any, **last: Any) -> None:
    """An object of one part."""
    upload = client.create_multipart_upload(**PART, ChecksumAlgorithm="CRC32C", ChecksumType="FULL_OBJECT")["UploadId"]
    tag = client.upload_part(**PART, UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    client.complete_multipart_upload(**PART, UploadId=upload, MultipartUpload=parts, **last)


# What moto lets pass, or breaks at


def test_moto_stores_bytes_of_another_checksum(moto: Any) -> None:
    moto.put_object(**PART, Body=b"1", ChecksumAlgorithm="CRC32C", ChecksumCRC32C=crc32c(b"2"))
    assert moto.get_object(**PART)["Body"].read() == b"1"


def test_moto_completes_a_whole_of_another_checksum(moto: Any) -> None:
    multipart(moto, ChecksumCRC32C=crc32c(b"2"))
    assert moto.get_object(**PART)["Body"].read() == b"1"


def test_moto_gives_what_came_in_parts_no_default_retention(moto: Any) -> None:
    multipart(moto)
    assert "ObjectLockMode" not in moto.head_object(**PART)


def test_moto_breaks_at_a_part_of_a_forgotten_upload(moto: Any) -> None:
    with pytest.raises(ClientError) as caught:
        moto.upload_part(**PART, UploadId="forgotten", PartNumber=1, Body=b"1")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_moto_looks_at_no_owner(moto: Any) -> None:
    moto.list_objects_v2(Bucket=BUCKET, ExpectedBucketOwner="999999999999")


def test_moto_states_a_checksum_of_checksums_as_any_when_asked_for_the_head(moto: Any) -> None:
    upload = moto.create_multipart_upload(**PART, ChecksumAlgorithm="CRC32C")["UploadId"]
    tag = moto.upload_part(**PART, UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
    moto.complete_multipart_upload(**PART, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    head = moto.head_object(**PART, ChecksumMode="ENABLED")
    assert "ChecksumType" not in head
    assert "-" not in head["ChecksumCRC32C"]


def test_moto_suspends_versions_under_object_lock(moto: Any) -> None:
    moto.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    assert moto.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Suspended"


def test_moto_shortens_a_retention_in_compliance_mode(moto: Any) -> None:
    moto.put_object(**PART, Body=b"1", ChecksumAlgorithm="CRC32C", ChecksumCRC32C=crc32c(b"1"))
    before = moto.head_object(**PART)["ObjectLockRetainUntilDate"]
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": before - timedelta(days=1)}
    moto.put_object_retention(**PART, Retention=shorter)
    assert moto.head_object(**PART)["ObjectLockRetainUntilDate"] < before


# What S3 itself must show


@pytest.fixture
def real() -> tuple[Any, S3Vault, str, str]:
    """Amazon's client, a vault in S3, its bucket, and a name in it that is free."""
    assert REAL_BUCKET is not None
    assert REAL_REGION is not None
    client = s3_client(REAL_REGION)
    return client, S3Vault(client), REAL_BUCKET, f"contract/{secrets.token_hex(8)}"


@pytest.mark.parametrize("attempt", [pytest.param(name, marks=real_only) for name in ("shorten", "lift", "delete")])
def test_nobody_eases_a_lock_in_compliance_mode(real: tuple[Any, S3Vault, str, str], attempt: str) -> None:
    """Not with the rights of whoever runs this, and a bypass of governance does not help."""
    client, vault, bucket, name = real
    seen = vault.put(bucket, name, b"locked")
    assert seen.retained_until is not None
    version = client.list_object_versions(Bucket=bucket, Prefix=name)["Versions"][0]["VersionId"]
    target = {"Bucket": bucket, "Key": name, "VersionId": version}
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": seen.retained_until - timedelta(hours=1)}
    attempts = {
        "shorten": lambda: client.put_object_retention(**target, Retention=shorter, BypassGovernanceRetention=True),
        "lift": lambda: client.put_object_retention(**target, Retention={}, BypassGovernanceRetention=True),
        "delete": lambda: client.delete_object(**target, BypassGovernanceRetention=True),
    }
    with pytest.raises(ClientError) as caught:
        attempts[attempt]()
    assert caught.value.response["Error"]["Code"] in {"AccessDenied", "InvalidRequest", "MalformedXML"}
    assert vault.look(bucket, name) == Present(seen)


@pytest.mark.parametrize("size", [pytest.param(size, marks=real_only) for size in (1, 9 * 1024 * 1024)])
def test_what_s3_takes_is_locked_and_summed(real: tuple[Any, S3Vault, str, str], size: int) -> None:
    """Put at once and in parts: locked by default, with the checksum of the whole."""
    _, vault, bucket, name = real
    content = b"x" * size
    with vault.upload(bucket, name) as upload:
        upload.write(content)
        seen = upload.seal()
    assert seen.retained_until is not None
    assert seen.crc32c == crc32c(content)
    assert b"".join(vault.read(bucket, name)) == content


@pytest.mark.parametrize("status", [pytest.param("Suspended", marks=real_only)])
def test_s3_suspends_no_versions_under_object_lock(real: tuple[Any, S3Vault, str, str], status: str) -> None:
    client, _, bucket, _ = real
    with pytest.raises(ClientError) as caught:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    assert caught.value.response["Error"]["Code"] == "InvalidBucketState"
