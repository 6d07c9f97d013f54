"""The stream of a backup: one dump, compressed and sealed once, into every copy's upload at the same time.

Memory stays flat: each copy has a bounded queue, and the slowest holds back the
dump. An upload that fails leaves the others whole. Nothing is sealed before
`pg_dump` has ended well, so half a dump never becomes an object.
"""

import base64
import hashlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Literal

import google_crc32c
import zstandard

from tenantctl.backups.age import Identity, decrypt, encrypt
from tenantctl.model.errors import Refused, Transient
from tenantctl.ports.databases import Dump
from tenantctl.ports.vault import ObjectSeen, Vault

PIECE: Final = 2 * 1024 * 1024  # raw bytes that become one frame
PIECES_QUEUED_MAX: Final = 4
COMPRESSORS: Final = 2  # threads; more would wait for `pg_dump`
# Level 1, but looking for longer matches with a small table that stays in a processor's nearest memory. Beside level 3,
# rows take three fifths of the time and are larger by a seventieth; the catalogue of an empty database is smaller.
_PARAMETERS: Final = zstandard.ZstdCompressionParameters.from_level(
    1, min_match=7, hash_log=15, write_content_size=True, write_checksum=True
)


@dataclass(frozen=True)
class Target:
    """Where one copy goes."""

    region: str
    bucket: str
    name: str


@dataclass(frozen=True)
class Streamed:
    """What was streamed: sizes in bytes, hex SHA-256 and base64 CRC-32C of the stored bytes.

    `sealed` has the copies that exist now, by region; `failed` those that do not, with the reason.
    """

    size: int
    raw_size: int
    sha256: str
    crc32c: str
    sealed: Mapping[str, ObjectSeen]
    failed: Mapping[str, str]


class _Writer(threading.Thread):
    """Uploads one copy from its queue; a failure is kept, and what still comes is thrown away."""

    def __init__(self, vault: Vault, target: Target) -> None:
        super().__init__(name=f"copy-{target.region}", daemon=True)
        self.target = target
        self.chunks: queue.Queue[bytes | Literal["seal", "abort"]] = queue.Queue(PIECES_QUEUED_MAX)
        self.sealed: ObjectSeen | None = None
        self.failure: BaseException | None = None
        self._word: Literal["seal", "abort"] | None = None
        self._vault = vault

    def run(self) -> None:
        try:
            with self._vault.upload(self.target.bucket, self.target.name) as upload:
                while (chunk := self._next()) is not None:
                    upload.write(chunk)
                if self._word == "seal":
                    self.sealed = upload.seal()
        except BaseException as failure:  # noqa: BLE001 - kept for the thread that waits for this one
            self.failure = failure
            while self._word is None:
                self._next()

    def _next(self) -> bytes | None:
        """The next piece; None once the last word has come."""
        chunk = self.chunks.get()
        if isinstance(chunk, str):
            self._word = chunk
            return None
        return chunk


class _Counted:
    """The chunks of a dump, and how many bytes they were."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.size = 0
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            yield chunk


def compress(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    """The chunks compressed, in pieces of one whole zstd frame each.

    Frames of a few megabytes, each compressed at one go, cost a fifth less than one long frame, are no larger, and
    keep several processors busy; `zstd -d` reads them one after the other as it does a single one.
    """
    compressors = threading.local()

    def frame(piece: bytes) -> bytes:
        if not hasattr(compressors, "mine"):
            compressors.mine = zstandard.ZstdCompressor(compression_params=_PARAMETERS)
        compressed: bytes = compressors.mine.compress(piece)
        return compressed

    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(COMPRESSORS, thread_name_prefix="compress") as pool:
        for piece in _pieces(chunks):
            waiting.append(pool.submit(frame, piece))
            while len(waiting) > COMPRESSORS or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        for compressed in waiting:
            yield compressed.result()


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of `PIECE`; the last one may be shorter, and is empty if there are no bytes."""
    gathered: list[memoryview] = []
    size = 0
    for chunk in chunks:
        if len(chunk) == PIECE and not gathered:  # as a dump comes, but for its end
            yield chunk
            continue
        rest = memoryview(chunk)
        while size + len(rest) >= PIECE:
            taken, rest = rest[: PIECE - size], rest[PIECE - size :]
            yield b"".join([*gathered, taken])
            gathered, size = [], 0
        if rest:
            gathered.append(rest)
            size += len(rest)
    yield b"".join(gathered)


def decompress(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The archive that `compress` took in, or that any other zstd did, in one frame or several.

    Raises:
        Refused: the bytes are not whole, or not what was compressed. That whole frames are missing at the end is seen
            by who compares the stored bytes with their manifest.
    """
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    begun = False
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                if raw := frame.decompress(rest):
                    yield raw
                begun, rest = not frame.eof, frame.unused_data
                if frame.eof:
                    frame = decompressor.decompressobj()
    except zstandard.ZstdError as error:
        raise Refused(f"The backup's bytes do not decompress: {error}") from error
    if begun:
        raise Refused("The backup's bytes end too early.")


def opened(chunks: Iterable[bytes], identity: Identity | None) -> Iterator[bytes]:
    """The archive in a stored object; without an identity, of one that was stored in the clear.

    Raises:
        Refused: the bytes are not whole, not what was sealed, or sealed for another key.
    """
    return decompress(iter(chunks) if identity is None else decrypt(chunks, identity))


def stream(
    dump: Dump,
    vault: Vault,
    targets: Sequence[Target],
    *,
    recipient: str,
    check: Callable[[], None],
    confirm: Callable[[], None] | None = None,
) -> Streamed:
    """Streams a dump, compressed and sealed for `recipient`, into all targets.

    `check` is called between pieces and may raise to end it. The last segment is
    sealed only after the dump has ended well and `confirm` has not raised: what is
    sealed is locked, so whatever may yet be wrong is to be asked there.

    Raises:
        Transient: the dump failed, or no copy was written.
        LeaseLost: from `check` or `confirm`; nothing was sealed.
    """
    writers = [_Writer(vault, target) for target in targets]
    for writer in writers:
        writer.start()
    size, raw = 0, _Counted(dump.chunks())
    sha256, crc32c = hashlib.sha256(), google_crc32c.Checksum()
    word: Literal["seal", "abort"] = "abort"
    try:
        with closing(compress(raw)) as pieces:
            for piece in encrypt(pieces, recipient):
                check()
                size += len(piece)
                sha256.update(piece)
                crc32c.update(piece)
                for writer in writers:
                    writer.chunks.put(piece)
        (confirm or check)()
        word = "seal"
    finally:
        for writer in writers:
            writer.chunks.put(word)
        for writer in writers:
            writer.join()
    failed = {writer.target.region: _reason(writer) for writer in writers if writer.sealed is None}
    sealed = {writer.target.region: writer.sealed for writer in writers if writer.sealed is not None}
    return Streamed(
        size=size,
        raw_size=raw.size,
        sha256=sha256.hexdigest(),
        crc32c=base64.b64encode(crc32c.digest()).decode(),
        sealed=sealed,
        failed=failed,
    )


def _reason(writer: _Writer) -> str:
    """Why a copy was not sealed; what is neither weather nor refusal is raised where it can be seen."""
    if isinstance(writer.failure, Transient | Refused):
        return writer.failure.sentence
    assert writer.failure is not None, "a writer ends sealed, aborted or failed"
    raise writer.failure
