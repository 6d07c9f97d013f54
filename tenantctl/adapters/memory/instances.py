"""Cloud SQL instances in memory, with the same contract as the Admin API.

An operation is PENDING when submitted, and goes one status on each time it is looked at; what it makes is there when
it is DONE. `busy` names instances on which another operation runs.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.instances import InstanceSeen, OperationSeen

_NEXT = {"PENDING": "RUNNING", "RUNNING": "DONE", "DONE": "DONE"}


@dataclass
class _Operation:
    seen: OperationSeen
    instance: str
    login: str | None = None
    roles: frozenset[str] = field(default_factory=frozenset)


class MemoryInstances:
    """The port `Instances` in memory.

    Attributes:
        unreachable: whether the API answers at all.
        busy: instances on which another operation runs.
        failing: what the next operations end in, instance to message.
    """

    def __init__(self, *, database_version: str = "POSTGRES_18") -> None:
        self.unreachable = False
        self.busy: set[str] = set()
        self.failing: dict[str, str] = {}
        self._database_version = database_version
        self._instances: dict[str, InstanceSeen] = {}
        self._logins: dict[tuple[str, str], frozenset[str]] = {}
        self._operations: dict[str, _Operation] = {}
        self._lock = threading.RLock()

    # What only a test can do

    def add(self, name: str, region: str) -> None:
        """Have an instance there, running."""
        with self._lock:
            self._instances[name] = self._made(name, region, "RUNNABLE")

    def drop(self, name: str) -> None:
        """Lose an instance."""
        with self._lock:
            del self._instances[name]

    def logins(self, instance: str) -> Mapping[str, frozenset[str]]:
        """The IAM logins of an instance, with their roles."""
        with self._lock:
            return {email: roles for (name, email), roles in self._logins.items() if name == instance}

    # The port

    def look(self, name: str) -> Sighting[InstanceSeen]:
        """One instance."""
        with self._lock:
            if self.unreachable:
                return Unreachable("The Admin API does not answer.")
            found = self._instances.get(name)
            return Gone() if found is None else Present(found)

    def all(self) -> Sighting[tuple[InstanceSeen, ...]]:
        """Every instance, by name."""
        with self._lock:
            if self.unreachable:
                return Unreachable("The Admin API does not answer.")
            return Present(tuple(self._instances[name] for name in sorted(self._instances)))

    def create(self, name: str, region: str) -> OperationSeen:
        """Starts the making of an instance, with deletion protection on."""
        with self._lock:
            self._reach()
            if name in self._instances:
                raise Refused(f"Instance {name} exists.")
            self._instances[name] = self._made(name, region, "PENDING_CREATE")
            return self._submit(_Operation(OperationSeen("", "PENDING"), name))

    def operation(self, name: str) -> OperationSeen:
        """How far an operation is; looking takes it one status on."""
        with self._lock:
            self._reach()
            if name == "":
                return OperationSeen(name="", status="DONE")
            if name not in self._operations:
                raise NotFound(f"There is no operation {name}.")
            operation = self._operations[name]
            before, status = operation.seen, _NEXT[operation.seen.status]
            operation.seen = replace(before, status=status)
            if status == "DONE" and before.status != "DONE":
                self._carry_out(operation)
            return operation.seen

    def add_login(self, instance: str, email: str, *, roles: tuple[str, ...]) -> OperationSeen:
        """Makes an IAM login, or grants it the roles that it lacks."""
        with self._lock:
            self._reach()
            if instance not in self._instances:
                raise NotFound(f"There is no instance {instance}.")
            known = self._logins.get((instance, email))
            if known is not None and frozenset(roles) <= known:
                return OperationSeen(name="", status="DONE")
            if instance in self.busy or self._running_on(instance):
                raise Transient(f"Another operation runs on {instance}.")
            return self._submit(_Operation(OperationSeen("", "PENDING"), instance, email, frozenset(roles)))

    def _reach(self) -> None:
        if self.unreachable:
            raise Transient("The Admin API does not answer.")

    def _running_on(self, instance: str) -> bool:
        return any(one.instance == instance and one.seen.status != "DONE" for one in self._operations.values())

    def _submit(self, operation: _Operation) -> OperationSeen:
        name = f"operation-{len(self._operations) + 1}"
        operation.seen = replace(operation.seen, name=name)
        self._operations[name] = operation
        return operation.seen

    def _carry_out(self, operation: _Operation) -> None:
        error = self.failing.pop(operation.instance, None)
        if error is not None:
            operation.seen = replace(operation.seen, error=error)
        if operation.login is None:
            state = "RUNNABLE" if error is None else "FAILED"
            self._instances[operation.instance] = replace(self._instances[operation.instance], state=state)
        elif error is None:
            key = (operation.instance, operation.login)
            self._logins[key] = self._logins.get(key, frozenset()) | operation.roles

    def _made(self, name: str, region: str, state: str) -> InstanceSeen:
        return InstanceSeen(
            name=name,
            region=region,
            state=state,
            database_version=self._database_version,
            deletion_protected=True,
            flags=(("cloudsql.iam_authentication", "on"),),
            addresses=("127.0.0.1",),
            recovers_to_any_moment=True,
        )
