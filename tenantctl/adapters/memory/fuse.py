"""A fuse in a port: the process dies at the n-th touch, so that a test can see what running again makes of it.

Each call of a port is touched twice, before it reaches the port and after it has come back: the work not done, and
done but never learnt of. The same holds for entering and leaving a block (a stream, a transaction), for the calls on
what the block gives, and for each piece of an iterator. Once the fuse has blown, the dead process touches nothing any
more: every further touch raises too, so that no `finally` of ours can do what a killed process could not. Blocks that
were open are left with the crash as their exception, as a connection that goes away with its process would be.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import is_dataclass
from datetime import date, timedelta
from enum import Enum
from types import TracebackType
from typing import Any, TypeVar, cast

Port = TypeVar("Port")

_PLAIN = (str, bytes, int, float, bool, type(None), tuple, list, dict, set, frozenset, date, timedelta, Enum)


class Crash(BaseException):
    """The process is dead. No Exception, so that nothing which handles errors handles this."""


class Fuse:
    """Blows at the touch after `touches` of them.

    Args:
        touches: how many touches go well; None never blows, and only counts.

    Attributes:
        count: the touches so far; after a run without a crash, the number of places where one can happen.
        blown: whether the process is dead.
    """

    def __init__(self, touches: int | None = None) -> None:
        self.count = 0
        self.blown = False
        self._touches = touches
        self._lock = threading.Lock()

    def touch(self, where: str) -> None:
        """Go on, or die here.

        Raises:
            Crash: the fuse has blown.
        """
        with self._lock:
            if self.blown or (self._touches is not None and self.count >= self._touches):
                self.blown = True
                raise Crash(where)
            self.count += 1


def fused(port: Port, fuse: Fuse) -> Port:
    """The same port, with the fuse in each of its methods."""
    return cast("Port", _Fused(port, fuse))


class _Fused:
    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        return (
            _fused_call(attribute, f"{type(self._port).__name__}.{name}", self._fuse)
            if callable(attribute)
            else (attribute)
        )


def _fused_call(function: Callable[..., Any], where: str, fuse: Fuse) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        fuse.touch(f"before {where}")
        result = function(*arguments, **options)
        if isinstance(result, AbstractContextManager):
            return _FusedBlock(result, where, fuse)  # nothing has happened yet: it is touched when entered
        fuse.touch(f"after {where}")
        return _fused_pieces(result, where, fuse) if isinstance(result, Iterator) else result

    return call


class _FusedBlock:
    def __init__(self, block: AbstractContextManager[Any], where: str, fuse: Fuse) -> None:
        self._block, self._where, self._fuse = block, where, fuse

    def __enter__(self) -> Any:
        entered = self._block.__enter__()
        try:
            self._fuse.touch(f"inside {self._where}")
        except Crash as crash:
            self._block.__exit__(type(crash), crash, crash.__traceback__)
            raise
        return entered if isinstance(entered, _PLAIN) or is_dataclass(entered) else fused(entered, self._fuse)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is None:
            try:
                self._fuse.touch(f"at the end of {self._where}")
            except Crash as crash:
                self._block.__exit__(type(crash), crash, crash.__traceback__)
                raise
        result = self._block.__exit__(kind, error, trace)
        if kind is None:
            self._fuse.touch(f"after {self._where}")
        return result


def _fused_pieces(pieces: Iterator[Any], where: str, fuse: Fuse) -> Iterator[Any]:
    for piece in pieces:
        fuse.touch(f"a piece of {where}")
        yield piece
