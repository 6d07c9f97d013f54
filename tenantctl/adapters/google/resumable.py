"""One resumable upload to Cloud Storage, written so that only `finish` can make an object of it.

The storage client's own file-like writer finalizes an upload when it is closed or merely garbage-collected, and
cancels at an address that is not the session's. A copy that is half there must never become an object that is locked
for a year, so the session, which the client opens, is fed here: in chunks of one size, each of them sent again from
where the store says it stands, the last one with the checksum of the whole, which the store compares before it seals.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import google_crc32c
from google.auth.transport.requests import AuthorizedSession

from tenantctl.adapters.google.answers import body_of, explained, explaining
from tenantctl.adapters.google.transport import SENT_AT_ONCE, TimeLimits, Watch
from tenantctl.adapters.retry import Patience
from tenantctl.model.errors import Refused, TenantctlError, Transient

CHUNK_UNIT: Final = 256 * 1024  # all chunks but the last are multiples of this, as the API demands
_CANCEL_SECONDS: Final = 5.0


class _SessionGone(Refused):
    """The session is no more, so trying its chunk again is no use, while a new upload may well go through."""


class ResumableUpload:
    """A session that is being fed. Memory in use: one chunk, whatever the object's size.

    What is written is kept as it came and sent from there, so several uploads of the same bytes hold them once.

    Args:
        session: the authorized session to send with.
        address: the upload session's URL, as the storage client opened it.
        what: the object's URL, for sentences.
        chunk_size: bytes sent at once; a multiple of `CHUNK_UNIT`.
        limits: for each request.
        patience: for each chunk.
        before_long: called before the first chunk that is not the last one, and may raise to spare sending it.
    """

    def __init__(
        self,
        session: AuthorizedSession,
        address: str,
        what: str,
        *,
        chunk_size: int,
        limits: TimeLimits,
        patience: Patience,
        before_long: Callable[[], None] | None = None,
    ) -> None:
        if chunk_size <= 0 or chunk_size % CHUNK_UNIT:
            raise ValueError(f"a chunk is a multiple of {CHUNK_UNIT} bytes, not {chunk_size}")
        self._session, self._address, self._what = session, address, what
        self._chunk_size, self._limits, self._patience = chunk_size, limits, patience
        self._before_long = before_long
        self._waiting: deque[memoryview] = deque()
        self._stored = 0  # what the store has said that it has
        self._waiting_size = 0
        self._checksum = google_crc32c.Checksum()
        self._in_doubt = False  # whether the store may stand elsewhere than at `_stored`
        self._lost = False
        self._ended = False

    @property
    def crc32c(self) -> bytes:
        """The checksum, big-endian, of all that has been written."""
        digest: bytes = self._checksum.digest()
        return digest

    @property
    def size(self) -> int:
        """The bytes that have been written."""
        return self._stored + self._waiting_size

    def write(self, chunk: bytes) -> None:
        """Add bytes.

        Raises:
            Transient: the store did not take them; the upload is lost.
        """
        self._check_open()
        self._checksum.update(chunk)
        rest = memoryview(chunk)
        while rest:
            # A full chunk waits for the byte after it: the last chunk must be known as such when it is sent.
            if self._waiting_size == self._chunk_size:
                self._send(final=False)
            room = self._chunk_size - self._waiting_size
            self._waiting.append(rest[:room])
            self._waiting_size += len(self._waiting[-1])
            rest = rest[room:]

    def finish(self, checksum: str) -> Mapping[str, Any]:
        """Send the rest with the checksum of the whole, and return the object's resource.

        Raises:
            Refused: the store does not make this object.
            Transient: the store did not answer; whether the object exists is unknown.
        """
        self._check_open()
        resource = self._send(final=True, checksum=checksum)
        self._ended = True
        assert resource is not None, "the final chunk is answered with the object"
        return resource

    def abandon(self) -> None:
        """Give up, and have the store forget what it has; does nothing after `finish`.

        If the store does not answer, it forgets the session by itself, after a week at the latest; there is no object.
        """
        if self._ended:
            return
        self._ended = True
        self._waiting.clear()
        self._waiting_size = 0
        with contextlib.suppress(TenantctlError), explaining("cancel an upload"), Watch(_CANCEL_SECONDS):
            self._session.request(  # type: ignore[no-untyped-call]
                "DELETE", self._address, headers={"Content-Length": "0"}, timeout=_CANCEL_SECONDS
            )

    def _check_open(self) -> None:
        if self._ended or self._lost:
            raise Transient(f"The upload of {self._what} is lost.", hint="Begin a new one.")

    def _send(self, *, final: bool, checksum: str = "") -> Mapping[str, Any] | None:
        """Send a chunk, or the rest, until the store has it; the object's resource if that was the end."""
        self._lost = True  # until the store has it: what fails in here cannot be mended
        if self._before_long is not None and not final:
            self._patience.call(self._before_long)
            self._before_long = None
        try:
            while True:
                resource = self._patience.call(self._attempt, final, checksum)
                if resource is not None and not final:
                    raise Refused(f"The store made {self._what} of an upload that had not ended.")
                if resource is not None or (not final and self._waiting_size < self._chunk_size):
                    self._lost = False
                    return resource
        except _SessionGone as error:
            raise Transient(error.sentence, hint="Begin a new one.") from error

    def _attempt(self, final: bool, checksum: str) -> Mapping[str, Any] | None:
        if self._in_doubt:
            resource = self._exchange((), "bytes */*")  # asks where the store stands
            if resource is not None or (not final and self._waiting_size < self._chunk_size):
                return resource
        before, total = self._stored, str(self.size) if final else "*"
        span = f"{self._stored}-{self.size - 1}" if self._waiting else "*"
        resource = self._exchange(tuple(self._waiting), f"bytes {span}/{total}", checksum)
        if resource is None and self._stored == before:
            raise Transient(f"The store took nothing of {self._what}.")
        return resource

    def _exchange(
        self, pieces: Sequence[memoryview], content_range: str, checksum: str = ""
    ) -> Mapping[str, Any] | None:
        """One request. Lets go of what the store has; returns the object's resource if it is made."""
        doing = f"take bytes of {self._what}"
        body = _Body(pieces)
        headers = {"Content-Range": content_range, "Content-Length": str(len(body))}
        if checksum:
            headers["X-Goog-Hash"] = f"crc32c={checksum}"
        self._in_doubt = True
        with explaining(doing), Watch(self._limits.whole_seconds):
            response = self._session.request(  # type: ignore[no-untyped-call]
                "PUT",
                self._address,
                data=body if pieces else b"",
                headers=headers,
                timeout=self._limits.for_requests,
                allow_redirects=False,
            )
        document = body_of(response)
        if response.status_code in (200, 201):
            if not isinstance(document, dict) or "crc32c" not in document:
                raise Transient(f"The store's answer about {self._what} is cut short.")
            return document
        if response.status_code in (404, 410, 499):
            raise _SessionGone(f"The store has forgotten the upload of {self._what}.")
        if response.status_code == 400 and checksum and "crc32c" in response.text.lower():
            raise _SessionGone(f"The bytes of {self._what} that arrived are not those that were sent.")
        if response.status_code != 308:
            raise explained(response.status_code, document, doing)
        self._let_go(_stored_bytes(response.headers.get("Range")))
        self._in_doubt = False
        return None

    def _let_go(self, stored: int) -> None:
        if not self._stored <= stored <= self.size:
            raise _SessionGone(f"The store says it has {stored} bytes of {self._what}, which cannot be.")
        taken = stored - self._stored
        self._stored, self._waiting_size = stored, self._waiting_size - taken
        while taken:
            piece = self._waiting.popleft()
            if len(piece) > taken:
                self._waiting.appendleft(piece[taken:])
            taken -= min(taken, len(piece))


class _Body:
    """A request's body, sent bit by bit: more at once would have to leave within the connect time-out."""

    def __init__(self, pieces: Sequence[memoryview]) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return sum(map(len, self._pieces))

    def __iter__(self) -> Iterator[memoryview]:
        for piece in self._pieces:
            for start in range(0, len(piece), SENT_AT_ONCE):
                yield piece[start : start + SENT_AT_ONCE]


def _stored_bytes(header: str | None) -> int:
    """How many bytes the store has, by its Range header; none without one."""
    if header is None:
        return 0
    unit, _, span = header.partition("=")
    first, _, last = span.partition("-")
    if unit != "bytes" or first != "0" or not last.isdigit():
        raise Transient(f"The store's answer has a Range that cannot be: {header!r}.")
    return int(last) + 1
