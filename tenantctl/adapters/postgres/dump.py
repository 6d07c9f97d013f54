"""A dump of one database at one moment, with the rows and checksums of its tables at that very moment.

One session opens a read-only snapshot, locks the tables against being emptied or dropped, and counts and sums them up
while `pg_dump` reads the same snapshot: the server does both at once, so a dump takes as long as the slower of the
two. `pg_dump` is started as soon as the snapshot is there, because it asks a thousand questions before it writes; the
dump begins once our locks are held. Both go through one local socket, over the same certificate. `pg_dump` connects as
our own login: the customer may have made objects as its login and not as its owner, and we are members of both.
"""

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, Self

import psycopg

from tenantctl.adapters.google.sessions import Sessions, cut, refusal_to_connect, startup_options
from tenantctl.adapters.google.socket_proxy import PORT, SocketProxy
from tenantctl.adapters.postgres.child_process import ChildProcess, connection
from tenantctl.adapters.postgres.control import OUR_ROLE, SETTINGS, Session, answering, first_line
from tenantctl.adapters.postgres.digests import Table, digest, list_tables, lock
from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import Refused, Transient
from tenantctl.pgbin import find_programs

_SILENCE_SECONDS: Final = 1800.0  # `pg_dump` may wait for a lock, and for the first row of a bloated table
_LOCK_SECONDS: Final = 30
_SETTLING_SECONDS: Final = 2.0
_CANCEL_SECONDS: Final = 3.0
_LINES_QUOTED: Final = 3


class RunningDump:
    """A dump under way; see the port.

    Args:
        database: The database's name, for sentences.
        version: The server's version.
        process: `pg_dump`, writing to a pipe.
        digests: What counts and sums up the tables meanwhile.
        proxy: The socket that both go through.
    """

    def __init__(
        self, database: str, version: str, process: ChildProcess, digests: "_Digests", proxy: SocketProxy
    ) -> None:
        self._database, self._version = database, version
        self._process, self._digests, self._proxy = process, digests, proxy

    @property
    def server_version(self) -> str:
        """See the port."""
        return self._version

    @property
    def tables(self) -> Mapping[str, TableDigest]:
        """See the port; waits until the last of them has been read.

        Raises:
            Transient: they could not be read.
        """
        return self._digests.result()

    def chunks(self) -> Iterator[bytes]:
        """See the port; to be read once."""
        try:
            while chunk := self._process.read(_SILENCE_SECONDS):
                yield chunk
        except TimeoutError as error:
            raise Transient(f"The dump of {self._database} failed: {error}.") from error
        if code := self._process.finish():
            if self._digests.failed(within=_SETTLING_SECONDS):  # which took the snapshot from `pg_dump`
                self._digests.result()
            if self._proxy.failure is not None:
                raise self._proxy.failure
            said = " ".join(self._process.said()[-_LINES_QUOTED:]) or f"exit code {code}"
            raise Transient(f"pg_dump of {self._database} failed: {said}")


@contextlib.contextmanager
def dump_database(
    sessions: Sessions, instance: str, database: str, *, prepare: Callable[[Session], None]
) -> Iterator[RunningDump]:
    """Dump a database; leaving the block early ends everything that was begun for it.

    Args:
        sessions: The way to the instance.
        instance: The instance's name.
        database: The database's name.
        prepare: Called with the session before its snapshot is taken; may refuse.

    Raises:
        Transient: the instance does not answer, or something in the database is in the way.
        NotFound: there is no such database.
        Refused: our `pg_dump` is older than the server.
    """
    settings = {
        **SETTINGS,
        "statement_timeout": "0",
        "lock_timeout": f"{_LOCK_SECONDS}s",
        "max_parallel_workers_per_gather": "0",  # the other processors are the customers'
    }
    with sessions.socket(instance) as proxy, contextlib.ExitStack() as stack:
        with answering(instance):
            session = stack.enter_context(contextlib.closing(_connect(sessions, proxy, instance, database, settings)))
            prepare(session)
            version, snapshot = _open_snapshot(session, database)
        digests = stack.enter_context(_Digests(session, database))
        process = stack.enter_context(
            ChildProcess(
                "pg_dump",
                [
                    "--format=custom",
                    "--compress=none",
                    f"--role={OUR_ROLE}",
                    f"--snapshot={snapshot}",
                    f"--lock-wait-timeout={_LOCK_SECONDS}s",
                    "--encoding=UTF8",
                    "--no-password",
                ],
                connection(proxy.folder, sessions.login, database),
                output=subprocess.PIPE,
            )
        )
        with answering(instance):
            digests.wait_for_locks()
        yield RunningDump(database, version, process, digests, proxy)


class _Digests(threading.Thread):
    """Locks and sums up tables in a thread of its own, and is told to stop when the block is left."""

    def __init__(self, session: Session, database: str) -> None:
        super().__init__(name="digests", daemon=True)
        self._session, self._database = session, database
        self._digests: Mapping[str, TableDigest] = {}
        self._failure: Exception | None = None
        self._locked: Future[None] = Future()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_alive():
            with contextlib.suppress(psycopg.Error):
                self._session.cancel_safe(timeout=_CANCEL_SECONDS)
            self.join(_CANCEL_SECONDS)
        if self.is_alive():
            cut(self._session)
            self.join()

    def run(self) -> None:
        """Lock and read the tables; a failure is kept for who asks for the locks, or for the result."""
        try:
            tables = list_tables(self._session)
            self._lock_all(tables)
            self._locked.set_result(None)
            self._digests = digest(self._session, tables)
        except Exception as failure:  # noqa: BLE001 - raised in `wait_for_locks` or `result`
            self._failure = failure
            if not self._locked.done():
                self._locked.set_exception(failure)

    def wait_for_locks(self) -> None:
        """Return once the tables are locked, or raise why they are not; what fails later is told by `result`."""
        self._locked.result()

    def _lock_all(self, tables: Sequence[Table]) -> None:
        try:
            lock(self._session, tables)
        except psycopg.Error as error:  # dropped, or swapped for something else, since the list was made
            raise Transient(f"The tables of {self._database} could not be locked: {first_line(error)}") from error

    def failed(self, *, within: float) -> bool:
        """Whether the tables could not be read, as far as that is known so many seconds from now."""
        self.join(within)
        return not self.is_alive() and self._failure is not None

    def result(self) -> Mapping[str, TableDigest]:
        """The digests, as soon as they are there."""
        self.join()
        if isinstance(self._failure, psycopg.Error):
            sentence = f"The dump of {self._database} failed: {first_line(self._failure)}"
            raise Transient(sentence) from self._failure
        if self._failure is not None:
            raise self._failure
        return self._digests


def _connect(
    sessions: Sessions, proxy: SocketProxy, instance: str, database: str, settings: Mapping[str, str]
) -> Session:
    try:
        return psycopg.connect(
            host=str(proxy.folder),
            port=PORT,
            user=sessions.login,
            dbname=database,
            sslmode="disable",
            application_name="tenantctl",
            options=startup_options(settings),
            autocommit=True,
        )
    except psycopg.Error as error:
        raise proxy.failure or refusal_to_connect(error, instance, database) from error


def _open_snapshot(session: Session, database: str) -> tuple[str, str]:
    """Begin the transaction whose snapshot is dumped; return the server's version and the snapshot's name."""
    version = (session.info.parameter_status("server_version") or "").split()[0]
    if find_programs().major < session.info.server_version // 10_000:
        raise Refused(
            f"pg_dump {find_programs().major} cannot dump {database} from a server of version {version}.",
            hint="Install PostgreSQL programs that are at least as new as the server.",
        )
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    exported = session.execute("SELECT pg_export_snapshot()").fetchone()
    assert exported is not None, "a snapshot has a name"
    return version, str(exported[0])
