"""Sessions on the databases of Cloud SQL instances, through the Cloud SQL connector and in bounded time.

The connector's own time-out does not hold for TCP and TLS, where it blocks, and with it every other connect of the
same connector. Therefore each instance has a connector and an event loop of its own; nobody connects before a plain
TCP connection came about in time; and a watchdog gives up a connector that does not answer, so that one silent
instance never holds up another. After that, this instance must first show that it speaks TLS again.

Certificates are fetched when needed ("lazy"): a background refresh is rate-limited, and useless on a throttled CPU.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import aiohttp
import psycopg
from google.auth.credentials import Credentials
from google.auth.transport.requests import Request
from google.cloud.sql.connector import Connector, IPTypes
from google.cloud.sql.connector.exceptions import ClosedConnectorError

from tenantctl.adapters.google.answers import explained, explaining
from tenantctl.adapters.google.entrance import Entrances, Place
from tenantctl.adapters.google.socket_proxy import SocketProxy
from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient

APPLICATION_NAME: Final = "tenantctl"
_SERVICE_ACCOUNT_SUFFIX: Final = ".gserviceaccount.com"
_FAREWELL_SECONDS: Final = 3.0


class _Blocked(Exception):
    """A connector did not answer in time; its loop may never come back."""


class _Line:
    """The connector of one instance, with the loop and the thread in which it works."""

    def __init__(self, credentials: Credentials, endpoint: str | None, place: Place, seconds: float) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="connector", daemon=True)
        self._thread.start()
        self._seconds = seconds
        self._name = place.connection_name
        self._connector = Connector(
            ip_type=IPTypes.PRIVATE if place.private else IPTypes.PUBLIC,
            enable_iam_auth=True,
            timeout=max(2, round(seconds)),  # libpq takes less than two seconds for two
            credentials=credentials,
            loop=self._loop,
            sqladmin_api_endpoint=endpoint,
            refresh_strategy="lazy",
        )

    def connect(self, **options: Any) -> psycopg.Connection:
        """Connect, or raise _Blocked when the time is up, whatever the connector is blocked by."""
        pending = asyncio.run_coroutine_threadsafe(
            self._connector.connect_async(self._name, "psycopg", **options), self._loop
        )
        if concurrent.futures.wait((pending,), self._seconds).not_done:
            pending.add_done_callback(_hang_up)  # should it come about after all, nobody wants it any more
            pending.cancel()
            raise _Blocked(f"no session came about within {self._seconds:g} s")
        try:
            return cast("psycopg.Connection", pending.result())
        except KeyError as error:
            # It forgets an instance whose facts it could not get, and stumbles where another connect has done so just
            # before: GoogleCloudPlatform/cloud-sql-python-connector, issue 1305.
            if isinstance(error.__context__, Exception):
                raise error.__context__ from None
            raise

    def close(self) -> None:
        """End the connector; one that is blocked is left to its thread, which ends with the process."""
        farewell = asyncio.run_coroutine_threadsafe(self._farewell(), self._loop)
        with contextlib.suppress(Exception):
            farewell.result(_FAREWELL_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_FAREWELL_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    def abandon(self) -> None:
        """Leave a connector alone, which may be blocked, or in use by others; it ends once it can."""
        farewell = asyncio.run_coroutine_threadsafe(self._farewell(), self._loop)
        farewell.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))

    async def _farewell(self) -> None:
        await self._connector.close_async()
        await self._loop.shutdown_default_executor()


class Sessions:
    """Sessions on the instances of one project, as one IAM login; safe to share between threads.

    Args:
        project: The Google Cloud project.
        endpoint: The URL of a local cloud's Admin API; None in production.
        credentials: Who is calling.
        login: The database's name for that identity; None takes the credentials' service account.
        connect_seconds: How long a connect may take; a hanging one takes at most twice that.
    """

    def __init__(
        self,
        project: str,
        endpoint: str | None,
        credentials: Credentials,
        login: str | None = None,
        *,
        connect_seconds: float = 10.0,
    ) -> None:
        self._entrances = Entrances(project, endpoint, credentials)
        self._endpoint = endpoint
        self._login = login
        self._seconds = connect_seconds
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._suspects: set[str] = set()

    @property
    def login(self) -> str:
        """Our login, as PostgreSQL's session_user has it.

        Raises:
            Refused: none was named, and the credentials are not a service account's.
            Transient: the machine did not say whose they are.
        """
        credentials = self._entrances.credentials
        name = self._login or getattr(credentials, "service_account_email", None)
        if name == "default":  # on Google's machines, which say who they are when they are first asked for a token
            with explaining("learn as whom this program runs"):
                credentials.refresh(Request())  # type: ignore[no-untyped-call]
            name = getattr(credentials, "service_account_email", None)
        if not name or "@" not in name:
            raise Refused(
                "These credentials do not say as whom to log in.", hint="Name the login in the configuration."
            )
        return str(name).removesuffix(_SERVICE_ACCOUNT_SUFFIX)

    def connect(
        self,
        instance: str,
        database: str,
        *,
        autocommit: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> psycopg.Connection:
        """A new session.

        Args:
            instance: The instance's name.
            database: The database's name.
            autocommit: As in psycopg.
            settings: What to set for this session from its start, such as `role` or `statement_timeout`.

        Raises:
            Transient: no session came about in time.
            NotFound: there is no such instance, or no such database.
            Refused: we may not enter.
        """
        doing = f"open the database {database} on {instance}"
        line: _Line | None = None
        try:
            with explaining(doing):
                line = self._line(instance)
                self._entrances.knock(instance, self._seconds).close()
                return line.connect(
                    user=self.login,
                    db=database,
                    autocommit=autocommit,
                    application_name=APPLICATION_NAME,
                    options=startup_options(settings or {}),
                )
        except psycopg.Error as error:
            raise refusal_to_connect(error, instance, database) from error
        except Transient:
            self._entrances.forget(instance)
            raise
        except aiohttp.ClientResponseError as error:
            raise explained(error.status, _as_the_api_said(error), doing) from error
        except _Blocked as error:
            self._give_up(instance, line, suspect=True)
            raise Transient(f"The instance {instance} does not answer: {error}.", hint="Try again later.") from error
        except (
            aiohttp.ClientError,
            ClosedConnectorError,
            ValueError,
        ) as error:  # the last: it is in another region now
            self._give_up(instance, line, suspect=False)
            raise Transient(f"The connector could not {doing}: {error}.", hint="Try again.") from error

    def socket(self, instance: str, *, with_token: bool = True) -> SocketProxy:
        """A local socket for PostgreSQL's own programs; without a token they need a password.

        Use it as a context manager; its `folder` is their host.
        """
        return SocketProxy(lambda: self._entrances.dial(instance, with_token=with_token, seconds=self._seconds))

    def private_address(self, instance: str) -> str | None:
        """Where one instance's server reaches another's; None on a local cloud, whose servers share a folder.

        Raises:
            Transient: the Admin API does not answer.
            NotFound: there is no such instance.
            Refused: it has no private address.
        """
        if self._endpoint is not None:
            return None
        place = self._entrances.place(instance)
        if not place.private:
            raise Refused(
                f"The instance {instance} has no private address.",
                hint="A tenant is moved over private addresses only: give the instance one.",
            )
        return place.address

    def close(self) -> None:
        """Let go of all connectors; sessions that are open stay open."""
        with self._lock:
            lines, self._lines = self._lines, {}
        for line in lines.values():
            line.close()
        self._entrances.close()

    def _line(self, instance: str) -> _Line:
        with self._lock:
            suspect, known = instance in self._suspects, self._lines.get(instance)
        if suspect:
            self._entrances.dial(instance, with_token=False, seconds=self._seconds).close()
            with self._lock:
                self._suspects.discard(instance)
        if known is not None:
            return known
        place = self._entrances.place(instance)
        with self._lock:
            if instance not in self._lines:
                self._lines[instance] = _Line(self._entrances.credentials, self._endpoint, place, self._seconds)
            return self._lines[instance]

    def _give_up(self, instance: str, line: _Line | None, *, suspect: bool) -> None:
        """Never again ask a connector that did not answer, or knows its instance wrongly, nor what led to it."""
        self._entrances.forget(instance)
        with self._lock:
            if suspect:
                self._suspects.add(instance)
            if line is None or self._lines.get(instance) is not line:
                return  # another caller has given it up
            del self._lines[instance]
        line.abandon()


def _as_the_api_said(error: aiohttp.ClientResponseError) -> dict[str, Any]:
    """The API's error document, of which the connector keeps the message alone.

    What it asks for is turned away with a 409 for one reason only: an operation on the instance runs.
    """
    reasons = [{"reason": "operationInProgress"}] if error.status == 409 else []
    return {"error": {"message": error.message, "errors": reasons}}


def startup_options(settings: Mapping[str, str]) -> str:
    """Settings as the `options` of a connection, in which a space or a backslash needs one before it."""
    escaped = {name: value.replace("\\", "\\\\").replace(" ", "\\ ") for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def refusal_to_connect(error: psycopg.Error, instance: str, database: str) -> TenantctlError:
    """What it means that no session came about; libpq tells of it in words alone, which servers say in English."""
    said = str(error).strip().rsplit("FATAL:", maxsplit=1)[-1].strip().partition("\n")[0]
    if error.sqlstate == "3D000" or (f'database "{database}"' in said and "does not exist" in said):
        return NotFound(f"The instance {instance} has no database {database}.")
    for words in ("role", "authentication", "not permitted", "permission denied", "not currently accepting"):
        if words in said and "FATAL:" in str(error):
            return Refused(f"The instance {instance} does not let us into {database}: {said}")
    return Transient(f"The instance {instance} gave no session on {database}: {said}", hint="Try again later.")


@contextlib.contextmanager
def ends_within(connection: psycopg.Connection, seconds: float) -> Iterator[None]:
    """Cut a session after this long: a server that fell silent cannot be told to stop, and psycopg waits for ever.

    What waits for the server then gets psycopg's OperationalError.
    """
    timer = threading.Timer(seconds, cut, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def cut(connection: psycopg.Connection) -> None:
    """Break a session's connection; any thread may, and the one that waits for the server wakes."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def _hang_up(pending: "concurrent.futures.Future[psycopg.Connection]") -> None:
    if not pending.cancelled() and pending.exception() is None:
        with contextlib.suppress(psycopg.Error, ssl.SSLError):
            pending.result().close()
