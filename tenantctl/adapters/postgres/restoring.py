"""`pg_restore` at work: an archive that is coming in, through a log-in of whoever is to own what is in it.

An archive is somebody else's program: restoring it runs the customer's functions, in checks and defaults. So it is
restored by a role that may do no harm, and as a log-in of that role with a password of the moment: a session of our
own that had merely taken the role on could be talked into taking it off again.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from tenantctl.adapters.google.sessions import Sessions
from tenantctl.adapters.postgres.archive import Archive, Entry, listed
from tenantctl.adapters.postgres.child_process import ChildProcess, connection, nameless_file, readable
from tenantctl.model.errors import Refused, TenantctlError, Transient
from tenantctl.pgbin import find_programs

RESTORE_SECONDS_MAX: Final = 6 * 3600.0
_OBJECTS_AT_ONCE: Final = 1000  # in a transaction: nearly as fast as one for all, and locks stay within bounds
_WEATHER: Final = (
    "connection to server",
    "server closed the connection",
    "terminating connection",
    "could not receive data from server",
    "could not send data to server",
    "no connection to the server",
    "No space left on device",
    "out of shared memory",
    "too many connections",
    "database system is",
)


def run_restore(
    sessions: Sessions,
    instance: str,
    database: str,
    archive: Archive,
    kept: Sequence[Entry],
    *,
    login: str,
    password: str,
    leaving_out: Sequence[str],
    seconds: float,
) -> None:
    """Restores the kept entries of an archive, which is read to its end.

    Args:
        sessions: The way to the instance.
        instance: The instance's name.
        database: The database's name.
        archive: What is restored.
        kept: Its entries that are wanted.
        login: The role to log in as.
        password: Its password.
        leaving_out: Further options of `pg_restore`, such as `--no-comments`.
        seconds: After how long it is ended: an archive may hold a function that never returns.

    Raises:
        Refused: the archive does not restore.
        Transient: the connection was lost.
    """
    with contextlib.ExitStack() as stack:
        list_file = stack.enter_context(nameless_file(listed(kept)))
        proxy = stack.enter_context(sessions.socket(instance, with_token=False))
        process = stack.enter_context(
            ChildProcess(
                "pg_restore",
                [
                    f"--dbname={database}",
                    f"--use-list={readable(list_file)}",
                    "--format=custom",
                    "--no-owner",
                    "--no-acl",
                    "--no-security-labels",
                    "--no-tablespaces",
                    *leaving_out,
                    "--exit-on-error",
                    _in_transactions(),
                    "--no-password",
                ],
                connection(proxy.folder, login, database, password=password),
                feeds=True,
                files=(list_file,),
            )
        )
        too_long = stack.enter_context(_ended_after(process, seconds))
        for chunk in archive.chunks():
            if not process.feed(chunk):
                break
        if code := process.finish():
            if too_long.is_set():
                raise Refused(f"The restore into {database} took longer than {seconds:g} s.")
            raise proxy.failure or _failure(database, code, process.said())


@contextlib.contextmanager
def _ended_after(process: ChildProcess, seconds: float) -> Iterator[threading.Event]:
    """Kill a program that takes longer; the event then says so."""
    too_long = threading.Event()

    def end() -> None:
        too_long.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield too_long
    finally:
        timer.cancel()


def _in_transactions() -> str:
    """How `pg_restore` is told to commit: older ones know all at once only."""
    return f"--transaction-size={_OBJECTS_AT_ONCE}" if find_programs().major >= 17 else "--single-transaction"


def _failure(name: str, code: int, said: Sequence[str]) -> TenantctlError:
    """What it means that `pg_restore` failed: the archive's fault, unless its words are those of a lost connection."""
    errors = [line.removeprefix("pg_restore: ") for line in said if "error:" in line] or [f"exit code {code}"]
    if code < 0 or any(words in line for line in said for words in _WEATHER):
        return Transient(f"The restore into {name} was interrupted: {errors[0]}", hint="Try again later.")
    return Refused(f"The archive does not restore into {name}: {errors[0]}")
