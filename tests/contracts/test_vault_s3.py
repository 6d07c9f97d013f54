"""What is S3's own about objects in its vaults: versions, delete markers, locks, and whose a bucket is."""

from collections.abc import Iterator

import pytest

from tenantctl.adapters.s3.vault import S3Vault
from tenantctl.model.errors import Refused
from tenantctl.model.sighting import Gone, Present, Unreachable
from tests.contracts.s3_server import crc32c, serving_s3
from tests.contracts.vaults import S3Place, no_patience, s3_place, stream


@pytest.fixture
def here() -> Iterator[S3Place]:
    """A vault with one empty bucket, on moto put right."""
    with serving_s3() as service:
        yield s3_place(service)


def content_of(here: S3Place, name: str) -> bytes:
    return b"".join(here.vault.read(here.bucket, name))


def write_over(here: S3Place, name: str, content: bytes) -> None:
    """As somebody does whom no policy binds."""
    here.client.put_object(Bucket=here.bucket, Key=name, Body=content, ChecksumAlgorithm="CRC32")


# An object is the first version of its name


def test_what_is_put_over_an_object_is_not_it(here: S3Place) -> None:
    """S3 lets a newer version stand before a locked one; here it counts for nothing."""
    seen = here.vault.put(here.bucket, "o", b"ours")
    write_over(here, "o", b"somebody's")
    assert here.vault.look(here.bucket, "o") == Present(seen)
    assert content_of(here, "o") == b"ours"
    assert here.vault.put(here.bucket, "o", b"ours") == seen
    with pytest.raises(Refused, match="other bytes"):
        here.vault.put(here.bucket, "o", b"somebody's")


def test_what_is_hidden_is_not_gone(here: S3Place) -> None:
    """A deletion puts a marker before the object; its bytes are there, and are seen, listed and read."""
    seen = here.vault.put(here.bucket, "o", b"hidden")
    here.client.delete_object(Bucket=here.bucket, Key="o")
    assert here.vault.look(here.bucket, "o") == Present(seen)
    assert here.vault.names(here.bucket, "") == Present(("o",))
    assert content_of(here, "o") == b"hidden"


def test_nothing_is_written_over_what_is_hidden(here: S3Place) -> None:
    """S3's own condition takes a hidden name for a free one."""
    seen = here.vault.put(here.bucket, "o", b"hidden")
    here.client.delete_object(Bucket=here.bucket, Key="o")
    with pytest.raises(Refused, match="written once"), here.vault.upload(here.bucket, "o"):
        pass
    with pytest.raises(Refused, match="written once"):
        here.vault.put(here.bucket, "o", b"other")
    assert here.vault.put(here.bucket, "o", b"hidden") == seen


def test_a_marker_alone_is_nothing(here: S3Place) -> None:
    """What lifecycle leaves for a while after the bytes are gone."""
    here.client.delete_object(Bucket=here.bucket, Key="never-was")
    assert here.vault.look(here.bucket, "never-was") == Gone()
    assert here.vault.names(here.bucket, "") == Present(())
    stream(here.vault, here.bucket, "never-was", b"now it is")
    assert content_of(here, "never-was") == b"now it is"


def test_the_first_of_very_many_versions(here: S3Place) -> None:
    """It is at the end of the last page of a listing."""
    seen = here.vault.put(here.bucket, "o", b"first")
    here.vault.put(here.bucket, "o2", b"another's name")
    for number in range(5):
        write_over(here, "o", b"%d" % number)
    listed = here.client.list_object_versions
    here.client.list_object_versions = lambda **arguments: listed(MaxKeys=2, **arguments)
    assert here.vault.look(here.bucket, "o") == Present(seen)
    assert here.vault.names(here.bucket, "") == Present(("o", "o2"))


def test_only_a_lock_that_nobody_lifts_counts(here: S3Place) -> None:
    """Governance mode is for those whom some may overrule."""
    arguments = {"Bucket": here.bucket, "Key": "o"}
    here.client.put_object(
        **arguments,
        Body=b"1",
        ChecksumAlgorithm="CRC32C",
        ChecksumCRC32C=crc32c(b"1"),
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate="2030-01-01T00:00:00Z",
    )
    sighting = here.vault.look(here.bucket, "o")
    assert isinstance(sighting, Present)
    assert sighting.value.retained_until is None


def test_a_legal_hold_is_seen(here: S3Place) -> None:
    here.vault.put(here.bucket, "o", b"1")
    here.client.put_object_legal_hold(Bucket=here.bucket, Key="o", LegalHold={"Status": "ON"})
    sighting = here.vault.look(here.bucket, "o")
    assert isinstance(sighting, Present)
    assert sighting.value.held


def test_a_bucket_of_another_account_is_not_ours(here: S3Place) -> None:
    """Names of buckets are everybody's: who took ours first would get our backups."""
    vault = S3Vault(here.client, owner="999999999999", patience=no_patience())
    for sighting in (vault.look(here.bucket, "o"), vault.look_at_bucket(here.bucket), vault.names(here.bucket, "")):
        assert isinstance(sighting, Unreachable)
    with pytest.raises(Refused):
        vault.put(here.bucket, "o", b"ours")
    assert here.vault.names(here.bucket, "") == Present(())
