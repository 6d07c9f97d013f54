"""Starts and stops a local cloud, and talks to one that runs: what the `local` command and the tests use.

Light to import: what runs inside the supervisor is imported there alone.
"""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.state import BadStateFolder, CloudFile, StateFolder, find_state_folder, remove_sockets_folder
from tenantctl.pgbin import ProgramsMissing, server_account

DEFAULT_PROJECT: Final = "tenantctl-local"
_READY: Final = "ready"
_QUICK_SECONDS: Final = 20.0
_LONG_SECONDS: Final = 600.0  # a lifecycle over many objects, the recovery of a large cluster
_LARGEST_LOG: Final = 10_000_000
_POLL_SECONDS: Final = 0.01
_FOLLOW_SECONDS: Final = 0.2
_LEASHES: Final[list[int]] = []


class LocalCloudFailed(RuntimeError):
    """The local cloud could not be started, stopped or reached; the message is one sentence for the user."""


class LocalCloudRefused(ValueError):
    """The local cloud was asked for something that makes no sense; nothing was changed."""


@dataclass(frozen=True)
class LocalCloud:
    """A local cloud that runs.

    Attributes:
        folder: Its state folder.
        file: How it is reached.
    """

    folder: StateFolder
    file: CloudFile

    @classmethod
    def find(cls, directory: str | Path | None = None) -> "LocalCloud | None":
        """Return the local cloud of a state folder if it runs, else None.

        Args:
            directory: The state folder; without one, the usual place.

        Raises:
            LocalCloudFailed: The folder holds something else, or may not be read.
        """
        folder = find_state_folder(None if directory is None else str(directory))
        try:
            file = folder.read() if folder.supervised() else None
        except (BadStateFolder, OSError) as error:
            raise LocalCloudFailed(str(error)) from error
        return None if file is None or file.pid is None else cls(folder, file)

    @property
    def endpoints(self) -> dict[str, str]:
        """The URLs of `storage`, `sqladmin`, `kms` and `control`."""
        return self.file.endpoints

    @property
    def project(self) -> str:
        """The project of all its instances and buckets."""
        return self.file.project

    def status(self) -> dict[str, Any]:
        """Return what it is and has; `tenantctl local status -o json` prints the same."""
        answer: dict[str, Any] = self._ask("GET", "/status")
        return answer

    def advance(self, duration: timedelta) -> dict[str, Any]:
        """Move the one clock forward, and return the status by the new time.

        Raises:
            LocalCloudRefused: The duration is not positive, or leads beyond the calendar.
        """
        answer: dict[str, Any] = self._ask("POST", "/advance", {"seconds": duration.total_seconds()}, _LONG_SECONDS)
        return answer

    def add_fault(self, api: str, kind: str, **details: Any) -> str:
        """Have an interface fail, and return the fault's id.

        Args:
            api: `storage`, `sqladmin` or `kms`.
            kind: `status`, `drop`, `delay`, `truncate` or `corrupt`.
            **details: The other attributes of `tenantctl.localcloud.faults.Fault`.

        Raises:
            LocalCloudRefused: There is no such fault.
        """
        return str(self._ask("POST", "/faults", {"api": api, "kind": kind, **details})["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that are waiting to strike."""
        found: list[dict[str, Any]] = self._ask("GET", "/faults")
        return found

    def clear_faults(self, identifier: str | None = None) -> int:
        """Forget one fault, or all; return how many were forgotten."""
        return int(self._ask("DELETE", f"/faults/{identifier}" if identifier else "/faults")["cleared"])

    def lay_down_permissions(self, table: Mapping[str, Any] | None) -> None:
        """Have every call asked for from now on, until the local cloud ends; None asks for nothing any more.

        Args:
            table: identity → its grants, each `{"permissions": [...], "resources": [...]}`, as
                `tenantctl.localcloud.permissions` reads them.
        """
        self._ask("PUT", "/permissions", {"table": table})

    def fail_operation(self, operation_type: str, message: str, times: int = 1) -> None:
        """Have the next operations of a type, such as `CREATE_DATABASE`, be accepted and end in an error."""
        self._ask("POST", "/operations/fail", {"type": operation_type, "message": message, "times": times})

    def lose_object(self, bucket: str, name: str) -> bool:
        """Lose an object and all its versions as a disaster would, whatever protects it; say whether it was there."""
        return bool(self._ask("POST", "/objects/lose", {"bucket": bucket, "name": name})["lost"])

    def kill_instance(self, name: str) -> None:
        """End an instance's server as a power cut would; it stays down until it is started."""
        self._ask("POST", f"/instances/{name}/kill", {}, _LONG_SECONDS)

    def stop_instance(self, name: str) -> None:
        """Stop an instance's server in good order, behind the Admin API's back."""
        self._ask("POST", f"/instances/{name}/stop", {}, _LONG_SECONDS)

    def start_instance(self, name: str) -> None:
        """Start an instance's server again."""
        self._ask("POST", f"/instances/{name}/start", {}, _LONG_SECONDS)

    def start_what_is_down(self) -> None:
        """Start the instances that should run and do not, because their servers have crashed."""
        for instance in self.status()["instances"]:
            if instance["state"] == "DOWN":
                self.start_instance(instance["name"])

    def stop(self) -> None:
        """Stop everything in good order; data and clock stay.

        Raises:
            LocalCloudFailed: It does not end.
        """
        with self.folder.only_one("up", wait=True):
            with contextlib.suppress(LocalCloudFailed):  # it may be on its way down already
                self._ask("POST", "/shutdown", {})
            deadline = time.monotonic() + _LONG_SECONDS
            while self.folder.supervised():
                if time.monotonic() > deadline:
                    raise LocalCloudFailed(f"The local cloud does not go down; its log is {self.folder.log}.")
                time.sleep(_POLL_SECONDS)

    def _ask(self, verb: str, path: str, document: Any = None, seconds: float = _QUICK_SECONDS) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.file.ports["control"], timeout=seconds)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(verb, path, body, {"Authorization": f"Bearer {self.file.token}"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LocalCloudFailed(
                f"The local cloud does not answer ({error}); its log is {self.folder.log}."
            ) from error
        finally:
            connection.close()
        if response.status < 400:
            return answer
        said = answer.get("error", "") if isinstance(answer, Mapping) else str(answer)
        raise (LocalCloudRefused if response.status < 500 else LocalCloudFailed)(said)


def start(
    directory: str | Path | None = None,
    *,
    project: str = DEFAULT_PROJECT,
    operation_seconds: float | None = None,
    lifecycle_lag: timedelta | None = None,
    leashed: bool = False,
) -> LocalCloud:
    """Start a local cloud in the background, or return the one that runs, with its crashed instances started again.

    Args:
        directory: The state folder; without one, the usual place.
        project: The project of a new local cloud; one that has been up before keeps its own.
        operation_seconds: How long an operation of the Admin API lasts at least; a moment by default.
        lifecycle_lag: How late a bucket's lifecycle acts; 36 hours by default.
        leashed: Whether it goes down when this process ends, however that happens; for tests.

    Raises:
        LocalCloudFailed: It does not start; the message says why.
    """
    folder = find_state_folder(None if directory is None else str(directory))
    options = [] if operation_seconds is None else [f"--operation-seconds={operation_seconds}"]
    options += [] if lifecycle_lag is None else [f"--lifecycle-lag-hours={lifecycle_lag / timedelta(hours=1)}"]
    try:
        folder.prepare(server_account())
        with folder.only_one("up", wait=True):
            runs = folder.supervised()
            if not runs:
                _spawn(folder, project, options, _leash() if leashed else ())
    except (BadStateFolder, ProgramsMissing, OSError) as error:
        raise LocalCloudFailed(str(error)) from error
    cloud = LocalCloud.find(folder.path)
    if cloud is None:
        raise LocalCloudFailed(f"The local cloud went down at once; its log is {folder.log}.")
    if runs:
        cloud.start_what_is_down()
    return cloud


def status_of_stopped(directory: str | Path | None = None) -> dict[str, Any]:
    """Return what is known of a local cloud that does not run, in the form of `LocalCloud.status`.

    Raises:
        LocalCloudFailed: The folder holds something else, or may not be read.
    """
    folder = find_state_folder(None if directory is None else str(directory))
    try:
        file = folder.read()
        moment = None if file is None else LocalClock(folder.clock).now().isoformat(timespec="seconds")
    except (BadStateFolder, ValueError, OSError) as error:
        raise LocalCloudFailed(str(error)) from error
    return {
        "running": False,
        "local": True,
        "clock": None if moment is None else moment.replace("+00:00", "Z"),
        "project": None if file is None else file.project,
        "endpoints": {},
        "directory": str(folder.path),
        "instances": [],
    }


def stop(directory: str | Path | None = None, *, purge: bool = False) -> bool:
    """Stop a local cloud, and what a killed supervisor left running; say whether anything was there to stop.

    Args:
        directory: The state folder; without one, the usual place.
        purge: Also remove all its data.

    Raises:
        LocalCloudFailed: It does not stop.
    """
    folder = find_state_folder(None if directory is None else str(directory))
    cloud = LocalCloud.find(folder.path)
    if cloud is not None:
        cloud.stop()
    left_over = any(folder.instances.glob("*/data/postmaster.pid"))
    try:
        file = folder.read()
        if left_over and file is not None:
            with folder.only_one("up", wait=True):
                _spawn(folder, file.project, ["--sweep"])
        if purge and file is not None:
            remove_sockets_folder(file.sockets)
            folder.remove()
    except (BadStateFolder, OSError) as error:
        raise LocalCloudFailed(str(error)) from error
    return cloud is not None or left_over


def _leash() -> tuple[int, ...]:
    """Return the end of a pipe for the supervisor to hold; the other end closes when this process ends."""
    held, kept = os.pipe()
    _LEASHES.append(kept)
    return (held,)


def _spawn(folder: StateFolder, project: str, options: list[str], leash: tuple[int, ...] = ()) -> None:
    """Run a supervisor in a session of its own, and wait until it is ready or, with `--sweep`, through."""
    if folder.log.exists() and folder.log.stat().st_size > _LARGEST_LOG:
        folder.log.replace(folder.log.with_suffix(".log.1"))
    reading, writing = os.pipe()
    with os.fdopen(reading) as announcement:
        try:
            with os.fdopen(os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
                command = [sys.executable, "-m", "tenantctl.localcloud.supervisor"]
                command += [f"--dir={folder.path}", f"--project={project}", f"--ready={writing}", *options]
                command += [f"--leash={held}" for held in leash]
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                    pass_fds=[writing, *leash],
                )
        finally:
            for given in (writing, *leash):
                os.close(given)
        said = announcement.read()
    if said == _READY:
        return
    child.wait()
    if "--sweep" in options and child.returncode == 0:
        return
    raise LocalCloudFailed(said or f"The local cloud did not start; its log is {folder.log}.")


def follow_log(path: Path, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of a log and, if asked, those that are added to it, for ever.

    Args:
        path: The log.
        lines: How many of the last lines.
        follow: Whether to wait for more.
    """
    with path.open(encoding="utf-8", errors="replace") as log:
        yield from deque(log, maxlen=lines)
        while follow:
            line = log.readline()
            if line:
                yield line
            else:
                time.sleep(_FOLLOW_SECONDS)
