"""Where a local cloud keeps its state, and what it remembers from one start to the next.

Everything lies in one folder, but for the unix sockets of the clusters, whose addresses must be short. The folder is
chosen as `tenantctl.local_folder` says.
"""

import fcntl
import json
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tenantctl.local_folder import CONFIG_NAME, local_folder
from tenantctl.pgbin import ServerAccount, make_open_folder

_SOCKETS_PARENT: Final = Path("/tmp")  # noqa: S108 - short on every system; the folder made in it is closed to others
_SOCKETS_PREFIX: Final = "tenantctl-"
_CONTENTS: Final = (
    "instances",
    "storage",
    "kms",
    "certificates",
    "cloud-sql.sqlite*",
    "clock.json*",
    "supervisor.log*",
    "*.lock",
    f"{CONFIG_NAME}*",
    "cloud.json*",  # last: what was interrupted can be begun again
)
_LOCK_ATTEMPTS: Final = 100
_LOCK_PAUSE_SECONDS: Final = 0.02


class BadStateFolder(RuntimeError):
    """The state folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class CloudFile:
    """What `cloud.json` says: how to reach a running local cloud, and what to choose again at the next start.

    Attributes:
        project: The project that all instances and buckets belong to.
        token: What the control interface asks for.
        pid: The supervisor's process id; None after it was stopped in good order.
        ports: The ports of `storage`, `sqladmin`, `kms` and `control` on 127.0.0.1.
        address: The loopback address of the data plane.
        sockets: The folder of the clusters' unix sockets.
    """

    project: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    pid: int | None = None
    ports: dict[str, int] = field(default_factory=dict)
    address: str | None = None
    sockets: str | None = None

    @property
    def endpoints(self) -> dict[str, str]:
        """The URL of each interface."""
        return {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}


class StateFolder:
    """The folder of one local cloud.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.log = self.path / "supervisor.log"
        self.clock = self.path / "clock.json"
        self.records = self.path / "cloud-sql.sqlite"
        self.certificates = self.path / "certificates"
        self.instances = self.path / "instances"
        self.storage = self.path / "storage"
        self.kms = self.path / "kms"
        self._file = self.path / "cloud.json"

    def prepare(self, account: ServerAccount) -> None:
        """Make the folder, and see that PostgreSQL can reach its clusters in it.

        Raises:
            BadStateFolder: It belongs to somebody else, is no folder, or the servers' user cannot enter it.
        """
        try:
            if account.uid is None:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            else:
                make_open_folder(self.path)
            if not self._file.exists() and any(not _is_ours(path.name) for path in self.path.iterdir()):
                raise BadStateFolder(f"The folder {self.path} holds something else; name another one with --dir.")
            owner = self.path.stat().st_uid
            if owner != os.geteuid():
                raise BadStateFolder(f"The folder {self.path} belongs to another user; name another one with --dir.")
            if not account.can_enter(self.path):
                raise BadStateFolder(
                    f"PostgreSQL runs as the user nobody here and cannot enter {self.path}; make it and the folders "
                    "above it traversable (chmod o+x), or name another one with --dir."
                )
            make_open_folder(self.instances)
            self.storage.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise BadStateFolder(f"The folder {self.path} cannot be used: {error.strerror}.") from error

    def read(self) -> CloudFile | None:
        """Return what `cloud.json` says, or None if there is none.

        Raises:
            BadStateFolder: The file is there and not what was written.
        """
        try:
            document = json.loads(self._file.read_text(encoding="utf-8"))
            return CloudFile(**{known.name: document[known.name] for known in fields(CloudFile)})
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadStateFolder(f"{self._file} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise BadStateFolder(f"{self._file} is damaged; restore it, or remove {self.path}.") from error

    def write(self, file: CloudFile) -> None:
        """Write `cloud.json`, readable for its owner alone, in one step."""
        unfinished = self.path / "cloud.json.new"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            json.dump(asdict(file), opened, indent=2)
            opened.flush()
            os.fsync(opened.fileno())
        unfinished.replace(self._file)

    @contextmanager
    def only_one(self, name: str, *, wait: bool, patient: bool = False) -> Iterator[bool]:
        """Hold a lock of this folder while the block runs; the system lets go of it if the process dies.

        Args:
            name: `supervisor` is held by the supervisor all its life, `up` by whoever starts or stops one.
            wait: Whether to wait for another holder.
            patient: Whether to try for two seconds without `wait`: who only looks holds the lock for an instant.

        Yields:
            Whether the lock is held; always true with `wait`.
        """
        descriptor = os.open(self.path / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if wait:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield wait or _locked(descriptor, _LOCK_ATTEMPTS if patient else 1)
        finally:
            os.close(descriptor)

    def supervised(self) -> bool:
        """Say whether a supervisor lives, ready or not."""
        if not (self.path / "supervisor.lock").exists():
            return False
        with self.only_one("supervisor", wait=False) as held:
            return not held

    def remove(self) -> None:
        """Remove all that a local cloud has put here, and the folder if nothing else is in it."""
        for name in _CONTENTS:
            for path in self.path.glob(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()


def _is_ours(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in _CONTENTS)


def _locked(descriptor: int, attempts: int) -> bool:
    for attempt in range(attempts):
        if attempt:
            time.sleep(_LOCK_PAUSE_SECONDS)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def find_state_folder(named: str | None) -> StateFolder:
    """Return the state folder that is meant.

    Args:
        named: What the command line says, if anything.
    """
    return StateFolder(local_folder(named))


def sockets_folder(remembered: str | None, account: ServerAccount) -> Path:
    """Return the folder of the unix sockets: the remembered one if it is still there and safe, else a new one."""
    if remembered is not None:
        try:
            found = Path(remembered).lstat()
        except OSError:
            found = None
        owner = os.geteuid() if account.uid is None else account.uid
        if found and stat.S_ISDIR(found.st_mode) and found.st_uid == owner and stat.S_IMODE(found.st_mode) == 0o700:
            return Path(remembered)
    folder = Path(tempfile.mkdtemp(prefix=_SOCKETS_PREFIX, dir=_SOCKETS_PARENT))
    account.take_over(folder)
    return folder


def remove_sockets_folder(folder: str | None) -> None:
    """Remove the folder of the unix sockets, if it is one of ours."""
    if folder is not None and Path(folder).parent == _SOCKETS_PARENT and Path(folder).name.startswith(_SOCKETS_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
