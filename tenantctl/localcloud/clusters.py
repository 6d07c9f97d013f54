"""Runs the PostgreSQL clusters that stand for Cloud SQL instances.

A cluster is a data folder and, while it runs, a postmaster that listens on a private unix socket and nothing else.
Postmasters lead sessions of their own, so they outlive a supervisor that is killed; `start` adopts one that runs,
recovers one that crashed, and tells a stale pid file from a living server by what the process really is.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from tenantctl.localcloud.template import (
    ADMIN_DATABASE,
    ADMIN_ROLE,
    ClusterFailed,
    copy_command,
    server_environment,
)
from tenantctl.pgbin import PostgresPrograms, ServerAccount

_POLL_SECONDS: Final = 0.005
_START_SECONDS: Final = 120.0  # the recovery of a crashed cluster may take its time
_STOP_SECONDS: Final = 60.0
_KILL_SECONDS: Final = 10.0

Admin = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True)
class ServerSetup:
    """What all clusters of a local cloud share.

    Attributes:
        programs: The PostgreSQL programs, reachable for the account.
        account: The user that the servers run as.
        template: The cluster to copy.
        sockets: The folder of the unix sockets; its path is short, as socket addresses must be.
    """

    programs: PostgresPrograms
    account: ServerAccount
    template: Path
    sockets: Path


class Cluster:
    """One PostgreSQL cluster.

    Args:
        name: The name of its instance.
        folder: The folder of everything that is its own.
        port: Tells its socket from those of its neighbours; nothing listens on TCP.
        setup: What it shares with its neighbours.
    """

    def __init__(self, name: str, folder: Path, port: int, setup: ServerSetup) -> None:
        self.name = name
        self.port = port
        self.setup = setup
        self._folder = folder
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where its server listens."""
        return self.setup.sockets / f".s.PGSQL.{self.port}"

    async def create(self) -> None:
        """Copy the template; what an earlier, broken-off attempt left is replaced.

        Raises:
            ClusterFailed: The copy did not succeed, for example because the disk is full.
        """
        if self._data.exists():
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.setup.account.take_over(self._folder)
        unfinished = self._folder / f"unfinished-{secrets.token_hex(4)}"  # an orphaned copy may still be under way
        copying = await asyncio.create_subprocess_exec(
            *copy_command(self.setup.template, unfinished),
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            **self.setup.account.spawn_options(),
        )
        _, said = await copying.communicate()
        if copying.returncode:
            raise ClusterFailed(f"Copying the template for {self.name} failed: {said.decode(errors='replace')[-300:]}")
        unfinished.chmod(0o700)
        unfinished.rename(self._data)
        for broken_off in self._folder.glob("unfinished-*"):
            shutil.rmtree(broken_off, ignore_errors=True)

    async def start(self, clock_offset: timedelta, flags: Mapping[str, str] | None = None) -> None:
        """Start the server, or adopt the one that runs; on return it accepts connections and shows the clock.

        Args:
            clock_offset: How far the local cloud's clock is ahead.
            flags: Settings by name, from the instance's databaseFlags; None keeps those of the last start.

        Raises:
            ClusterFailed: The server did not start; the message ends with the last lines of its log.
        """
        self._write("clock.conf", f"tenantctl.clock_offset = '{_interval(clock_offset)}'\n")
        self._write("place.conf", f"unix_socket_directories = '{self.setup.sockets}'\nport = {self.port}\n")
        if flags is not None:
            self._write("flags.conf", "".join(f"{name} = {_quoted(value)}\n" for name, value in flags.items()))
        if self.running():
            try:
                await self.reload(clock_offset)
            except (psycopg.Error, ClusterFailed):  # its socket is gone: a cleaner of temporary folders took it
                await self.stop()
            else:
                return
        deadline = asyncio.get_running_loop().time() + _KILL_SECONDS
        while True:
            try:
                await self._launch()
            except ClusterFailed as error:
                # The children of a killed postmaster hold its shared memory until they have noticed.
                if "shared memory" not in str(error) or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(_POLL_SECONDS * 10)
            else:
                return

    async def _launch(self) -> None:
        self._disown_pid_file()
        self.setup.sockets.joinpath(f"{self.socket.name}.lock").unlink(missing_ok=True)
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.setup.programs.path("postgres")), "-D", str(self._data), "-c", f"cluster_name={self.name}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=server_environment(),
                start_new_session=True,
                **self.setup.account.spawn_options(),
            )
        await self._await_readiness()

    async def stop(self) -> None:
        """Shut the server down, ending its sessions; a server that is down already is left alone.

        Raises:
            ClusterFailed: It lives on in spite of everything.
        """
        for order, seconds in (
            (signal.SIGINT, _STOP_SECONDS),
            (signal.SIGQUIT, _KILL_SECONDS),
            (signal.SIGKILL, _KILL_SECONDS),
        ):
            if await self._end(order, seconds):
                return
        raise ClusterFailed(f"The server of {self.name} cannot be stopped.")

    async def crash(self) -> None:
        """End the server as a power cut would: nothing is written out, and the next start must recover."""
        if not await self._end(signal.SIGQUIT, _KILL_SECONDS):
            await self._end(signal.SIGKILL, _KILL_SECONDS)

    async def reload(self, clock_offset: timedelta) -> None:
        """Have the server read its settings again, and wait until new connections see the clock.

        Raises:
            ClusterFailed: The server does not take up the setting.
            psycopg.Error: The server does not answer.
        """
        self._write("clock.conf", f"tenantctl.clock_offset = '{_interval(clock_offset)}'\n")
        pid = self._pid()
        if pid is None:
            raise ClusterFailed(f"The server of {self.name} is down.")
        os.kill(pid, signal.SIGHUP)
        async with asyncio.timeout(_STOP_SECONDS):
            while True:
                async with await self.connect() as connection:
                    cursor = await connection.execute("SELECT current_setting('tenantctl.clock_offset', true)")
                    row = await cursor.fetchone()
                if row == (_interval(clock_offset),):
                    return
                await asyncio.sleep(_POLL_SECONDS)

    async def connect(self, database: str = ADMIN_DATABASE) -> Admin:
        """Open a session of the bootstrap superuser, each statement its own transaction.

        Raises:
            psycopg.Error: The server is down, or there is no such database.
        """
        return await psycopg.AsyncConnection.connect(
            host=str(self.setup.sockets), port=self.port, user=ADMIN_ROLE, dbname=database, autocommit=True
        )

    async def remove(self) -> None:
        """Stop the server and delete all that it holds."""
        await self.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def running(self) -> bool:
        """Say whether a server of this data folder lives, whoever started it."""
        return self._pid() is not None

    def _pid(self) -> int | None:
        if self._process is not None:
            if self._process.poll() is None:
                return self._process.pid
            self._process = None
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if _is_server_of(pid, self._data) else None

    def _disown_pid_file(self) -> None:
        """Have PostgreSQL take a pid file for stale whose number belongs to a stranger by now.

        It is not removed: by the rest of it PostgreSQL sees whether children of a killed postmaster still use the
        memory. The number is replaced by that of the new server's parent, which PostgreSQL knows to be no server.
        """
        with contextlib.suppress(FileNotFoundError), (self._data / "postmaster.pid").open("r+") as file:
            _, newline, rest = file.read().partition("\n")
            file.seek(0)
            file.write(f"{os.getpid()}{newline}{rest}")
            file.truncate()

    async def _end(self, order: signal.Signals, seconds: float) -> bool:
        pid = self._pid()
        if pid is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, order)
        deadline = asyncio.get_running_loop().time() + seconds
        while self._pid() is not None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def _await_readiness(self) -> None:
        process, deadline = self._process, asyncio.get_running_loop().time() + _START_SECONDS
        assert process is not None
        while process.poll() is None and asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(OSError):
                lines = (self._data / "postmaster.pid").read_text().split("\n")
                if lines[0] == str(process.pid) and len(lines) > 7 and lines[7].strip() == "ready":
                    return
            await asyncio.sleep(_POLL_SECONDS)
        await self.stop()
        said = (self._folder / "postgres.log").read_text(errors="replace").strip().split("\n")
        raise ClusterFailed(f"The server of {self.name} did not start: {' / '.join(said[-3:])}")

    def _write(self, name: str, text: str) -> None:
        unfinished = self._data / f"{name}.new"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.chmod(0o644)
        unfinished.replace(self._data / name)


def _interval(offset: timedelta) -> str:
    return f"{offset // timedelta(microseconds=1) / 1_000_000:.6f} seconds"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n") + "'"


def _is_server_of(pid: int, data: Path) -> bool:
    """Say whether this process is a postmaster that lives in this data folder: pids are used again."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == data.resolve() and not _is_zombie(pid)
        except OSError:
            return False
    question = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    shown = subprocess.run(question, capture_output=True, text=True, check=False)
    return f"-D {data}" in shown.stdout


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True
