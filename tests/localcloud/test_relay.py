"""Two sides of a session hand on what comes in, whole, and no faster than it is taken."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from tenantctl.localcloud.relay import Side, relay

_LENGTH = 24_000_000
_KEPT_MAX = 8_000_000  # in all buffers between the two ends, the kernel's included


@contextlib.asynccontextmanager
async def relayed() -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    """The far ends of a client's and a server's connection, with a relay between them."""
    loop = asyncio.get_running_loop()
    (client_end, client), (server_end, server) = socket.socketpair(), socket.socketpair()
    for end in (client_end, server_end):
        end.setblocking(False)
    _, client_side = await loop.create_connection(Side, sock=client)
    _, server_side = await loop.create_connection(Side, sock=server)
    client_end.send(b"first words, then ")
    assert await client_side.take(13) == b"first words, "
    passing = asyncio.create_task(relay(client_side, server_side))
    try:
        yield client_end, server_end
    finally:
        client_end.close()
        server_end.close()
        await passing
        await asyncio.gather(client_side.close(), server_side.close())


async def received(end: socket.socket, length: int) -> bytes:
    """So many bytes from a connection's far end, or as many as there were."""
    gathered = bytearray()
    while len(gathered) < length:
        chunk = await asyncio.get_running_loop().sock_recv(end, 1 << 20)
        if not chunk:
            break
        gathered += chunk
    return bytes(gathered)


def test_what_came_before_the_relay_is_handed_on() -> None:
    """A client that says more than its first message at once loses nothing."""

    async def check() -> None:
        async with relayed() as (client, server):
            await asyncio.get_running_loop().sock_sendall(client, b"more")
            assert await received(server, 9) == b"then more"

    asyncio.run(check())


def test_a_slow_reader_slows_its_writer_down() -> None:
    """A server gets rid of no more than the buffers between hold; then all of it arrives, in order."""

    async def check() -> None:
        content = b"".join(number.to_bytes(4, "big") for number in range(_LENGTH // 4))
        async with relayed() as (client, server):
            sent, refused = 0, 0
            while (
                refused < 50 and sent < _KEPT_MAX
            ):  # in a row: the relay has had as many turns, and takes nothing more
                try:
                    sent += server.send(memoryview(content)[sent : sent + 65_536])
                    refused = 0
                except BlockingIOError:
                    refused += 1
                await asyncio.sleep(0)
            assert sent < _KEPT_MAX
            sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(server, content[sent:]))
            assert await received(client, _LENGTH) == content
            await sending

    asyncio.run(check())


def test_the_servers_last_word_arrives_after_the_client_has_ended() -> None:
    """A client that has said its last still hears the answer."""

    async def check() -> None:
        async with relayed() as (client, server):
            assert await received(server, 5) == b"then "
            client.shutdown(socket.SHUT_WR)
            assert await received(server, 1) == b""
            await asyncio.get_running_loop().sock_sendall(server, b"farewell")
            assert await received(client, 8) == b"farewell"

    asyncio.run(check())
