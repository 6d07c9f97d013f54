"""Measures `tenantctl serve` beside a bare FastAPI hello: 200 requests a second held, and how long each one waits.

Both are processes of their own behind real sockets on loopback, called in one run by the same clients, which start each
request at its due moment whether the last has ended or not: a stall is counted in every request that it delays. The
registry is a throw-away PostgreSQL without fsync, so the figures say what the work costs, not what a disk does. Each
event cancels or resumes the tenant whose turn it is, so each of them changes an intent.
"""

import asyncio
import contextlib
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from benchmarks.report import Row, report
from tests.rooms.callers import CALLERS, cloud_event, issuer, keys_file

ROOT = Path(__file__).resolve().parents[1]
RATE = 200
SECONDS = 15
WARM_UP = 2
TENANTS = 300
CONNECTIONS = 32
P99_MAX = 0.1

HELLO = """
    import sys
    import uvicorn
    from fastapi import FastAPI
    app = FastAPI()
    @app.post("/v1/billing/events")
    async def hello(event: dict[str, object]) -> dict[str, str]:
        return {"hello": "world"}
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning", lifespan="off")
"""
SERVE = "from tests.contracts.served import main; main()"


@contextmanager
def running(program: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """A process that serves on a free port, which it is given as its first argument: the port, and the process's id."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", textwrap.dedent(program), str(port), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, "the server ended"
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


class Clients:
    """Connections that are kept open, each used by one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._opened = 0

    async def post(self, body: bytes, token: str) -> int:
        """The status of the answer."""
        async with self._connection() as (reader, writer):
            writer.write(
                b"POST /v1/billing/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length:"))
            await reader.readexactly(length)
            return int(head.split(" ", 2)[1])

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        if self._free.empty() and self._opened < CONNECTIONS:
            self._opened += 1
            pair = await asyncio.open_connection("127.0.0.1", self._port)
        else:
            pair = await self._free.get()
        yield pair
        self._free.put_nowait(pair)


@dataclass(frozen=True)
class Taken:
    """How long each request took from its due moment, and the processor's time of the server for each, in seconds."""

    waits: list[float]
    work: float


def measured(server: tuple[int, int]) -> Taken:
    """A run against a server."""
    port, process = server
    before = processor_seconds(process)
    waited = asyncio.run(waits(port, event))
    return Taken(waited, (processor_seconds(process) - before) / (RATE * (WARM_UP + SECONDS)))


def processor_seconds(process: int) -> float:
    """What a process has used of the processor, in its threads too; nan where the machine does not say."""
    try:
        said = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")


async def waits(port: int, body_of: Callable[[int], bytes]) -> list[float]:
    """How long each request took from its due moment, in seconds; all of them were answered with 200."""
    clients, token, loop = Clients(port), issuer().token(), asyncio.get_running_loop()

    async def one(due: float, body: bytes) -> float:
        await asyncio.sleep(due - loop.time())
        status = await clients.post(body, token)
        assert status == 200, status
        return loop.time() - due

    bodies = [body_of(number) for number in range(RATE * (WARM_UP + SECONDS))]
    begun = loop.time() + 0.1
    taken = await asyncio.gather(*[one(begun + number / RATE, body) for number, body in enumerate(bodies)])
    return list(taken[RATE * WARM_UP :])


def event(number: int) -> bytes:
    """The event of this number: each tenant is cancelled and resumed in turn."""
    tenant, turn = number % TENANTS, number // TENANTS + 1
    kind = "subscription.cancelled" if turn % 2 else "subscription.resumed"
    return json.dumps(cloud_event(f"t{tenant + 1}", turn, kind)).encode()


def rows() -> list[Row]:
    """Both services in one run, one after the other."""
    from tests.contracts.postgres import ALICE, postgres_cluster

    fill = """
        INSERT INTO tenants (uid, name, state, wanted, intent_id, intent_effective_at, time_zone, region, instance,
                             generation, connection_limit, extensions, due_at, due_duty)
        SELECT 't' || n, 'n' || n, 'active', 'living', 1, now(), 'UTC', 'eu', 'one', 1, 10, '{}', now(), ''
        FROM generate_series(1, %s) AS n
    """
    with tempfile.TemporaryDirectory() as folder, running(HELLO) as hello:
        bare = measured(hello)
        with postgres_cluster() as cluster, cluster.registry_database() as database:
            with database.superuser_session() as session:
                session.execute(
                    "INSERT INTO instances (name, region, role, databases_max) VALUES ('one', 'eu', 'tenants', 9)"
                )
                session.execute(fill, [TENANTS])
            setup = cluster.cluster
            address = f"host={setup.setup.sockets} port={setup.port} user={ALICE} dbname={database.name}"
            with running(SERVE, address, str(keys_file(Path(folder)))) as served:
                ours = measured(served)
    return [*_rows("FastAPI hello", bare, bare), *_rows("tenantctl serve, an event each", ours, bare)]


def _rows(what: str, taken: Taken, bare: Taken) -> Iterator[Row]:
    def p99(values: list[float]) -> float:
        return statistics.quantiles(values, n=100)[98]

    middle, late = statistics.median(taken.waits), p99(taken.waits)
    yield Row(f"{what}: its processor's time", taken.work * 1000, "ms", taken.work / bare.work)
    yield Row(f"{what}: median at {RATE}/s", middle, "s", middle / statistics.median(bare.waits))
    limit = f"<= {P99_MAX} s"
    gate = limit if taken is not bare else None
    yield Row(
        f"{what}: p99 at {RATE}/s", late, "s", late / p99(bare.waits), gate, holds=gate is None or late <= P99_MAX
    )


if __name__ == "__main__":
    assert CALLERS, "the callers of the tests are those of the benchmark"
    report("service", rows())
