"""Object stores for tests: one on a thread of the test's own process, or one in a process that can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import requests
from aiohttp import web
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.faults import Faults
from tenantctl.localcloud.object_store import LIFECYCLE_LAG, lose_object, object_store, run_lifecycle

Result = TypeVar("Result")


def client_of(url: str) -> Client:
    """The unmodified client, pointed at a local store."""
    return Client(project="test", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})  # type: ignore[no-untyped-call]


@dataclass
class ObjectService:
    """A running store, with its clock, its faults and what only the local cloud can do."""

    url: str
    clock: LocalClock
    faults: Faults
    app: web.Application
    loop: asyncio.AbstractEventLoop

    def client(self) -> Any:
        return client_of(self.url)

    def sweep(self) -> int:
        return self._run(run_lifecycle(self.app))

    def lose(self, bucket: str, name: str) -> bool:
        return self._run(lose_object(self.app, bucket, name))

    def api(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """One plain request, for what the client would not say."""
        return requests.request(method, self.url + path, timeout=30, **arguments)

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=30)


@contextmanager
def serving(folder: Path, *, lifecycle_lag: timedelta = LIFECYCLE_LAG) -> Iterator[ObjectService]:
    """Serve the store that lies in a folder on a free port, until the block ends."""
    clock, faults = LocalClock(folder / "clock.json"), Faults()
    app = object_store(folder / "objects", clock, faults, lifecycle_lag=lifecycle_lag)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    port = asyncio.run_coroutine_threadsafe(start(), loop).result(timeout=30)
    try:
        yield ObjectService(f"http://127.0.0.1:{port}", clock, faults, app, loop)
    finally:
        asyncio.run_coroutine_threadsafe(_stop(runner), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=30)
        loop.close()


async def _stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    waiting = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from aiohttp import web
from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.faults import Faults
from tenantctl.localcloud.object_store import object_store

async def serve(root):
    runner = web.AppRunner(object_store(root / "objects", LocalClock(root / "clock.json"), Faults()), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(serve(Path(sys.argv[1])))
"""


@dataclass
class StoreProcess:
    """A store in a process of its own."""

    url: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End it as a crash would: with no chance to tidy up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)


@contextmanager
def serving_process(folder: Path) -> Iterator[StoreProcess]:
    """Serve the store that lies in a folder from a process of its own, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    try:
        yield StoreProcess(f"http://127.0.0.1:{int(process.stdout.readline())}", process)
    finally:
        process.kill()
        process.wait(timeout=30)
        process.stdout.close()
