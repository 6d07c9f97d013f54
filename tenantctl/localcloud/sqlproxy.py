"""The data plane of the local cloud: the TLS port that the Cloud SQL connector dials.

One listener serves all instances. The client certificate, which only the Admin API hands out, says which instance it
opens; a certificate of another authority, an expired one or none ends the handshake. An instance that is down is
told by closing the connection right after it.

An IAM login has no password: PostgreSQL trusts it on the private socket behind us. So it is let through only on a
certificate that was issued for an access token of that same identity. Everybody else proves a password to PostgreSQL
itself. The bootstrap superuser is let through never.
"""

import asyncio
import logging
import socket
import ssl
import struct
from typing import Final

import psycopg

from tenantctl.localcloud.certificates import ClientName, read_client_name
from tenantctl.localcloud.fleet import Fleet, Instance
from tenantctl.localcloud.permissions import Permissions
from tenantctl.localcloud.relay import SHUTDOWN_SECONDS, Side, relay
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

_STARTUP_SECONDS: Final = 60.0
_HANDSHAKE_SECONDS: Final = 20.0
_LOG: Final = logging.getLogger("tenantctl.localcloud.sqlproxy")


class SqlProxy:
    """The TLS listener in front of all instances.

    Args:
        fleet: The instances.
        context: The TLS context, which asks for a client certificate.
        permissions: Who may log in.
    """

    def __init__(self, fleet: Fleet, context: ssl.SSLContext, permissions: Permissions) -> None:
        self._fleet = fleet
        self._permissions = permissions
        self._context = context
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def listen(self, listener: socket.socket) -> None:
        """Accept connections on a socket that listens already."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Side(self._begin),
            sock=listener,
            ssl=self._context,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )

    async def close(self) -> None:
        """Stop listening and end every session."""
        if self._server is not None:
            self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _begin(self, client: Side) -> None:
        session = asyncio.create_task(self._session(client))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)

    async def _session(self, client: Side) -> None:
        try:
            await self._serve(client)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, psycopg.Error) as error:
            _LOG.debug("a session ended early: %s", error)
        finally:
            await client.close()

    async def _serve(self, client: Side) -> None:
        bearer = read_client_name(client.transport.get_extra_info("ssl_object"))
        if bearer is None or bearer.project != self._fleet.project:
            return
        instance = self._fleet.get(bearer.instance)
        if instance is None or not instance.cluster.running():
            return
        async with asyncio.timeout(_STARTUP_SECONDS):
            try:
                first = await _first_message(client)
                if request_code(first) == CANCEL_REQUEST:
                    refusal = None
                else:
                    refusal = await _refusal(instance, bearer, first, self._permissions)
            except BadStartup as error:
                refusal, first = fatal_error("08P01", str(error)), b""
            if refusal is not None:
                client.transport.write(refusal)
                return
            _, server = await asyncio.get_running_loop().create_unix_connection(Side, str(instance.cluster.socket))
        try:
            server.transport.write(first)
            await relay(client, server)
        finally:
            await server.close()


async def _first_message(client: Side) -> bytes:
    """Read the client's first message that is not about encryption: TLS is around us already."""
    while True:
        head = await client.take(4)
        (length,) = struct.unpack("!I", head)
        if not 8 <= length <= LARGEST_STARTUP:
            raise BadStartup("The first message has an impossible length.")
        message = head + await client.take(length - 4)
        if request_code(message) not in (SSL_REQUEST, GSS_REQUEST):
            return message
        client.transport.write(b"N")


async def _refusal(instance: Instance, bearer: ClientName, message: bytes, permissions: Permissions) -> bytes | None:
    """Return the error that this start of a session deserves, or None if PostgreSQL shall judge it."""
    startup = parse_startup(message)
    if startup.user == ADMIN_ROLE:
        return fatal_error("28000", f'role "{ADMIN_ROLE}" belongs to the service')
    by_token = await instance.is_iam_login(startup.user)
    if by_token and startup.user == bearer.login and permissions.allows_login(startup.user, instance.name):
        return None
    if not by_token and startup.user != bearer.login:
        return None
    _LOG.warning("%s: login %s refused to a bearer of %s", instance.name, startup.user, bearer.login or "no token")
    return fatal_error("28000", f'Cloud SQL IAM user authentication failed for user "{startup.user}"')
