"""Clusters begin as a copy, survive what may happen to them, and are told from strangers."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tenantctl import pgbin
from tenantctl.localcloud.clusters import Cluster, ServerSetup
from tenantctl.localcloud.state import remove_sockets_folder, sockets_folder
from tenantctl.localcloud.template import ClusterFailed, ensure_template

NO_OFFSET = timedelta(0)


@asynccontextmanager
async def a_cluster(*, started: bool = True) -> AsyncIterator[Cluster]:
    """A cluster of its own folder, gone at the end of the block."""
    account = pgbin.server_account()
    sockets = sockets_folder(None, account)
    folder = Path(tempfile.mkdtemp(prefix="tenantctl-test-", dir="/tmp"))
    folder.chmod(0o755)
    template = ensure_template(pgbin.server_programs(), account, pgbin.cache_folder())
    setup = ServerSetup(pgbin.server_programs(), account, template, sockets)
    cluster = Cluster("subject", folder / "subject", 5432, setup)
    try:
        await cluster.create()
        if started:
            await cluster.start(NO_OFFSET, {})
        yield cluster
    finally:
        await cluster.remove()
        shutil.rmtree(folder)
        remove_sockets_folder(str(cluster.setup.sockets))


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test that waits."""
    asyncio.run(test())


async def ask(cluster: Cluster, question: str):
    """Ask one question as the bootstrap superuser."""
    async with await cluster.connect() as connection:
        cursor = await connection.execute(question.encode())
        return await cursor.fetchall() if cursor.description else []


def twin(cluster: Cluster) -> Cluster:
    """The same cluster as the next supervisor would see it."""
    return Cluster(cluster.name, cluster._folder, cluster.port, cluster.setup)


def test_a_cluster_has_the_roles_of_cloud_sql_and_one_superuser_that_is_not_ours() -> None:
    """`cloudsqlsuperuser` may make databases and roles, and replicate, and is no superuser."""

    async def test() -> None:
        async with a_cluster() as cluster:
            rows = await ask(
                cluster,
                "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin, rolreplication, rolbypassrls "
                "FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' ORDER BY rolname",
            )
            assert rows == [
                ("cloudsqladmin", True, True, True, True, True, True),
                ("cloudsqliamserviceaccount", False, False, False, False, False, False),
                ("cloudsqliamuser", False, False, False, False, False, False),
                ("cloudsqlsuperuser", False, True, True, False, True, False),
                ("postgres", False, True, True, True, False, False),
            ]
            granted = await ask(
                cluster,
                "SELECT roleid::regrole::text, admin_option FROM pg_auth_members "
                "WHERE member = 'cloudsqlsuperuser'::regrole ORDER BY 1",
            )
            assert granted == [
                ("pg_create_subscription", False),
                ("pg_monitor", True),
                ("pg_read_all_data", True),
                ("pg_signal_backend", True),
            ]

    run(test)


def test_a_cluster_is_durable_unicode_and_listens_on_its_socket_alone() -> None:
    """The settings that the rest of the program counts on."""

    async def test() -> None:
        async with a_cluster() as cluster:
            names = (
                "fsync",
                "wal_level",
                "listen_addresses",
                "server_encoding",
                "shared_buffers",
                "password_encryption",
            )
            rows = await ask(cluster, "SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
            assert rows == [("on", "logical", "", "UTF8", "16MB", "scram-sha-256")]
            assert (await ask(cluster, "SELECT lower('ÄÖÜ')")) == [("äöü",)]
            assert cluster.setup.sockets.stat().st_mode & 0o777 == 0o700

    run(test)


def test_what_was_committed_survives_a_power_cut() -> None:
    """The next start recovers."""

    async def test() -> None:
        async with a_cluster() as cluster:
            await ask(cluster, "CREATE TABLE kept AS SELECT 42 AS answer")
            await cluster.crash()
            assert not cluster.running()
            with pytest.raises(psycopg.OperationalError):
                await cluster.connect()
            await cluster.start(NO_OFFSET)
            assert await ask(cluster, "SELECT answer FROM kept") == [(42,)]

    run(test)


def test_a_server_that_runs_is_taken_over_by_the_next_supervisor() -> None:
    """It keeps its process and learns the time that has become of it."""

    async def test() -> None:
        async with a_cluster() as cluster:
            before = await ask(cluster, "SELECT pg_postmaster_start_time()")
            next_one = twin(cluster)
            assert next_one.running()
            await next_one.start(timedelta(days=5))
            assert await ask(next_one, "SELECT pg_postmaster_start_time()") == before
            assert await ask(next_one, "SELECT current_setting('tenantctl.clock_offset')::interval") == [
                (timedelta(days=5),)
            ]

    run(test)


def test_a_pid_file_that_names_a_stranger_is_stale() -> None:
    """After a reboot the number may belong to anybody, even to another process of the same user."""

    async def test() -> None:
        async with a_cluster() as cluster:
            pid_file = cluster._data / "postmaster.pid"
            before = pid_file.read_text()
            await cluster.crash()
            cluster_pid = before.split("\n", 1)[0]
            pid_file.write_text(before)
            os.chown(pid_file, cluster._data.stat().st_uid, -1)
            stranger = subprocess.Popen(["sleep", "600"], cwd="/", **cluster.setup.account.spawn_options())
            try:
                pid_file.write_text(pid_file.read_text().replace(str(cluster_pid), str(stranger.pid), 1))
                assert not twin(cluster).running()
                await twin(cluster).start(NO_OFFSET)
                assert await ask(cluster, "SELECT 1") == [(1,)]
                assert stranger.poll() is None
            finally:
                stranger.kill()
                stranger.wait()

    run(test)


def test_a_server_whose_socket_was_cleaned_away_is_started_anew() -> None:
    """Cleaners of /tmp do such things."""

    async def test() -> None:
        async with a_cluster() as cluster:
            cluster.socket.unlink()
            await cluster.start(NO_OFFSET)
            assert await ask(cluster, "SELECT 1") == [(1,)]

    run(test)


def test_the_clock_reaches_new_sessions_and_those_that_are_open() -> None:
    """When `reload` returns, every session reads the new time at its next statement."""

    async def test() -> None:
        async with a_cluster() as cluster, await cluster.connect() as open_session:
            question = b"SELECT current_setting('tenantctl.clock_offset')::interval"
            assert await (await open_session.execute(question)).fetchall() == [(NO_OFFSET,)]
            await cluster.reload(timedelta(days=21, microseconds=7))
            assert await ask(cluster, question.decode()) == [(timedelta(days=21, microseconds=7),)]
            assert await (await open_session.execute(question)).fetchall() == [(timedelta(days=21, microseconds=7),)]

    run(test)


def test_a_server_that_does_not_start_is_quoted() -> None:
    """The message ends with PostgreSQL's own words, and nothing is left running."""

    async def test() -> None:
        async with a_cluster(started=False) as cluster:
            with pytest.raises(ClusterFailed, match="max_connections"):
                await cluster.start(NO_OFFSET, {"max_connections": "plenty"})
            assert not cluster.running()
            await cluster.start(NO_OFFSET, {"max_connections": "33", "application_name": "it's \\ odd"})
            assert await ask(cluster, "SELECT current_setting('max_connections')") == [("33",)]

    run(test)


def test_flags_cannot_take_the_clock_or_the_place() -> None:
    """Our own files are read last."""

    async def test() -> None:
        async with a_cluster(started=False) as cluster:
            await cluster.start(timedelta(days=1), {"tenantctl.clock_offset": "9 days", "port": "6000"})
            rows = await ask(cluster, "SELECT current_setting('tenantctl.clock_offset')::interval")
            assert rows == [(timedelta(days=1),)]
            assert cluster.socket.exists()

    run(test)


def test_a_broken_off_copy_is_replaced() -> None:
    """A supervisor that dies while it copies leaves no half cluster."""

    async def test() -> None:
        async with a_cluster(started=False) as cluster:
            shutil.rmtree(cluster._data)
            broken_off = cluster._folder / "unfinished-before"
            broken_off.mkdir()
            (broken_off / "PG_VERSION").write_text("9")
            await cluster.create()
            await cluster.start(NO_OFFSET, {})
            assert not broken_off.exists()
            assert await ask(cluster, "SELECT 1") == [(1,)]

    run(test)


def test_a_server_that_will_not_end_its_sessions_is_stopped_all_the_same() -> None:
    """A fast shutdown ends sessions, and stopping twice is a quiet yes."""

    async def test() -> None:
        async with a_cluster() as cluster:
            session = await cluster.connect()
            await cluster.stop()
            await cluster.stop()
            assert not cluster.running()
            with pytest.raises(psycopg.OperationalError):
                await session.execute("SELECT 1")

    run(test)


def test_a_killed_postmaster_is_noticed() -> None:
    """After kill -9 of the postmaster alone: its children follow, and the next start recovers."""

    async def test() -> None:
        async with a_cluster() as cluster:
            pid = int((cluster._data / "postmaster.pid").read_text().split("\n", 1)[0])
            os.kill(pid, signal.SIGKILL)
            while cluster.running():
                await asyncio.sleep(0.01)
            await cluster.start(NO_OFFSET)
            assert await ask(cluster, "SELECT 1") == [(1,)]

    run(test)
