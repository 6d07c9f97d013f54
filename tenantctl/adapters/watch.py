"""Calls over HTTP that end in time, whatever the peer does.

The clients' own time-outs hold for one operation on a socket: a peer that sends one byte every few seconds is never
late by them. A `Watch` therefore holds for a whole call, and cuts its connections when the time is up; the call then
fails like any broken connection. What it cannot cut short are name look-ups and TLS handshakes, which only have the
time-out of each operation.
"""

import contextlib
import socket
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


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


def guard(connection: Any) -> None:
    """Take a connection under every watch that the present call is in."""
    for watch in _watches.get():
        watch.guard(connection)


def is_loopback(endpoint: str | None) -> bool:
    """Whether a URL names this machine."""
    return endpoint is not None and urlsplit(endpoint).hostname in ("127.0.0.1", "::1", "localhost")
