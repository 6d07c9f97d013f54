"""The instances of a local cloud: what is recorded of each, and the PostgreSQL cluster behind it.

The record is written before the cluster is touched, so that a supervisor that dies in between finds at its next start
what it had begun. Whether an instance *should* run is its activation policy; whether it runs is asked of the cluster.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.clusters import Admin, Cluster, ServerSetup
from tenantctl.localcloud.records import Records
from tenantctl.localcloud.template import ADMIN_ROLE, IAM_SERVICE_ACCOUNT_ROLE, IAM_USER_ROLE, ClusterFailed

_FIRST_PORT: Final = 5432
_NAME_REUSE: Final = timedelta(days=7)
_LOG: Final = logging.getLogger("tenantctl.localcloud.fleet")
_LOGIN_QUESTION: Final = f"""
    SELECT pg_has_role(oid, '{IAM_USER_ROLE}', 'MEMBER') OR pg_has_role(oid, '{IAM_SERVICE_ACCOUNT_ROLE}', 'MEMBER')
    FROM pg_roles WHERE rolname = %s
"""  # noqa: S608 - two names of ours


class Instance:
    """One instance.

    Attributes:
        resource: What the Admin API shows of it, without what changes by itself.
        cluster: Its PostgreSQL cluster.
    """

    def __init__(self, resource: dict[str, Any], cluster: Cluster) -> None:
        self.resource = resource
        self.cluster = cluster
        self._admin: Admin | None = None
        self._admin_turn = asyncio.Lock()

    @property
    def name(self) -> str:
        """Its name, unique in the project."""
        return self.cluster.name

    @property
    def region(self) -> str:
        """Where it lies."""
        return str(self.resource["region"])

    @property
    def should_run(self) -> bool:
        """Whether its activation policy wants it up, and it has been made."""
        return self.wanted and self.resource["state"] == "RUNNABLE"

    @property
    def wanted(self) -> bool:
        """Whether its activation policy wants it up."""
        return bool(self.resource["settings"]["activationPolicy"] != "NEVER")

    @property
    def flags(self) -> dict[str, str]:
        """PostgreSQL settings by name, from its database flags; Cloud SQL's own flags are no settings of PostgreSQL."""
        flags = self.resource["settings"].get("databaseFlags", [])
        return {flag["name"]: flag.get("value", "on") for flag in flags if not flag["name"].startswith("cloudsql.")}

    async def is_iam_login(self, login: str) -> bool | None:
        """Say whether PostgreSQL would let this role in without a password; None if there is no such role.

        Raises:
            psycopg.Error: The server does not answer.
        """
        if login == ADMIN_ROLE:
            return True
        async with self._admin_turn:
            for attempt in (1, 2):  # the kept session does not outlive a restart of the server
                if self._admin is None or self._admin.closed:
                    self._admin = await self.cluster.connect()
                try:
                    row = await (await self._admin.execute(_LOGIN_QUESTION, (login,))).fetchone()
                    return None if row is None else bool(row[0])
                except psycopg.Error:  # how a dead session fails depends on how much of its end had arrived
                    await self.let_go()
                    if attempt == 2:
                        raise
        return None

    async def let_go(self) -> None:
        """Close the kept session, so that nothing of ours holds the server up."""
        kept, self._admin = self._admin, None
        if kept is not None:
            with contextlib.suppress(psycopg.Error):
                await kept.close()


class Fleet:
    """All instances of a local cloud.

    Args:
        project: The project that they belong to.
        folder: Holds one folder for each instance.
        address: Where the data plane listens; every instance has it as its primary address.
        records: Where the resources are kept.
        clock: The local cloud's clock.
        setup: What the clusters share.
    """

    def __init__(
        self, *, project: str, folder: Path, address: str, records: Records, clock: LocalClock, setup: ServerSetup
    ) -> None:
        self.project = project
        self.address = address
        self.records = records
        self.clock = clock
        self.setup = setup
        self._folder = folder
        self._instances: dict[str, Instance] = {}
        for document in records.all("instance"):
            self._take_up(document)

    def __iter__(self) -> Iterator[Instance]:
        return iter(tuple(self._instances.values()))

    def get(self, name: str) -> Instance | None:
        """Return the instance of this name, or None."""
        return self._instances.get(name)

    def add(self, resource: dict[str, Any]) -> Instance:
        """Record a new instance; its cluster is still to be made."""
        taken = {instance.cluster.port for instance in self}
        port = next(port for port in range(_FIRST_PORT, _FIRST_PORT + len(taken) + 1) if port not in taken)
        document = {"resource": resource, "port": port}
        self.records.put("instance", resource["name"], document)
        return self._take_up(document)

    def save(self, instance: Instance) -> None:
        """Record what has changed in an instance's resource."""
        self.records.put("instance", instance.name, {"resource": instance.resource, "port": instance.cluster.port})

    async def remove(self, instance: Instance) -> None:
        """Delete an instance with its data; its name stays taken for a week of the local cloud's time."""
        await instance.let_go()
        await instance.cluster.remove()
        until = self.clock.now() + _NAME_REUSE
        self.records.put("retired", instance.name, {"until": until.isoformat()})
        self.records.delete("instance", instance.name)
        self._instances.pop(instance.name, None)

    def undo_pending(self, instance: Instance) -> None:
        """Take back a creation or deletion that was recorded and never begun."""
        if instance.resource["state"] == "PENDING_CREATE":
            self.records.delete("instance", instance.name)
            self._instances.pop(instance.name, None)
        elif instance.resource["state"] == "PENDING_DELETE":
            instance.resource["state"] = "RUNNABLE"
            self.save(instance)

    def retired_until(self, name: str) -> datetime | None:
        """Return until when the name of a deleted instance cannot be used again; None if it can."""
        document = self.records.get("retired", name)
        until = None if document is None else datetime.fromisoformat(document["until"])
        return until if until is not None and until > self.clock.now() else None

    async def start(self, instance: Instance) -> None:
        """Make the cluster if it has none, and start it.

        Raises:
            ClusterFailed: PostgreSQL refused.
        """
        await instance.cluster.create()
        offset = self.clock.offset
        await instance.cluster.start(offset, instance.flags)
        while offset != self.clock.offset:  # the clock was moved meanwhile
            offset = self.clock.offset
            await instance.cluster.reload(offset)

    async def stop(self, instance: Instance) -> None:
        """Stop the cluster in good order.

        Raises:
            ClusterFailed: It lives on.
        """
        await instance.let_go()
        await instance.cluster.stop()

    async def crash(self, instance: Instance) -> None:
        """End the cluster as a power cut would."""
        await instance.let_go()
        await instance.cluster.crash()

    async def start_all(self) -> None:
        """Start or adopt every instance that should run; one that fails is logged and left down."""
        await asyncio.gather(*(self._start_or_log(instance) for instance in self if instance.should_run))

    async def stop_all(self) -> None:
        """Stop every cluster; one that fails is logged."""
        ends = await asyncio.gather(*(self.stop(instance) for instance in self), return_exceptions=True)
        for instance, end in zip(self, ends, strict=True):
            if isinstance(end, BaseException):
                _LOG.error("instance %s did not stop: %s", instance.name, end)

    async def show_time(self) -> None:
        """Wait until new sessions of every running cluster see the clock as it is now.

        Raises:
            ClusterFailed: One of them does not take it up; the message names it.
        """
        running = [instance for instance in self if instance.cluster.running()]
        ends = await asyncio.gather(
            *(instance.cluster.reload(self.clock.offset) for instance in running), return_exceptions=True
        )
        for instance, end in zip(running, ends, strict=True):
            if isinstance(end, BaseException) and instance.cluster.running():
                raise ClusterFailed(f"The instance {instance.name} does not see the new time: {end}") from end

    def _take_up(self, document: dict[str, Any]) -> Instance:
        name = document["resource"]["name"]
        cluster = Cluster(name, self._folder / name, document["port"], self.setup)
        self._instances[name] = Instance(document["resource"], cluster)
        return self._instances[name]

    async def _start_or_log(self, instance: Instance) -> None:
        adopted = instance.cluster.running()
        try:
            await self.start(instance)
        except (ClusterFailed, psycopg.Error, OSError) as error:
            _LOG.error("instance %s did not start: %s", instance.name, error)
        else:
            _LOG.info("instance %s %s", instance.name, "was running and is taken over" if adopted else "started")
