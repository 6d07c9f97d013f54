"""What the program's JSON proves: pure questions about it, answered without asking the program again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

Json = Mapping[str, Any]

GRACE: Final = timedelta(weeks=3)
KINDS: Final = {
    "copy": "copies of backups",
    "database": "the database",
    "key": "keys of backups",
    "key-backups": "what the registry's backups hold of shredded keys",
    "instance-backups": "the server's own backups",
    "registry-backups": "the registry's own backups",
    "scratch": "trial restores",
}


def moment(text: str) -> datetime:
    """A moment as the program prints it."""
    return datetime.fromisoformat(text)


def is_closest(placement: Json) -> bool:
    """Whether the chosen region is allowed, and no region that is allowed lies closer."""
    allowed = [row for row in placement["candidates"] if row["allowed"]]
    chosen = [row for row in allowed if row["region"] == placement["region"]]
    return bool(chosen) and chosen[0]["distance_km"] == min(row["distance_km"] for row in allowed)


def regions_holding(backup: Json) -> set[str]:
    """The regions in which a backup is known to be."""
    return {copy["region"] for copy in backup["copies"] if copy["state"] == "written"}


def newest(backups: Sequence[Json]) -> Json:
    """The backup that was begun last."""
    return max(backups, key=lambda backup: moment(backup["begun_at"]))


def final(backups: Sequence[Json]) -> Json:
    """The newest final backup."""
    return newest([backup for backup in backups if backup["retention_class"] == "final"])


def in_two_regions(backup: Json) -> bool:
    """Whether a backup is complete, and lies in two regions at least."""
    return backup["state"] == "complete" and len(regions_holding(backup)) >= 2


def grace_is_three_weeks(tenant: Json) -> bool:
    """Whether the grace lasts three weeks from the closing, and on to the end of that day where the customer is."""
    closed, until = moment(tenant["logins_closed_at"]), moment(tenant["destroy_after"])
    there = until.astimezone(ZoneInfo(tenant["time_zone"]))
    day_begins = there.hour == there.minute == there.second == there.microsecond == 0
    # A day has 25 hours when summer time ends, and the final backup may have taken its time.
    return day_begins and closed + GRACE <= until <= closed + GRACE + timedelta(hours=49)


def within_a_year(start: datetime, end: datetime) -> bool:
    """Whether `end` comes after `start`, and at most twelve calendar months after it."""
    try:
        latest = start.replace(year=start.year + 1)
    except ValueError:  # the 29th of February
        latest = start.replace(year=start.year + 1, day=28)
    return start <= end <= latest


def open_places(residues: Sequence[Json]) -> list[Json]:
    """The places of which it is not proved yet that nothing can be read there."""
    return [place for place in residues if place["lapsed_at"] is None]


def copies(residues: Sequence[Json]) -> list[Json]:
    """The places that are copies of backups."""
    return [place for place in residues if place["kind"] == "copy"]


def lapsed_within_a_year(residues: Sequence[Json]) -> bool:
    """Whether each place was proved empty within twelve months of the first byte that it got."""
    return bool(residues) and all(
        place["lapsed_at"] is not None and within_a_year(moment(place["made_at"]), moment(place["lapsed_at"]))
        for place in residues
    )


def minute(text: str | None) -> str:
    """A moment as a person reads it."""
    return f"{moment(text):%Y-%m-%d %H:%M} UTC" if text else "never"


def counted(residues: Sequence[Json]) -> str:
    """How many places there are of each kind."""
    counts = Counter(place["kind"] for place in residues)
    return ", ".join(f"{KINDS.get(kind, kind)}: {count}" for kind, count in sorted(counts.items())) or "none"


def last_date(residues: Sequence[Json]) -> datetime:
    """The date after which nothing can be read at any of these places."""
    return max(moment(place["unreadable_after"]) for place in residues)


def proved(residues: Sequence[Json]) -> bool:
    """Whether each place has lapsed, with a proof, and not after the date that was set for it beforehand."""
    return bool(residues) and all(place["lapsed_at"] and place["proof"] for place in residues)


def duration(span: timedelta) -> str:
    """A span as `tenantctl local advance` wants it, rounded up to a whole minute."""
    minutes = -(-span // timedelta(minutes=1)) if span > timedelta(0) else 1
    days, minutes = divmod(minutes, 1440)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if count]
    return "".join(parts)
