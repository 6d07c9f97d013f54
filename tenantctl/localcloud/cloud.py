"""A whole local cloud inside one event loop: instances, Admin API, data plane, object store, KMS, and one clock."""

import asyncio
import dataclasses
import logging
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from aiohttp import web

from tenantctl import pgbin
from tenantctl.localcloud.certificates import Authority
from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.clusters import ServerSetup
from tenantctl.localcloud.faults import Faults
from tenantctl.localcloud.fleet import Fleet, Instance
from tenantctl.localcloud.kms import kms
from tenantctl.localcloud.loopback import DATA_PLANE_PORT, listen_for_data_plane, listen_for_http, loopback_middleware
from tenantctl.localcloud.object_store import object_store, run_lifecycle
from tenantctl.localcloud.operations import Operations
from tenantctl.localcloud.permissions import Permissions
from tenantctl.localcloud.records import Records
from tenantctl.localcloud.sqladmin import sql_admin
from tenantctl.localcloud.sqladmin_calls import CloudSql
from tenantctl.localcloud.sqlproxy import SqlProxy
from tenantctl.localcloud.state import CloudFile, StateFolder, sockets_folder
from tenantctl.localcloud.template import ensure_template

INTERFACES: Final = ("storage", "sqladmin", "kms", "control")
_SETTLE_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 2.0
_LOG: Final = logging.getLogger("tenantctl.localcloud")


@dataclass(frozen=True)
class Pace:
    """How much slower than necessary a local cloud is, to be like the real one.

    Attributes:
        operation_seconds: How long an operation of the Admin API lasts at least, in real seconds.
        lifecycle_lag: How late a bucket's lifecycle acts, by the local clock.
    """

    operation_seconds: float = 0.05
    lifecycle_lag: timedelta = timedelta(hours=36)


class Cloud:
    """A local cloud.

    Args:
        folder: Its state, prepared already.
        file: What it remembers from its last start.
        pace: How slow it is.
    """

    def __init__(self, folder: StateFolder, file: CloudFile, pace: Pace) -> None:
        account = pgbin.server_account()
        programs = pgbin.server_programs()
        template = ensure_template(programs, account, pgbin.cache_folder())
        self.clock = LocalClock(folder.clock)
        authority = Authority(folder.certificates)
        self._data_plane = listen_for_data_plane(file.address)
        address = self._data_plane.getsockname()[0]
        self._listeners = {name: listen_for_http(file.ports.get(name)) for name in INTERFACES}
        sockets = sockets_folder(file.sockets, account)
        self.file = dataclasses.replace(
            file,
            pid=None,
            address=address,
            sockets=str(sockets),
            ports={name: listener.getsockname()[1] for name, listener in self._listeners.items()},
        )
        self.faults = Faults()
        self.permissions = Permissions()
        self._folder = folder
        self._records = Records(folder.records)
        self.fleet = Fleet(
            project=file.project,
            folder=folder.instances,
            address=address,
            records=self._records,
            clock=self.clock,
            setup=ServerSetup(programs, account, template, sockets),
        )
        self.operations = Operations(file.project, self._records, self.clock, pace.operation_seconds)
        self._proxy = SqlProxy(self.fleet, authority.server_context(address), self.permissions)
        self._sqladmin = sql_admin(CloudSql(self.fleet, self.operations, authority), self.faults, self.permissions)
        self.storage = object_store(
            folder.storage,
            self.clock,
            self.faults,
            lifecycle_lag=pace.lifecycle_lag,
            permissions=self.permissions,
        )
        self.storage.middlewares.insert(0, loopback_middleware())
        self._kms = kms(folder.kms, self.clock, self.faults, permissions=self.permissions)
        self._runners: list[web.AppRunner] = []
        self._moving = asyncio.Lock()

    async def open(self, control: web.Application) -> None:
        """Start every instance that should run, take up what was cut off, and serve.

        Args:
            control: The application of the control interface.
        """
        self._forget_half_answered()
        await self.fleet.start_all()
        if count := self.operations.resume():
            _LOG.info("%d operations were cut off and are taken up again", count)
        await self._proxy.listen(self._data_plane)
        for name, app in zip(INTERFACES, (self.storage, self._sqladmin, self._kms, control), strict=True):
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_SECONDS)
            await runner.setup()
            self._runners.append(runner)
            await web.SockSite(runner, self._listeners[name]).start()

    async def close(self) -> None:
        """Let operations end, then stop serving and shut every instance down."""
        await self.operations.settle(_SETTLE_SECONDS)
        await self._proxy.close()
        await asyncio.gather(self.fleet.stop_all(), *(runner.cleanup() for runner in self._runners))
        self._records.close()

    async def advance(self, duration: timedelta) -> datetime:
        """Move the one clock: when this returns, SQL sees the new time and every lifecycle has run by it.

        Raises:
            ClockWentBack: The duration is not positive; nothing was changed.
            ValueError: The new time lies beyond the calendar; nothing was changed.
            ClusterFailed: The clock was moved, and an instance does not see it.
        """
        async with self._moving:
            now = self.clock.advance(duration)
            await self.fleet.show_time()
            removed = await run_lifecycle(self.storage)
            _LOG.info("the clock was moved by %s to %s; lifecycles removed %d objects", duration, now, removed)
            return now

    def status(self) -> dict[str, Any]:
        """Return what this local cloud is and has, as plain data for JSON."""
        programs = self.fleet.setup.programs
        return {
            "running": True,
            "local": True,
            "clock": self.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
            "clock_offset_seconds": self.clock.offset.total_seconds(),
            "project": self.file.project,
            "endpoints": self.file.endpoints,
            "address": f"{self.fleet.address}:{DATA_PLANE_PORT}",
            "postgresql": f"{programs.major}.{programs.minor}",
            "directory": str(self._folder.path),
            "pid": os.getpid(),
            "instances": [self._instance_status(one) for one in sorted(self.fleet, key=lambda instance: instance.name)],
            "faults": [fault.to_json() for fault in self.faults.list()],
        }

    def _forget_half_answered(self) -> None:
        """Undo what was recorded for an operation whose own record a sudden death prevented: nobody was answered."""
        for instance in self.fleet:
            if not self.operations.cut_off(instance.name):
                self.fleet.undo_pending(instance)

    def _instance_status(self, instance: Instance) -> dict[str, Any]:
        state = instance.resource["state"]
        if state == "RUNNABLE" and not instance.cluster.running():
            state = "DOWN" if instance.wanted else "STOPPED"
        return {
            "name": instance.name,
            "region": instance.region,
            "state": state,
            "address": f"{self.fleet.address}:{DATA_PLANE_PORT}",
            "connection_name": instance.resource["connectionName"],
            "labels": instance.resource["settings"].get("userLabels", {}),
        }
