"""Records changed by the hundred: what `dataclasses.replace` does, several times as fast."""

from typing import Any, TypeVar

Record = TypeVar("Record")


def changed(record: Record, **changes: Any) -> Record:
    """The record with some fields changed; what it had found of itself once, it finds anew.

    Args:
        record: a frozen dataclass whose values are checked where they come from, not by a `__post_init__`.
        changes: the new values by field.

    Raises:
        TypeError: it has no such field.
    """
    kind = type(record)
    fields = kind.__dataclass_fields__  # type: ignore[attr-defined]  # that it is a dataclass no type can say
    values = vars(record).copy()
    if len(values) != len(fields):
        values = {name: values[name] for name in fields}
    values.update(changes)
    if len(values) != len(fields):
        raise TypeError(f"{kind.__name__} has no {', '.join(sorted(values.keys() - fields.keys()))}")
    fresh = object.__new__(kind)
    vars(fresh).update(values)
    return fresh
