"""The real vault adapter in bad weather: what cannot be known is never gone, and what broke never becomes an object."""

import json
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.estate import BucketPlan, ensure_bucket
from tenantctl.adapters.google.transport import TimeLimits
from tenantctl.adapters.google.vault import GoogleVault, storage_client
from tenantctl.localcloud.faults import Fault
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.policy import Term
from tenantctl.model.sighting import Gone, Present, Unreachable
from tests.contracts.peers import answer, nobody, peer, saying, silent, trickling
from tests.contracts.vaults import (
    BUCKET,
    CHUNK,
    OPERATOR,
    REGION,
    TERMS,
    StorePlace,
    no_patience,
    store_place,
    stream,
)
from tests.localcloud.object_service import serving, serving_process

HURRIED = TimeLimits(connect_seconds=0.5, read_seconds=0.3, whole_seconds=0.8)
OBJECT = {
    "kind": "storage#object",
    "bucket": BUCKET,
    "name": "o",
    "size": "1",
    "crc32c": "AAAAAA==",
    "generation": "1",
    "timeCreated": "2026-11-23T00:00:00Z",
}
CONTENT = bytes(range(251)) * 4000  # spans four chunks, and no two alike


@pytest.fixture
def here(tmp_path: Path) -> Iterator[StorePlace]:
    """The real adapter on a store of its own, with one bucket."""
    with serving(tmp_path) as service:
        yield store_place(service)


def fault(here: StorePlace, **arguments: Any) -> None:
    here.service.faults.add(Fault(api="storage", **arguments))


def vault_at(url: str, limits: TimeLimits | None = None) -> GoogleVault:
    """The real adapter at any address."""
    client = storage_client("test", local_credentials(OPERATOR), url)
    return GoogleVault(client, limits=limits, patience=no_patience(), chunk_size=CHUNK)


def assert_nothing_is_known(vault: GoogleVault) -> None:
    """Every look is unreachable, every effect may be tried again; nothing is gone."""
    assert isinstance(vault.look(BUCKET, "o"), Unreachable)
    assert isinstance(vault.look_at_bucket(BUCKET), Unreachable)
    assert isinstance(vault.names(BUCKET, ""), Unreachable)
    with pytest.raises(Transient):
        vault.put(BUCKET, "o", b"1")
    with pytest.raises(Transient), vault.upload(BUCKET, "o"):
        pass
    with pytest.raises(Transient):
        list(vault.read(BUCKET, "o"))


# What comes instead of an answer


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_store_in_trouble(here: StorePlace, status: int) -> None:
    fault(here, kind="status", status=status)
    assert_nothing_is_known(here.vault)


@pytest.mark.parametrize("kind", ["drop", "truncate"])
def test_a_store_that_hangs_up(here: StorePlace, kind: str) -> None:
    fault(here, kind=kind)
    assert_nothing_is_known(here.vault)


def test_nobody_listens() -> None:
    with nobody() as url:
        assert_nothing_is_known(vault_at(url))


def test_a_peer_that_accepts_and_never_answers() -> None:
    with peer(silent(OBJECT)) as url:
        assert isinstance(vault_at(url, HURRIED).look(BUCKET, "o"), Unreachable)
    with peer(silent(OBJECT)) as url, pytest.raises(Transient):
        vault_at(url, HURRIED).put(BUCKET, "o", b"1")


def test_a_peer_that_trickles() -> None:
    """No single byte is late, and yet the call ends."""
    with peer(trickling(OBJECT)) as url:
        assert isinstance(vault_at(url, HURRIED).look(BUCKET, "o"), Unreachable)


def test_a_peer_that_takes_its_time_within_the_limits() -> None:
    """The same peer is believed by who has the time: the limits decide, not the manner."""
    with peer(trickling(OBJECT, seconds=1)) as url:
        assert isinstance(vault_at(url).look(BUCKET, "o"), Present)


@pytest.mark.parametrize(
    "reply",
    [
        answer("404 Not Found", b"<html>no such page</html>", "text/html"),
        answer("404 Not Found", b'{"message": "not found"}'),
        answer("200 OK", b"<html>please log in</html>", "text/html"),
        answer("200 OK", b"{}"),
        answer("200 OK", b""),
        answer("200 OK", b"[]"),
        answer("204 No Content", b""),
        answer("503 Service Unavailable", b""),
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
)
def test_somebody_else_at_the_address(reply: bytes) -> None:
    """A proxy's 404 or a log-in page says nothing about what a bucket holds."""
    with peer(saying(reply)) as url:
        vault = vault_at(url, TimeLimits(connect_seconds=1, read_seconds=1, whole_seconds=5))
        for sighting in (vault.look(BUCKET, "o"), vault.look_at_bucket(BUCKET), vault.names(BUCKET, "")):
            assert isinstance(sighting, Unreachable)
        with pytest.raises(Transient):
            list(vault.read(BUCKET, "o"))


def test_no_right_to_look(here: StorePlace) -> None:
    """What may not be seen may well be there; asking again does not help."""
    fault(here, kind="status", status=403)
    assert isinstance(here.vault.look(BUCKET, "o"), Unreachable)
    assert isinstance(here.vault.look_at_bucket(BUCKET), Unreachable)
    with pytest.raises(Refused, match="403 forbidden"):
        here.vault.put(BUCKET, "o", b"1")


def test_an_object_is_gone_only_if_its_bucket_answers(here: StorePlace) -> None:
    assert here.vault.look(BUCKET, "o") == Gone()
    fault(here, kind="status", status=503, path=f"/b/{BUCKET}(\\?|$)")
    assert isinstance(here.vault.look(BUCKET, "o"), Unreachable)
    with pytest.raises(Transient):
        list(here.vault.read(BUCKET, "o"))


def test_an_empty_list_counts_only_if_the_bucket_answers(here: StorePlace) -> None:
    """A failed listing must never read as nothing there."""
    fault(here, kind="status", status=503, path=f"/b/{BUCKET}(\\?|$)")
    assert isinstance(here.vault.names(BUCKET, ""), Unreachable)


def test_a_list_that_breaks_off_is_no_list(here: StorePlace) -> None:
    """The second page failing must not pass for the end."""
    for number in range(3):
        here.vault.put(BUCKET, f"o{number}", b"")
    listed = here.client.list_blobs
    here.client.list_blobs = lambda *arguments, **options: listed(*arguments, page_size=2, **options)
    assert here.vault.names(BUCKET, "") == Present(("o0", "o1", "o2"))
    fault(here, kind="status", status=503, path="pageToken=")
    assert isinstance(here.vault.names(BUCKET, ""), Unreachable)


def test_proxies_of_the_environment_do_not_stand_before_a_local_cloud(
    here: StorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nobody() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert vault_at(here.service.url).look(BUCKET, "o") == Gone()


# Writing


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "weather",
    [
        {"kind": "status", "status": 503, "method": "PUT"},
        {"kind": "drop", "method": "PUT"},
        {"kind": "drop", "method": "PUT", "after_bytes": 100_000},
        {"kind": "drop", "method": "PUT", "after_bytes": 10_000_000},
        {"kind": "truncate", "method": "PUT", "after_bytes": 10},
    ],
)
def test_an_upload_goes_on_where_the_store_stands(here: StorePlace, weather: dict[str, Any], times: int) -> None:
    """Refused, cut in a chunk, or taken with the answer lost: no byte is missing and none is doubled."""
    fault(here, times=times, **weather)
    stream(here.vault, BUCKET, "o", CONTENT)
    assert b"".join(here.vault.read(BUCKET, "o")) == CONTENT


def test_the_answer_to_the_seal_is_lost(here: StorePlace) -> None:
    """The object exists, and the adapter finds out."""
    with here.vault.upload(BUCKET, "o") as upload:
        upload.write(CONTENT)
        fault(here, kind="drop", method="PUT", times=1, after_bytes=10_000_000)
        seen = upload.seal()
    assert here.vault.look(BUCKET, "o") == Present(seen)


def test_the_answer_to_the_seal_is_lost_and_the_store_with_it(here: StorePlace) -> None:
    """Whether it exists is unknown: Transient; the next look tells."""
    with pytest.raises(Transient), here.vault.upload(BUCKET, "o") as upload:  # noqa: PT012 - only seal raises
        upload.write(b"1")
        fault(here, kind="drop", method="PUT", times=1, after_bytes=10_000_000)
        fault(here, kind="status", method="PUT")
        upload.seal()
    here.service.faults.clear()
    assert isinstance(here.vault.look(BUCKET, "o"), Present)


def test_a_store_that_stays_in_trouble_while_writing(here: StorePlace) -> None:
    """The upload is lost for good, and says so from then on."""
    with here.vault.upload(BUCKET, "o") as upload:
        upload.write(b"1" * CHUNK)
        fault(here, kind="status", method="PUT")
        with pytest.raises(Transient):
            upload.write(b"2" * CHUNK + b"3")
        here.service.faults.clear()
        with pytest.raises(Transient, match="lost"):
            upload.write(b"4")
        with pytest.raises(Transient, match="lost"):
            upload.seal()
    assert here.vault.look(BUCKET, "o") == Gone()


@pytest.mark.parametrize("at", [0, CHUNK + 5])
def test_a_bit_flips_on_its_way_into_the_store(here: StorePlace, at: int) -> None:
    """The store compares the checksum before it seals, so that no wrong bytes get locked."""
    fault(here, kind="corrupt", method="PUT", times=1, after_bytes=at % CHUNK)
    with pytest.raises(Transient, match="not those that were sent"):
        stream(here.vault, BUCKET, "o", CONTENT)
    assert here.vault.look(BUCKET, "o") == Gone()


def test_a_bit_flips_in_a_small_write(here: StorePlace) -> None:
    fault(here, kind="corrupt", method="POST", times=1, after_bytes=2)
    with pytest.raises((Refused, Transient)):
        here.vault.put(BUCKET, "o", b"hello")
    assert here.vault.look(BUCKET, "o") == Gone()


def test_the_answer_to_a_small_write_is_lost(here: StorePlace) -> None:
    """Trying again finds the same bytes there, and all is well."""
    fault(here, kind="drop", method="POST", times=1, after_bytes=10_000_000)
    with pytest.raises(Transient):
        here.vault.put(BUCKET, "o", b"hello")
    assert here.vault.put(BUCKET, "o", b"hello").size == 5


def test_the_store_forgets_an_upload(here: StorePlace) -> None:
    """A session that is no more is lost, and not asked again and again."""
    with here.vault.upload(BUCKET, "o") as upload:
        upload.write(b"1" * CHUNK)
        address = upload._upload._address  # type: ignore[attr-defined]
        requests.delete(address, headers={"Content-Length": "0"}, timeout=10)
        with pytest.raises(Transient):
            upload.write(b"2" * CHUNK + b"3")
    assert here.vault.look(BUCKET, "o") == Gone()


def test_an_abandoned_upload_is_cancelled_at_the_store(here: StorePlace) -> None:
    """What was sent does not lie about as bytes of a customer."""
    with here.vault.upload(BUCKET, "o") as upload:
        upload.write(CONTENT)
        address = upload._upload._address  # type: ignore[attr-defined]
    asked = requests.put(address, headers={"Content-Range": "bytes */*"}, timeout=10)
    assert asked.status_code in (404, 410, 499)


def test_leaving_works_while_the_store_is_silent(here: StorePlace) -> None:
    """The error that the writer sees is its own, not one of the clearing up."""
    with pytest.raises(KeyError), here.vault.upload(BUCKET, "o") as upload:  # noqa: PT012 - the block is what ends
        upload.write(CONTENT)
        fault(here, kind="status", status=503)
        raise KeyError


def test_memory_stays_flat_while_streaming(tmp_path: Path) -> None:
    """An object many times the chunk's size passes through in a few chunks of memory, both ways."""
    with serving_process(tmp_path) as process:
        client = storage_client("test", local_credentials(OPERATOR), process.url)
        ensure_bucket(client, BucketPlan(BUCKET, REGION, Term(lock_days=2, age_days=3)))
        vault = GoogleVault(client, chunk_size=4 * CHUNK)
        stream(vault, BUCKET, "warm", b"1")
        piece, pieces = bytes(CHUNK), 192
        tracemalloc.start()
        try:
            with vault.upload(BUCKET, "o") as upload:
                for _ in range(pieces):
                    upload.write(piece)
                upload.seal()
            size = sum(len(chunk) for chunk in vault.read(BUCKET, "o"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert size == pieces * CHUNK
    assert peak < size / 4


# Reading


@pytest.mark.parametrize("kind", ["drop", "truncate"])
@pytest.mark.parametrize("after_bytes", [0, 100_000])
def test_a_read_goes_on_after_a_break(here: StorePlace, kind: str, after_bytes: int) -> None:
    stream(here.vault, BUCKET, "o", CONTENT)
    fault(here, kind=kind, method="GET", path="alt=media", times=2, after_bytes=after_bytes)
    assert b"".join(here.vault.read(BUCKET, "o")) == CONTENT


def test_a_bit_flips_on_its_way_out(here: StorePlace) -> None:
    """The checksum of the whole tells, at the end at the latest."""
    stream(here.vault, BUCKET, "o", CONTENT)
    fault(here, kind="corrupt", method="GET", path="alt=media", times=1, after_bytes=77)
    with pytest.raises(Transient, match="not what the store has"):
        list(here.vault.read(BUCKET, "o"))


def test_a_store_that_falls_silent_while_reading(here: StorePlace) -> None:
    stream(here.vault, BUCKET, "o", CONTENT)
    chunks = here.vault.read(BUCKET, "o")
    next(chunks)
    fault(here, kind="status", status=503)
    with pytest.raises(Transient):
        list(chunks)


def test_an_object_that_expires_while_it_is_read(here: StorePlace) -> None:
    stream(here.vault, BUCKET, "o", CONTENT)
    chunks = here.vault.read(BUCKET, "o")
    next(chunks)
    here.advance(timedelta(days=6))
    here.expire()
    with pytest.raises(NotFound):
        list(chunks)


# Many at once


def test_one_vault_serves_many_threads(here: StorePlace) -> None:
    """Backups of many tenants stream at the same time through one adapter."""
    failures: list[BaseException] = []

    def back_up(number: int) -> None:
        try:
            content = bytes([number]) * (CHUNK + number)
            stream(here.vault, BUCKET, f"o{number}", content)
            here.vault.put(BUCKET, f"m{number}", json.dumps({"number": number}).encode())
            assert b"".join(here.vault.read(BUCKET, f"o{number}")) == content
        except BaseException as error:  # noqa: BLE001 - shown below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=back_up, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    names = here.vault.names(BUCKET, "")
    assert isinstance(names, Present)
    assert len(names.value) == 24
    assert here.vault.look_at_bucket(BUCKET) == Present(TERMS)
