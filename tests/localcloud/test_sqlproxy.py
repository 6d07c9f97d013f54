"""The data plane passes everything on, fast and whole, and reads the first message as PostgreSQL does."""

import asyncio
import contextlib
import hashlib
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import psycopg
import pytest

from tenantctl.adapters.google.socket_proxy import SocketProxy
from tenantctl.localcloud.client import LocalCloud
from tenantctl.localcloud.cloud import INTERFACES
from tenantctl.localcloud.loopback import DATA_PLANE_PORT, is_loopback, listen_for_data_plane
from tenantctl.localcloud.startup_message import BadStartup, fatal_error, parse_startup
from tenantctl.pgbin import find_programs
from tests.localcloud.clouds import OPERATOR, SERVICE_ACCOUNT, admin_client, finish, make_instances, throw_away_cloud
from tests.localcloud.tls_clients import authority_of, client_context, dial, first_byte_of_answer, startup_message

_CHUNK = 1 << 16


@contextlib.contextmanager
def bridge(cloud: LocalCloud, instance: str) -> Iterator[Path]:
    """A unix socket through which any client reaches an instance's data plane as the operator."""
    context = client_context(cloud, instance, OPERATOR)
    with SocketProxy(lambda: dial(cloud, context)) as proxy:
        yield proxy.folder


def session_through(folder: Path) -> psycopg.Connection:
    """A session of the operator through a bridge."""
    return psycopg.connect(host=str(folder), user=OPERATOR, dbname="postgres", sslmode="disable", autocommit=True)


def test_what_goes_through_arrives_whole(local_cloud) -> None:
    """Twenty megabytes in each direction, compared by checksum."""
    with bridge(local_cloud, "one") as folder, session_through(folder) as session:
        session.execute("CREATE TEMPORARY TABLE lines (number int, filling text)")
        sent = hashlib.sha256()
        with session.cursor().copy("COPY lines FROM STDIN") as copy:
            for number in range(20_000):
                line = f"{number}\t{hashlib.sha256(str(number).encode()).hexdigest() * 16}\n".encode()
                sent.update(line)
                copy.write(line)
        received = hashlib.sha256()
        with session.cursor().copy("COPY (SELECT * FROM lines ORDER BY number) TO STDOUT") as copy:
            for piece in copy:
                received.update(piece)
    assert received.digest() == sent.digest()


def test_pg_dump_runs_through_it_with_several_workers(local_cloud, tmp_path) -> None:
    """A parallel dump opens several sessions at once."""
    insert = admin_client(local_cloud).databases().insert
    finish(local_cloud, insert(project=local_cloud.project, instance="one", body={"name": "dumped"}).execute())
    environment = {**os.environ, "PGSSLMODE": "disable", "PGOPTIONS": "-c role=cloudsqlsuperuser"}
    with bridge(local_cloud, "one") as folder:
        with psycopg.connect(
            host=str(folder), user=OPERATOR, dbname="dumped", sslmode="disable", options="-c role=cloudsqlsuperuser"
        ) as session:
            for number in range(4):
                session.execute(f"CREATE TABLE t{number} AS SELECT generate_series(1, 1000) AS n".encode())
        command = [find_programs().path("pg_dump"), "-Fd", "-j4", "-h", folder, "-U", OPERATOR, "-f", tmp_path / "dump"]
        done = subprocess.run([*command, "dumped"], env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [find_programs().path("pg_restore"), "--list", tmp_path / "dump"], check=True, capture_output=True, text=True
    )
    assert listed.stdout.count("TABLE DATA") == 4


def test_a_query_can_be_cancelled(local_cloud) -> None:
    """The cancel request travels on a connection of its own."""
    with bridge(local_cloud, "two") as folder, session_through(folder) as session:
        with ThreadPoolExecutor(1) as threads:
            sleeping = threads.submit(session.execute, "SELECT pg_sleep(600)")
            while not wait([sleeping], timeout=0.2).done:  # a request that comes before the query is passed over
                session.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            sleeping.result()


def test_a_client_that_goes_leaves_no_session_behind(local_cloud) -> None:
    """The server hears of it at once."""
    with bridge(local_cloud, "two") as folder, session_through(folder) as watcher:
        leaver = session_through(folder)
        pid = leaver.info.backend_pid
        os.close(leaver.fileno())  # not a word of farewell
        while watcher.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone():
            time.sleep(0.01)


def test_a_session_that_the_server_ends_is_told_why(local_cloud) -> None:
    """The last words of the server reach the client before the connection closes."""
    with bridge(local_cloud, "two") as folder, session_through(folder) as killer:
        victim = session_through(folder)
        killer.execute("SET ROLE cloudsqlsuperuser")
        killer.execute("SELECT pg_terminate_backend(%s, 10000)", (victim.info.backend_pid,))
        with pytest.raises(psycopg.errors.AdminShutdown):
            victim.execute("SELECT 1")


def test_encryption_inside_tls_is_declined_and_the_session_goes_on(local_cloud) -> None:
    """A client that asks for TLS or GSS once more is told no and may begin."""
    with dial(local_cloud, client_context(local_cloud, "one", OPERATOR)) as dialled:
        for code in (80877104, 80877103):
            dialled.sendall(struct.pack("!II", 8, code))
            assert dialled.recv(1) == b"N"
        dialled.sendall(startup_message(OPERATOR))
        assert dialled.recv(1) == b"R"


def test_an_older_tls_is_refused(local_cloud) -> None:
    """The real data plane speaks TLS 1.3 at least, with IAM logins."""
    context = client_context(local_cloud, "one", OPERATOR)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        dial(local_cloud, context)


@pytest.mark.parametrize(
    "message",
    [
        struct.pack("!I", 4),
        struct.pack("!I", 1 << 30),
        struct.pack("!II", 8, 131072),
        struct.pack("!II", 13, 196608) + b"user\0",
        startup_message(OPERATOR, ("user", SERVICE_ACCOUNT)),
        startup_message("x" * 64),
        startup_message(""),
        startup_message("cloudsqladmin"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_strange_beginning_gets_an_error_and_no_session(local_cloud, message) -> None:
    """Nothing that is not clearly one login's session reaches PostgreSQL."""
    with dial(local_cloud, client_context(local_cloud, "one", OPERATOR)) as dialled:
        dialled.sendall(message)
        assert dialled.recv(1) in (b"E", b"")


def test_names_are_read_in_one_way_only() -> None:
    """What is checked is what PostgreSQL will see."""
    read = parse_startup(startup_message("someone", ("application_name", "x"), database="ledger"))
    assert (read.user, read.database) == ("someone", "ledger")
    assert parse_startup(startup_message("someone", database=None)).database == "someone"
    for bad in (startup_message("a", ("user", "b")), startup_message("x" * 64), startup_message("\udcff")):
        with pytest.raises(BadStartup):
            parse_startup(bad)


def test_an_error_response_is_what_a_driver_understands() -> None:
    """Type, length, fields, each ended."""
    said = fatal_error("28000", "no")
    assert said[:1] == b"E"
    assert struct.unpack("!I", said[1:5])[0] == len(said) - 1
    assert said[5:] == b"SFATAL\0VFATAL\0C28000\0Mno\0\0"


def test_two_clouds_run_side_by_side_and_do_not_open_to_each_other(local_cloud) -> None:
    """Each has its own authority; a certificate of one opens nothing in the other."""
    with throw_away_cloud({"one": "asia-east1"}) as neighbour:
        assert neighbour.status()["address"] != local_cloud.status()["address"] or sys.platform != "linux"
        assert set(neighbour.endpoints.values()).isdisjoint(local_cloud.endpoints.values())
        with bridge(neighbour, "one") as folder, session_through(folder) as session:
            assert session.execute("SELECT current_setting('cluster_name')").fetchone() == ("one",)
        stranger = client_context(local_cloud, "one", OPERATOR)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            dial(neighbour, stranger)
        forged = client_context(neighbour, "one", OPERATOR, issuer=authority_of(local_cloud))
        assert first_byte_of_answer(neighbour, forged, OPERATOR) == b""


def test_an_instance_that_is_down_hangs_up_and_comes_back() -> None:
    """The connection closes right after the handshake, and opens again when the server is back, with its data."""
    with throw_away_cloud() as cloud:
        make_instances(cloud, {"victim": "us-central1"})
        context = client_context(cloud, "victim", OPERATOR)
        with bridge(cloud, "victim") as folder, session_through(folder) as session:
            cloud.kill_instance("victim")
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        with dial(cloud, context) as dialled:
            assert dialled.recv(1) == b""
        cloud.start_instance("victim")
        with bridge(cloud, "victim") as folder, session_through(folder) as session:
            assert session.execute("SELECT session_user::text").fetchone() == (OPERATOR,)


def test_what_it_accepts_sends_at_once() -> None:
    """Without that, an answer of two pieces waits 40 ms for its first to be acknowledged; a dump asks 1,000 times."""

    async def accepted() -> int:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            answer.set_result(option)
            writer.close()

        listener = listen_for_data_plane(None)
        async with await asyncio.start_server(serve, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            option = await answer
            writer.close()
            return option

    assert asyncio.run(accepted())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which sockets a process listens on")
def test_nothing_listens_beyond_loopback(local_cloud) -> None:
    """All listening sockets of the supervisor and its servers are on loopback, or in a closed folder."""
    pids = [local_cloud.status()["pid"]]
    pids += [
        int(path.read_text().split("\n", 1)[0]) for path in local_cloud.folder.instances.glob("*/data/postmaster.pid")
    ]
    sockets = {str(path.readlink()) for pid in pids for path in Path(f"/proc/{pid}/fd").glob("*") if path.is_symlink()}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                listening.append((table, fields[1]))
    addresses = [socket.inet_ntoa(struct.pack("=I", int(place.split(":")[0], 16))) for _, place in listening]
    assert len(addresses) == len(INTERFACES) + 1, "each interface, and the data plane"
    assert all(table == "tcp" for table, _ in listening)
    assert all(is_loopback(address) for address in addresses)
    assert DATA_PLANE_PORT in {int(place.split(":")[1], 16) for _, place in listening}
