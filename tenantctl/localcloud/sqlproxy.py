"""The data plane of the local cloud: the TLS port that the Cloud SQL connector dials.

One listener serves all instances. The client certificate, which only the Admin API hands out, says which instance it
opens; a certificate of another authority, an expired one or none ends the handshake. An instance that is down is
told by closing the connection right after it.

An IAM login has no password: PostgreSQL trusts it on the private socket behind us. So it is let through only on a
certificate that was issued for an access token of that same identity. Everybody else proves a password to PostgreSQL
itself. The bootstrap superuser is let through never.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from typing import Final

import psycopg

from tenantctl.localcloud.certificates import ClientName, read_client_name
from tenantctl.localcloud.fleet import Fleet, Instance
from tenantctl.localcloud.startup_message import (
    CANCEL_REQUEST,
    GSS_REQUEST,
    LARGEST_STARTUP,
    SSL_REQUEST,
    BadStartup,
    fatal_error,
    parse_startup,
    request_code,
)
from tenantctl.localcloud.template import ADMIN_ROLE

_CHUNK: Final = 1 << 18
_STARTUP_SECONDS: Final = 60.0
_HANDSHAKE_SECONDS: Final = 20.0
_SHUTDOWN_SECONDS: Final = 5.0
_LOG: Final = logging.getLogger("tenantctl.localcloud.sqlproxy")


class SqlProxy:
    """The TLS listener in front of all instances.

    Args:
        fleet: The instances.
        context: The TLS context, which asks for a client certificate.
    """

    def __init__(self, fleet: Fleet, context: ssl.SSLContext) -> None:
        self._fleet = fleet
        self._context = context
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def listen(self, listener: socket.socket) -> None:
        """Accept connections on a socket that listens already."""
        self._server = await asyncio.start_server(
            self._accept,
            sock=listener,
            ssl=self._context,
            limit=_CHUNK,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
        )

    async def close(self) -> None:
        """Stop listening and end every session."""
        if self._server is not None:
            self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, psycopg.Error) as error:
            _LOG.debug("a session ended early: %s", error)
        finally:
            self._sessions.discard(session)
            await _close(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bearer = read_client_name(writer.get_extra_info("ssl_object"))
        if bearer is None or bearer.project != self._fleet.project:
            return
        instance = self._fleet.get(bearer.instance)
        if instance is None or not instance.cluster.running():
            return
        async with asyncio.timeout(_STARTUP_SECONDS):
            try:
                first = await _first_message(reader, writer)
                refusal = None if request_code(first) == CANCEL_REQUEST else await _refusal(instance, bearer, first)
            except BadStartup as error:
                refusal, first = fatal_error("08P01", str(error)), b""
            if refusal is not None:
                writer.write(refusal)
                await writer.drain()
                return
            from_server, to_server = await asyncio.open_unix_connection(instance.cluster.socket, limit=_CHUNK)
        try:
            to_server.write(first)
            await _relay(reader, writer, from_server, to_server)
        finally:
            await _close(to_server)


async def _first_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Read the client's first message that is not about encryption: TLS is around us already."""
    while True:
        head = await reader.readexactly(4)
        (length,) = struct.unpack("!I", head)
        if not 8 <= length <= LARGEST_STARTUP:
            raise BadStartup("The first message has an impossible length.")
        message = head + await reader.readexactly(length - 4)
        if request_code(message) not in (SSL_REQUEST, GSS_REQUEST):
            return message
        writer.write(b"N")


async def _refusal(instance: Instance, bearer: ClientName, message: bytes) -> bytes | None:
    """Return the error that this start of a session deserves, or None if PostgreSQL shall judge it."""
    startup = parse_startup(message)
    if startup.user == ADMIN_ROLE:
        return fatal_error("28000", f'role "{ADMIN_ROLE}" belongs to the service')
    by_token = await instance.is_iam_login(startup.user)
    if (by_token and startup.user == bearer.login) or (not by_token and startup.user != bearer.login):
        return None
    _LOG.warning("%s: login %s refused to a bearer of %s", instance.name, startup.user, bearer.login or "no token")
    return fatal_error("28000", f'Cloud SQL IAM user authentication failed for user "{startup.user}"')


async def _relay(
    from_client: asyncio.StreamReader,
    to_client: asyncio.StreamWriter,
    from_server: asyncio.StreamReader,
    to_server: asyncio.StreamWriter,
) -> None:
    """Pass bytes both ways until the server has said its last; a client that is gone takes the server's side along."""
    upward = asyncio.create_task(_pass_on(from_client, to_server))
    downward = asyncio.create_task(_pass_on(from_server, to_client))
    try:
        await asyncio.wait((upward, downward), return_when=asyncio.FIRST_COMPLETED)
        if not downward.done():  # the server hears of the end, may still answer, and then ends too
            await asyncio.wait((downward,), timeout=_SHUTDOWN_SECONDS)
    finally:
        for direction in (upward, downward):
            direction.cancel()
        await asyncio.gather(upward, downward, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        writer.close()
        await writer.wait_closed()
