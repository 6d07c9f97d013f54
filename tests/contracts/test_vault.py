"""The contract of the port `Vault`, rule by rule, against every vault there is; rule 5 in `test_vault_holds.py`."""

import base64
import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import google_crc32c
import pytest
from google.api_core.exceptions import Forbidden

from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.vault import Vault
from tests.contracts.vaults import CHUNK, PLACES, TERMS, LivePlace, Place, place, stream

NAMES = ("a", "tenant/backup/dump.zst", "with space", "plus+and&?=#%25", "Ærø/東京/λ", "double//slash", "é" * 200)


@pytest.fixture(params=PLACES)
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A vault with one empty bucket."""
    with place(request.param, tmp_path) as made:
        yield made


def crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


def content_of(vault: Vault, bucket: str, name: str) -> bytes:
    return b"".join(vault.read(bucket, name))


# 1. `put` of the same bytes again is a no-op; other bytes under that name are Refused.


def test_1_the_same_bytes_again_change_nothing(here: Place) -> None:
    first = here.vault.put(here.bucket, "manifest.json", b"{}")
    assert (first.size, first.crc32c, first.held) == (2, crc32c(b"{}"), False)
    assert here.vault.put(here.bucket, "manifest.json", b"{}") == first
    assert here.vault.look(here.bucket, "manifest.json") == Present(first)


@pytest.mark.parametrize("other", [b"", b"{]", b"{} "])
def test_1_other_bytes_are_refused(here: Place, other: bytes) -> None:
    here.vault.put(here.bucket, "manifest.json", b"{}")
    with pytest.raises(Refused, match="written once"):
        here.vault.put(here.bucket, "manifest.json", other)
    assert content_of(here.vault, here.bucket, "manifest.json") == b"{}"


def test_1_putting_what_was_streamed(here: Place) -> None:
    stream(here.vault, here.bucket, "o", b"ab", b"c")
    assert here.vault.put(here.bucket, "o", b"abc").size == 3
    with pytest.raises(Refused):
        here.vault.put(here.bucket, "o", b"abd")


def test_1_of_two_that_put_at_once_one_is_refused(here: Place) -> None:
    """Whatever the interleaving, one of two different contents wins, and the other is told."""
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def put(content: bytes) -> None:
        start.wait()
        try:
            here.vault.put(here.bucket, "raced", content)
            outcomes.append("written")
        except Refused:
            outcomes.append("refused")

    threads = [threading.Thread(target=put, args=(content,)) for content in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "written"]


# 2. There is no delete and no overwrite: expiry belongs to the bucket.


def test_2_no_method_deletes(here: Place) -> None:
    """The real adapters have the port's methods and no others."""
    methods = {name for name in dir(type(here.vault)) if not name.startswith("_")}
    port = {"look_at_bucket", "look", "put", "upload", "read", "names", "objects", "hold", "release"}
    of_tests = {"make_bucket", "drop_bucket", "lose", "damage", "expire", "delete"}
    assert methods - (of_tests if type(here.vault).__name__ == "MemoryVault" else set()) == port


def test_2_a_stream_does_not_overwrite(here: Place) -> None:
    here.vault.put(here.bucket, "o", b"first")
    with pytest.raises(Refused, match=r"written once|is there"):
        stream(here.vault, here.bucket, "o", b"second")
    assert content_of(here.vault, here.bucket, "o") == b"first"


def test_2_of_two_streams_at_once_the_first_seal_wins(here: Place) -> None:
    with here.vault.upload(here.bucket, "o") as one, here.vault.upload(here.bucket, "o") as two:
        one.write(b"one")
        two.write(b"two" * CHUNK)
        one.seal()
        with pytest.raises(Refused, match=r"written once|is there"):
            two.seal()
    assert content_of(here.vault, here.bucket, "o") == b"one"


def test_2_the_store_itself_keeps_what_is_locked(here: Place) -> None:
    """Not even somebody with every right deletes before the lock's end."""
    seen = here.vault.put(here.bucket, "o", b"kept")
    assert seen.retained_until is not None
    with pytest.raises((Forbidden, Refused)):
        here.delete_as_owner("o")
    assert here.vault.look(here.bucket, "o") == Present(seen)


def test_2_the_bucket_expires_its_objects(here: Place) -> None:
    """After its age and the lifecycle's lag an object is gone, and before that it is not."""
    seen = here.vault.put(here.bucket, "o", b"kept for three days")
    here.advance(timedelta(days=3) - timedelta(minutes=1))
    here.expire()
    assert here.vault.look(here.bucket, "o") == Present(seen)
    here.advance(timedelta(hours=36, minutes=2))
    here.expire()
    assert here.vault.look(here.bucket, "o") == Gone()


# 3. `look` answers present, gone or unreachable; unreachable is never gone, a missing bucket is unreachable.


@pytest.mark.parametrize("name", NAMES)
def test_3_present(here: Place, name: str) -> None:
    """What is there is seen by its own name, whatever characters that has."""
    seen = here.vault.put(here.bucket, name, name.encode())
    assert here.vault.look(here.bucket, name) == Present(seen)
    assert content_of(here.vault, here.bucket, name) == name.encode()
    assert here.vault.names(here.bucket, name) == Present((name,))


def test_3_times_are_aware_and_locked_for_the_term(here: Place) -> None:
    seen = here.vault.put(here.bucket, "o", b"")
    assert seen.created_at.utcoffset() == timedelta(0)
    assert seen.retained_until is not None
    if not isinstance(here, LivePlace):
        locked_for = seen.retained_until - seen.created_at
        assert abs(locked_for - timedelta(days=2)) < timedelta(seconds=1)  # S3 states whole seconds of the one


def test_3_gone(here: Place) -> None:
    assert here.vault.look(here.bucket, "never") == Gone()
    here.vault.put(here.bucket, "lost", b"1")
    here.lose("lost")
    assert here.vault.look(here.bucket, "lost") == Gone()


def test_3_a_missing_bucket_is_unreachable(here: Place) -> None:
    missing = f"{here.bucket}-missing"
    assert isinstance(here.vault.look(missing, "o"), Unreachable)
    assert isinstance(here.vault.names(missing, ""), Unreachable)
    assert here.vault.look_at_bucket(missing) == Gone()
    with pytest.raises(Refused):
        here.vault.put(missing, "o", b"")
    with pytest.raises(Refused), here.vault.upload(missing, "o"):
        pass
    with pytest.raises((Refused, Transient)):
        content_of(here.vault, missing, "o")


def test_3_a_silent_store_is_unreachable(here: Place) -> None:
    """While it does not answer nothing is gone, and nothing is written."""
    here.vault.put(here.bucket, "o", b"1")
    here.fall_silent()
    assert isinstance(here.vault.look(here.bucket, "o"), Unreachable)
    assert isinstance(here.vault.look(here.bucket, "never"), Unreachable)
    assert isinstance(here.vault.look_at_bucket(here.bucket), Unreachable)
    assert isinstance(here.vault.names(here.bucket, ""), Unreachable)
    with pytest.raises(Transient):
        here.vault.put(here.bucket, "new", b"")
    with pytest.raises(Transient), here.vault.upload(here.bucket, "new"):
        pass
    with pytest.raises(Transient):
        content_of(here.vault, here.bucket, "o")


def test_3_the_buckets_own_terms(here: Place) -> None:
    sighting = here.vault.look_at_bucket(here.bucket)
    assert isinstance(sighting, Present)
    if isinstance(here, LivePlace):
        assert (sighting.value.region, sighting.value.locked, sighting.value.soft_delete_seconds) == (
            here.region,
            False,
            0,
        )
    else:
        assert sighting.value == replace(TERMS, region=here.region)


def test_3_names_below_a_prefix(here: Place) -> None:
    """A prefix is no pattern and no folder; an empty bucket is Present with none."""
    assert here.vault.names(here.bucket, "") == Present(())
    for name in ("a/2", "a/1", "ab", "b/1"):
        here.vault.put(here.bucket, name, b"")
    assert here.vault.names(here.bucket, "a/") == Present(("a/1", "a/2"))
    assert here.vault.names(here.bucket, "a") == Present(("a/1", "a/2", "ab"))
    assert here.vault.names(here.bucket, "*") == Present(())


def test_3_a_page_of_all_objects(here: Place) -> None:
    """By the bytes of their names, from after one, each as a look shows it; an empty bucket is Present with none."""
    assert here.vault.objects(here.bucket, after="", limit=3) == Present(())
    for name in ("b", "B", "a/1", "a-", "é"):
        here.vault.put(here.bucket, name, name.encode())

    def page(after: str, limit: int) -> list[str]:
        sighting = here.vault.objects(here.bucket, after=after, limit=limit)
        assert isinstance(sighting, Present)
        assert all(here.vault.look(here.bucket, one.name) == Present(one.seen) for one in sighting.value)
        return [one.name for one in sighting.value]

    assert page("", 3) == ["B", "a-", "a/1"]
    assert page("a/1", 3) == ["b", "é"]
    assert page("a-", 1) == ["a/1"]
    assert page("é", 3) == []
    assert isinstance(here.vault.objects("vault-nowhere-daily-3d", after="", limit=3), Unreachable)


# 4. What is written without `seal` never becomes an object.


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
def test_4_what_is_sealed_is_what_was_written(here: Place, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    with here.vault.upload(here.bucket, "o") as upload:
        for start in range(0, size, 100_003):
            upload.write(content[start : start + 100_003])
        seen = upload.seal()
    assert (seen.size, seen.crc32c) == (size, crc32c(content))
    assert here.vault.look(here.bucket, "o") == Present(seen)
    assert content_of(here.vault, here.bucket, "o") == content


@pytest.mark.parametrize("size", [0, 1, CHUNK, 3 * CHUNK + 7])
def test_4_leaving_without_seal_leaves_nothing(here: Place, size: int) -> None:
    with here.vault.upload(here.bucket, "o") as upload:
        upload.write(b"x" * size)
    assert here.vault.look(here.bucket, "o") == Gone()
    assert here.vault.names(here.bucket, "") == Present(())
    stream(here.vault, here.bucket, "o", b"the name is still free")


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_4_leaving_by_an_exception_leaves_nothing(here: Place, kind: type[BaseException]) -> None:
    with pytest.raises(kind), here.vault.upload(here.bucket, "o") as upload:  # noqa: PT012 - the block is what ends
        upload.write(b"x" * (CHUNK + 1))
        raise kind
    assert here.vault.look(here.bucket, "o") == Gone()


def test_4_an_upload_that_is_forgotten_leaves_nothing(here: Place) -> None:
    """Not even the garbage collector seals: Google's own file-like writer would."""
    block = here.vault.upload(here.bucket, "o")
    upload = block.__enter__()
    upload.write(b"x" * (CHUNK + 1))
    del upload, block
    gc.collect()
    assert here.vault.look(here.bucket, "o") == Gone()


def test_4_after_the_end_nothing_more_is_taken(here: Place) -> None:
    with here.vault.upload(here.bucket, "o") as upload:
        upload.write(b"all")
        upload.seal()
        with pytest.raises(Transient):
            upload.write(b" and more")
        with pytest.raises(Transient):
            upload.seal()
    assert content_of(here.vault, here.bucket, "o") == b"all"
    with here.vault.upload(here.bucket, "p") as left:
        left.write(b"x")
    with pytest.raises(Transient):
        left.seal()
    assert here.vault.look(here.bucket, "p") == Gone()


def test_4_a_store_that_falls_silent_meanwhile(here: Place) -> None:
    """The upload is lost, and what it wrote is no object."""
    with pytest.raises(Transient), here.vault.upload(here.bucket, "o") as upload:  # noqa: PT012 - anywhere in it
        upload.write(b"x" * (CHUNK + 1))
        here.fall_silent()
        upload.write(b"x" * (2 * CHUNK))
        upload.seal()


# Reading


def test_reading_what_is_gone(here: Place) -> None:
    with pytest.raises(NotFound):
        content_of(here.vault, here.bucket, "never")
    here.vault.put(here.bucket, "lost", b"1")
    here.lose("lost")
    with pytest.raises(NotFound):
        content_of(here.vault, here.bucket, "lost")


def test_reading_what_is_lost_meanwhile(here: Place) -> None:
    """A stream either gives all bytes or says that it did not."""
    content = b"0123456789abcdef" * (CHUNK // 4)
    stream(here.vault, here.bucket, "o", content)
    chunks = here.vault.read(here.bucket, "o")
    first = next(chunks)
    here.lose("o")
    try:
        assert first + b"".join(chunks) == content
    except NotFound:
        assert content.startswith(first)
