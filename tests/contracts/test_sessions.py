"""Sessions through the real connector: in time, side by side, tidy.

Where a peer is silent, it stays so until the test ends: an adapter without a limit of its own would never come back.
"""

import contextlib
import http.server
import json
import secrets
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from google.auth.credentials import Credentials

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.entrance import SERVER_PORT
from tenantctl.adapters.google.sessions import Sessions, cut, ends_within
from tenantctl.adapters.postgres.control import ControlSessions
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import NotFound, Refused, Transient, TurnedAway
from tests.contracts.databases_places import LOGIN, local_sessions, psql
from tests.contracts.peers import answer, nobody, peer, saying
from tests.localcloud.clouds import OPERATOR, SERVICE_ACCOUNT


@pytest.fixture
def sessions(local_cloud: LocalCloud) -> Iterator[Sessions]:
    with closing(local_sessions(local_cloud.project, local_cloud.endpoints["sqladmin"])) as made:
        yield made


def test_a_session_is_ours_and_as_it_was_asked_for(sessions: Sessions) -> None:
    """The actor is the IAM login, with no role unless one is asked for; settings hold from the start."""
    with closing(sessions.connect("one", "postgres")) as session:
        found = session.execute("SELECT session_user, current_user, current_setting('application_name')").fetchone()
        assert found == (LOGIN, LOGIN, "tenantctl")
        assert session.autocommit
    settings = {"role": "cloudsqlsuperuser", "search_path": "", "DateStyle": "ISO, DMY", "tenantctl.odd": "a\\b c"}
    with closing(sessions.connect("one", "postgres", autocommit=False, settings=settings)) as session:
        assert not session.autocommit
        assert session.execute("SELECT session_user, current_user").fetchone() == (LOGIN, "cloudsqlsuperuser")
        for name, value in settings.items():
            assert session.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)


def test_sessions_come_side_by_side(sessions: Sessions) -> None:
    """From many threads, on two instances, each with its own connector."""

    def ask(number: int) -> Any:
        with closing(sessions.connect("one" if number % 2 else "two", "postgres")) as session:
            return session.execute("SELECT %s::int", [number]).fetchone()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(24))) == [(number,) for number in range(24)]


def test_a_user_needs_no_suffix_taken_off(local_cloud: LocalCloud) -> None:
    """Logins of people are their addresses; those of service accounts are shortened."""
    with (
        closing(
            Sessions(local_cloud.project, local_cloud.endpoints["sqladmin"], local_credentials(OPERATOR), OPERATOR)
        ) as sessions,
        closing(sessions.connect("one", "postgres")) as session,
    ):
        assert session.execute("SELECT session_user").fetchone() == (OPERATOR,)


def test_a_login_without_a_name_is_refused(local_cloud: LocalCloud) -> None:
    """A bare access token does not say whose it is."""
    endpoint = local_cloud.endpoints["sqladmin"]
    with (
        closing(Sessions(local_cloud.project, endpoint, local_credentials(OPERATOR))) as sessions,
        pytest.raises(Refused, match="as whom"),
    ):
        sessions.connect("one", "postgres")


class _MachineCredentials(Credentials):
    """As on Google's machines: whose they are is known once a token was asked for."""

    service_account_email = "default"

    def refresh(self, request: object) -> None:
        self.service_account_email, self.token = SERVICE_ACCOUNT, f"local:{SERVICE_ACCOUNT}"
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


def test_a_machine_knows_as_whom_it_runs(local_cloud: LocalCloud) -> None:
    """In production no login needs to be configured."""
    credentials = _MachineCredentials()  # type: ignore[no-untyped-call]
    with closing(Sessions(local_cloud.project, local_cloud.endpoints["sqladmin"], credentials)) as sessions:
        assert sessions.login == LOGIN
        with closing(sessions.connect("one", "postgres")) as session:
            assert session.execute("SELECT session_user").fetchone() == (LOGIN,)


def test_what_is_not_there_is_not_found(sessions: Sessions) -> None:
    """And a token that vouches for somebody else opens nothing."""
    with pytest.raises(NotFound, match="nowhere"):
        sessions.connect("nowhere", "postgres")
    with pytest.raises(NotFound, match="no database no_such"):
        sessions.connect("one", "no_such")


def test_anothers_login_is_refused(local_cloud: LocalCloud) -> None:
    """Who we are says the token, and not what we would like to be called."""
    endpoint = local_cloud.endpoints["sqladmin"]
    with (
        closing(Sessions(local_cloud.project, endpoint, local_credentials(OPERATOR), SERVICE_ACCOUNT)) as sessions,
        pytest.raises(Refused, match="does not let us"),
    ):
        sessions.connect("one", "postgres")


def test_an_admin_api_that_is_away_or_somebody_else_is_weather(local_cloud: LocalCloud) -> None:
    """Nobody listens; a proxy answers 404 with a page of its own; the API has no time."""
    replies = (
        answer("404 Not Found", b"<html>no such page</html>", "text/html"),
        answer("503 Service Unavailable", b'{"error": {"message": "busy"}}'),
        answer(
            "429 Too Many Requests", b'{"error": {"message": "quota", "errors": [{"reason": "rateLimitExceeded"}]}}'
        ),
    )
    with contextlib.ExitStack() as stack:
        endpoints = [stack.enter_context(nobody()), *(stack.enter_context(peer(saying(reply))) for reply in replies)]
        for endpoint in endpoints:
            with closing(local_sessions(local_cloud.project, endpoint)) as sessions, pytest.raises(Transient):
                sessions.connect("one", "postgres")


@pytest.mark.parametrize("status", [409, 429])
def test_an_admin_api_that_turns_the_connector_away_is_weather(
    local_cloud: LocalCloud, sessions: Sessions, status: int
) -> None:
    """The connector passes on a status and a message: the API's own reason, that an operation runs, is lost."""
    local_cloud.add_fault("sqladmin", "status", status=status, path=":generateEphemeralCert")
    try:
        with pytest.raises(TurnedAway):
            sessions.connect("one", "postgres")
    finally:
        local_cloud.clear_faults()
    with closing(sessions.connect("one", "postgres")) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_many_that_are_turned_away_at_once_are_each_told_why(local_cloud: LocalCloud, sessions: Sessions) -> None:
    """The connector forgets an instance with the first failure, and stumbles over that with those that come with it."""
    together = threading.Barrier(6)

    def connect(_: int) -> Exception | None:
        together.wait(30)
        try:
            sessions.connect("one", "postgres").close()
        except Exception as error:  # noqa: BLE001 - told to the test
            return error
        return None

    local_cloud.add_fault("sqladmin", "status", status=409, path=":generateEphemeralCert")
    try:
        with ThreadPoolExecutor(6) as pool:
            told = list(pool.map(connect, range(6)))
    finally:
        local_cloud.clear_faults()
    assert [type(error) for error in told] == [TurnedAway] * 6


@dataclass
class Detour:
    """An Admin API that leads to the local cloud's, and names another address for the instance `one`."""

    url: str = ""
    address: str | None = None


@pytest.fixture
def detour(local_cloud: LocalCloud) -> Iterator[Detour]:
    state = Detour()

    class Api(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # its answers say so too: a client may use the connection again

        def do_GET(self) -> None:
            self._pass_on(None)

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

        def _pass_on(self, body: bytes | None) -> None:
            request = urllib.request.Request(local_cloud.endpoints["sqladmin"] + self.path, data=body)
            for name in ("Authorization", "Content-Type"):
                if name in self.headers:
                    request.add_header(name, self.headers[name])
            with urllib.request.urlopen(request) as response:
                document = json.load(response)
            if state.address is not None and "/one/connectSettings" in self.path:
                document["ipAddresses"] = [{"type": "PRIMARY", "ipAddress": state.address}]
            self.wfile.write(answer("200 OK", json.dumps(document).encode()))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def silent_address() -> Iterator[str]:
    """A loopback address whose port of the data plane accepts connections, and never says anything."""
    if sys.platform != "linux":
        pytest.skip("has no loopback addresses but one")
    address = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}.{secrets.randbelow(250) + 2}"
    listener = socket.create_server((address, SERVER_PORT), backlog=64)
    try:
        yield address
    finally:
        listener.close()


def test_an_instance_that_never_speaks_tls_is_given_up(
    local_cloud: LocalCloud, detour: Detour, silent_address: str
) -> None:
    """It holds up nobody else; it is tried again with care; and once it speaks it is let in again."""
    with closing(local_sessions(local_cloud.project, detour.url, connect_seconds=4.0)) as sessions:
        detour.address = silent_address
        with ThreadPoolExecutor(4) as threads:
            hanging = [threads.submit(sessions.connect, "one", "postgres") for _ in range(3)]
            with closing(sessions.connect("two", "postgres")) as session:
                assert session.execute("SELECT 1").fetchone() == (1,)
            for attempt in hanging:
                with pytest.raises(Transient, match="does not answer"):
                    attempt.result()
        with pytest.raises(Transient, match="does not answer over TLS"):
            sessions.connect("one", "postgres")
        with sessions.socket("one") as proxy:
            assert "does not answer over TLS" in psql(proxy.folder, "SELECT 1").stderr
            assert isinstance(proxy.failure, Transient)
        detour.address = None
        with closing(sessions.connect("one", "postgres")) as session:
            assert session.execute("SELECT 1").fetchone() == (1,)


def test_an_address_at_which_nobody_listens_is_weather(local_cloud: LocalCloud, detour: Detour) -> None:
    """And is asked for anew: an instance gets another address when it moves."""
    with closing(local_sessions(local_cloud.project, detour.url)) as sessions:
        detour.address = "127.0.0.1" if sys.platform != "linux" else "127.19.19.19"
        if sys.platform == "linux":
            with pytest.raises(Transient, match=r"127\.19\.19\.19"):
                sessions.connect("one", "postgres")
        detour.address = None
        sessions.connect("one", "postgres").close()


def test_a_server_that_falls_silent_does_not_hold_us(sessions: Sessions) -> None:
    """What waits for an answer is woken when its time is up, or when another thread gives up for it."""
    with (
        closing(sessions.connect("one", "postgres")) as session,
        ends_within(session, 0.2),
        pytest.raises(psycopg.OperationalError),
    ):
        session.execute("SELECT pg_sleep(20)")
    with closing(sessions.connect("one", "postgres")) as session, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(session.execute, "SELECT pg_sleep(20)")
        while session.info.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
            pass
        cut(session)
        with pytest.raises(psycopg.OperationalError):
            waiting.result()


def test_a_kept_session_that_died_is_not_handed_out(sessions: Sessions) -> None:
    """The next caller gets one that works, and statements that take too long end as weather."""
    with closing(ControlSessions(sessions)) as control:
        with control.on("one") as session:
            first = session.info.backend_pid
        with control.on("one") as session:
            assert session.info.backend_pid == first
            assert session.execute("SELECT current_user, current_setting('search_path')").fetchone() == (
                "cloudsqlsuperuser",
                "",
            )
        with control.inside("one", "postgres") as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
        with control.on("one") as session:
            assert session.info.backend_pid != first
        with (
            pytest.raises(Transient, match="statement timeout"),
            control.inside("one", "postgres", statement_timeout="100ms") as session,
        ):
            session.execute("SELECT pg_sleep(20)")
        with pytest.raises(Transient), control.inside("one", "postgres", seconds=0.2) as session:
            session.execute("SELECT pg_sleep(20)")


def test_closing_leaves_no_thread(local_cloud: LocalCloud) -> None:
    """Connectors and their loops end; sessions that are still open go on."""
    before = set(threading.enumerate())
    sessions = local_sessions(local_cloud.project, local_cloud.endpoints["sqladmin"])
    with closing(sessions.connect("one", "postgres")) as session:
        sessions.close()
        assert session.execute("SELECT 1").fetchone() == (1,)
        left = {thread.name for thread in threading.enumerate() if thread not in before}
        assert not any(name.startswith(("connector", "asyncio")) for name in left)
