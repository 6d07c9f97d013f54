"""The age format: what goes in comes out, whatever the sizes, and nothing else ever does."""

import itertools
import os
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.backups.age import SEGMENT, SEGMENTS_AT_ONCE, TAG, Identity, decrypt, encrypt
from tenantctl.model.errors import Refused
from tests.rooms.age_files import IDENTITY, OTHER

SOURCE = os.urandom(3 * SEGMENT + 1000)
BATCH = SEGMENT * SEGMENTS_AT_ONCE
EDGES = sorted(
    {max(0, near + by) for near in (0, SEGMENT, 2 * SEGMENT, BATCH, BATCH + SEGMENT) for by in (-17, -16, -1, 0, 1, 16)}
)


def sealed(content: bytes, identity: Identity = IDENTITY) -> bytes:
    return b"".join(encrypt([content], identity.recipient))


def opened(content: bytes, identity: Identity = IDENTITY, *, size: int | None = None) -> bytes:
    step = size or max(1, len(content))
    return b"".join(decrypt((content[at : at + step] for at in range(0, len(content), step)), identity))


def start_of_payload(content: bytes) -> int:
    return content.index(b"\n", content.index(b"\n---") + 1) + 1


def cut(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The content in pieces of these sizes, again and again."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(content):
            return
        yield content[at : at + size]
        at += size


# What goes in comes out


@pytest.mark.parametrize("size", EDGES)
def test_sizes_around_every_boundary(size: int) -> None:
    content = (SOURCE * 8)[:size]
    assert opened(sealed(content)) == content


@given(
    size=st.one_of(st.integers(0, 3 * SEGMENT), st.sampled_from([n for n in EDGES if n <= 3 * SEGMENT])),
    sizes=st.lists(st.integers(0, 2 * SEGMENT), min_size=1, max_size=5).filter(any),
    back=st.lists(st.integers(0, 2 * SEGMENT), min_size=1, max_size=5).filter(any),
)
@settings(deadline=None, max_examples=60)
def test_chunks_of_any_size_make_the_same_file(size: int, sizes: list[int], back: list[int]) -> None:
    """How the bytes come in pieces, on the way in or out, changes nothing; empty pieces are none."""
    if sum(sizes) < 1000:  # many tiny pieces take long and say no more than some
        size = min(size, 2000)
    content = SOURCE[:size]
    whole = b"".join(encrypt(cut(content, sizes), IDENTITY.recipient))
    segments = max(1, -(-size // SEGMENT))
    assert len(whole) - start_of_payload(whole) == 16 + size + segments * TAG
    pieces = list(cut(whole, back)) if sum(back) >= 1000 else [whole]
    assert b"".join(decrypt(pieces, IDENTITY)) == content


def test_byte_by_byte() -> None:
    content = SOURCE[: SEGMENT + 10]
    whole = b"".join(encrypt((content[at : at + 1] for at in range(len(content))), IDENTITY.recipient))
    assert opened(whole, size=1) == content


def test_pieces_are_few_and_memory_is_flat() -> None:
    """A stream of any length passes in pieces of about 1 MiB, of which a handful are alive at once."""
    count = 64
    chunk = bytes(BATCH)
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in encrypt(itertools.repeat(chunk, count), IDENTITY.recipient)]
        pieces = decrypt(encrypt(itertools.repeat(chunk, count), IDENTITY.recipient), IDENTITY)
        total = sum(len(piece) for piece in pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(sizes) == count + 1  # and the header
    assert max(sizes) == SEGMENTS_AT_ONCE * (SEGMENT + TAG)
    assert total == count * len(chunk)
    assert peak < 12 * BATCH


def test_every_file_has_keys_of_its_own() -> None:
    """The same bytes for the same recipient have nothing in common but the version line."""
    one, two = sealed(b"same"), sealed(b"same")
    assert one != two
    assert one[start_of_payload(one) :][:16] != two[start_of_payload(two) :][:16]
    assert one.split(b"\n")[1:4] != two.split(b"\n")[1:4]


# The mark of the last segment


class Broken(Exception):
    """The dump ended badly."""


@pytest.mark.parametrize("size", [0, 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, BATCH, BATCH + SEGMENT])
def test_what_broke_off_never_becomes_whole(size: int) -> None:
    """If the input ends in an error, so does the output, and what came until then does not open."""
    out = _pieces_until_broken((SOURCE * 8)[:size])
    with pytest.raises(Refused, match="cut short"):
        opened(b"".join(out))


def _pieces_until_broken(content: bytes) -> list[bytes]:
    out: list[bytes] = []

    def breaking() -> Iterator[bytes]:
        yield content
        raise Broken

    pieces = encrypt(breaking(), IDENTITY.recipient)
    try:
        out.extend(pieces)
    except Broken:
        return out
    raise AssertionError("the error was swallowed")


def test_the_last_segment_waits_for_the_end() -> None:
    """It is made only when the input has said that nothing comes any more."""
    events: list[str] = []

    def source() -> Iterator[bytes]:
        yield bytes(BATCH)
        events.append("asked again")
        yield bytes(SEGMENT)
        events.append("ended")

    events.extend(f"piece of {len(piece)}" for piece in encrypt(source(), IDENTITY.recipient))
    sealed_size = SEGMENT + TAG
    assert events[1:] == [
        "asked again",
        f"piece of {SEGMENTS_AT_ONCE * sealed_size}",
        "ended",
        f"piece of {sealed_size}",
    ]


def test_a_consumer_that_goes_away_gets_no_mark() -> None:
    """Closing the iterator half-way ends it where it is."""
    pieces = encrypt(itertools.repeat(bytes(BATCH), 3), IDENTITY.recipient)
    out = [next(pieces), next(pieces)]
    del pieces
    with pytest.raises(Refused, match="cut short"):
        opened(b"".join(out))


# What must be refused


def test_another_key() -> None:
    with pytest.raises(Refused, match="sealed for another key"):
        opened(sealed(b"content"), OTHER)


@pytest.mark.parametrize("size", [0, 1, 100, SEGMENT, SEGMENT + 1, 2 * SEGMENT])
def test_truncated_anywhere(size: int) -> None:
    """Also exactly between two segments, where what is left looks whole."""
    whole = sealed(SOURCE[:size])
    start = start_of_payload(whole)
    boundaries = {start + 16 + n * (SEGMENT + TAG) + by for n in range(3) for by in (-1, 0, 1)}
    header = set(range(0, start + 17, 7)) | {start - 1, start, start + 1, start + 15, start + 16}
    lengths = sorted(at for at in boundaries | header | {len(whole) - 1, len(whole) - 17} if 0 <= at < len(whole))
    for length in lengths:
        with pytest.raises(Refused, match=r"cut short|cut off|empty"):
            opened(whole[:length])


@pytest.mark.parametrize("more", [b"\0", b"more", bytes(16), bytes(SEGMENT + TAG)])
@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1])
def test_something_put_behind(size: int, more: bytes) -> None:
    whole = sealed(SOURCE[:size])
    with pytest.raises(Refused, match=r"put behind|after its end"):
        opened(whole + more)


def test_a_file_put_behind_a_file() -> None:
    whole = sealed(SOURCE[:SEGMENT])
    with pytest.raises(Refused, match="after its end in segment 0"):
        opened(whole + whole)


@given(at=st.integers(0, 10**9), bit=st.integers(0, 7), size=st.sampled_from([0, 5, SEGMENT, SEGMENT + 5]))
@settings(deadline=None, max_examples=150)
def test_a_flipped_bit_anywhere(at: int, bit: int, size: int) -> None:
    """Header, key, MAC, nonce, segments, tags: whichever bit, nothing is opened but what stood before it."""
    whole = bytearray(sealed(SOURCE[:size]))
    near_the_front = at % 2 == 0  # most of a file is payload: half of the flips go into what is not
    at = at // 2 % (min(len(whole), 230) if near_the_front else len(whole))
    whole[at] ^= 1 << bit
    out: list[bytes] = []
    with pytest.raises(Refused):
        out.extend(decrypt([bytes(whole)], IDENTITY))
    assert SOURCE.startswith(b"".join(out))


def test_every_bit_of_the_header() -> None:
    """None of them is free."""
    whole = sealed(b"content")
    for at, bit in itertools.product(range(start_of_payload(whole)), range(8)):
        harmed = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
        with pytest.raises(Refused):
            opened(harmed)


def test_segments_swapped_dropped_or_repeated() -> None:
    whole = sealed(SOURCE)
    start = start_of_payload(whole) + 16
    step = SEGMENT + TAG
    first, second, rest = whole[start : start + step], whole[start + step : start + 2 * step], whole[start + 2 * step :]
    for harmed in (second + first + rest, second + rest, first + rest, first + first + second + rest, b""):
        with pytest.raises(Refused):
            opened(whole[:start] + harmed)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is empty"),
        (b"PGDMP" + bytes(1000), "does not begin with the header"),
        (b"\x28\xb5\x2f\xfd" + bytes(10), "does not begin with the header"),
        (b"age-encryption.org/v2\n" + bytes(100), "does not begin with the header"),
        (b"age-encryption.org/v1\n" + b"-> X25519 " + b"A" * 100_000, "header of the age file does not end"),
        (b"age-encryption.org/v1\n--- " + b"A" * 100_000, "header of the age file does not end"),
        (b"age-encryption.org/v1\n", "cut short in its header"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "does not begin with the header"),
    ],
)
def test_what_is_no_age_file(content: bytes, sentence: str) -> None:
    for size in (None, 1000):
        with pytest.raises(Refused, match=sentence):
            opened(content, size=size)


def test_a_payload_without_its_header() -> None:
    whole = sealed(b"content")
    with pytest.raises(Refused, match="does not begin with the header"):
        opened(whole[start_of_payload(whole) :])


def test_an_error_of_the_source_is_not_renamed() -> None:
    """Weather on the way is weather, and no damage."""

    def source() -> Iterator[bytes]:
        yield sealed(SOURCE)[:SEGMENT]
        raise Broken

    with pytest.raises(Broken):
        list(decrypt(source(), IDENTITY))
