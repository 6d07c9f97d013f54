"""Moments as people type them."""

from datetime import UTC, datetime

import click


def moment_of(text: str | None, option: str) -> datetime | None:
    """The moment that an option names, in UTC where it names no zone; None if the option was not given."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # or one that is in no year that we can write
        raise click.BadParameter(f"{text!r} is no time; write 2026-12-31T23:59:59Z", param_hint=option) from error
