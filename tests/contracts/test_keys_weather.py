"""The real adapters of keys in bad weather: what was damaged is noticed, and what cannot be known is never gone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.keys import GoogleKeys, kms_client
from tenantctl.adapters.google.transport import TimeLimits
from tenantctl.adapters.retry import LOOKS_MAX, Patience, RetryingKeys, RetryingKeyStore
from tenantctl.localcloud.faults import Fault
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.keys import KeyResting
from tests.contracts.key_places import (
    HERE,
    OPERATOR,
    PROJECT,
    LocalKeysPlace,
    LocalStorePlace,
    local_keys_place,
    local_store_place,
)
from tests.contracts.peers import answer, nobody, peer, saying, silent, trickling
from tests.localcloud.kms_service import serving_kms
from tests.localcloud.object_service import serving

SECRET, CONTEXT = b"AGE-SECRET-KEY-1EXAMPLE", "tenantctl/tenant/backup"
HURRIED = TimeLimits(connect_seconds=0.5, read_seconds=0.3, whole_seconds=0.8)
NO_WAIT = Patience(seconds=5, sleep=lambda _seconds: None)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LocalKeysPlace]:
    with serving_kms(tmp_path) as service:
        yield local_keys_place(service)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[LocalStorePlace]:
    with serving(tmp_path) as service:
        yield local_store_place(service)


def fault(place: LocalKeysPlace, **arguments: Any) -> None:
    place.service.faults.add(Fault(api="kms", **arguments))


def keys_at(url: str, limits: TimeLimits | None = None) -> GoogleKeys:
    """The real adapter at any address."""
    limits = limits or TimeLimits()
    return GoogleKeys(kms_client(local_credentials(OPERATOR), url, limits), PROJECT, limits=limits)


def assert_nothing_is_known(keys: GoogleKeys) -> None:
    """A look is unreachable, every call may be tried again; nothing is gone, nothing refused."""
    assert isinstance(keys.look(HERE), Unreachable)
    with pytest.raises(Transient):
        keys.wrap(HERE, SECRET, context=CONTEXT)
    with pytest.raises(Transient):
        keys.unwrap(HERE, b"wrapped", context=CONTEXT)


# What comes instead of an answer


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_service_in_trouble(place: LocalKeysPlace, status: int) -> None:
    fault(place, kind="status", status=status)
    assert_nothing_is_known(place.keys)


@pytest.mark.parametrize("kind", ["drop", "truncate"])
def test_a_service_that_hangs_up(place: LocalKeysPlace, kind: str) -> None:
    fault(place, kind=kind)
    assert_nothing_is_known(place.keys)


def test_nobody_listens() -> None:
    with nobody() as url:
        assert_nothing_is_known(keys_at(url))


def test_a_peer_that_accepts_and_never_answers() -> None:
    with peer(silent({"name": "x"})) as url:
        assert_nothing_is_known(keys_at(url, HURRIED))


def test_a_peer_that_trickles() -> None:
    """No single byte is late, and yet the calls end."""
    with peer(trickling({"name": "x" * 100})) as url:
        with pytest.raises(Transient):
            keys_at(url, HURRIED).wrap(HERE, SECRET, context=CONTEXT)
        assert isinstance(keys_at(url, HURRIED).look(HERE), Unreachable)


@pytest.mark.parametrize(
    "reply",
    [
        answer("404 Not Found", b"<html>no such page</html>", "text/html"),
        answer("404 Not Found", b'{"message": "not found"}'),
        answer("200 OK", b"<html>please log in</html>", "text/html"),
        answer("200 OK", b"{}"),
        answer("200 OK", b""),
        answer("200 OK", b"[]"),
        answer("200 OK", b'"yes"'),
        answer("200 OK", b'{"name": {}}'),
        answer("204 No Content", b""),
        answer("503 Service Unavailable", b""),
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
)
def test_something_else_answers(reply: bytes) -> None:
    """A captive portal, a proxy, another program at that port: none of them is Cloud KMS."""
    with peer(saying(reply)) as url:
        assert_nothing_is_known(keys_at(url))


def test_a_key_of_another_name_is_not_ours() -> None:
    with peer(saying(answer("200 OK", b'{"name": "projects/other/locations/x/keyRings/r/cryptoKeys/k"}'))) as url:
        assert isinstance(keys_at(url).look(HERE), Unreachable)


@pytest.mark.parametrize(("status", "word"), [(401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED")])
def test_without_the_right_to(status: int, word: str) -> None:
    """Who may wrap and not unwrap is told so; it is no weather, and says nothing of what exists."""
    body = json.dumps({"error": {"code": status, "message": "Permission denied", "status": word}}).encode()
    with peer(saying(answer(f"{status} No", body))) as url:
        keys = keys_at(url)
        with pytest.raises(Refused, match=r"Permission denied|our credentials") as caught:
            keys.unwrap(HERE, b"wrapped", context=CONTEXT)
        assert not isinstance(caught.value, NotFound | KeyResting)
        assert isinstance(keys.look(HERE), Unreachable)


def test_proxies_of_the_environment_do_not_stand_before_a_local_cloud(
    place: LocalKeysPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nobody() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert isinstance(keys_at(place.service.url).look(HERE), Present)


# What was damaged on the way


@pytest.mark.parametrize("method", ["wrap", "unwrap"])
def test_an_answer_damaged_at_any_byte(place: LocalKeysPlace, method: str) -> None:
    """Whichever bit of it flips, nothing wrong is ever returned, and damage is not taken for tampering."""
    wrapped = place.keys.wrap(HERE, SECRET, context=CONTEXT)
    noticed = 0
    for at in range(0, 420, 3):
        fault(place, kind="corrupt", path=":(en|de)crypt", after_bytes=at, times=1)
        try:
            if method == "unwrap":
                assert place.keys.unwrap(HERE, wrapped, context=CONTEXT) == SECRET
            else:
                assert place.keys.unwrap(HERE, _wrapped_once(place), context=CONTEXT) == SECRET
        except Transient:
            noticed += 1
        place.service.faults.clear()
    assert noticed > 20


def _wrapped_once(place: LocalKeysPlace) -> bytes:
    """What a wrap under the fault gives, with the fault gone afterwards."""
    try:
        return place.keys.wrap(HERE, SECRET, context=CONTEXT)
    finally:
        place.service.faults.clear()


@pytest.mark.parametrize("field", ["plaintext", "ciphertext", "additionalAuthenticatedData"])
def test_a_request_damaged_on_the_way(place: LocalKeysPlace, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service finds by the checksum that it got other bytes than were sent: nothing was tampered with."""
    wrapped = place.keys.wrap(HERE, SECRET, context=CONTEXT)
    session: Any = place.client.transport._session
    post = session.post

    def damage(url: str, *, data: str, **options: Any) -> Any:
        body = json.loads(data)
        if field in body:
            body[field] = ("B" if body[field][0] == "A" else "A") + body[field][1:]
        return post(url, data=json.dumps(body), **options)

    monkeypatch.setattr(session, "post", damage)
    if field != "ciphertext":
        with pytest.raises(Transient, match="damaged on the way"):
            place.keys.wrap(HERE, SECRET, context=CONTEXT)
    if field != "plaintext":
        with pytest.raises(Transient, match="damaged on the way"):
            place.keys.unwrap(HERE, wrapped, context=CONTEXT)


@pytest.mark.parametrize(
    "lost", ["verifiedPlaintextCrc32c", "verifiedAdditionalAuthenticatedDataCrc32c", "ciphertextCrc32c", "ciphertext"]
)
def test_an_answer_that_does_not_vouch_for_the_bytes(lost: str) -> None:
    """A service in between that drops fields would have us keep what nobody compared."""
    whole = {
        "name": "projects/test/k",
        "ciphertext": "AAAA",
        "ciphertextCrc32c": str(0x62E3B1E7),
        "verifiedPlaintextCrc32c": True,
        "verifiedAdditionalAuthenticatedDataCrc32c": True,
    }
    body = json.dumps({name: value for name, value in whole.items() if name != lost}).encode()
    with peer(saying(answer("200 OK", body))) as url, pytest.raises(Transient, match="damaged"):
        keys_at(url).wrap(HERE, SECRET, context=CONTEXT)


# Patience


def test_keys_with_patience(place: LocalKeysPlace) -> None:
    """One lost call does not end a backup; a refusal is not repeated."""
    keys = RetryingKeys(place.keys, NO_WAIT)
    fault(place, kind="status", status=503, times=2)
    wrapped = keys.wrap(HERE, SECRET, context=CONTEXT)
    fault(place, kind="drop", times=2)
    assert keys.unwrap(HERE, wrapped, context=CONTEXT) == SECRET
    fault(place, kind="status", status=503, times=LOOKS_MAX - 1)
    assert isinstance(keys.look(HERE), Present)
    fault(place, kind="status", status=503, method="GET")
    fault(place, kind="status", status=403, method="POST", times=1)
    assert isinstance(keys.look(HERE), Unreachable)
    with pytest.raises(Refused):
        keys.unwrap(HERE, wrapped, context=CONTEXT)
    assert keys.unwrap(HERE, wrapped, context=CONTEXT) == SECRET


def test_a_key_store_with_patience(stores: LocalStorePlace) -> None:
    store = RetryingKeyStore(stores.store, NO_WAIT)

    def trouble(**arguments: Any) -> None:
        stores.service.faults.add(Fault(api="storage", kind="status", status=503, times=2, **arguments))

    trouble(method="POST")
    store.put(HERE, "a", b"wrapped")
    trouble(method="GET")
    assert store.read(HERE, "a") == b"wrapped"
    trouble(method="GET")
    assert isinstance(store.look(HERE, "a"), Present)
    trouble(method="GET")
    assert store.names(HERE, "") == Present(("a",))
    trouble(method="GET")
    assert isinstance(store.look_at_bucket(HERE), Present)
    trouble(method="DELETE")
    store.remove(HERE, "a")
    assert store.look(HERE, "a") == Gone()


# Key stores


def test_a_write_that_was_done_and_never_answered(stores: LocalStorePlace) -> None:
    """The same bytes again find themselves there."""
    stores.service.faults.add(Fault(api="storage", kind="drop", method="POST", after_bytes=1 << 30, times=1))
    with pytest.raises(Transient):
        stores.store.put(HERE, "a", b"wrapped")
    assert stores.store.put(HERE, "a", b"wrapped").size == 7


def test_a_removal_that_was_done_and_never_answered(stores: LocalStorePlace) -> None:
    stores.store.put(HERE, "a", b"wrapped")
    stores.service.faults.add(Fault(api="storage", kind="drop", method="DELETE", after_bytes=1, times=1))
    with pytest.raises(Transient):
        stores.store.remove(HERE, "a")
    stores.store.remove(HERE, "a")
    assert stores.store.look(HERE, "a") == Gone()


def test_nothing_is_removed_where_the_terms_cannot_be_told(stores: LocalStorePlace) -> None:
    stores.store.put(HERE, "a", b"wrapped")
    stores.service.faults.add(Fault(api="storage", kind="status", status=503, method="GET", times=1))
    with pytest.raises(Transient, match="cannot be told"):
        stores.store.remove(HERE, "a")
    assert stores.store.read(HERE, "a") == b"wrapped"


@pytest.mark.parametrize("at", [0, 3, 6])
def test_a_key_damaged_on_the_way(stores: LocalStorePlace, at: int) -> None:
    """It is not handed to anybody who would take it for a tampered one."""
    stores.store.put(HERE, "a", b"wrapped")
    path = r"alt=media|/download/"
    stores.service.faults.add(Fault(api="storage", kind="corrupt", path=path, after_bytes=at, times=1))
    with pytest.raises(Transient):
        stores.store.read(HERE, "a")
    assert stores.store.read(HERE, "a") == b"wrapped"
