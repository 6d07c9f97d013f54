"""Where measures and spans go: to Google Cloud if the environment names a location, else nowhere."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tenantctl.model.errors import Refused

if TYPE_CHECKING:
    from tenantctl.adapters.telemetry import Telemetry
    from tenantctl.bootstrap import CloudWorld

LOCATION: Final = "TENANTCTL_TELEMETRY_LOCATION"


@contextmanager
def telemetry(world: "CloudWorld", environment: Mapping[str, str] = os.environ) -> "Iterator[Telemetry | None]":
    """What watches the work in the block; None where nothing is configured, and on a local cloud.

    At its end, what was measured is sent.

    Raises:
        Refused: a location is named, and the packages are not installed.
    """
    location = environment.get(LOCATION)
    if location is None or world.settings.local:
        yield None
        return
    if not location:
        raise Refused(f"{LOCATION} is blank.", hint="Unset it where nothing is to be measured.")
    from tenantctl.adapters.telemetry import google_telemetry

    try:
        watching = google_telemetry(world.settings.project, location, _instance(environment), world.credentials)
    except ModuleNotFoundError as error:
        raise Refused(f"Nothing can be measured here: {error}.", hint="pip install 'tenantctl[telemetry]'") from error
    try:
        yield watching
    finally:
        watching.close()


def _instance(environment: Mapping[str, str]) -> str:
    """This process, unlike any other that runs now: the execution and task of a job, else host and number."""
    execution = environment.get("CLOUD_RUN_EXECUTION")
    if execution:
        return f"{execution}/{environment.get('CLOUD_RUN_TASK_INDEX', '0')}"
    return f"{socket.gethostname()}/{os.getpid()}"
