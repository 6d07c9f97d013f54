"""A property that is worked out once for each object: what `functools.cached_property` is from Python 3.12 on.

Before that it takes a lock each time that it works one out, which costs more than most of what a plan asks of a copy.
Two threads that ask at once may both work it out, and get the same: it is for what follows from a frozen object alone.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class remembered(Generic[Value]):  # noqa: N801 - it is used like `property`
    """See the module."""

    def __init__(self, function: Callable[[Any], Value]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> "remembered[Value]": ...
    @overload
    def __get__(self, owner: object, kind: type) -> Value: ...
    def __get__(self, owner: object | None, kind: type) -> "remembered[Value] | Value":
        """The value; from the second time on it stands in the object itself, and this is not asked."""
        if owner is None:
            return self
        value = owner.__dict__[self._name] = self._function(owner)
        return value
