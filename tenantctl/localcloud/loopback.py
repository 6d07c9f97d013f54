"""Keeps the local cloud to this machine: it listens on loopback only, on ports that it remembers."""

import ipaddress
import random
import socket
import sys
from collections.abc import Iterable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

DATA_PLANE_PORT: Final = 3307  # fixed in the real connector
HOST: Final = "127.0.0.1"
_ATTEMPTS: Final = 50


class NoAddress(RuntimeError):
    """No free loopback address or port was found; the message says which is taken."""


def is_loopback(host: str) -> bool:
    """Say whether a host, as a URL spells it, is this machine's loopback."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def loopback_middleware() -> Middleware:
    """Make the middleware that refuses requests which name another host.

    A page in a browser could otherwise reach us by a name of its own that resolves to loopback.
    """

    @web.middleware
    async def refuse_others(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_loopback(request.url.host or ""):
            error = {"code": 403, "message": "The local cloud answers on loopback only."}
            return web.json_response({"error": error}, status=403)
        return await handler(request)

    return refuse_others


def listen_for_http(remembered: int | None) -> socket.socket:
    """Open a listening socket on the port that was used before, or on a free one if that is taken."""
    for port in (remembered, 0) if remembered else (0,):
        try:
            return _listening(HOST, port)
        except OSError:
            if port == 0:
                raise
    raise NoAddress("No free port was found on 127.0.0.1.")


def listen_for_data_plane(remembered: str | None) -> socket.socket:
    """Open a listening socket on port 3307 of a loopback address that no other local cloud uses.

    Only Linux has all of 127.0.0.0/8; elsewhere 127.0.0.1 is all there is, and one local cloud can run at a time.

    Raises:
        NoAddress: The port is taken on every address tried.
    """
    for address in _addresses(remembered):
        try:
            return _listening(address, DATA_PLANE_PORT)
        except OSError:
            continue
    raise NoAddress(f"Port {DATA_PLANE_PORT} is taken on loopback: stop what listens there, or the other local cloud.")


def _addresses(remembered: str | None) -> Iterable[str]:
    if remembered is not None:
        yield remembered
    if sys.platform != "linux":
        yield HOST
        return
    for _ in range(_ATTEMPTS):
        yield f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(2, 254)}"


def _listening(address: str, port: int) -> socket.socket:
    # Only of what says that it is TCP does asyncio turn Nagle's algorithm off, and what is accepted says what we say.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
