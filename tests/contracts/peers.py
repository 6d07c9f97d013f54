"""Peers on loopback that behave as no API does: silent, slow, or somebody else altogether.

Each answers in the end as the API would, after several seconds: an adapter without a time-out that holds would take
that answer, so a test sees the difference by the outcome and measures no time.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Behaviour = Callable[[socket.socket, threading.Event], None]

GIVES_UP_SECONDS = 10.0


@contextmanager
def peer(behaviour: Behaviour) -> Iterator[str]:
    """Serve every connection with a behaviour, on a free port; the URL."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(GIVES_UP_SECONDS)
            behaviour(connection, ended)

    def accept() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):  # looks whether the test has ended
                connection, _ = listener.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=serve, args=(connection,)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        accepting.join()
        listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


@contextmanager
def nobody() -> Iterator[str]:
    """A URL at which nothing listens, held for as long as the block so that nothing else comes to listen there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def answer(status: str, body: bytes, content_type: str = "application/json") -> bytes:
    """An HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def saying(reply: bytes) -> Behaviour:
    """Answer each request of the connection at once with the same."""

    def behave(connection: socket.socket, _ended: threading.Event) -> None:
        while _request(connection):
            connection.sendall(reply)

    return behave


def silent(document: Any) -> Behaviour:
    """Accept, read, and answer with a document only when nobody should wait for it any more."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        _request(connection)
        ended.wait(GIVES_UP_SECONDS)
        connection.sendall(answer("200 OK", json.dumps(document).encode()))

    return behave


def trickling(document: Any, seconds: float = GIVES_UP_SECONDS) -> Behaviour:
    """Answer with a document byte by byte, never silent for long, and not done for some seconds."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        _request(connection)
        body = answer("200 OK", json.dumps(document).encode())
        for byte in body:
            connection.sendall(bytes([byte]))
            ended.wait(seconds / len(body))

    return behave


def _request(connection: socket.socket) -> bool:
    """Read one request without a body; False at the end of the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65_536)
        if not more:
            return False
        received += more
    return True
