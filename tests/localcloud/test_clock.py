"""The local cloud's clock: it only moves forward, and stays moved."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.localcloud.clock import ClockWentBack, LocalClock, parse_duration

rules = settings(deadline=None)  # a busy machine is no failure


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("21d", timedelta(days=21)),
        ("36h", timedelta(hours=36)),
        ("90m", timedelta(minutes=90)),
        ("30s", timedelta(seconds=30)),
        ("2w", timedelta(weeks=2)),
        ("1d12h", timedelta(days=1, hours=12)),
        (" 1W2D ", timedelta(days=9)),
    ],
)
def test_durations_are_read(text, duration):
    """Numbers with units, alone or combined."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "blank"),
        ("  ", "blank"),
        ("-1d", "negative"),
        ("0d", "zero"),
        ("5", "numbers with units"),
        ("d", "numbers with units"),
        ("1d 12h", "numbers with units"),
        ("1.5d", "numbers with units"),
        ("3y", "unknown unit"),
        ("1d2d", "twice"),
        ("999999999w", "longer than any calendar"),
        ("٣d", "numbers with units"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_reason(text, said):
    """A duration is never guessed."""
    with pytest.raises(ValueError, match=said):
        parse_duration(text)


@rules
@given(st.integers(1, 10**6), st.sampled_from("wdhms"))
def test_every_number_with_a_unit_is_positive(number, unit):
    """Nothing that is read moves the clock back or leaves it."""
    assert parse_duration(f"{number}{unit}") > timedelta(0)


def test_a_new_clock_shows_real_time(tmp_path):
    """Without a file there is no offset, and nothing is written before the clock is moved."""
    clock = LocalClock(tmp_path / "clock.json")
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.offset == timedelta(0)
    assert list(tmp_path.iterdir()) == []


def test_moves_add_up_and_survive(tmp_path):
    """What has been moved stays moved for whoever opens the file next; no other file is left."""
    path = tmp_path / "state" / "clock.json"
    clock = LocalClock(path)
    clock.advance(timedelta(days=21))
    moved = clock.advance(timedelta(hours=36, microseconds=7))
    assert moved - datetime.now(UTC) > timedelta(days=22, hours=11)
    again = LocalClock(path)
    assert again.offset == timedelta(days=22, hours=12, microseconds=7) == clock.offset
    assert again.now() >= moved
    assert [entry.name for entry in path.parent.iterdir()] == ["clock.json"]


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(microseconds=-1), timedelta(days=-400)])
def test_the_clock_is_never_turned_back(tmp_path, duration):
    """Refused, and the time stays as it was."""
    clock = LocalClock(tmp_path / "clock.json")
    clock.advance(timedelta(days=1))
    with pytest.raises(ClockWentBack):
        clock.advance(duration)
    assert clock.offset == timedelta(days=1)


def test_the_clock_stays_within_the_calendar(tmp_path):
    """A move beyond the year 9999 is refused and not written."""
    clock = LocalClock(tmp_path / "clock.json")
    for duration in (timedelta(days=365 * 9000), timedelta.max):
        with pytest.raises(ValueError, match="calendar ends"):
            clock.advance(duration)
    assert LocalClock(tmp_path / "clock.json").offset == timedelta(0)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"offset_microseconds": "x"}', '{"offset_microseconds": -1}'])
def test_a_broken_clock_file_is_not_read_as_no_offset(tmp_path, text):
    """Resetting it in silence would move time back."""
    path = tmp_path / "clock.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="clock file"):
        LocalClock(path)
