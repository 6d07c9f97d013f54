"""However grudgingly a store takes an upload's bytes, what it seals is what was written, or nothing."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import google_crc32c
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.adapters.google.resumable import CHUNK_UNIT, ResumableUpload
from tenantctl.adapters.google.transport import TimeLimits
from tenantctl.adapters.retry import Patience
from tenantctl.model.errors import Transient

ADDRESS = "http://127.0.0.1:1/upload"
TAKES_ALL, TAKES_SOME, TAKES_NOTHING = "takes all", "takes some", "takes nothing"
BREAKS_BEFORE, BREAKS_AFTER, BUSY = "breaks before", "breaks after", "busy"


class GrudgingStore:
    """One upload session, as Cloud Storage documents it, whose moods a test chooses.

    It keeps whole units only of a chunk that is not the last, ignores bytes that it has already, and says by its
    Range where it stands. With its moods used up it takes everything.
    """

    def __init__(self, moods: list[tuple[str, int]]) -> None:
        self.moods: Iterator[tuple[str, int]] = iter(moods)
        self.kept = bytearray()
        self.sealed: bytes | None = None
        self.deleted = False

    def request(self, method: str, _address: str, *, headers: dict[str, str], **options: Any) -> requests.Response:
        """What the session of google-auth is asked for."""
        if method == "DELETE":
            self.deleted = True
            return respond(499)
        body = options["data"]
        body = body if isinstance(body, bytes) else b"".join(body)
        assert len(body) == int(headers["Content-Length"])
        mood, amount = next(self.moods, (TAKES_ALL, 0))
        if mood == BUSY:
            return respond(503)
        if mood == BREAKS_BEFORE:
            raise requests.ConnectionError("broken before")
        answer = self.take(body, headers, None if mood not in (TAKES_SOME, TAKES_NOTHING) else amount)
        if mood == BREAKS_AFTER:
            raise requests.ConnectionError("broken after")
        return answer

    def take(self, body: bytes, headers: dict[str, str], amount: int | None) -> requests.Response:
        if self.sealed is not None:
            return self.sealed_answer()
        span = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", headers["Content-Range"])
        assert span is not None
        first, last, total = span.groups()
        if first is not None:
            assert int(first) <= len(self.kept), "a gap"
            assert int(last) - int(first) + 1 == len(body)
            new = body[len(self.kept) - int(first) :]
            new = new if amount is None else new[: amount * CHUNK_UNIT]
            if total == "*":
                new = new[: len(new) // CHUNK_UNIT * CHUNK_UNIT]
            self.kept += new
        if total != "*" and len(self.kept) == int(total):
            assert headers["X-Goog-Hash"] == f"crc32c={crc32c(self.kept)}"
            self.sealed = bytes(self.kept)
            return self.sealed_answer()
        return respond(308, headers={"Range": f"bytes=0-{len(self.kept) - 1}"} if self.kept else {})

    def sealed_answer(self) -> requests.Response:
        assert self.sealed is not None
        return respond(200, f'{{"crc32c": "{crc32c(self.sealed)}", "size": "{len(self.sealed)}"}}'.encode())


def respond(status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer._content = content
    answer.headers.update(headers or {})
    return answer


def crc32c(content: bytes | bytearray) -> str:
    return base64.b64encode(google_crc32c.Checksum(bytes(content)).digest()).decode()


def upload_to(store: GrudgingStore, units: int, seconds: float = 600) -> ResumableUpload:
    return ResumableUpload(
        store,  # type: ignore[arg-type]
        ADDRESS,
        "gs://b/o",
        chunk_size=units * CHUNK_UNIT,
        limits=TimeLimits(),
        patience=Patience(seconds=seconds, sleep=lambda _seconds: None),
    )


moods = st.lists(
    st.tuples(
        st.sampled_from([TAKES_ALL, TAKES_SOME, TAKES_SOME, TAKES_NOTHING, BREAKS_BEFORE, BREAKS_AFTER, BUSY]),
        st.integers(0, 3),
    ),
    max_size=12,
)
sizes = st.sampled_from([0, 1, CHUNK_UNIT - 1, CHUNK_UNIT, 3 * CHUNK_UNIT, 5 * CHUNK_UNIT + 11])


@settings(max_examples=60, deadline=None)
@given(moods, st.integers(1, 4), sizes, st.integers(997, 700_000))
def test_what_is_sealed_is_what_was_written(moods: list[tuple[str, int]], units: int, size: int, piece: int) -> None:
    """Partial chunks, broken connections, lost answers, in any order: no byte is missing, doubled or moved."""
    store = GrudgingStore(moods)
    content = (b"0123456789abcdefg" * (size // 17 + 1))[:size]
    upload = upload_to(store, units)
    for start in range(0, size, piece):
        upload.write(content[start : start + piece])
    assert upload.size == size
    assert store.sealed is None
    resource = upload.finish(base64.b64encode(upload.crc32c).decode())
    assert store.sealed == content
    assert resource["size"] == str(size)
    upload.abandon()
    assert not store.deleted


@settings(max_examples=30, deadline=None)
@given(moods, st.integers(1, 4), sizes)
def test_what_is_abandoned_is_never_sealed(moods: list[tuple[str, int]], units: int, size: int) -> None:
    store = GrudgingStore(moods)
    upload = upload_to(store, units)
    upload.write(b"x" * size)
    upload.abandon()
    upload.abandon()
    assert store.sealed is None
    assert store.deleted
    with pytest.raises(Transient):
        upload.finish(base64.b64encode(upload.crc32c).decode())


def test_a_store_that_takes_nothing_for_ever_is_given_up() -> None:
    """It answers politely each time, and yet the upload ends."""
    upload = upload_to(GrudgingStore([(TAKES_NOTHING, 0)] * 10_000), 1, seconds=30)
    with pytest.raises(Transient, match="took nothing"):
        upload.write(b"x" * (CHUNK_UNIT + 1))
    with pytest.raises(Transient, match="lost"):
        upload.write(b"x")


@pytest.mark.parametrize("size", [0, -CHUNK_UNIT, CHUNK_UNIT + 1])
def test_a_chunk_is_a_multiple_of_the_unit(size: int) -> None:
    with pytest.raises(ValueError, match="multiple"):
        ResumableUpload(
            GrudgingStore([]),  # type: ignore[arg-type]
            ADDRESS,
            "gs://b/o",
            chunk_size=size,
            limits=TimeLimits(),
            patience=Patience(),
        )


@pytest.mark.parametrize("header", ["bytes=5-9", "bytes=0-x", "items=0-1", "bytes=0-99999999"])
def test_a_range_that_cannot_be_loses_the_upload(header: str) -> None:
    """A store that contradicts itself is not believed."""

    class Confused(GrudgingStore):
        def take(self, body: bytes, headers: dict[str, str], amount: int | None) -> requests.Response:
            return respond(308, headers={"Range": header})

    upload = upload_to(Confused([]), 1, seconds=5)
    with pytest.raises(Transient, match="cannot be"):
        upload.write(b"x" * (CHUNK_UNIT + 1))
