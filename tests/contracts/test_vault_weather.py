"""The real vault adapter in bad weather: what cannot be known is never gone, and what broke never becomes an object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.transport import TimeLimits
from tenantctl.adapters.google.vault import GoogleVault, storage_client
from tenantctl.localcloud.faults import Fault
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.vault import Vault
from tests.contracts.peers import answer, nobody, peer, saying, silent, trickling
from tests.contracts.vaults import (
    BUCKET,
    CHUNK,
    OPERATOR,
    StorePlace,
    no_patience,
    store_place,
)
from tests.localcloud.object_service import serving

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


def assert_nothing_is_known(vault: Vault) -> None:
    """Every look is unreachable, every effect may be tried again; nothing is gone."""
    assert isinstance(vault.look(BUCKET, "o"), Unreachable)
    assert isinstance(vault.look_at_bucket(BUCKET), Unreachable)
    assert isinstance(vault.names(BUCKET, ""), Unreachable)
    with pytest.raises(Transient):
        vault.put(BUCKET, "o", b"1")
    with pytest.raises(Transient), vault.upload(BUCKET, "o") as upload:
        upload.seal()  # the answer to the opening is all in its head, and may have come whole
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
