"""Properties of the nightly schedule: each night has one slot, and now always lies between two."""

import zoneinfo
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.backups.schedule import newest_slot, next_slot
from tenantctl.model.policy import Night
from tests.rooms.rule_facts import POLICIES
from tests.rooms.test_rules_grace import moments, zones

uids = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=12, max_size=12)
nights = st.builds(Night, starts_at_hour=st.integers(0, 23), hours=st.integers(1, 12))
rules = settings(deadline=None, max_examples=200)
ONE_DAY = timedelta(days=1)


@given(uids, zones, nights, moments)
@rules
def test_now_lies_between_the_newest_slot_and_the_next(uid: str, zone: str, night: Night, now: datetime) -> None:
    """Nothing between them: they are of two nights in a row, and a night is a day long, give or take an hour or so."""
    newest = newest_slot(uid, zone, night, now=now)
    following = next_slot(uid, zone, night, now=now)
    assert newest.due_at <= now < following.due_at
    assert date.fromisoformat(following.name) - date.fromisoformat(newest.name) == ONE_DAY
    assert timedelta(hours=22) <= following.due_at - newest.due_at <= timedelta(hours=26)


@given(uids, zones, nights, moments)
@rules
def test_a_slot_lies_in_its_night(uid: str, zone: str, night: Night, now: datetime) -> None:
    """From the hour at which the night begins where the customer is, for as many hours as the policy says."""
    slot = next_slot(uid, zone, night, now=now)
    wall = datetime.combine(date.fromisoformat(slot.name), time(night.starts_at_hour), zoneinfo.ZoneInfo(zone))
    start = wall.astimezone(UTC)
    assert start <= slot.due_at < start + timedelta(hours=night.hours)


@given(uids, zones, nights, moments)
@settings(deadline=None, max_examples=50)
def test_each_night_has_exactly_one_slot(uid: str, zone: str, night: Night, start: datetime) -> None:
    """Walked from slot to slot through ten days, every date comes once, and what was next becomes newest."""
    names = []
    moment = start
    while moment < start + 10 * ONE_DAY:
        slot = next_slot(uid, zone, night, now=moment)
        assert newest_slot(uid, zone, night, now=slot.due_at) == slot, "it is due from that very moment"
        names.append(slot.name)
        moment = slot.due_at
    assert names == sorted(set(names))
    first, last = date.fromisoformat(names[0]), date.fromisoformat(names[-1])
    assert len(names) == (last - first).days + 1


def test_a_fleet_is_spread_over_the_night() -> None:
    """A thousand tenants of one place: every quarter of an hour of the night gets its share."""
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    night = POLICIES.backups.night
    due = [next_slot(f"uid{number:09d}", "Europe/Brussels", night, now=now).due_at for number in range(1000)]
    quarters = Counter((moment - min(due)) // timedelta(minutes=15) for moment in due)
    expected = 1000 / (night.hours * 4)
    assert len(quarters) >= night.hours * 4
    assert max(quarters.values()) < 2 * expected


@given(uids, st.integers(0, 3650))
@rules
def test_a_tenant_has_its_own_minute_of_every_night(uid: str, days: int) -> None:
    """Where clocks are never changed, the minute is the same whatever the date: nobody has to look it up twice."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = next_slot(uid, "UTC", POLICIES.backups.night, now=start)
    later = next_slot(uid, "UTC", POLICIES.backups.night, now=start + days * ONE_DAY)
    assert later.due_at - first.due_at == days * ONE_DAY
