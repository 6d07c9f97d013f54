"""The one clock of the local cloud: real time plus an offset that only grows.

Everything in the local cloud that has a date asks this clock, so that a year of retention, lifecycle and grace can
pass in seconds with the real policies. The offset lies in a small JSON file, written atomically and synced before the
move counts, so that it survives a restart and kill -9: a local cloud never comes back younger than it was.
"""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_UNITS: Final = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_PART: Final = re.compile(r"([0-9]{1,9})([a-z]+)")


class ClockWentBack(ValueError):
    """Somebody asked the clock to stand still or to go back; it only moves forward."""


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `21d`, `36h`, `90m`, `30s`, `2w` or, combined, `1d12h`.

    Args:
        text: One or more whole numbers, each followed by its unit (w, d, h, m, s), each unit at most once.

    Raises:
        ValueError: The text is blank, negative, zero, lacks a unit or names an unknown one; the message says which.
    """
    compact = text.strip().lower()
    if not compact:
        raise ValueError("The duration is blank: write it like 21d, 36h or 1d12h.")
    if compact.startswith("-"):
        raise ValueError(f"The duration {text!r} is negative: the clock only moves forward.")
    total, seen, position = timedelta(0), set(), 0
    while position < len(compact):
        part = _PART.match(compact, position)
        if part is None:
            raise ValueError(f"The duration {text!r} is not numbers with units: write it like 21d, 36h or 1d12h.")
        number, unit = part.groups()
        if unit not in _UNITS:
            raise ValueError(f"The duration {text!r} has the unknown unit {unit!r}: the units are w, d, h, m and s.")
        if unit in seen:
            raise ValueError(f"The duration {text!r} names the unit {unit!r} twice.")
        seen.add(unit)
        try:
            total += int(number) * _UNITS[unit]
        except OverflowError as error:
            raise ValueError(f"The duration {text!r} is longer than any calendar.") from error
        position = part.end()
    if total == timedelta(0):
        raise ValueError(f"The duration {text!r} is zero: the clock would not move.")
    return total


class LocalClock:
    """Real time plus a persisted offset.

    Args:
        path: The JSON file that keeps the offset. A missing file means that the clock has never been moved.

    Raises:
        ValueError: The file exists and does not hold an offset. It is never silently reset: that would move time back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = _read_offset(path)

    @property
    def offset(self) -> timedelta:
        """How far the clock is ahead of real time; never negative."""
        return self._offset

    def now(self) -> datetime:
        """The local cloud's time, aware, in UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, duration: timedelta) -> datetime:
        """Move the clock forward, durably, and return the new time.

        Raises:
            ClockWentBack: The duration is zero or negative.
            ValueError: The new time would lie beyond the calendar (year 9999).
        """
        if duration <= timedelta(0):
            raise ClockWentBack(f"The clock only moves forward; asked to move by {duration}.")
        try:
            offset = self._offset + duration
            moved = datetime.now(UTC) + offset
        except OverflowError as error:
            raise ValueError(f"The clock cannot move by {duration}: the calendar ends with the year 9999.") from error
        _write_offset(self._path, offset)
        self._offset = offset
        return moved


def _read_offset(path: Path) -> timedelta:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return timedelta(0)
    try:
        offset = timedelta(microseconds=int(json.loads(text)["offset_microseconds"]))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"The clock file {path} does not hold an offset; restore it or remove it.") from error
    if offset < timedelta(0):
        raise ValueError(f"The clock file {path} holds a negative offset; restore it or remove it.")
    return offset


def _write_offset(path: Path, offset: timedelta) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump({"offset_microseconds": offset // timedelta(microseconds=1)}, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
