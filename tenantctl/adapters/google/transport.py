"""Connections to Google's APIs that end in time, whatever the peer does: those of its clients, under a `Watch`."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidJSONError
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tenantctl.adapters.watch import TimeLimits, Watch, guard, is_loopback

__all__ = ["CONNECTIONS_MAX", "SENT_AT_ONCE", "TimeLimits", "Watch", "watch_over", "watched_http", "watched_session"]

CONNECTIONS_MAX: Final = 32  # for each host; more callers than that wait for each other's connections
SENT_AT_ONCE: Final = 256 * 1024  # bytes that must leave within the connect time-out, as the client counts it


class _WatchedConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        guard(self.sock)

    def request(self, *arguments: Any, **options: Any) -> None:
        if self.sock is not None:  # used again; a new one connects in here
            guard(self.sock)
        super().request(*arguments, **options)


class _WatchedSecureConnection(_WatchedConnection, HTTPSConnection):
    """The same over TLS."""


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _WatchedSecurePool(HTTPSConnectionPool):
    ConnectionCls = _WatchedSecureConnection


class _WatchedAdapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, blocksize=SENT_AT_ONCE, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedSecurePool}


class _LimitedAdapter(_WatchedAdapter):
    """Holds to its own limits, for clients that can name but one for both."""

    def __init__(self, limits: TimeLimits) -> None:
        self._limits = limits
        super().__init__(pool_maxsize=CONNECTIONS_MAX)

    def send(self, *arguments: Any, **options: Any) -> Any:
        return super().send(*arguments, **{**options, "timeout": self._limits.for_requests})


class _WatchedSession(AuthorizedSession):
    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
        """Send a request; an answer to a look that is no JSON object is no answer, though the client takes it."""
        response = super().request(method, url, *arguments, **options)  # type: ignore[no-untyped-call]
        a_look = method == "GET" and response.ok and not options.get("stream")
        if a_look and not response.content.lstrip().startswith(b"{"):
            raise InvalidJSONError("the answer is not one of Google's API", response=response)
        return response


def watched_session(credentials: Credentials, endpoint: str | None) -> AuthorizedSession:
    """A session for the storage client; safe to share between threads.

    Args:
        credentials: who is calling.
        endpoint: the URL of a local cloud, which is called without any proxy; None in production.
    """
    session = _WatchedSession(credentials)  # type: ignore[no-untyped-call]
    for scheme in ("http://", "https://"):
        session.mount(scheme, _WatchedAdapter(pool_maxsize=CONNECTIONS_MAX))
    if is_loopback(endpoint):
        session.trust_env = False
    return session


def watch_over(session: AuthorizedSession, endpoint: str | None, limits: TimeLimits) -> None:
    """Make the connections of a client's own session end in time.

    Args:
        session: the client's, before its first request.
        endpoint: the URL of a local cloud, which is called without any proxy; None in production.
        limits: for each request.
    """
    for scheme in ("http://", "https://"):
        session.mount(scheme, _LimitedAdapter(limits))
    if is_loopback(endpoint):
        session.trust_env = False


@contextlib.contextmanager
def watched_http(credentials: Credentials, endpoint: str | None, limits: TimeLimits) -> Iterator[Any]:
    """A transport of its own for one call of the Admin API's client, which cannot share one between threads."""
    import google_auth_httplib2  # noqa: PLC0415 - 0.1 s to import, and only the Admin API needs them
    import httplib2  # noqa: PLC0415

    proxy = None if is_loopback(endpoint) else httplib2.proxy_info_from_environment
    plain = httplib2.Http(timeout=limits.read_seconds, proxy_info=proxy)
    expired = threading.Event()

    def cut() -> None:
        expired.set()
        for connection in tuple(plain.connections.values()):
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(limits.whole_seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield google_auth_httplib2.AuthorizedHttp(credentials, http=plain)
        if expired.is_set():
            raise TimeoutError(f"the call took longer than {limits.whole_seconds:g} s")
    finally:
        timer.cancel()
        plain.close()
