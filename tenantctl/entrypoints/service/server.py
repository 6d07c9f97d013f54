"""The service on a socket: the application, its gate, and what sends announcements while it runs."""

import logging
import threading
from collections.abc import Callable
from typing import Final, Self

import uvicorn

from tenantctl.adapters.json_log import failure, say
from tenantctl.entrypoints.service.app import Desk, create_app
from tenantctl.entrypoints.service.identity import Gate, KeyRing
from tenantctl.entrypoints.service.settings import ServiceSettings, fetch_from
from tenantctl.model.errors import TenantctlError

PUBLISHED_EVERY_SECONDS: Final = 5.0
KEPT_OPEN_SECONDS: Final = 620  # longer than Google's front ends keep theirs, so that they never send into a closed one
GRACE_SECONDS: Final = 8  # Cloud Run gives ten between SIGTERM and the end

log = logging.getLogger("tenantctl.service")


def gate_for(settings: ServiceSettings) -> Gate:
    """The gate that lets in whom the settings name."""
    return Gate(settings.audience, settings.callers, KeyRing(fetch_from(settings.keys)))


def server_for(desk: Desk, gate: Gate, *, host: str, port: int) -> uvicorn.Server:
    """A server that is not started yet; SIGTERM has it finish what it has begun."""
    config = uvicorn.Config(
        create_app(desk, gate),
        host=host,
        port=port,
        access_log=False,  # the platform logs requests; ours would only repeat them
        log_level="warning",
        log_config=None,  # its words go where ours go, in the same form
        server_header=False,
        timeout_keep_alive=KEPT_OPEN_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        lifespan="off",
    )
    return uvicorn.Server(config)


class Publishing:
    """Publishes while a block runs, every few seconds; trouble is logged, and tried again.

    Args:
        publish: sends what the outbox holds.
    """

    def __init__(self, publish: Callable[[], int], *, every_seconds: float = PUBLISHED_EVERY_SECONDS) -> None:
        self._publish, self._every = publish, every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publishing", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(GRACE_SECONDS)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                self._publish()
            except TenantctlError as trouble:
                say(log, logging.WARNING, "nothing was published", **failure(type(trouble), trouble.__traceback__))
