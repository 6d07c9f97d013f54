"""The engine under the registry: few connections, limits on every wait, and failures in the program's own words.

Whoever makes the connections (through the Cloud SQL connector, in production and locally) gives a function; this module
knows nothing of how they come about. Each connection is given its limits once, in one statement.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from tenantctl.model.errors import Refused, TenantctlError, Transient

APPLICATION_NAME: Final = "tenantctl"
POOL_SIZE: Final = 10  # as many as a worker has tenants at work, and a few: opened when needed, and kept
POOL_SIZE_MAX: Final = 24  # each of them in a transaction, its heartbeat, and a look in between
POOL_WAIT_SECONDS: Final = 30
RECYCLE_SECONDS: Final = 1800

# A worker can be paused at any moment: what it holds must let go of itself.
SETTINGS: Final[Mapping[str, str]] = {
    "application_name": APPLICATION_NAME,
    "search_path": "registry, pg_temp",
    "timezone": "UTC",
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
}

# SQLSTATE classes and codes of PostgreSQL that say "later" and not "no": appendix A of its manual.
_WEATHER_CLASSES: Final = frozenset({"08", "40", "53", "57", "58"})
_WEATHER_CODES: Final = frozenset({"55P03", "25P03", "25P04"})
_NOT_ALLOWED: Final = "42501"
_NOT_THERE: Final = frozenset({"3F000", "42P01"})


def registry_engine(connect: Callable[[], psycopg.Connection[Any]]) -> Engine:
    """An engine whose connections `connect` makes.

    Nothing is connected yet. A connection is tried before it is used, so that one that died in the pool is replaced.
    """

    def connected() -> psycopg.Connection[Any]:
        try:
            return connect()
        except OSError as error:
            raise no_answer(str(error)) from error

    engine = create_engine(
        "postgresql+psycopg://",
        creator=connected,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE_MAX - POOL_SIZE,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_recycle=RECYCLE_SECONDS,
        pool_pre_ping=True,
        pool_use_lifo=True,
        use_native_hstore=False,
    )
    event.listen(engine, "connect", _set_limits, insert=True)
    return engine


def clock_offset(engine: Engine) -> str | None:
    """How far the registry's clock is moved, as PostgreSQL's setting says it; None where it is not set.

    Raises:
        Transient: the registry does not answer.
    """
    with answering(), engine.connect() as connection:
        offset = connection.scalar(text("SELECT nullif(current_setting('tenantctl.clock_offset', true), '')"))
        return None if offset is None else str(offset)


@contextmanager
def answering() -> Iterator[None]:
    """Turns the database's failures into the program's: Transient for weather, Refused for what it will not do.

    Anything else goes through as it is: it is a bug.
    """
    try:
        yield
    except (DBAPIError, NoConnectionFree) as error:
        translated = _translated(error)
        if translated is None:
            raise
        raise translated from error


def no_answer(reason: str) -> Transient:
    """The registry did not answer, for this reason."""
    lines = reason.strip().splitlines() or ["no reason was given"]
    return Transient(
        f"The registry does not answer: {lines[0].rstrip('.')}.",
        hint="Nothing was changed that was not confirmed. Try again; tenantctl doctor says what can be reached.",
    )


def violated(error: DBAPIError) -> str:
    """The name of the constraint that a statement broke; empty where it is no constraint."""
    cause = error.orig
    return (cause.diag.constraint_name or "") if isinstance(cause, psycopg.Error) else ""


def _translated(error: DBAPIError | NoConnectionFree) -> TenantctlError | None:
    if isinstance(error, NoConnectionFree):
        return no_answer("no connection of the pool came free")
    cause = error.orig
    reason, code = str(cause), (cause.sqlstate or "") if isinstance(cause, psycopg.Error) else ""
    if code[:2] in _WEATHER_CLASSES or code in _WEATHER_CODES or error.connection_invalidated:
        return no_answer(reason)
    if not code and isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return no_answer(reason)
    if code == _NOT_ALLOWED:
        return Refused(
            f"The registry does not allow this: {reason.splitlines()[0]}.",
            hint="Work as a login that is a member of registry_app, or have one granted.",
        )
    if code in _NOT_THERE:
        return Refused(
            f"The registry is not set up for this program: {reason.splitlines()[0]}.",
            hint="Lay its schema with the migrator's login: tenantctl db upgrade",
        )
    return None


def _set_limits(connection: psycopg.Connection[Any], _record: object) -> None:
    calls = ", ".join(["set_config(%s, %s, false)"] * len(SETTINGS))
    arguments = [part for pair in SETTINGS.items() for part in pair]
    connection.execute(f"SELECT {calls}".encode(), arguments)
    connection.commit()
