"""The object store of the local cloud: Cloud Storage's JSON API with retention that is really enforced."""

from datetime import timedelta
from pathlib import Path

from aiohttp import web

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.faults import Faults, fault_middleware

LIFECYCLE_LAG = timedelta(hours=36)


def object_store(
    root: Path, clock: LocalClock, faults: Faults, *, lifecycle_lag: timedelta = LIFECYCLE_LAG
) -> web.Application:
    """Make the application that serves the buckets kept in the folder `root`."""
    root.mkdir(parents=True, exist_ok=True)
    return web.Application(middlewares=[fault_middleware(faults, "storage")])


async def run_lifecycle(app: web.Application) -> int:
    """Delete what its bucket's lifecycle says is due, and return how many objects went."""
    return 0
