"""Dates as the promises mean them: hours where we say weeks, calendar months where we say months.

All moments are timezone-aware; sums are made in UTC.
"""

import calendar as gregorian
import math
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)


def end_of_local_day(moment: datetime, time_zone: str) -> datetime:
    """The first moment of the day after `moment`, as the wall clock of `time_zone` has it, in UTC.

    A moment that is midnight there already stays as it is: it is the end of the day before.
    """
    local = moment.astimezone(ZoneInfo(time_zone))
    midnight = datetime.combine(local.date(), time.min, local.tzinfo)
    if midnight.astimezone(UTC) == moment.astimezone(UTC):
        return moment.astimezone(UTC)
    return datetime.combine(local.date() + ONE_DAY, time.min, local.tzinfo).astimezone(UTC)


def add_months(moment: datetime, months: int) -> datetime:
    """The same day and time `months` calendar months later; the last day of the month where that day does not exist."""
    months_since_year_zero = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(months_since_year_zero, 12)
    day = min(moment.day, gregorian.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def shortest_days_in_months(months: int) -> int:
    """The fewest days that this many calendar months can have: what a term in days must fit into.

    Source: the Gregorian calendar; twelve months are 365 days at least, one month is 28.
    """
    # The years around 2100, which is no leap year, have the longest run without a 29 February.
    starts = (datetime(year, month, 1, tzinfo=UTC) for year in range(2097, 2104) for month in range(1, 13))
    return min((add_months(start, months) - start).days for start in starts)


def month_slot(moment: datetime) -> str:
    """The UTC month that a moment lies in, such as `2026-11`."""
    return moment.astimezone(UTC).strftime("%Y-%m")


def week_slot(moment: datetime) -> str:
    """The ISO week in UTC that a moment lies in, such as `2026-W48`."""
    year, week, _ = moment.astimezone(UTC).isocalendar()
    return f"{year}-W{week:02d}"


def rfc3339(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC, to the second, such as `2026-11-23T02:53:59Z`."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def brief(duration: timedelta) -> str:
    """A duration as people are told it, and as they write it, rounded up: `45s`, `12m`, `3h`."""
    seconds = math.ceil(duration.total_seconds())
    for letter, unit in (("s", 1), ("m", 60)):
        if seconds <= 180 * unit:
            return f"{math.ceil(seconds / unit)}{letter}"
    return f"{math.ceil(seconds / 3600)}h"
