"""The long-running operations of the Cloud SQL Admin API: PENDING, RUNNING, DONE, one at a time for each instance.

What an operation has to do is a named piece of work with plain arguments, recorded when it is submitted. After a
restart the work of every operation that was not DONE is done again, and is told so: all work can be repeated. An
operation that was accepted can still end in an error, which the caller finds in the operation.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.records import Records
from tenantctl.localcloud.template import ClusterFailed

_HISTORY: Final = 1000
_LOG: Final = logging.getLogger("tenantctl.localcloud.operations")

Arguments: TypeAlias = Mapping[str, Any]
Work: TypeAlias = Callable[[Arguments, bool], Awaitable[None]]
"""A piece of work: its arguments, and whether it may have been done before."""


class WorkFailed(RuntimeError):
    """An operation cannot be completed; the caller finds the message in the operation."""


@dataclass(frozen=True)
class PlannedFailure:
    """An operation type that is to end in an error, `times` times over."""

    operation_type: str
    message: str
    times: int


class Operations:
    """The operations of one project.

    Args:
        project: The project.
        records: Where they are kept.
        clock: The local cloud's clock.
        duration_seconds: How long an operation lasts at least, half of it PENDING, in real seconds.
    """

    def __init__(self, project: str, records: Records, clock: LocalClock, duration_seconds: float) -> None:
        self._project = project
        self._records = records
        self._clock = clock
        self._half_seconds = duration_seconds / 2
        self._work: dict[str, Work] = {}
        self._busy: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[PlannedFailure] = []

    def knows_work(self, name: str, work: Work) -> None:
        """Say what the work of this name is; every name is said before `resume`."""
        self._work[name] = work

    def busy(self, instance: str) -> bool:
        """Say whether an operation of this instance is not DONE yet."""
        return instance in self._busy

    def submit(
        self, operation_type: str, instance: str, work: str, arguments: Arguments, *, user: str, root_url: str
    ) -> dict[str, Any]:
        """Accept an operation and return it as the API shows it. The caller has checked that the instance is free."""
        assert not self.busy(instance), "one operation at a time for each instance"
        name = str(uuid.uuid4())
        link = f"{root_url}/projects/{self._project}"
        operation = {
            "kind": "sql#operation",
            "name": name,
            "operationType": operation_type,
            "status": "PENDING",
            "user": user,
            "insertTime": self._time(),
            "targetId": instance,
            "targetProject": self._project,
            "targetLink": f"{link}/instances/{instance}",
            "selfLink": f"{link}/operations/{name}",
        }
        document = {"operation": operation, "work": work, "arguments": dict(arguments)}
        self._records.put("operation", name, document)
        self._begin(document, repeated=False)
        _LOG.info("%s: %s of %s accepted as %s", user, operation_type, instance, name)
        return dict(operation)

    def get(self, name: str) -> dict[str, Any] | None:
        """Return an operation as the API shows it, or None."""
        document = self._records.get("operation", name)
        return None if document is None else document["operation"]

    def newest_first(self, instance: str | None) -> list[dict[str, Any]]:
        """Return the operations of an instance, or of all instances."""
        operations = [document["operation"] for document in self._records.all("operation")]
        return [operation for operation in reversed(operations) if instance in (None, operation["targetId"])]

    def plan_failure(self, failure: PlannedFailure) -> None:
        """Have the next operations of a type end in an error, so that a test can see what the program does."""
        self._failures.append(failure)

    def resume(self) -> int:
        """Take up every operation that a stop or a crash cut off, and return how many there were."""
        documents = self._unfinished()
        for document in documents:
            self._begin(document, repeated=True)
        return len(documents)

    def cut_off(self, instance: str) -> bool:
        """Say whether `resume` will take up an operation of this instance."""
        return any(document["operation"]["targetId"] == instance for document in self._unfinished())

    async def settle(self, seconds: float) -> None:
        """Wait for the operations that run, but no longer than this; the rest is taken up at the next start."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _unfinished(self) -> list[dict[str, Any]]:
        return [document for document in self._records.all("operation") if document["operation"]["status"] != "DONE"]

    def _begin(self, document: dict[str, Any], *, repeated: bool) -> None:
        instance = document["operation"]["targetId"]
        self._busy[instance] = document["operation"]["name"]
        task = asyncio.get_running_loop().create_task(self._carry_out(document, repeated=repeated))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a bug in the work of an operation", exc_info=error)

    async def _carry_out(self, document: dict[str, Any], *, repeated: bool) -> None:
        operation = document["operation"]
        await asyncio.sleep(self._half_seconds)
        operation.update(status="RUNNING", startTime=self._time())
        self._records.put("operation", operation["name"], document)
        least = asyncio.get_running_loop().create_task(asyncio.sleep(self._half_seconds))
        try:
            self._fail_if_planned(operation["operationType"])
            await self._work[document["work"]](document["arguments"], repeated)
        except (WorkFailed, ClusterFailed, psycopg.Error, OSError) as error:
            said = str(error).strip() or type(error).__name__
            _LOG.warning("%s of %s failed: %s", operation["operationType"], operation["targetId"], said)
            failure = {"kind": "sql#operationError", "code": "INTERNAL_ERROR", "message": said}
            operation["error"] = {"kind": "sql#operationErrors", "errors": [failure]}
        await least
        operation.update(status="DONE", endTime=self._time())
        document["arguments"] = {}  # they may hold a password
        self._records.put("operation", operation["name"], document)
        self._records.keep_newest("operation", _HISTORY)
        self._busy.pop(operation["targetId"], None)
        _LOG.info("%s of %s is done", operation["operationType"], operation["targetId"])

    def _fail_if_planned(self, operation_type: str) -> None:
        for position, failure in enumerate(self._failures):
            if failure.operation_type == operation_type:
                left = PlannedFailure(operation_type, failure.message, failure.times - 1)
                self._failures[position : position + 1] = [left] if left.times else []
                raise WorkFailed(failure.message)

    def _time(self) -> str:
        return self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
