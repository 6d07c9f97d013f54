"""Properties of grace and of the calendar under it: never too short, whatever the clocks of a place do."""

import zoneinfo
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenantctl.model.calendar import (
    add_months,
    end_of_local_day,
    month_slot,
    rfc3339,
    shortest_days_in_months,
    week_slot,
)
from tenantctl.offboarding.grace import destroy_after, never_earlier
from tests.rooms.rule_facts import POLICIES

PROMISED = timedelta(hours=21 * 24)
ONE_DAY = timedelta(days=1)
LONGEST_DAY = timedelta(hours=26)  # 24, an hour given back in autumn, and one to spare

# Places whose midnight is not like others: it does not come, comes twice, or is no whole hour off.
AWKWARD = ("America/Havana", "Africa/Cairo", "Asia/Beirut", "America/Asuncion", "Australia/Lord_Howe", "Asia/Kathmandu")
ZONES = tuple(sorted({*AWKWARD, *zoneinfo.available_timezones()} - {"localtime", "Factory"}))

SECONDS = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2025, 2046))
moments = st.integers(*SECONDS).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
zones = st.sampled_from(ZONES) | st.sampled_from(AWKWARD)
rules = settings(deadline=None, max_examples=200)


@given(moments, zones)
@rules
@example(datetime(2026, 10, 11, 5, 30, tzinfo=UTC), "America/Havana")
def test_grace_is_never_shorter_than_promised_and_ends_with_a_day(closed_at: datetime, zone: str) -> None:
    """21 times 24 hours at least, then to the end of that day where the customer is, and not a day more."""
    until = destroy_after(closed_at, zone, POLICIES.lifecycle)
    assert PROMISED <= until - closed_at < PROMISED + LONGEST_DAY
    there, before = (
        moment.astimezone(zoneinfo.ZoneInfo(zone)) for moment in (until, until - timedelta(microseconds=1))
    )
    assert before.date() < there.date(), "the day has just ended there"


@given(moments, zones)
@rules
def test_the_end_of_a_day_is_found_once(moment: datetime, zone: str) -> None:
    """It is no earlier than the moment, it is its own end, and nothing in between has another."""
    end = end_of_local_day(moment, zone)
    assert end >= moment
    assert end_of_local_day(end, zone) == end
    assert end_of_local_day(moment + (end - moment) / 2, zone) == end
    assert end.tzinfo is UTC


@given(moments, moments, zones)
@rules
def test_a_later_closing_never_ends_earlier(one: datetime, other: datetime, zone: str) -> None:
    """Who closed later is destroyed no earlier."""
    first, second = sorted((one, other))
    policy = POLICIES.lifecycle
    assert destroy_after(first, zone, policy) <= destroy_after(second, zone, policy)


@given(moments, zones, st.integers(1, 60), st.integers(1, 60))
@rules
def test_a_grace_that_runs_is_never_shortened(closed_at: datetime, zone: str, days: int, later_days: int) -> None:
    """A policy that says less by now changes nothing for those who left before; one that says more does."""
    current = destroy_after(closed_at, zone, replace(POLICIES.lifecycle, grace_days=days))
    candidate = destroy_after(closed_at, zone, replace(POLICIES.lifecycle, grace_days=later_days))
    until = never_earlier(current, candidate)
    assert until >= current
    assert until == (candidate if later_days >= days else current)
    assert never_earlier(None, candidate) == candidate


@pytest.mark.parametrize(
    ("closed_at", "zone", "until"),
    [
        # A place of ordinary habits, its closing in the evening.
        ("2026-11-24T03:45:00Z", "America/Chicago", "2026-12-15T06:00:00Z"),
        # The closing is at midnight there: the day that ends just then is the day.
        ("2026-06-10T22:00:00Z", "Europe/Brussels", "2026-07-01T22:00:00Z"),
        # Clocks go forward within grace: half past eleven in the evening has become half past midnight, of another day.
        ("2026-03-15T22:30:00Z", "Europe/Brussels", "2026-04-06T22:00:00Z"),
        # Clocks go back within grace: 21 days by the wall would be an hour short of a day's end.
        ("2026-10-10T21:30:00Z", "Europe/Brussels", "2026-10-31T23:00:00Z"),
        # Half an hour, and a quarter.
        ("2026-11-23T12:00:00Z", "Asia/Kathmandu", "2026-12-14T18:15:00Z"),
        # Midnight does not come on the last Friday of April in Cairo: the day begins at one.
        ("2026-04-02T12:00:00Z", "Africa/Cairo", "2026-04-23T22:00:00Z"),
        # The day's end comes twice in Havana on the first Sunday of November: the first of them ends the day before.
        ("2026-10-10T12:00:00Z", "America/Havana", "2026-11-01T04:00:00Z"),
    ],
)
def test_known_ends_of_grace(closed_at: str, zone: str, until: str) -> None:
    """Worked out by hand."""
    found = destroy_after(datetime.fromisoformat(closed_at), zone, POLICIES.lifecycle)
    assert rfc3339(found) == until


@given(st.dates(date(1990, 1, 1), date(2150, 12, 31)), st.integers(1, 48))
@rules
def test_a_term_in_days_that_fits_fits_from_every_day(day: date, months: int) -> None:
    """The fewest days that some months can have are no more than what these months have."""
    start = datetime.combine(day, time(), UTC)
    end = add_months(start, months)
    assert end - start >= ONE_DAY * shortest_days_in_months(months)
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == months
    assert end.day == start.day or (end + ONE_DAY).month != end.month, "the same day, or the month's last"


def test_the_fewest_days_do_occur() -> None:
    """They are a minimum and not only a lower bound, over the 400 years after which the calendar repeats itself."""
    starts = [datetime(year, month, 1, tzinfo=UTC) for year in range(2000, 2400) for month in range(1, 13)]
    for months in (1, 2, 3, 6, 11, 12, 18, 24, 36, 60):
        assert min((add_months(start, months) - start).days for start in starts) == shortest_days_in_months(months)
    assert (shortest_days_in_months(1), shortest_days_in_months(12)) == (28, 365)


@given(moments, zones)
@rules
def test_slots_and_times_do_not_depend_on_who_looks(moment: datetime, zone: str) -> None:
    """A moment is in one month, one week, and one second, whatever clock it is read from."""
    there = moment.astimezone(zoneinfo.ZoneInfo(zone))
    assert (month_slot(there), week_slot(there), rfc3339(there)) == (
        month_slot(moment),
        week_slot(moment),
        rfc3339(moment),
    )
    assert datetime.fromisoformat(rfc3339(moment)) == moment.replace(microsecond=0)
