"""The contract of the port `Keys`, rule by rule, held against all keys there are."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tenantctl.adapters.read_only import read_only_keys
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.keys import CONTENT_MAX, KeyDestroyed, KeyResting, KeySeen
from tests.contracts.key_places import HERE, LIVE, NOWHERE, THERE, KeysPlace, LiveKeysPlace, keys_place

SECRET, CONTEXT = b"AGE-SECRET-KEY-1EXAMPLE", "tenantctl/tenant/backup"


@pytest.fixture(params=["memory", "local", LIVE])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeysPlace]:
    with keys_place(request.param, tmp_path) as made:
        yield made


def seen(place: KeysPlace, region: str) -> KeySeen:
    sighting = place.keys.look(region)
    assert isinstance(sighting, Present)
    return sighting.value


# 1. `unwrap` gives what `wrap` of the same region and context was given, also after the key was rotated.


@pytest.mark.parametrize("secret", [b"", b"\0", SECRET, bytes(CONTENT_MAX)])
@pytest.mark.parametrize("context", ["", CONTEXT, "Ærø/東京"])
def test_1_what_was_wrapped_is_unwrapped(place: KeysPlace, secret: bytes, context: str) -> None:
    wrapped = place.keys.wrap(place.here, secret, context=context)
    assert SECRET not in wrapped
    assert place.keys.unwrap(place.here, wrapped, context=context) == secret


def test_1_also_after_rotations(place: KeysPlace) -> None:
    wrapped = place.keys.wrap(place.here, SECRET, context=CONTEXT)
    for _ in range(2):
        place.rotate(place.here)
    assert place.keys.unwrap(place.here, wrapped, context=CONTEXT) == SECRET
    assert seen(place, place.here).primary == "3"


def test_1_too_much_is_refused(place: KeysPlace) -> None:
    with pytest.raises(Refused, match="up to"):
        place.keys.wrap(place.here, bytes(CONTENT_MAX + 1), context=CONTEXT)


# 2. Another context, another region and changed bytes are Refused, and say nothing of what was wrapped.


@pytest.mark.parametrize("other", ["", "tenantctl/tenant/other", CONTEXT + " "])
def test_2_another_context(place: KeysPlace, other: str) -> None:
    wrapped = place.keys.wrap(place.here, SECRET, context=CONTEXT)
    assert_plainly_refused(place, place.here, wrapped, other)


def test_2_another_region(place: KeysPlace) -> None:
    if isinstance(place, LiveKeysPlace):
        pytest.skip("there is one real key")
    wrapped = place.keys.wrap(HERE, SECRET, context=CONTEXT)
    assert_plainly_refused(place, THERE, wrapped, CONTEXT)


def test_2_changed_bytes(place: KeysPlace) -> None:
    wrapped = place.keys.wrap(place.here, SECRET, context=CONTEXT)
    for at in (0, len(wrapped) // 2, len(wrapped) - 1):
        changed = wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :]
        assert_plainly_refused(place, place.here, changed, CONTEXT)
    for cut in (b"", wrapped[:-1], wrapped + b"\0"):
        assert_plainly_refused(place, place.here, cut, CONTEXT)


def assert_plainly_refused(place: KeysPlace, region: str, wrapped: bytes, context: str) -> None:
    with pytest.raises(Refused) as caught:
        place.keys.unwrap(region, wrapped, context=context)
    assert not isinstance(caught.value, NotFound | KeyResting)
    assert SECRET.decode() not in str(caught.value)


# 3. A destroyed version is KeyDestroyed, a resting one KeyResting, a region that has no key NotFound.


@pytest.mark.parametrize("state", ["DISABLED", "DESTROY_SCHEDULED"])
def test_3_a_resting_version(place: KeysPlace, state: str) -> None:
    """Neither wraps nor unwraps; the newer version does."""
    old = place.keys.wrap(place.here, SECRET, context=CONTEXT)
    place.set_state(place.here, 1, state)
    assert seen(place, place.here).state == state
    with pytest.raises(KeyResting) as caught:
        place.keys.wrap(place.here, SECRET, context=CONTEXT)
    assert not isinstance(caught.value, NotFound)
    place.rotate(place.here)
    new = place.keys.wrap(place.here, SECRET, context=CONTEXT)
    assert place.keys.unwrap(place.here, new, context=CONTEXT) == SECRET
    with pytest.raises(KeyResting):
        place.keys.unwrap(place.here, old, context=CONTEXT)


def test_3_a_disabled_version_comes_back(place: KeysPlace) -> None:
    wrapped = place.keys.wrap(place.here, SECRET, context=CONTEXT)
    place.set_state(place.here, 1, "DISABLED")
    place.set_state(place.here, 1, "ENABLED")
    assert place.keys.unwrap(place.here, wrapped, context=CONTEXT) == SECRET


def test_3_a_destroyed_version(place: KeysPlace) -> None:
    wrapped = place.keys.wrap(place.here, SECRET, context=CONTEXT)
    place.rotate(place.here)
    place.set_state(place.here, 1, "DESTROYED")
    with pytest.raises(KeyDestroyed):
        place.keys.unwrap(place.here, wrapped, context=CONTEXT)
    assert seen(place, place.here).versions["1"] == "DESTROYED"


def test_3_no_key(place: KeysPlace) -> None:
    if isinstance(place, LiveKeysPlace):
        pytest.skip("which real region has none is not known")
    wrapped = place.keys.wrap(HERE, SECRET, context=CONTEXT)
    with pytest.raises(NotFound) as not_wrapped:
        place.keys.wrap(NOWHERE, SECRET, context=CONTEXT)
    with pytest.raises(NotFound) as not_unwrapped:
        place.keys.unwrap(NOWHERE, wrapped, context=CONTEXT)
    assert not isinstance(not_wrapped.value, KeyDestroyed)
    assert not isinstance(not_unwrapped.value, KeyDestroyed)


def test_3_a_region_that_does_not_answer(place: KeysPlace) -> None:
    """The others are not disturbed: what is wrapped in two regions opens in the one that is left."""
    wrapped = {region: place.keys.wrap(region, SECRET, context=CONTEXT) for region in {place.here, THERE}}
    place.fall_silent(place.here)
    with pytest.raises(Transient):
        place.keys.wrap(place.here, SECRET, context=CONTEXT)
    with pytest.raises(Transient):
        place.keys.unwrap(place.here, wrapped[place.here], context=CONTEXT)
    assert place.keys.unwrap(THERE, wrapped[THERE], context=CONTEXT) == SECRET


# 5. `wrap` changes nothing: it may be repeated, and gives other bytes each time.


def test_5_wrapping_again(place: KeysPlace) -> None:
    before = seen(place, place.here)
    first, second = (place.keys.wrap(place.here, SECRET, context=CONTEXT) for _ in range(2))
    assert first != second
    assert seen(place, place.here) == before
    assert place.keys.unwrap(place.here, first, context=CONTEXT) == SECRET


# 6. `look` answers present, gone or unreachable; unreachable is never gone.


def test_6_what_a_look_shows(place: KeysPlace) -> None:
    key = seen(place, place.here)
    assert key.state == "ENABLED"
    assert key.primary in key.versions
    assert key.rotation == timedelta(days=90)
    assert key.destroyed_after >= timedelta(days=1)


def test_6_gone_and_unreachable(place: KeysPlace) -> None:
    if not isinstance(place, LiveKeysPlace):
        assert place.keys.look(NOWHERE) == Gone()
    place.fall_silent(place.here)
    assert isinstance(place.keys.look(place.here), Unreachable)
    assert isinstance(place.keys.look(THERE), Present)


def test_who_only_looks_unwraps_nothing(place: KeysPlace) -> None:
    keys = read_only_keys(place.keys)
    assert isinstance(keys.look(place.here), Present)
    with pytest.raises(Refused, match="only looks"):
        keys.unwrap(place.here, b"", context=CONTEXT)
