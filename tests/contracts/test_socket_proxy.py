"""The socket for PostgreSQL's own programs: several connections at once, whole in both directions, gone afterwards."""

import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tenantctl.adapters.google.sessions import Sessions
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import NotFound
from tests.contracts.databases_places import LOGIN, local_sessions, psql


@pytest.fixture
def sessions(local_cloud: LocalCloud) -> Iterator[Sessions]:
    with closing(local_sessions(local_cloud.project, local_cloud.endpoints["sqladmin"])) as made:
        yield made


def test_postgresqls_own_programs_run_through_the_socket(sessions: Sessions) -> None:
    """Several at once; the folder is ours alone while it is there, and gone afterwards."""
    with sessions.socket("one") as proxy:
        assert proxy.folder.stat().st_mode & 0o777 == 0o700
        assert len(str(proxy.folder)) < 80
        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda number: psql(proxy.folder, f"SELECT {number}"), range(12)))
        assert [found.stdout.strip() for found in answers] == [str(number) for number in range(12)]
    assert not proxy.folder.exists()


def test_much_passes_both_ways_at_once_and_whole(sessions: Sessions) -> None:
    """In pipeline mode both sides write before they read: a proxy that waits for one direction would hang here."""
    with (
        sessions.socket("one") as proxy,
        closing(psycopg.connect(host=str(proxy.folder), user=LOGIN, dbname="postgres", sslmode="disable")) as session,
    ):
        text = secrets.token_hex(500_000)
        with session.pipeline():
            cursors = [session.execute("SELECT %s || %s", [text, str(number)]) for number in range(12)]
        assert [cursor.fetchone() for cursor in cursors] == [(f"{text}{number}",) for number in range(12)]
        cursor = session.execute("SELECT repeat('x', 1000) FROM generate_series(1, 50000)")
        assert sum(len(value) for (value,) in cursor) == 50_000_000


def test_a_query_is_cancelled_through_the_socket(sessions: Sessions) -> None:
    """As by Ctrl-C in psql: over a second connection."""
    with (
        sessions.socket("one") as proxy,
        closing(
            psycopg.connect(host=str(proxy.folder), user=LOGIN, dbname="postgres", sslmode="disable", autocommit=True)
        ) as session,
        ThreadPoolExecutor(1) as threads,
    ):
        waiting = threads.submit(session.execute, "SELECT pg_sleep(600)")
        while not wait([waiting], timeout=0.2).done:  # a request that comes before the query has begun is lost
            session.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            waiting.result()


def test_leaving_the_socket_ends_what_goes_through_it(sessions: Sessions) -> None:
    """Also what waits for an answer; and no thread of ours is left."""
    before = set(threading.enumerate())
    with sessions.socket("one") as proxy:
        session = psycopg.connect(host=str(proxy.folder), user=LOGIN, dbname="postgres", sslmode="disable")
        idle = socket.socket(socket.AF_UNIX)
        idle.connect(str(proxy.folder / ".s.PGSQL.5432"))
    with closing(session), pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    idle.close()
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before


def test_programs_hear_why_there_is_no_session(sessions: Sessions) -> None:
    """In PostgreSQL's own way, so that they print it; and who runs them can ask for it."""
    with sessions.socket("nowhere") as proxy:
        assert "does not exist: nowhere" in psql(proxy.folder, "SELECT 1").stderr
        assert isinstance(proxy.failure, NotFound)


def test_what_a_killed_process_left_is_removed(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what another one is using is not, however old it is."""
    with tempfile.TemporaryDirectory(prefix="tc-", dir="/tmp") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        with sessions.socket("one") as used:
            abandoned, unknown = Path(place, "tenantctl-socket-abandoned"), Path(place, "tenantctl-socket-unknown")
            for folder in (abandoned, unknown):
                folder.mkdir()
                (folder / ".s.PGSQL.5432").touch()
            (abandoned / "lock").touch()
            for folder in (abandoned, unknown, used.folder):
                os.utime(folder, (0, 0))
            with sessions.socket("one") as proxy:
                assert proxy.folder.parent == Path(place)
                assert not abandoned.exists()
                assert unknown.exists()
                assert psql(used.folder, "SELECT 1").stdout == "1\n"
