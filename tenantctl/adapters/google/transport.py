"""Connections to Google's APIs that end in time, whatever the peer does.

The clients' own time-outs hold for one operation on a socket: a peer that sends one byte every few seconds is never
late by them. A `Watch` therefore holds for a whole call, and cuts its connections when the time is up; the call then
fails like any broken connection. What it cannot cut short are name look-ups and TLS handshakes, which only have the
time-out of each operation.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidJSONError
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

CONNECTIONS_MAX: Final = 32  # for each host; more callers than that wait for each other's connections
SENT_AT_ONCE: Final = 256 * 1024  # bytes that must leave within the connect time-out, as the client counts it


@dataclass(frozen=True)
class TimeLimits:
    """How long a call may take, in seconds: to connect, between two bytes, and altogether."""

    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    whole_seconds: float = 120.0

    @property
    def for_requests(self) -> tuple[float, float]:
        """The pair that requests, and so the storage client, takes."""
        return self.connect_seconds, self.read_seconds


class Watch:
    """A block of code whose connections are cut after `seconds`; it then ends with a TimeoutError."""

    def __init__(self, seconds: float) -> None:
        self._sentence = f"the call took longer than {seconds:g} s"
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._expired = False

    def __enter__(self) -> Self:
        self._outer = _watches.set((*_watches.get(), self))
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        _watches.reset(self._outer)
        with self._lock:
            self._sockets.clear()
            if self._expired and kind is None:  # what was cut short in its head reads like a whole answer
                raise TimeoutError(self._sentence)

    def guard(self, connection: socket.socket | None) -> None:
        """Take a connection under watch.

        Raises:
            TimeoutError: the time is already up.
        """
        with self._lock:
            if self._expired:
                raise TimeoutError(self._sentence)
            if connection is not None:
                self._sockets.append(connection)

    def _cut(self) -> None:
        with self._lock:
            self._expired = True
            for connection in self._sockets:
                # Shut down and not closed: closing would not wake the thread that reads. The plain socket's method,
                # because TLS's own would first take the session away from under that thread.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)


_watches: ContextVar[tuple[Watch, ...]] = ContextVar("watches", default=())


def _guard(connection: Any) -> None:
    for watch in _watches.get():
        watch.guard(connection)


class _WatchedConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _guard(self.sock)

    def request(self, *arguments: Any, **options: Any) -> None:
        if self.sock is not None:  # used again; a new one connects in here
            _guard(self.sock)
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


def is_loopback(endpoint: str | None) -> bool:
    """Whether a URL names this machine."""
    return endpoint is not None and urlsplit(endpoint).hostname in ("127.0.0.1", "::1", "localhost")
