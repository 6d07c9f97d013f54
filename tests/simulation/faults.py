"""Faults at any call: a proxy around each port that counts the calls of a tenant's turn, and spoils the one meant.

A call is passed twice, on its way to the port and on its way back, so that a request which is lost and an answer which
is lost are two places. The same holds for entering and leaving a block and for each piece of a stream. A fault waits
until its place comes, over several turns if need be, and happens once; a crash lasts until the end of its turn.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, is_dataclass, replace
from types import TracebackType
from typing import Any, Final

from tenantctl.adapters.memory.fuse import Crash
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.sighting import Present, Unreachable
from tenantctl.ports.world import AssembledWorld

LOOKS: Final = frozenset({"look", "look_at_bucket", "look_at_roles", "look_at_logins", "names", "all"})
PORTS: Final = ("registry", "decisions", "databases", "scratch", "vault", "keys", "key_store", "instances")
REPEATABLE: Final = frozenset(
    {"put", "create_roles", "create_database", "prepare", "open_logins", "close_logins", "drop_database", "drop_roles"}
    | {"set_forced_row_security", "remove", "drop"}
)
WEATHER: Final = {
    "409": "409: another operation is in progress.",
    "429": "429: too many requests.",
    "503": "503: the service is unavailable.",
}


@dataclass
class Fault:
    """One fault: at which place of the turn it happens, what it is, and what it does where it is no error."""

    place: int
    kind: str  # crash, lost, 403, 409, 429, 503, twice, empty, or act: whatever that does
    act: Callable[[], None] | None = None
    happened: bool = False


class Trouble:
    """The faults that wait for one tenant's turn; counts its places."""

    def __init__(self, faults: list[Fault]) -> None:
        self.dead = False
        self.transactions = 0  # that are open: nobody else gets at the tenant's row just now
        self._faults = faults

    def before(self, where: str, *, special: str = "") -> Fault | None:
        """Passes the way to a port, or a place inside a block; `special` is what can happen here and is no error.

        Raises:
            Crash: here, or before.
            Transient, Refused: the request did not arrive.
        """
        return self._strike(self._next({"crash", "403", "act", special, *WEATHER}), where)

    def after(self, where: str) -> None:
        """Passes the way back.

        Raises:
            Crash: here, or before.
            Transient: the answer was lost; what was asked for has happened.
        """
        self._strike(self._next({"crash", "lost", "act", *WEATHER}), where)

    def _next(self, possible: set[str]) -> Fault | None:
        """The fault whose place this is; one that cannot happen here waits for a place where it can."""
        if self.dead:
            raise Crash("dead already")
        for fault in self._faults:
            if fault.happened:
                continue
            fault.place -= 1
            if fault.place < 0 and fault.kind in possible and not (fault.kind == "act" and self.transactions):
                fault.happened = True
                return fault
        return None

    def _strike(self, fault: Fault | None, where: str) -> Fault | None:
        if fault is None:
            return None
        if fault.kind == "crash":
            self.dead = True
            raise Crash(where)
        if fault.kind == "403" and not where.startswith(("registry", "decisions", "writes")):
            raise Refused(f"{where}: 403: permission denied.")
        if fault.kind in {"lost", "403", *WEATHER}:
            raise Transient(f"{where}: {WEATHER.get(fault.kind, 'the answer was lost')}")
        if fault.act is not None:
            fault.act()
            return None
        return fault


def troubled(world: AssembledWorld, trouble: Trouble) -> AssembledWorld:
    """The world with these faults between the program and each of its ports."""
    ports = {name: _Troubled(getattr(world, name), trouble, name) for name in PORTS}
    return replace(world, **ports)  # type: ignore[arg-type]  # proxies of the ports that were there


class _Troubled:
    def __init__(self, port: Any, trouble: Trouble, name: str) -> None:
        self._port, self._trouble, self._name = port, trouble, name

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        return _Call(attribute, self._trouble, self._name, name) if callable(attribute) else attribute


class _Call:
    def __init__(self, function: Callable[..., Any], trouble: Trouble, port: str, name: str) -> None:
        self._function, self._trouble, self._port, self._name = function, trouble, port, name

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        where = f"{self._port}.{self._name}"
        try:
            fault = self._trouble.before(where, special=self._special)
            result = self._function(*arguments, **options)
            if isinstance(result, AbstractContextManager):
                return _Block(result, self._trouble, where)
            if fault is not None and fault.kind == "twice":
                result = self._function(*arguments, **options)
            if fault is not None and fault.kind == "empty" and isinstance(result, Present):
                result = Present(())
            self._trouble.after(where)
        except (Transient, Refused) as error:
            if self._name in LOOKS:
                return Unreachable(error.sentence)
            raise
        return _pieces(result, self._trouble, where) if isinstance(result, Iterator) else result

    @property
    def _special(self) -> str:
        """What can happen to this call and is no error: a list that comes back empty, a request that arrives twice."""
        if self._name == "names":
            return "empty"
        return "twice" if self._name in REPEATABLE else ""


class _Block:
    def __init__(self, block: AbstractContextManager[Any], trouble: Trouble, where: str) -> None:
        self._block, self._trouble, self._where = block, trouble, where
        self._is_transaction = where.startswith("registry")

    def __enter__(self) -> Any:
        entered = self._block.__enter__()
        try:
            self._trouble.transactions += self._is_transaction
            self._trouble.before(f"{self._where}: inside")
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        if is_dataclass(entered):
            return entered
        return _Troubled(entered, self._trouble, "writes" if self._is_transaction else self._where)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is None:
            try:
                self._trouble.before(f"{self._where}: the end")
            except BaseException as broken:
                self.__exit__(type(broken), broken, broken.__traceback__)
                raise
        self._trouble.transactions -= self._is_transaction
        result = self._block.__exit__(kind, error, trace)
        if kind is None:
            self._trouble.after(self._where)
        return result


def _pieces(pieces: Iterator[Any], trouble: Trouble, where: str) -> Iterator[Any]:
    for piece in pieces:
        trouble.before(f"{where}: a piece")
        yield piece
