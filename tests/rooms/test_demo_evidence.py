"""What the demo takes for a proof, and what it does not; and how a promise that was not kept shows."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenantctl.localcloud.clock import parse_duration
from tests.demo import evidence
from tests.demo.ledger import Ledger, Promise
from tests.demo.timeline import WIDTH, Timeline

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


def placement(region: str, *, near_allowed: bool = True) -> dict[str, Any]:
    return {
        "region": region,
        "candidates": [
            {"region": "near", "allowed": near_allowed, "distance_km": 10.0},
            {"region": "far", "allowed": True, "distance_km": 20.0},
        ],
    }


def backup(
    *regions: str, state: str = "complete", begun_at: str = "2027-03-01T00:00:00Z", kind: str = "daily"
) -> dict[str, Any]:
    copies = [{"region": region, "state": "written"} for region in regions]
    return {"state": state, "copies": copies, "begun_at": begun_at, "retention_class": kind}


def place(made_at: str, lapsed_at: str | None, proof: str | None = "gone") -> dict[str, Any]:
    return {
        "kind": "copy",
        "made_at": made_at,
        "lapsed_at": lapsed_at,
        "proof": proof,
        "unreadable_after": "2028-01-01T00:00:00Z",
    }


def test_the_closest_region_is_the_closest_that_is_allowed() -> None:
    """A farther one is not it, unless nothing nearer is allowed; nor is one that is not among the candidates."""
    assert evidence.is_closest(placement("near"))
    assert not evidence.is_closest(placement("far"))
    assert evidence.is_closest(placement("far", near_allowed=False))
    assert not evidence.is_closest(placement("near", near_allowed=False))
    assert not evidence.is_closest(placement("elsewhere"))


def test_two_regions_are_two_regions() -> None:
    """Two copies in one region do not count, nor a copy that is lost, nor a backup that is not complete."""
    assert evidence.in_two_regions(backup("one", "two"))
    assert not evidence.in_two_regions(backup("one", "one"))
    assert not evidence.in_two_regions(backup("one", "two", state="short"))
    lost = backup("one", "two")
    lost["copies"][0]["state"] = "lost"
    assert not evidence.in_two_regions(lost)


def test_the_newest_final_backup_is_found_by_its_beginning() -> None:
    """Not by its place in the list."""
    late = backup("one", begun_at="2027-03-02T00:00:00Z", kind="final")
    early = backup("one", begun_at="2027-03-01T00:00:00Z", kind="final")
    later_daily = backup("one", begun_at="2027-03-03T00:00:00Z")
    assert evidence.final([late, early, later_daily]) is late
    assert evidence.newest([late, later_daily, early]) is later_daily


@pytest.mark.parametrize(
    ("until", "kept"),
    [
        ("2027-03-22T23:00:00Z", True),  # midnight in Brussels, more than 21 days on
        ("2027-03-23T23:00:00Z", True),
        ("2027-03-21T23:00:00Z", False),  # 13 hours short
        ("2027-03-22T12:00:00Z", False),  # 21 days to the second, but in the middle of the day
        ("2027-03-25T23:00:00Z", False),  # too long
    ],
)
def test_three_weeks_last_to_the_end_of_the_day(until, kept) -> None:
    """Neither shorter nor much longer, and to midnight where the customer is."""
    tenant = {"logins_closed_at": "2027-03-01T12:00:00Z", "destroy_after": until, "time_zone": "Europe/Brussels"}
    assert evidence.grace_is_three_weeks(tenant) is kept


@pytest.mark.parametrize(
    ("start", "end", "within"),
    [
        ("2027-03-01T12:00:00Z", "2028-03-01T12:00:00Z", True),
        ("2027-03-01T12:00:00Z", "2028-03-01T12:00:01Z", False),
        ("2027-03-01T12:00:00Z", "2027-03-01T11:59:59Z", False),
        ("2028-02-29T12:00:00Z", "2029-02-28T12:00:00Z", True),
        ("2028-02-29T12:00:00Z", "2029-03-01T00:00:00Z", False),
    ],
)
def test_twelve_months_are_calendar_months(start, end, within) -> None:
    """From the 29th of February they end on the 28th."""
    assert evidence.within_a_year(evidence.moment(start), evidence.moment(end)) is within
    assert evidence.lapsed_within_a_year([place(start, end)]) is within


def test_a_lapse_needs_a_date_a_proof_and_a_place() -> None:
    """Nothing listed proves nothing."""
    lapsed, still_open = place("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"), place("2027-01-01T00:00:00Z", None)
    assert evidence.proved([lapsed])
    assert not evidence.proved([])
    assert not evidence.proved([lapsed, still_open])
    assert not evidence.proved([place("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z", proof=None)])
    assert not evidence.lapsed_within_a_year([])
    assert not evidence.lapsed_within_a_year([lapsed, still_open])
    assert evidence.open_places([lapsed, still_open]) == [still_open]


@pytest.mark.parametrize("span", [timedelta(days=21), timedelta(days=1, hours=18, seconds=1), timedelta(seconds=-5)])
def test_the_clock_is_moved_by_as_much_or_a_little_more(span) -> None:
    """The local cloud reads the duration, and it is never too short to get there."""
    read = parse_duration(evidence.duration(span))
    assert timedelta(0) <= read - max(span, timedelta(0)) <= timedelta(minutes=1)


def test_a_promise_that_nobody_looked_at_is_not_kept() -> None:
    """Only looks that hold keep a promise; one that does not breaks it for good."""
    ledger = Ledger()
    assert not ledger.whole
    for promise in Promise:
        assert not ledger.kept(promise)
        ledger.add(promise, "it is so", holds=True, evidence="seen")
        assert ledger.kept(promise)
    assert ledger.whole
    ledger.add(Promise.GRACE, "it is so", holds=False, evidence="it is not")
    assert not ledger.kept(Promise.GRACE)
    assert ledger.kept(Promise.CLOSED)
    assert not ledger.whole


def test_a_broken_promise_shows_where_it_broke_and_at_the_end() -> None:
    """With what was seen instead, in lines that fit a terminal."""
    out = io.StringIO()
    timeline = Timeline(out)
    timeline.chapter(NOON, "The beginning")
    assert timeline.check(Promise.OWN, "all is there", holds=True, evidence="a word " * 40)
    timeline.chapter(NOON + timedelta(days=3), "Later")
    assert not timeline.check(Promise.CLOSED, "nobody logs in", holds=False, evidence="somebody did")
    assert not timeline.verdict()
    text = out.getvalue()
    assert "2027-03-04  Later  (day 3)" in text
    assert text.count("✗ NOT SO: nobody logs in; instead: somebody did") == 1
    assert text.count("✗ nobody logs in; instead: somebody did") == 1
    assert f"✓ {Promise.OWN}\n      1 of 1 checks hold" in text
    assert f"✗ {Promise.GRACE}\n      it was never looked at" in text
    assert max(map(len, text.splitlines())) <= WIDTH
