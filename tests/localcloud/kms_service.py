"""Local Cloud KMS for tests: on a thread of the test's own process, or in a process that can be killed."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from aiohttp import web
from google.auth.credentials import AnonymousCredentials
from google.cloud.kms_v1 import KeyManagementServiceClient

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.faults import Faults
from tenantctl.localcloud.kms import kms

LOCATION = "projects/test/locations/europe-west1"
RING = f"{LOCATION}/keyRings/tenantctl"
KEY = f"{RING}/cryptoKeys/backups"


def client_of(url: str) -> KeyManagementServiceClient:
    """The unmodified client, pointed at a local KMS."""
    return KeyManagementServiceClient(
        transport="rest",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": url},
    )


def make_key(client: KeyManagementServiceClient, **more: Any) -> str:
    """Make the ring and the key, and return the key's name."""
    client.create_key_ring({"parent": LOCATION, "key_ring_id": "tenantctl", "key_ring": {}})
    key = {"purpose": "ENCRYPT_DECRYPT", **more}
    made = client.create_crypto_key({"parent": RING, "crypto_key_id": "backups", "crypto_key": key})
    name: str = made.name
    return name


@dataclass
class KmsService:
    """A running service, with its clock and its faults."""

    url: str
    clock: LocalClock
    faults: Faults

    def client(self) -> KeyManagementServiceClient:
        return client_of(self.url)

    def api(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """One plain request, for what the client would not say."""
        return requests.request(method, f"{self.url}/v1/{path}", timeout=30, **arguments)


@contextmanager
def serving_kms(folder: Path) -> Iterator[KmsService]:
    """Serve the keys that lie in a folder on a free port, until the block ends."""
    clock, faults = LocalClock(folder / "clock.json"), Faults()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(kms(folder / "kms", clock, faults), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(timeout=30)
    try:
        yield KmsService(f"http://127.0.0.1:{int(runner.addresses[0][1])}", clock, faults)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=30)
        loop.close()


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from aiohttp import web
from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.faults import Faults
from tenantctl.localcloud.kms import kms

async def serve(root):
    runner = web.AppRunner(kms(root / "kms", LocalClock(root / "clock.json"), Faults()), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(serve(Path(sys.argv[1])))
"""


@contextmanager
def serving_kms_process(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve the keys that lie in a folder from a process of its own: its URL, and the process."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", process
    finally:
        process.kill()
        process.wait(timeout=30)
        process.stdout.close()
