"""How commands and benchmarks print: aligned for people, complete for programs."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path

import pytest

from benchmarks.report import Row, report
from tenantctl.entrypoints.cli.output import display_width, format_table, print_json, print_table, rfc3339


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    name: str
    at: datetime
    parts: tuple[str, ...]


def test_columns_are_aligned_by_what_a_terminal_shows() -> None:
    """Numbers to the right, words to the left; wide characters count two columns, and no line ends in spaces."""
    text = format_table(("name", "count", "note"), [("東京", 5, None), ("a", 1200, "two\nlines"), ("é", None, True)])
    assert text.splitlines() == [
        "NAME  COUNT  NOTE",
        "東京      5  -",
        "a      1200  two lines",
        "é         -  yes",
    ]
    assert display_width("e\u0301") == 1


def test_an_empty_table_is_its_headers(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing found is not nothing printed."""
    print_table(("name", "state"), [])
    assert capsys.readouterr().out == "NAME  STATE\n"


def test_a_row_of_another_length_is_a_bug() -> None:
    """A cell that is missing must not shift the others."""
    with pytest.raises(ValueError, match="1 cells under 2 headers"):
        format_table(("a", "b"), [("x",)])


def test_json_says_times_in_utc_and_things_as_objects(capsys: pytest.CaptureFixture[str]) -> None:
    """Dataclasses, enumerations, durations and sets have one form each."""
    moment = datetime(2026, 11, 3, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    thing = Thing("Łódź", moment, ("a", "b"))
    print_json({"thing": thing, "colour": Colour.RED, "age": timedelta(days=1), "set": {2, 1}, "path": Path("/x")})
    printed = capsys.readouterr().out
    assert "Łódź" in printed
    assert json.loads(printed) == {
        "thing": {"name": "Łódź", "at": "2026-11-03T12:00:00Z", "parts": ["a", "b"]},
        "colour": "red",
        "age": 86400.0,
        "set": [1, 2],
        "path": "/x",
    }
    with pytest.raises(TypeError, match="no JSON for a object"):
        print_json(object())


def test_a_time_without_a_zone_is_never_printed() -> None:
    """Nobody could know what it means."""
    assert rfc3339(datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC)) == "2026-01-02T03:04:05.006000Z"
    with pytest.raises(ValueError, match="without a zone"):
        rfc3339(datetime(2026, 1, 2))  # noqa: DTZ001 - this is what is refused


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
def test_a_benchmark_reports_and_fails_with_its_gate(tmp_path: Path, holds: bool, code: int) -> None:
    """The JSON has the agreed shape; a gate that does not hold is an exit code."""
    target = tmp_path / "out.json"
    rows = [Row("one decision", 34.1, "µs", ratio=0.8, gate="<= 50 µs", holds=holds), Row("size", 9e6, "bytes")]
    with pytest.raises(SystemExit) as ended:
        report("sample", rows, ["--json", str(target)])
    assert ended.value.code == code
    document = json.loads(target.read_text(encoding="utf-8"))
    assert document["name"] == "sample"
    first = {"what": "one decision", "value": 34.1, "unit": "µs", "ratio": 0.8, "gate": "<= 50 µs", "goal": None}
    assert document["rows"][0] == first | {"holds": holds}
