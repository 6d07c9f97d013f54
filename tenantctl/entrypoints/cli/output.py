"""How every command prints: one table for people, one JSON for programs, never a mixture.

Promises: a table is aligned plain text without colour or box characters, so that it can be cut, grepped and pasted.
JSON is one document, with times as RFC 3339 in UTC and dataclasses as objects, and leaves out nothing the table shows.
"""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, TypeVar
from uuid import UUID

import click

Output = Literal["table", "json"]
Command = TypeVar("Command", bound=Callable[..., Any])


def output_option(command: Command) -> Command:
    """Give a command `-o/--output table|json`, handed over as the keyword `output` of type `Output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="A table for people, or JSON for programs.",
    )(command)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print the rows under their headers, columns aligned by display width, numbers to the right.

    Args:
        headers: one word or two for each column.
        rows: as many cells as there are headers; None prints as `-`, times as RFC 3339, line breaks as spaces.
    """
    click.echo(format_table(headers, rows))


def format_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the text that `print_table` prints, without a line break at its end."""
    raw = [tuple(row) for row in rows]
    for row in raw:
        if len(row) != len(headers):
            raise ValueError(f"a row of {len(row)} cells under {len(headers)} headers")
    cells = [[_cell(value) for value in row] for row in raw]
    lines = [[header.upper() for header in headers], *cells]
    widths = [max(display_width(line[column]) for line in lines) for column in range(len(headers))]
    to_the_right = [
        bool(raw) and all(_is_number(row[column]) or row[column] is None for row in raw)
        for column in range(len(headers))
    ]
    return "\n".join(_line(line, widths, to_the_right) for line in lines)


def print_json(value: object) -> None:
    """Print one JSON document; dataclasses become objects, datetimes RFC 3339 in UTC, durations seconds."""
    click.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def json_line(value: object) -> str:
    """Return a value as one line of JSON, in the words of `print_json`."""
    return json.dumps(value, default=_plain, ensure_ascii=False)


def rfc3339(moment: datetime) -> str:
    """Return an aware moment as RFC 3339 in UTC, with `Z`, and microseconds only where there are some.

    Raises:
        ValueError: the moment has no time zone, so nobody can know what it means.
    """
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone cannot be printed: {moment!r}")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def display_width(text: str) -> int:
    """Return how many terminal columns a text takes: wide East Asian characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _line(cells: Sequence[str], widths: Sequence[int], to_the_right: Sequence[bool]) -> str:
    padded = []
    for cell, width, right in zip(cells, widths, to_the_right, strict=True):
        room = " " * (width - display_width(cell))
        padded.append(room + cell if right else cell + room)
    return "  ".join(padded).rstrip()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return rfc3339(value.replace(microsecond=0))
    if isinstance(value, Enum):
        return str(value.value)
    return " ".join(str(value).split()) or "-"


def _plain(value: object) -> Any:
    """Say in JSON's own kinds what json cannot; dictionaries and lists inside are json's work again."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date | UUID | PurePath):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"no JSON for a {type(value).__name__}")
