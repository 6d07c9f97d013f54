"""A road to PostgreSQL on which the COMMIT of a writing can be withheld from the server, or its answer from the client.

So a client can be killed at a moment that is known: when its work is not yet on record, or just is, unknown to it.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

CHUNK = 65536


class Withheld(Enum):
    """What does not arrive."""

    QUESTION = "the COMMIT never reaches the server"
    ANSWER = "the server has committed, and the client never hears of it"


class Road:
    """Passes bytes on between clients on a port of this machine and the server behind a Unix socket.

    Args:
        listening: where clients come in.
        server: the server's socket.
        written: what a transaction has said that is spoken of here, as a statement in full has it.
    """

    def __init__(self, listening: socket.socket, server: Path, written: bytes) -> None:
        self.port: int = listening.getsockname()[1]
        self.reached = threading.Event()
        self._listening, self._server, self._written = listening, server, written
        self._next: Withheld | None = None
        self._lock = threading.Lock()

    def withhold(self, what: Withheld) -> None:
        """Has the next such COMMIT of any client withheld; `reached` tells when it was. All others pass."""
        with self._lock:
            self.reached.clear()
            self._next = what

    def run(self) -> None:
        """Takes clients in until the port is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._server))
            answers = _Answers(server, client, self.reached)
            answers.start()
            is_writing = False
            with suppress(OSError):
                while chunk := client.recv(CHUNK):
                    is_writing = is_writing or self._written in chunk
                    match self._withheld() if is_writing and b"COMMIT" in chunk else None:
                        case Withheld.QUESTION:
                            self.reached.set()
                            continue
                        case Withheld.ANSWER:
                            answers.are_withheld = True
                    server.sendall(chunk)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            answers.join()

    def _withheld(self) -> Withheld | None:
        with self._lock:
            found, self._next = self._next, None
            return found


class _Answers(threading.Thread):
    """What the server says, passed on until it is withheld."""

    def __init__(self, server: socket.socket, client: socket.socket, reached: threading.Event) -> None:
        super().__init__(daemon=True)
        self.are_withheld = False
        self._from, self._to, self._reached = server, client, reached

    def run(self) -> None:
        with suppress(OSError):
            while chunk := self._from.recv(CHUNK):
                if self.are_withheld:
                    self._reached.set()
                else:
                    self._to.sendall(chunk)


@contextmanager
def road_to(server: Path, written: bytes) -> Iterator[Road]:
    """A road to the server that listens on this Unix socket, for what writes so."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        road = Road(listening, server, written)
        threading.Thread(target=road.run, daemon=True).start()
        yield road
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
