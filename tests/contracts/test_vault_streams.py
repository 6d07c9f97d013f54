"""The real vault adapter's streams: what breaks on its way is made good or given up, and never becomes an object."""

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
from tenantctl.adapters.google.vault import GoogleVault, storage_client
from tenantctl.localcloud.faults import Fault
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.policy import Term
from tenantctl.model.sighting import Gone, Present
from tests.contracts.vaults import BUCKET, CHUNK, OPERATOR, REGION, TERMS, StorePlace, store_place, stream
from tests.localcloud.object_service import serving, serving_process

CONTENT = bytes(range(251)) * 4000  # spans four chunks, and no two alike


@pytest.fixture
def here(tmp_path: Path) -> Iterator[StorePlace]:
    """The real adapter on a store of its own, with one bucket."""
    with serving(tmp_path) as service:
        yield store_place(service)


def fault(here: StorePlace, **arguments: Any) -> None:
    here.service.faults.add(Fault(api="storage", **arguments))


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
