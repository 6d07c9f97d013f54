"""A local socket behind which an instance seems to be: for pg_dump, pg_restore and psql, unmodified.

It lies in a folder that only this user can enter, and vanishes with the block it was made for. Each connection to it
dials the instance anew over TLS, so several at once and cancel requests work as they do on a server's own socket.
Bytes pass unread in both directions, never more than a buffer of them waiting: a slow reader slows its writer down.

One thread serves one connection, because a TLS connection must not be used by two threads at once.

A process that is killed leaves its folder. It held a lock in it, which ended with it: so the next one knows, and
removes what is left.
"""

import contextlib
import fcntl
import os
import select
import shutil
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tenantctl.model.errors import TenantctlError

PORT: Final = 5432  # libpq makes the socket's name from it
_BUFFER: Final = 1 << 18
_BULK: Final = 4096  # bytes of a TLS record after which another one is likely to be there
_LONGEST_PATH: Final = 100  # of a socket: 104 bytes on macOS, 108 on Linux, with the last a zero
_FAREWELL_SECONDS: Final = 5.0
_PREFIX: Final = "tenantctl-socket-"
_LOCK: Final = "lock"
_MAKING_SECONDS: Final = 60.0  # a younger folder may not have got its lock yet


class SocketProxy:
    """A context manager whose `folder` is what libpq calls the host.

    Args:
        dial: Makes a new connection to the instance; raises the program's own errors.
    """

    def __init__(self, dial: Callable[[], ssl.SSLSocket]) -> None:
        self._dial = dial
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self.failure: TenantctlError | None = None
        """Why the newest connection that could not be made was not."""

    def __enter__(self) -> Self:
        self.folder, self._lock_file = _private_folder()
        try:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(self.folder / f".s.PGSQL.{PORT}"))
            self._listener.listen(16)
        except OSError:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock_file)
            raise
        self._start(self._accept, "socket-proxy")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closing = True
            for connection in self._open:
                _shut(connection)
        _shut(self._listener)  # wakes the thread that accepts
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
            knock.connect(str(self.folder / f".s.PGSQL.{PORT}"))  # and wakes it where shutting down does not
        self._listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock_file)
        for thread in self._threads:
            thread.join(_FAREWELL_SECONDS)

    def _start(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads = [known for known in self._threads if known.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                local, _ = self._listener.accept()
            except OSError:
                return
            if not self._take(local):
                return
            self._start(lambda local=local: self._serve(local), "socket-proxy-connection")  # type: ignore[misc]

    def _serve(self, local: socket.socket) -> None:
        remote: ssl.SSLSocket | None = None
        try:
            remote = self._dial()
            if self._take(remote):
                _Relay(local, remote).run()
        except TenantctlError as error:
            self.failure = error
            _refuse(local, error.sentence)
        except OSError:
            pass  # a peer is gone: closing the other side tells it so
        finally:
            self._drop(local)
            if remote is not None:
                self._drop(remote)

    def _take(self, connection: socket.socket) -> bool:
        with self._lock:
            if self._closing:
                connection.close()
                return False
            self._open.add(connection)
            return True

    def _drop(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
            connection.close()


class _Relay:
    """Passes bytes between two connections until one side ends; neither direction waits for the other."""

    def __init__(self, local: socket.socket, remote: ssl.SSLSocket) -> None:
        self._local, self._remote = local, remote
        self._poll = select.poll()
        for connection in (local, remote):
            connection.setblocking(False)
            self._poll.register(connection, 0)
        self._local_file = local.fileno()
        self._awaited = (0, 0)
        self._up, self._down = memoryview(bytearray(_BUFFER)), memoryview(bytearray(_BUFFER))
        self._to_remote = self._to_local = self._up[:0]
        self._local_may_say = self._remote_may_say = True  # a read that finds nothing costs as much as one that does
        self._ended = False

    def run(self) -> None:
        while not self._ended or self._to_local or self._to_remote:
            moved = False
            if self._remote_may_say and not self._to_local and not self._ended:
                moved |= self._read_remote()
            if self._to_local:
                moved |= self._write_local()
            if self._local_may_say and not self._to_remote and not self._ended:
                moved |= self._read_local()
            if self._to_remote:
                moved |= self._write_remote()
            if not moved:
                self._wait()

    def _wait(self) -> None:
        local = (0 if self._to_remote else select.POLLIN) | (select.POLLOUT if self._to_local else 0)
        remote = (0 if self._to_local else select.POLLIN) | (select.POLLOUT if self._to_remote else 0)
        if (local, remote) != self._awaited:
            self._poll.modify(self._local, local)
            self._poll.modify(self._remote, remote)
            self._awaited = local, remote
        for file, events in self._poll.poll():
            if events & ~select.POLLOUT:
                if file == self._local_file:
                    self._local_may_say = True
                else:
                    self._remote_may_say = True

    def _read_remote(self) -> bool:
        """Fill the buffer from TLS records, of 16 KiB at most each, to save the other side as many wake-ups.

        After a short record nothing more is looked for: it ends an answer, and the next one is not asked for yet.
        """
        filled = 0
        try:
            while filled < _BUFFER:
                taken = self._remote.recv_into(self._down[filled:])
                if taken == 0:
                    self._ended = True
                    break
                filled += taken
                if taken < _BULK and not self._remote.pending():
                    self._remote_may_say = False
                    break
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._remote_may_say = False
        except ssl.SSLError:  # it ended without a farewell
            self._ended = True
        self._to_local = self._down[:filled]
        return filled > 0 or self._ended

    def _write_local(self) -> bool:
        try:
            self._to_local = self._to_local[self._local.send(self._to_local) :]
        except BlockingIOError:
            return False
        return True

    def _read_local(self) -> bool:
        self._local_may_say = False  # what more there is makes itself known
        try:
            filled = self._local.recv_into(self._up)
        except BlockingIOError:
            return False
        self._ended |= filled == 0
        self._to_remote = self._up[:filled]
        return True

    def _write_remote(self) -> bool:
        try:
            self._to_remote = self._to_remote[self._remote.send(self._to_remote) :]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True


def _private_folder() -> tuple[Path, int]:
    """A folder that only we can enter, and the file whose lock says that it is in use."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if len(str(folder)) + len(f"/.s.PGSQL.{PORT}") > _LONGEST_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
    lock_file = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock_file, fcntl.LOCK_EX)
    return folder, lock_file


def _remove_abandoned(place: Path) -> None:
    """Remove the folders of processes of ours that were killed; one that cannot be looked into is left alone."""
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < _MAKING_SECONDS:
                continue
            lock_file = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while somebody holds it
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock_file)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _refuse(local: socket.socket, sentence: str) -> None:
    """Tell a client in PostgreSQL's own way why its session cannot be."""
    fields = (("S", "FATAL"), ("V", "FATAL"), ("C", "08006"), ("M", sentence))
    body = b"".join(kind.encode() + text.encode() + b"\0" for kind, text in fields) + b"\0"
    with contextlib.suppress(OSError):
        local.settimeout(_FAREWELL_SECONDS)
        local.recv(_BUFFER)  # what stays unread would turn our farewell into a reset
        local.sendall(b"E" + struct.pack("!I", len(body) + 4) + body)
