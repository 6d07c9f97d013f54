"""The bytes of the objects: one file each, written once, streamed in and out in pieces.

Writing and checksumming run on a thread while the next piece comes in over the network, so that the event loop stays
free and two processors are used; memory holds two pieces at a time, whatever the size of the object. A file counts only
once a row of the metadata names it; until then a crash leaves bytes that `sweep` removes at the next start.
"""

import asyncio
import base64
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import google_crc32c

PIECE_BYTES: Final = 1 << 20
RESUMABLE_UNIT_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class Digest:
    """The length and checksums of bytes; the checksums as the API writes them, in base64."""

    size: int
    crc32c: str
    md5: str


class RunningDigest:
    """The checksums of the bytes seen so far."""

    def __init__(self) -> None:
        self.size = 0
        self._crc32c = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, piece: bytes) -> None:
        """Take in further bytes."""
        self._crc32c = google_crc32c.extend(self._crc32c, piece)
        self._md5.update(piece)
        self.size += len(piece)

    def digest(self) -> Digest:
        """Return the checksums as they stand."""
        crc32c = base64.b64encode(self._crc32c.to_bytes(4, "big")).decode()
        return Digest(self.size, crc32c, base64.b64encode(self._md5.digest()).decode())


class Intake:
    """One stream of bytes on its way into a file.

    Args:
        file: The open file, positioned at its end.
        running: The digest of what the file already holds; it is carried on.
    """

    def __init__(self, file: BinaryIO, running: RunningDigest) -> None:
        self._file = file
        self._running = running
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._writing: asyncio.Future[None] | None = None

    async def take(self, chunks: AsyncIterator[bytes]) -> None:
        """Write all chunks of a stream; whatever came in before the stream broke is written too."""
        try:
            async for chunk in chunks:
                self._waiting.append(chunk)
                self._waiting_bytes += len(chunk)
                if self._waiting_bytes >= PIECE_BYTES:
                    await self._hand_over()
        finally:
            await asyncio.shield(self._settle())

    async def _settle(self) -> None:
        await self._hand_over()
        await self._written()

    async def _hand_over(self) -> None:
        await self._written()
        piece, self._waiting, self._waiting_bytes = b"".join(self._waiting), [], 0
        if piece:
            self._writing = asyncio.get_running_loop().run_in_executor(None, self._write, piece)

    async def _written(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)
            self._writing = None

    def _write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._file.flush()
        if len(piece) >= PIECE_BYTES and hasattr(os, "posix_fadvise"):
            # Begins to write it to the disk, so that little is left to wait for when the whole is made durable.
            place = self._file.tell() - len(piece)
            os.posix_fadvise(self._file.fileno(), place, len(piece), os.POSIX_FADV_DONTNEED)
        self._running.update(piece)


async def pieces_of(opened: BinaryIO, start: int, length: int) -> AsyncIterator[bytes]:
    """Yield a part of an open file, piece by piece."""
    await asyncio.to_thread(opened.seek, start)
    while length > 0:
        piece = await asyncio.to_thread(opened.read, min(PIECE_BYTES, length))
        if not piece:
            return
        length -= len(piece)
        yield piece


class ByteStore:
    """The folder with the files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def new_file() -> str:
        """Return a name for a file that is not there yet."""
        return secrets.token_hex(16)

    def path(self, file: str) -> Path:
        """Return where a file lies."""
        return self._root / file[:2] / file

    def open_to_extend(self, file: str, kept_bytes: int) -> BinaryIO:
        """Open a file, made if need be, to write on after its first `kept_bytes` bytes; the rest is cut off."""
        path = self.path(file)
        path.parent.mkdir(exist_ok=True)
        opened = path.open("r+b" if path.exists() else "w+b")
        opened.truncate(kept_bytes)
        opened.seek(kept_bytes)
        return opened

    def received(self, file: str) -> int:
        """Return the length of a file; 0 if there is none yet."""
        try:
            return self.path(file).stat().st_size
        except FileNotFoundError:
            return 0

    def sync(self, file: str) -> None:
        """Make a file and its place in the folders durable."""
        for path in (self.path(file), self.path(file).parent, self._root):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def digest(self, file: str) -> RunningDigest:
        """Read a whole file and return its digest, to be carried on."""
        running = RunningDigest()
        if self.received(file):
            with self.path(file).open("rb") as opened:
                while piece := opened.read(PIECE_BYTES):
                    running.update(piece)
        return running

    def join(self, files: Iterable[str], target: str) -> Digest:
        """Write the bytes of several files, one after the other, into a new one."""
        running = RunningDigest()
        with self.open_to_extend(target, 0) as written:
            for file in files:
                with self.path(file).open("rb") as opened:
                    while piece := opened.read(PIECE_BYTES):
                        written.write(piece)
                        running.update(piece)
        self.sync(target)
        return running.digest()

    async def open(self, file: str) -> BinaryIO:
        """Open a file to read it; whoever has it open reads on, also when it is removed meanwhile.

        Raises:
            FileNotFoundError: The file is not there, or not there any more.
        """
        return await asyncio.to_thread(self.path(file).open, "rb")

    def discard(self, file: str) -> None:
        """Remove a file, if it is there."""
        self.path(file).unlink(missing_ok=True)

    def sweep(self, known: set[str]) -> int:
        """Remove the files that nothing names, left by a crash; return how many went."""
        unknown = [path for path in self._root.glob("*/*") if path.name not in known]
        for path in unknown:
            path.unlink()
        return len(unknown)
