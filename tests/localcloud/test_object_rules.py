"""The rules of the object store, without a server: what keeps an object, what may change, what is due."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tenantctl.localcloud.object_bucket_rules import new_bucket
from tenantctl.localcloud.object_conditions import Preconditions
from tenantctl.localcloud.object_downloads import wanted_range
from tenantctl.localcloud.object_lifecycle import checked_rules, due_action
from tenantctl.localcloud.object_refusals import Refusal
from tenantctl.localcloud.object_rules import (
    changed_object,
    expiration_shown,
    format_time,
    is_kept,
    kept_until,
    new_object,
    parse_time,
    refuse_if_kept,
)

rules = settings(deadline=None)  # a busy machine is no failure
BEGUN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECONDS = st.integers(1, 400 * 86_400)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


def bucket(**settings: Any) -> dict[str, Any]:
    asked = {"name": "vault", "location": "europe-west1", "softDeletePolicy": {"retentionDurationSeconds": "0"}}
    return new_bucket({**asked, **settings}, BEGUN, object_retention=True)


def stored(metadata: dict[str, Any], of: dict[str, Any], at: datetime) -> dict[str, Any]:
    return {"name": "copy", "bucket": "vault", **new_object(metadata, of, at)}


@rules
@given(MOMENTS)
def test_times_are_written_and_read_back(moment):
    """To the millisecond, whatever the offset."""
    assert parse_time(format_time(moment)) == moment
    assert format_time(moment).endswith("Z")


@rules
@given(period=SECONDS, made=MOMENTS, later=SECONDS)
def test_retention_keeps_an_object_until_its_time_and_not_longer(period, made, later):
    """Exactly as long as the bucket's policy says, counted from its creation."""
    of = bucket(retentionPolicy={"retentionPeriod": str(period)})
    document = stored({}, of, made)
    now = made + timedelta(seconds=later)
    assert is_kept(document, of, now) == (later < period)
    assert expiration_shown(document, of) == made + timedelta(seconds=period)


@rules
@given(period=SECONDS, own=SECONDS, made=MOMENTS)
def test_policy_and_configuration_keep_together(period, own, made):
    """The later of the two ends decides."""
    of = bucket(retentionPolicy={"retentionPeriod": str(period)})
    until = format_time(made + timedelta(seconds=own))
    document = stored({"retention": {"mode": "Locked", "retainUntilTime": until}}, of, made)
    assert kept_until(document, of) == made + timedelta(seconds=max(period, own))


@rules
@given(st.booleans(), st.booleans(), st.booleans(), SECONDS, MOMENTS)
def test_a_hold_keeps_what_retention_no_longer_does(temporary, event_based, retained, period, made):
    """Any one of them is enough, and none of them means that the object can go."""
    of = bucket(retentionPolicy={"retentionPeriod": str(period)})
    document = stored({"temporaryHold": temporary, "eventBasedHold": event_based}, of, made)
    now = made + timedelta(seconds=0 if retained else period)
    assert is_kept(document, of, now) == (temporary or event_based or retained)
    assert (expiration_shown(document, of) is None) == event_based


@rules
@given(period=SECONDS, held=SECONDS, made=MOMENTS)
def test_only_an_event_based_hold_restarts_the_clock(period, held, made):
    """Released, it counts the whole period again; a temporary hold changes nothing."""
    of, released = bucket(retentionPolicy={"retentionPeriod": str(period)}), made + timedelta(seconds=held)
    for hold, start in (("eventBasedHold", released), ("temporaryHold", made)):
        document = changed_object(stored({hold: True}, of, made), {hold: False}, of, released)
        assert kept_until(document, of) == start + timedelta(seconds=period)


def test_the_refusals_name_their_reason():
    """What the vault tells apart: retention, and a hold."""
    of = bucket(retentionPolicy={"retentionPeriod": "60"})
    for metadata, reason in (({}, "retentionPolicyNotMet"), ({"temporaryHold": True}, "forbidden")):
        with pytest.raises(Refusal) as refused:
            refuse_if_kept(stored(metadata, of, BEGUN), of, BEGUN)
        assert (refused.value.status, refused.value.reason) == (403, reason)


@rules
@given(first=SECONDS, second=SECONDS, unlock=st.booleans(), mode=st.sampled_from(["Locked", "Unlocked"]))
def test_a_locked_configuration_only_grows(first, second, unlock, mode):
    """Whatever is asked, and with whatever override, its end never comes nearer."""
    of = bucket()
    until = BEGUN + timedelta(seconds=first)
    locked = {"mode": "Locked", "retainUntilTime": format_time(until)}
    document = stored({"retention": locked}, of, BEGUN)
    asked = {"mode": mode, "retainUntilTime": format_time(BEGUN + timedelta(seconds=second))}
    if mode == "Locked" and second >= first:
        changed = changed_object(document, {"retention": asked}, of, BEGUN, unlock=unlock)
        assert kept_until(changed, of) == BEGUN + timedelta(seconds=second)
    else:
        with pytest.raises(Refusal) as refused:
            changed_object(document, {"retention": asked}, of, BEGUN, unlock=unlock)
        assert refused.value.status == 403
    with pytest.raises(Refusal):
        changed_object(document, {"retention": None}, of, BEGUN, unlock=unlock)


def test_an_unlocked_configuration_needs_the_override_to_shrink():
    """Without it nothing is taken back; with it everything may be."""
    of = bucket()
    until = format_time(BEGUN + timedelta(days=9))
    document = stored({"retention": {"mode": "Unlocked", "retainUntilTime": until}}, of, BEGUN)
    sooner = {"mode": "Unlocked", "retainUntilTime": format_time(BEGUN + timedelta(days=1))}
    for change in (sooner, None, {"mode": "Locked", "retainUntilTime": until}):
        with pytest.raises(Refusal):
            changed_object(document, {"retention": change}, of, BEGUN)
        changed = changed_object(document, {"retention": change}, of, BEGUN, unlock=True)
        assert changed.get("retention") == change


@pytest.mark.parametrize(
    "metadata",
    [
        {"retention": {"mode": "Locked", "retainUntilTime": format_time(BEGUN)}},
        {"retention": {"mode": "Forever", "retainUntilTime": "2030-01-01T00:00:00Z"}},
        {"retention": {"mode": "Locked"}},
        {"retention": {"mode": "Locked", "retainUntilTime": "2030-01-01T00:00:00Z"}, "eventBasedHold": True},
        {"customTime": "yesterday"},
        {"customTime": "2026-01-01T00:00:00"},
        {"metadata": {"a": 1}},
        {"metadata": "a"},
        {"temporaryHold": "yes"},
        {"contentType": 7},
        {"storageClass": "FROZEN"},
    ],
)
def test_metadata_that_cannot_be_is_refused(metadata):
    """400 `invalid`, as the real service answers."""
    with pytest.raises(Refusal) as refused:
        stored(metadata, bucket(), BEGUN)
    assert (refused.value.status, refused.value.reason) == (400, "invalid")


@rules
@given(st.lists(MOMENTS, min_size=1, max_size=6))
def test_custom_time_never_moves_back(moments):
    """Whatever is asked in whatever order, the time that stands is never earlier than one that stood."""
    of = bucket()
    document, stood = stored({}, of, BEGUN), None
    for moment in moments:
        try:
            document = changed_object(document, {"customTime": format_time(moment)}, of, BEGUN)
        except Refusal:
            assert stood is not None
            assert moment < stood
            continue
        assert stood is None or moment >= stood
        stood = moment
    with pytest.raises(Refusal):
        changed_object(document, {"customTime": None}, of, BEGUN)


def test_a_patch_merges_and_an_update_replaces_without_releasing():
    """Both count the metageneration up; leaving out a hold or retention never lifts it."""
    of = bucket()
    document = stored({"metadata": {"a": "1", "b": "2"}, "temporaryHold": True, "contentType": "x/y"}, of, BEGUN)
    patched = changed_object(document, {"metadata": {"a": None, "c": "3"}}, of, BEGUN)
    assert (patched["metadata"], patched["contentType"]) == ({"b": "2", "c": "3"}, "x/y")
    updated = changed_object(patched, {"metadata": {"d": "4"}}, of, BEGUN, replace=True)
    assert (updated["metadata"], updated["temporaryHold"]) == ({"d": "4"}, True)
    assert "contentType" not in updated
    assert [item["metageneration"] for item in (document, patched, updated)] == ["1", "2", "3"]


PRESENT = st.one_of(st.none(), st.integers(1, 4))


@rules
@given(PRESENT, PRESENT, st.integers(0, 4), st.integers(1, 4))
def test_preconditions_mean_what_they_say(generation, metageneration, wanted, wanted_metageneration):
    """To match is equality, with 0 for absence; not to match is its opposite."""
    assume((generation is None) == (metageneration is None))

    def passes(**conditions: int) -> bool:
        try:
            Preconditions(**conditions).check(generation, metageneration)
        except Refusal:
            return False
        return True

    assert passes()
    assert passes(generation_match=wanted) == (wanted == (generation or 0))
    assert passes(generation_not_match=wanted) == (wanted != (generation or 0))
    assert passes(metageneration_match=wanted_metageneration) == (wanted_metageneration == metageneration)
    assert passes(metageneration_not_match=wanted_metageneration) == (wanted_metageneration != metageneration)


@rules
@given(age=st.integers(0, 400), seconds=st.integers(-5, 5), made=MOMENTS)
def test_an_age_is_reached_to_the_second(age, seconds, made):
    """Neither earlier nor later than the rule says, of the moment at which it is read."""
    rules = checked_rules([{"action": {"type": "Delete"}, "condition": {"age": age}}])
    as_of = made + timedelta(days=age, seconds=seconds)
    action = due_action(stored({}, bucket(), made), rules, as_of, live=True, newer_versions=0)
    assert (action is not None) == (seconds >= 0)


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        ({"age": "10"}, True),
        ({"age": 10, "isLive": False}, False),
        ({"age": 10, "isLive": True}, True),
        ({"createdBefore": "2026-01-31"}, False),
        ({"createdBefore": "2026-02-01"}, True),
        ({"customTimeBefore": "2026-01-02"}, True),
        ({"daysSinceCustomTime": 40}, True),
        ({"daysSinceCustomTime": 41}, False),
        ({"daysSinceNoncurrentTime": 0}, False),
        ({"numNewerVersions": 1}, False),
        ({"matchesPrefix": ["x", "co"]}, True),
        ({"matchesSuffix": ["y"], "age": 0}, True),
        ({"matchesSuffix": ["x"], "age": 0}, False),
        ({"matchesStorageClass": ["STANDARD"]}, True),
        ({"matchesStorageClass": ["ARCHIVE"]}, False),
    ],
)
def test_conditions_of_a_rule_all_have_to_hold(condition, applies):
    """Each of them by itself, for an object made at noon on 31 January with a custom time of 1 January."""
    document = stored({"customTime": "2026-01-01T12:00:00Z"}, bucket(), BEGUN)
    rules = checked_rules([{"action": {"type": "Delete"}, "condition": condition}])
    action = due_action(document, rules, BEGUN + timedelta(days=10), live=True, newer_versions=0)
    assert (action is not None) == applies


def test_delete_wins_over_a_change_of_class():
    """When both are due."""
    change = {"action": {"type": "SetStorageClass", "storageClass": "ARCHIVE"}, "condition": {"age": 1}}
    rules = checked_rules([change, {"action": {"type": "Delete"}, "condition": {"age": 2}}])
    document = stored({}, bucket(), BEGUN)
    for days, kind in ((1, "SetStorageClass"), (2, "Delete")):
        action = due_action(document, rules, BEGUN + timedelta(days=days), live=True, newer_versions=0)
        assert action is not None
        assert action["type"] == kind


@rules
@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 200))
def test_a_range_is_a_slice(first, last, size):
    """What the header asks for is what Python would cut out, or nothing is left of it and it is refused."""
    content = bytes(index % 251 for index in range(size))
    for text, expected in (
        (f"bytes={first}-{last}", content[first : last + 1]),
        (f"bytes={first}-", content[first:]),
        (f"bytes=-{last}", content[max(0, size - last) :]),
    ):
        if expected:
            start, length = wanted_range(text, size)
            assert content[start : start + length] == expected
            assert length == len(expected)
        else:
            with pytest.raises(Refusal, match=f"has {size} bytes"):
                wanted_range(text, size)
