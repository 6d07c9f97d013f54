"""Our own sessions on instances that hold customers' data: as which role, with which settings, for how long.

Every session takes the role `cloudsqlsuperuser` from its start, so that all databases and roles are made and kept by
that one role, whichever of our logins works. A customer may put functions, operators, casts and views of its own into
its database, and would gain our rights if we ever ran one: the search path is empty, and reading views and foreign
tables is switched off. Row security is off, which makes a query that would be filtered fail instead.

What the server says is told in the program's own errors: weather is Transient, a no is Refused, and what is neither
is a mistake of ours and stays as it is.
"""

import contextlib
import select
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import psycopg

from tenantctl.adapters.google.sessions import Sessions, ends_within
from tenantctl.model.errors import Refused, Transient

Session: TypeAlias = psycopg.Connection[Any]

OUR_ROLE: Final = "cloudsqlsuperuser"
HOME: Final = "postgres"  # the database for what is the whole instance's
SETTINGS: Final[Mapping[str, str]] = {
    "role": OUR_ROLE,
    "search_path": "",
    "row_security": "off",
    "restrict_nonsystem_relation_kind": "view, foreign-table",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "0",
    "client_min_messages": "error",
    "jit": "off",
    # How values are written: the same everywhere, because checksums are made of it.
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "xmlbinary": "base64",
}
_CONTROL_SECONDS: Final = 60.0
_IDLE_SECONDS: Final = 60.0
_IDLE_MAX: Final = 2  # kept for each instance


class ControlSessions:
    """Sessions with our role and settings; safe to share between threads.

    Args:
        sessions: Where they come from.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lock = threading.Lock()
        self._idle: dict[str, list[tuple[Session, float]]] = {}

    @contextlib.contextmanager
    def on(self, instance: str) -> Iterator[Session]:
        """A session on the instance's own database, which the next caller may get again: leave it as it was.

        Raises:
            Transient: the instance does not answer in time.
            NotFound: there is no such instance.
            Refused: it says no.
        """
        session = self._take_idle(instance) or self._sessions.connect(instance, HOME, settings=SETTINGS)
        try:
            with answering(instance), ends_within(session, _CONTROL_SECONDS):
                yield session
        except BaseException:
            session.close()
            raise
        self._keep(instance, session)

    @contextlib.contextmanager
    def inside(
        self, instance: str, database: str, *, seconds: float = _CONTROL_SECONDS, **settings: str
    ) -> Iterator[Session]:
        """A session on one database, closed at the end of the block.

        Args:
            instance: The instance's name.
            database: The database's name.
            seconds: After how long the session is cut.
            **settings: What to set differently, such as `statement_timeout`.

        Raises:
            Transient: the instance does not answer in time.
            NotFound: there is no such instance, or no such database.
            Refused: it says no.
        """
        session = self._sessions.connect(instance, database, settings={**SETTINGS, **settings})
        with contextlib.closing(session), answering(instance), ends_within(session, seconds):
            yield session

    def close(self) -> None:
        """End the sessions that are kept."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for kept in idle.values():
            for session, _ in kept:
                session.close()

    def _take_idle(self, instance: str) -> Session | None:
        while True:
            with self._lock:
                kept = self._idle.get(instance)
                if not kept:
                    return None
                session, since = kept.pop()
            if time.monotonic() - since < _IDLE_SECONDS and _is_quiet(session):
                return session
            session.close()

    def _keep(self, instance: str, session: Session) -> None:
        with self._lock:
            kept = self._idle.setdefault(instance, [])
            if len(kept) < _IDLE_MAX and _is_quiet(session):
                kept.append((session, time.monotonic()))
                return
        session.close()


class OnInstances:
    """What works on the instances; safe to share between threads.

    Args:
        sessions: The way to the instances, as a login that is a member of `cloudsqlsuperuser`.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._control = ControlSessions(sessions)

    def close(self) -> None:
        """End the sessions that are kept for the next call."""
        self._control.close()


@contextlib.contextmanager
def answering(instance: str) -> Iterator[None]:
    """Tell in the program's own errors what an instance answers in the block.

    Raises:
        Transient: it did not answer in time, or another session was in the way.
        Refused: it says no.
    """
    try:
        yield
    except psycopg.Error as error:
        sentence = f"The instance {instance} answered: {first_line(error)}"
        if isinstance(error, _WEATHER):
            raise Transient(sentence, hint="Try again later.") from error
        if isinstance(error, _NO):
            raise Refused(sentence) from error
        raise


def first_line(error: psycopg.Error) -> str:
    """The first line of what the server, or libpq, said."""
    return (error.diag.message_primary or str(error) or type(error).__name__).strip().splitlines()[0]


_WEATHER: Final = (
    psycopg.OperationalError,  # gone, too slow, too many, in use, shutting down
    psycopg.errors.ReadOnlySqlTransaction,  # a failover is under way
    psycopg.errors.SerializationFailure,
    psycopg.errors.DuplicateObject,  # another worker was as fast
    psycopg.errors.DuplicateDatabase,
    psycopg.errors.UndefinedObject,  # another has taken it away: a worker that slept, or one that sweeps
    psycopg.errors.InvalidCatalogName,
    psycopg.errors.UniqueViolation,
    psycopg.errors.InternalError_,  # "tuple concurrently updated"
)
_NO: Final = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.DependentObjectsStillExist,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFile,  # an extension that this server does not have
    psycopg.errors.InvalidParameterValue,
)


def _is_quiet(session: Session) -> bool:
    """Whether a session can be used again: nothing is under way, and the server has not said goodbye."""
    if session.closed or session.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        return False
    return not select.select([session.fileno()], [], [], 0)[0]
