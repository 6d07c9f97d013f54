"""Sets of a table's rows, named by their keys: those that changed, those that are still to be compared. Pure.

A set has some rows, or all but some: so `everything`, and everything but what has just changed, are sets as any other.
A row is named by the texts of its key's columns, in their order; whoever finds rows by such names may find more than
one, as numbers that are equal and written differently, as long as it does so on both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

Key: TypeAlias = tuple[str, ...]

KEYS_MAX: Final = 400_000  # that are remembered of all tables together: about 100 MB


@dataclass(frozen=True)
class Rows:
    """The rows with these keys; or, where `but` says so, all others."""

    keys: frozenset[Key] = frozenset()
    but: bool = False

    def __contains__(self, key: Key) -> bool:
        return (key in self.keys) is not self.but

    def __bool__(self) -> bool:
        """Whether there may be any."""
        return self.but or bool(self.keys)

    def __or__(self, other: "Rows") -> "Rows":
        """The rows of both."""
        match self.but, other.but:
            case False, False:
                return Rows(self.keys | other.keys)
            case True, True:
                return Rows(self.keys & other.keys, but=True)
            case True, False:
                return Rows(self.keys - other.keys, but=True)
            case _:
                return Rows(other.keys - self.keys, but=True)

    def __sub__(self, other: "Rows") -> "Rows":
        """The rows of this one that are not the other's."""
        match self.but, other.but:
            case False, False:
                return Rows(self.keys - other.keys)
            case True, True:
                return Rows(other.keys - self.keys)
            case True, False:
                return Rows(self.keys | other.keys, but=True)
            case _:
                return Rows(self.keys & other.keys)


NO_ROWS: Final = Rows()
ALL_ROWS: Final = Rows(but=True)

ByTable: TypeAlias = Mapping[str, Rows]  # by quoted name with schema; nothing of tables that it does not name
Shapes: TypeAlias = Mapping[str, str | None]  # what a table's keys hold for; None where no log names any


def together(one: ByTable, other: ByTable, *, keys_max: int = KEYS_MAX) -> dict[str, Rows]:
    """The rows of both; of the tables with the most keys all rows, where more would have to be remembered."""
    found = dict(one)
    for table, rows in other.items():
        found[table] = found.get(table, NO_ROWS) | rows
    excess = keys_of(found) - keys_max
    if excess > 0:
        for table in sorted(found, key=lambda name: (-len(found[name].keys), name)):
            excess -= len(found[table].keys)
            found[table] = ALL_ROWS
            if excess <= 0:
                break
    return found


def keys_of(rows: ByTable) -> int:
    """How many keys are remembered."""
    return sum(len(one.keys) for one in rows.values())


def whole_tables(rows: ByTable) -> int:
    """Of how many tables it is all rows, or all but some."""
    return sum(one.but for one in rows.values())


def known_by(log: Shapes, now: Shapes, rows: ByTable) -> dict[str, Rows]:
    """What has changed, as far as a log tells: of a table that it knew otherwise, or not at all, all rows.

    A table that was made anew, rewritten, emptied, or whose key or columns are others, has rows that came from nowhere.

    Args:
        log: the tables as they were when the log began to be read.
        now: the tables as they are.
        rows: what the log told of them.
    """
    told = dict.fromkeys(log.keys() | now.keys(), ALL_ROWS)
    for table, shape in now.items():
        if shape is not None and log.get(table) == shape:
            told[table] = rows.get(table, NO_ROWS)
    return told
