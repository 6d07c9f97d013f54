"""Passes the bytes of a session between the two connections of the data plane.

What comes in goes out at once, with neither a task nor a queue in between: a dump of a small database asks its server
750 times, and each question and answer would wait for both. A slow reader slows its writer down: as long as one side
cannot send, the other is not read.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, cast

_CHUNK: Final = 1 << 18
SHUTDOWN_SECONDS: Final = 5.0


class Side(asyncio.BufferedProtocol):
    """A connection; what comes in is kept until it is known where it shall go.

    Args:
        begun: Called once the connection stands, and TLS with it.
    """

    transport: asyncio.Transport

    def __init__(self, begun: "Callable[[Side], None] | None" = None) -> None:
        self._begun = begun
        self._place = memoryview(bytearray(_CHUNK))
        self._early = bytearray()
        self._news = asyncio.Event()
        self._other: Side | None = None
        self.ended = asyncio.Event()
        """Nothing more will come in."""
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = cast("asyncio.Transport", transport)
        if self._begun is not None:
            self._begun(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio."""
        return self._place

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        # Copied, because a transport that cannot send it all at once keeps what it was given.
        if self._other is not None:
            self._other.transport.write(bytes(self._place[:nbytes]))
            return
        self._early += self._place[:nbytes]
        self._news.set()
        if len(self._early) >= _CHUNK:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """See asyncio: the answers to what was asked may still go out, but TLS has no such half-open state."""
        self.ended.set()
        self._news.set()
        return self.transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self.ended.set()
        self._news.set()
        self._lost.set()

    def pause_writing(self) -> None:
        """See asyncio."""
        if self._other is not None:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio."""
        if self._other is not None:
            self._other.transport.resume_reading()

    async def take(self, length: int) -> bytes:
        """The next bytes that came in, so many.

        Raises:
            asyncio.IncompleteReadError: It ended before.
        """
        while len(self._early) < length:
            if self.ended.is_set():
                raise asyncio.IncompleteReadError(bytes(self._early), length)
            self._news.clear()
            await self._news.wait()
        taken = bytes(self._early[:length])
        del self._early[:length]
        return taken

    def pass_to(self, other: "Side") -> None:
        """Hand on what came in, and what will."""
        self._other = other
        other.transport.write(bytes(self._early))
        self._early.clear()
        self.transport.resume_reading()

    async def close(self) -> None:
        """Send what is left, and end the connection."""
        with contextlib.suppress(OSError):
            self.transport.close()
        await self._lost.wait()


async def relay(client: Side, server: Side) -> None:
    """Pass bytes both ways until the server has said its last; a client that is gone takes the server's side along."""
    server.pass_to(client)
    client.pass_to(server)
    ends = [asyncio.create_task(side.ended.wait()) for side in (client, server)]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not server.ended.is_set():  # the server hears of the end, may still answer, and then ends too
            with contextlib.suppress(OSError):
                server.transport.write_eof()
            await asyncio.wait(ends[1:], timeout=SHUTDOWN_SECONDS)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
