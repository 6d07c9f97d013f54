"""How every benchmark reports: a table for people, the same rows as JSON with `--json FILE`, exit 1 if a gate fails.

A gate is a limit that must hold; a goal is what is aimed at and only shown. Gates compare things measured in the same
run wherever they can (`ratio`), because another machine has another speed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured.

    Args:
        what: what it is, in words.
        value: the figure, in `unit`.
        unit: seconds, µs, %, MB/s, …
        ratio: the figure divided by what it is compared with in the same run, where there is such a thing.
        gate: the limit that must hold, in words (`<= 0.6 %`), where there is one.
        goal: what is aimed at, in words, where that differs from the gate.
        holds: whether the gate holds; True where there is none.
    """

    what: str
    value: float
    unit: str
    ratio: float | None = None
    gate: str | None = None
    goal: str | None = None
    holds: bool = True


def report(name: str, rows: Sequence[Row], arguments: Sequence[str] | None = None) -> NoReturn:
    """Print the rows, write them to `--json FILE` if asked, and exit: 0, or 1 if a gate does not hold."""
    parser = argparse.ArgumentParser(prog=f"benchmarks/{name}.py", description=f"Measure {name}.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON too")
    # A script may have options of its own, so what is not ours is left alone.
    options, _ = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
    print(as_text(name, rows))
    if options.json is not None:
        document = {"name": name, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    raise SystemExit(0 if all(row.holds for row in rows) else 1)


def as_text(name: str, rows: Sequence[Row]) -> str:
    """Return the table that is printed."""
    headers = ("what", "value", "unit", "ratio", "gate", "goal", "holds")
    lines = [headers, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    right = (False, True, False, True, False, False, False)
    body = (
        "  ".join(
            cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )
    return "\n".join([f"== {name} ==", *body])


def _cells(row: Row) -> tuple[str, ...]:
    verdict = ("yes" if row.holds else "NO") if row.gate else "-"
    ratio = "-" if row.ratio is None else f"{row.ratio:,.2f}"
    return (row.what, f"{row.value:,.4g}" if abs(row.value) < 1000 else f"{row.value:,.0f}", row.unit, ratio,
            row.gate or "-", row.goal or "-", verdict)  # fmt: skip
