"""Makes the empty PostgreSQL cluster that every instance of the local cloud begins as a copy of.

Running initdb takes a second; copying its result takes a tenth of one. So initdb runs once for each version of
PostgreSQL and of this file, in the cache, and the emulated roles of Cloud SQL are laid into the template:

- `cloudsqladmin` is the bootstrap superuser. It belongs to the supervisor; the data plane never lets it through.
- `cloudsqlsuperuser` may create databases and roles, replicate, and grant what is listed below. It is no superuser.
- `cloudsqliamuser` and `cloudsqliamserviceaccount` mark the logins that an access token opens instead of a password.
- `postgres` is the customer's first user, with no password until the Admin API sets one.

A template holds no secret. It is made under another name and renamed, so a half-made one is never copied.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tenantctl.pgbin import PostgresPrograms, ServerAccount

ADMIN_ROLE: Final = "cloudsqladmin"
ADMIN_DATABASE: Final = "cloudsqladmin"
SUPERUSER_ROLE: Final = "cloudsqlsuperuser"
IAM_USER_ROLE: Final = "cloudsqliamuser"
IAM_SERVICE_ACCOUNT_ROLE: Final = "cloudsqliamserviceaccount"

# Small segments of the log: most clusters write little, and each of them begins as a copy.
_INITDB: Final = (
    *("-U", ADMIN_ROLE, "-E", "UTF8", "-A", "scram-sha-256"),
    *("--wal-segsize=4", "--no-sync", "--no-instructions"),
)
# In single-user mode a line is a command.
_ROLES: Final = f"""\
CREATE ROLE {SUPERUSER_ROLE} NOLOGIN CREATEDB CREATEROLE REPLICATION;
GRANT pg_create_subscription TO {SUPERUSER_ROLE};
GRANT pg_signal_backend, pg_read_all_data, pg_monitor TO {SUPERUSER_ROLE} WITH ADMIN OPTION;
CREATE ROLE {IAM_USER_ROLE} NOLOGIN;
CREATE ROLE {IAM_SERVICE_ACCOUNT_ROLE} NOLOGIN;
CREATE ROLE postgres LOGIN CREATEDB CREATEROLE IN ROLE {SUPERUSER_ROLE};
CREATE DATABASE {ADMIN_DATABASE};
REVOKE ALL ON DATABASE {ADMIN_DATABASE} FROM PUBLIC;
ALTER DATABASE postgres OWNER TO {SUPERUSER_ROLE};
"""

# The folder of the sockets is closed to all but the servers' user, and the data plane stands before every connection.
_AUTHENTICATION: Final = f"""\
local all {ADMIN_ROLE} trust
local all +{IAM_USER_ROLE} trust
local all +{IAM_SERVICE_ACCOUNT_ROLE} trust
local all all scram-sha-256
"""

_SETTINGS: Final = """\
listen_addresses = ''
unix_socket_permissions = 0700
wal_level = logical
shared_buffers = 16MB
max_connections = 100
max_wal_size = 256MB
min_wal_size = 48MB
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_line_prefix = '%m [%p] %q%u@%d '
"""
_SETTINGS_SINCE_18: Final = "io_method = sync\n"  # otherwise each of many small clusters keeps three idle workers

# Later files win: what the operator set by a flag, then what an instance cannot do without.
INCLUDED_FILES: Final = ("flags.conf", "place.conf", "clock.conf")
_BOOKS: Final = "".join(f"include_if_exists = '{name}'\n" for name in INCLUDED_FILES)


class ClusterFailed(RuntimeError):
    """A PostgreSQL cluster could not be made, started or stopped; the message quotes PostgreSQL's own words."""


def server_environment() -> dict[str, str]:
    """Return the environment of a server: nothing of the caller's PG* settings or language."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def ensure_template(programs: PostgresPrograms, account: ServerAccount, cache: Path) -> Path:
    """Return the template of this version, made first if the cache has none.

    Raises:
        ClusterFailed: initdb did not succeed.
    """
    recipe = "\0".join((*_INITDB, _ROLES, _AUTHENTICATION, _settings(programs), _BOOKS, str(account.uid)))
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    target = cache / f"cluster-{programs.major}.{programs.minor}-{digest}"
    if target.exists():
        return target
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=cache))
    try:
        account.take_over(unfinished)
        _make(programs, account, unfinished)
        _belong_to_us(unfinished)
        unfinished.rename(target)
    except OSError:
        if not target.exists():  # otherwise another supervisor was as fast, and its template is as good
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def copy_command(template: Path, target: Path) -> list[str]:
    """Return the command that copies a template to a folder that does not exist yet, sharing blocks where it can."""
    sharing = ["--reflink=auto"] if sys.platform == "linux" and not _is_busybox() else []
    return ["cp", "-R", *sharing, str(template), str(target)]


def _make(programs: PostgresPrograms, account: ServerAccount, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tenantctl-") as scratch:
        Path(scratch).chmod(0o755)
        password = Path(scratch, "password")
        password.write_text(os.urandom(16).hex())  # initdb insists on one; no line of pg_hba.conf ever asks for it
        password.chmod(0o644)
        initdb: list[str | Path] = [programs.path("initdb"), "-D", folder, f"--pwfile={password}", *_INITDB]
        locales = (["--locale=C.UTF-8"], ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"])
        for attempt, locale in enumerate(locales, 1):
            try:
                _run([*initdb, *locale], account)
                break
            except ClusterFailed:
                if attempt == len(locales):
                    raise
                for left in folder.iterdir():
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
    with (folder / "postgresql.conf").open("a") as file:
        file.write(_settings(programs) + _BOOKS)
    (folder / "pg_hba.conf").write_text(_AUTHENTICATION)
    _run([programs.path("postgres"), "--single", "-D", folder, "-F", "postgres"], account, _ROLES)


def _settings(programs: PostgresPrograms) -> str:
    return _SETTINGS + (_SETTINGS_SINCE_18 if programs.major >= 18 else "")


def _run(command: list[str | Path], account: ServerAccount, spoken: str = "") -> None:
    done = subprocess.run(
        [str(part) for part in command],
        input=spoken,
        capture_output=True,
        text=True,
        cwd="/",
        env=server_environment(),
        check=False,
        **account.spawn_options(),
    )
    if done.returncode or "ERROR:" in done.stderr:
        raise ClusterFailed(f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")


def _belong_to_us(top: Path) -> None:
    """Let the servers' user read the template and nobody but ourselves write it."""
    for folder, folders, files in os.walk(top):
        for path in (Path(folder, name) for name in (*folders, *files)):
            path.chmod(0o755 if path.is_dir() else 0o644)
            with contextlib.suppress(PermissionError):
                os.chown(path, os.geteuid(), os.getegid())
    top.chmod(0o755)
    os.chown(top, os.geteuid(), os.getegid())


def _is_busybox() -> bool:
    found = shutil.which("cp")
    return found is not None and Path(found).resolve().name == "busybox"
