"""Runs pg_dump and pg_restore against a local socket, with nothing of the caller's environment, and ends them."""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from tenantctl.adapters.google.socket_proxy import PORT
from tenantctl.pgbin import find_programs

_PIPE_BYTES: Final = 1 << 20  # the most that Linux lets everybody have; elsewhere pipes stay as they are
READ_AT_ONCE: Final = 2 << 20  # what is compressed at one go
_SAID_MAX: Final = 16_384  # bytes of what a program said that are looked at, from each end


class ChildProcess:
    """One of PostgreSQL's programs at work; leaving the block ends it, whatever it is doing.

    Args:
        name: The program, such as pg_dump.
        arguments: What follows its name.
        environment: Where to connect and as whom; empty if it does not.
        feeds: Whether we write to its standard input.
        output: Where its standard output goes: a file, or `subprocess.PIPE` to be read.
        files: Open files that its arguments name by `readable`.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        feeds: bool = False,
        output: int | IO[bytes] = subprocess.DEVNULL,
        files: Sequence[IO[bytes]] = (),
    ) -> None:
        self._place: memoryview | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the block is left
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [str(find_programs().path(name)), *arguments],
                stdin=subprocess.PIPE if feeds else subprocess.DEVNULL,
                stdout=output,
                stderr=self._said,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", **environment},
                start_new_session=True,  # a Ctrl-C is for us to pass on, by leaving the block
                bufsize=0,
                pass_fds=[file.fileno() for file in files],
            )
        except BaseException:
            self._said.close()
            raise
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
                with contextlib.suppress(OSError):  # too many large pipes already
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not taken in is of no use to anyone
                    pipe.close()
        self._said.close()

    def read(self, seconds: float) -> bytes:
        """The next piece of what it writes, `READ_AT_ONCE` bytes unless it ends; empty at the end.

        Raises:
            TimeoutError: it wrote nothing for so long, and was ended.
        """
        assert self._process.stdout is not None, "its output was not asked for"
        output = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(output, select.POLLIN)
        if self._place is None:
            self._place = memoryview(bytearray(READ_AT_ONCE))
        filled = 0
        while filled < READ_AT_ONCE:
            if not poll.poll(seconds * 1000):
                self.kill()
                raise TimeoutError(f"no output for {seconds:g} s")
            taken = os.readv(output, [self._place[filled:]])
            if taken == 0:
                break
            filled += taken
        return bytes(self._place[:filled])

    def feed(self, chunk: bytes) -> bool:
        """Write to it; False if it does not listen any more."""
        assert self._process.stdin is not None, "it was not made to be fed"
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._process.stdin.write(rest) :]
        except BrokenPipeError:
            return False
        return True

    def finish(self) -> int:
        """End its input, wait for its end, and return its exit code."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        return self._process.wait()

    def kill(self) -> None:
        """End it at once; any thread may."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def said(self) -> list[str]:
        """What it wrote to standard error, line by line; the middle of very much is left out."""
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(0)
        text = self._said.read(_SAID_MAX)
        if size > _SAID_MAX:
            self._said.seek(max(_SAID_MAX, size - _SAID_MAX))
            text += self._said.read()
        return [line for line in text.decode(errors="replace").splitlines() if line.strip()]


@contextlib.contextmanager
def nameless_file(content: bytes) -> Iterator[IO[bytes]]:
    """A file for a child to read, which nobody else finds, and which a killed process does not leave behind."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield file


def readable(file: IO[bytes]) -> str:
    """What a child that was given an open file calls it."""
    return f"/dev/fd/{file.fileno()}"


def connection(folder: Path, login: str, database: str, *, password: str | None = None) -> dict[str, str]:
    """The environment that leads one of PostgreSQL's programs to a local socket.

    Args:
        folder: The socket's folder.
        login: The role to log in as.
        database: The database.
        password: Its password, if it needs one.
    """
    environment = {
        "PGHOST": str(folder),
        "PGPORT": str(PORT),
        "PGUSER": login,
        "PGDATABASE": database,
        "PGSSLMODE": "disable",  # the socket's other end speaks TLS
        "PGAPPNAME": "tenantctl",
        "PGCONNECT_TIMEOUT": "30",
        "PGPASSFILE": os.devnull,
    }
    return environment if password is None else {**environment, "PGPASSWORD": password}
