"""The service as a process of its own, on a registry in PostgreSQL: what one can kill.

Run as `python -m tests.contracts.served PORT ADDRESS KEYS`: the port to listen on, libpq's words for the registry, and
the file of the issuer's keys. With "open" in place of a file everybody is let in, since Pub/Sub's emulator signs
nothing.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tenantctl.adapters.postgres.billing import PostgresBilling
from tenantctl.adapters.postgres.decisions import PostgresDecisions
from tenantctl.adapters.postgres.registry import PostgresRegistry
from tenantctl.adapters.postgres.registry_engine import registry_engine
from tenantctl.entrypoints.service.app import Desk
from tenantctl.entrypoints.service.identity import Gate, IssuedKeys, KeyRing, Role
from tenantctl.entrypoints.service.server import gate_for, server_for
from tenantctl.entrypoints.service.settings import ServiceSettings
from tests.rooms.callers import AUDIENCE, BILLING, CALLERS

ROOT = Path(__file__).resolve().parents[2]
OPEN = "open"


class OpenGate(Gate):
    """Lets in whoever comes."""

    def __init__(self) -> None:
        super().__init__(AUDIENCE, CALLERS, KeyRing(lambda: IssuedKeys({}, 0)))

    def admit(self, authorization: str | None, *roles: Role) -> str:
        """Everybody is billing."""
        return BILLING


@dataclass
class Served:
    """A service that can be killed and started again; its address stays the same."""

    port: int
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        command = [sys.executable, "-m", "tests.contracts.served", str(self.port), *self.arguments]
        self.process = subprocess.Popen(command, cwd=ROOT)
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert self.process.poll() is None, "the service ended"
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends it as a machine that fails does: at once, and without a word to anybody."""
        assert self.process is not None, "it was never started"
        self.process.kill()
        assert self.process.wait(30) == -signal.SIGKILL


@contextmanager
def served(address: str, keys: str) -> Iterator[Served]:
    """The service on a free port, started; killed in the end, if it lives."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = Served(port, (address, keys))
    try:
        service.start()
        yield service
    finally:
        if service.process is not None and service.process.poll() is None:
            service.kill()


def main() -> None:
    """Serves until it is ended."""
    port, address, keys = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    engine = registry_engine(lambda: psycopg.connect(address))
    desk = Desk(PostgresRegistry(engine), PostgresDecisions(engine), PostgresBilling(engine))
    gate = OpenGate() if keys == OPEN else gate_for(ServiceSettings(AUDIENCE, CALLERS, keys))
    server_for(desk, gate, host="127.0.0.1", port=port).run()


if __name__ == "__main__":
    main()
