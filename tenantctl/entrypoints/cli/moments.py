"""Moments and durations as people type them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment_of(text: str | None, option: str) -> datetime | None:
    """The moment that an option names, in UTC where it names no zone; None if the option was not given."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # or one that is in no year that we can write
        raise click.BadParameter(f"{text!r} is no time; write 2026-12-31T23:59:59Z", param_hint=option) from error


def duration_of(text: str | None, option: str, *, like: Sequence[str]) -> timedelta | None:
    """How long an option says, in the units of the examples `like`, such as 24h or 3d; None if it was not given."""
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and int(number)) or unit not in {one[-1] for one in like}:
        raise click.BadParameter(f"{text!r} is no time like {' or '.join(like)}.", param_hint=option)
    try:
        return timedelta(seconds=int(number) * _SECONDS[unit])
    except OverflowError as error:
        raise click.BadParameter(f"{text!r} is too long.", param_hint=option) from error
