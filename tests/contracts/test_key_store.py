"""The contract of the port `KeyStore`, rule by rule, held against every store there is."""

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from tenantctl.adapters.google.key_store import key_bucket_name
from tenantctl.adapters.read_only import read_only_key_store
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.keys import CONTENT_MAX, forgets
from tests.contracts.key_places import HERE, NOWHERE, PREFIX, THERE, LocalStorePlace, StorePlace, store_place

NAME = "9d7c2f6e/20261123T040000Z.key"
NAMES = (NAME, "a", "with space", "plus+and&?=#%25", "Ærø/東京/λ", "double//slash")


@pytest.fixture(params=["memory", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    with store_place(request.param, tmp_path) as made:
        yield made


# 1. `put` of the same bytes again is a no-op; other bytes under that name are Refused.


def test_1_the_same_bytes_again_change_nothing(place: StorePlace) -> None:
    first = place.store.put(HERE, NAME, b"wrapped")
    crc32c = base64.b64encode(google_crc32c.Checksum(b"wrapped").digest()).decode()
    assert (first.size, first.crc32c, first.retained_until, first.held) == (7, crc32c, None, False)
    assert place.store.put(HERE, NAME, b"wrapped") == first
    assert place.store.look(HERE, NAME) == Present(first)


@pytest.mark.parametrize("other", [b"", b"Wrapped", b"wrapped "])
def test_1_a_key_is_never_replaced(place: StorePlace, other: bytes) -> None:
    place.store.put(HERE, NAME, b"wrapped")
    with pytest.raises(Refused):
        place.store.put(HERE, NAME, other)
    assert place.store.read(HERE, NAME) == b"wrapped"


def test_1_of_two_that_put_at_once_one_is_refused(place: StorePlace) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def put(content: bytes) -> None:
        start.wait()
        try:
            place.store.put(HERE, NAME, content)
            outcomes.append("kept")
        except Refused:
            outcomes.append("refused")

    threads = [threading.Thread(target=put, args=(content,)) for content in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["kept", "refused"]


def test_1_too_much_is_refused(place: StorePlace) -> None:
    with pytest.raises(Refused, match="up to"):
        place.store.put(HERE, NAME, bytes(CONTENT_MAX + 1))
    assert place.store.look(HERE, NAME) == Gone()


# 2. `remove` may be repeated: what is not there is removed. After it `look` answers gone.


def test_2_removed_is_gone(place: StorePlace) -> None:
    place.store.put(HERE, NAME, b"wrapped")
    for _ in range(2):
        place.store.remove(HERE, NAME)
        assert place.store.look(HERE, NAME) == Gone()
    with pytest.raises(NotFound):
        place.store.read(HERE, NAME)
    assert place.store.names(HERE, "") == Present(())


def test_2_removing_in_one_region_leaves_the_other(place: StorePlace) -> None:
    for region in (HERE, THERE):
        place.store.put(region, NAME, region.encode())
    place.store.put(HERE, "other", b"stays")
    place.store.remove(HERE, NAME)
    assert place.store.read(THERE, NAME) == THERE.encode()
    assert place.store.read(HERE, "other") == b"stays"


def test_2_the_name_is_free_again(place: StorePlace) -> None:
    """A damaged key is put right from a good one by removing it first."""
    place.store.put(HERE, NAME, b"damaged")
    place.store.remove(HERE, NAME)
    place.store.put(HERE, NAME, b"good")
    assert place.store.read(HERE, NAME) == b"good"


# 3. Looks answer present, gone or unreachable; unreachable is never gone.


def test_3_a_region_that_does_not_answer(place: StorePlace) -> None:
    for region in (HERE, THERE):
        place.store.put(region, NAME, b"wrapped")
    place.fall_silent(HERE)
    assert isinstance(place.store.look(HERE, NAME), Unreachable)
    assert isinstance(place.store.look(HERE, "nothing"), Unreachable)
    assert isinstance(place.store.names(HERE, ""), Unreachable)
    assert isinstance(place.store.look_at_bucket(HERE), Unreachable)
    for call in (
        lambda: place.store.put(HERE, NAME, b"wrapped"),
        lambda: place.store.read(HERE, NAME),
        lambda: place.store.remove(HERE, NAME),
    ):
        with pytest.raises(Transient):
            call()
    assert place.store.read(THERE, NAME) == b"wrapped"


def test_3_where_there_is_no_bucket(place: StorePlace) -> None:
    """Nothing is known of its keys, least of all that they are gone."""
    assert place.store.look_at_bucket(NOWHERE) == Gone()
    assert isinstance(place.store.look(NOWHERE, NAME), Unreachable)
    assert isinstance(place.store.names(NOWHERE, ""), Unreachable)
    for call in (lambda: place.store.read(NOWHERE, NAME), lambda: place.store.remove(NOWHERE, NAME)):
        with pytest.raises(Transient):
            call()
    with pytest.raises(NotFound):
        place.store.put(NOWHERE, NAME, b"wrapped")


def test_3_names_come_in_order_below_their_prefix(place: StorePlace) -> None:
    assert place.store.names(HERE, "") == Present(())
    for name in ("b/2", "a/1", "b/1", "b"):
        place.store.put(HERE, name, b"")
    assert place.store.names(HERE, "") == Present(("a/1", "b", "b/1", "b/2"))
    assert place.store.names(HERE, "b/") == Present(("b/1", "b/2"))
    assert place.store.names(THERE, "") == Present(())


# 4. `read` returns what `put` was given.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"", bytes(range(256)), bytes(CONTENT_MAX)])
def test_4_what_was_put_is_read(place: StorePlace, name: str, content: bytes) -> None:
    place.store.put(HERE, name, content)
    assert place.store.read(HERE, name) == content
    assert place.store.names(HERE, "") == Present((name,))
    place.store.remove(HERE, name)
    assert place.store.look(HERE, name) == Gone()


# 5. The bucket keeps nothing of what was removed; where it would, `remove` is Refused and removes nothing.


def test_5_the_terms_of_the_bucket(place: StorePlace) -> None:
    sighting = place.store.look_at_bucket(HERE)
    assert isinstance(sighting, Present)
    terms = sighting.value
    assert forgets(terms)
    assert (terms.region, terms.locked, terms.lock_days, terms.age_days) == (HERE, False, None, None)


@pytest.mark.parametrize("terms", [{"versioning": True}, {"soft_delete_seconds": 7 * 86_400}])
def test_5_a_bucket_that_keeps_is_not_removed_from(place: StorePlace, terms: dict[str, Any]) -> None:
    place.store.put(HERE, NAME, b"wrapped")
    place.keep_what_is_removed(HERE, **terms)
    with pytest.raises(Refused, match="would keep what is removed"):
        place.store.remove(HERE, NAME)
    assert place.store.read(HERE, NAME) == b"wrapped"
    place.keep_what_is_removed(HERE)
    place.store.remove(HERE, NAME)
    assert place.store.look(HERE, NAME) == Gone()


def test_5_nothing_is_left_of_what_was_removed(place: StorePlace) -> None:
    """Asked in every way that the store has: other versions, and the bin of soft delete."""
    if not isinstance(place, LocalStorePlace):
        pytest.skip("memory keeps no versions")
    place.store.put(HERE, NAME, b"wrapped")
    place.store.remove(HERE, NAME)
    bucket = place.client.bucket(key_bucket_name(PREFIX, HERE))
    assert list(bucket.list_blobs(versions=True)) == []
    assert list(bucket.list_blobs(soft_deleted=True)) == []


def test_who_only_looks_reads_no_key(place: StorePlace) -> None:
    place.store.put(HERE, NAME, b"wrapped")
    store = read_only_key_store(place.store)
    assert isinstance(store.look(HERE, NAME), Present)
    assert store.names(HERE, "") == Present((NAME,))
    assert isinstance(store.look_at_bucket(HERE), Present)
    for call in (
        lambda: store.read(HERE, NAME),
        lambda: store.put(HERE, "new", b""),
        lambda: store.remove(HERE, NAME),
    ):
        with pytest.raises(Refused, match="only looks"):
            call()
    assert place.store.read(HERE, NAME) == b"wrapped"
