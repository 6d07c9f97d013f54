"""Properties of planning: it looks again before anything changes, never at once, and decides by what it is given."""

from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenantctl.backups.planning import next_sight, unsettled_copies
from tenantctl.model.backup import CopyState
from tenantctl.model.lifecycle import State
from tenantctl.sweeps.planning import plan
from tests.rooms.rule_facts import DESTROY_AFTER, ONE_HOUR, POLICIES, backup, leaving, ripe_facts, with_copy
from tests.rooms.test_golden_plans import CASES

names = st.sampled_from(sorted(CASES))
hours = st.integers(0, 400 * 24)
rules = settings(deadline=None, max_examples=200)


@given(names, hours)
@rules
def test_who_has_nothing_to_do_is_looked_at_later(name: str, after: int) -> None:
    """A plan without steps that is due at once would keep a worker busy for ever."""
    facts, start = CASES[name]
    now = start + after * ONE_HOUR
    planned = plan(facts, POLICIES, now=now)
    assert planned.next_look is None or planned.next_look > now
    assert planned.steps or planned.next_look is not None, "nothing to do, and nobody will look again"


@given(names, hours, st.floats(0, 1))
@rules
@example("deactivated-in-grace", 24, 1.0)
@example("destroyed-copies-remain", 24 * 100, 1.0)
def test_nothing_changes_before_the_next_look(name: str, after: int, share: float) -> None:
    """If nothing else happens, the plan stays the same until then; an hour's work may be gathered."""
    facts, start = CASES[name]
    now = start + after * ONE_HOUR
    planned = plan(facts, POLICIES, now=now)
    if planned.steps or planned.next_look is None:
        return
    between = now + max(planned.next_look - now - ONE_HOUR, timedelta(0)) * share
    assert plan(facts, POLICIES, now=between).digest == planned.digest


@given(st.integers(1, 21 * 24 * 60))
@rules
def test_the_end_of_grace_is_not_slept_through(minutes: int) -> None:
    """However long before, the next look is no later than the end."""
    now = DESTROY_AFTER - timedelta(minutes=minutes)
    planned = plan(ripe_facts(now=now), POLICIES, now=now)
    assert planned.next_look is not None
    assert now < planned.next_look <= DESTROY_AFTER


@given(names, hours)
@rules
def test_the_same_facts_give_the_same_plan(name: str, after: int) -> None:
    """Nothing outside decides, and nothing is remembered from one call to the next."""
    facts, start = CASES[name]
    now = start + after * ONE_HOUR
    assert plan(facts, POLICIES, now=now) == plan(facts, POLICIES, now=now)


@given(st.integers(0, 400 * 24), st.sampled_from(CopyState))
@rules
def test_a_copy_is_looked_at_daily_and_as_soon_as_it_may_have_lapsed(seen_after: int, state: CopyState) -> None:
    """No later than a day after the last sight, exactly when its term ends, and never again once it is settled."""
    made = backup("b", "2026-11-23", DESTROY_AFTER)
    made = with_copy(made, "us-south1", seen_at=DESTROY_AFTER + seen_after * ONE_HOUR, state=state)
    copy = made.copies[0]
    assert copy.seen_at is not None
    following = next_sight(copy, POLICIES.backups)
    assert copy.seen_at < following <= copy.seen_at + timedelta(hours=POLICIES.backups.look_at_copies_every_hours)
    if copy.seen_at < copy.lapses_at:
        assert following <= copy.lapses_at
    settled = state in {CopyState.LAPSED, CopyState.LOST, CopyState.ABSENT}
    assert (copy not in unsettled_copies([made])) == settled


def test_a_lost_copy_is_no_reason_to_forget_the_other() -> None:
    """The copies that remain are looked at until they lapse, whatever happened to the first."""
    made = with_copy(backup("b", "2026-11-23", DESTROY_AFTER), "us-south1", state=CopyState.LOST)
    facts = ripe_facts()
    destroyed = type(facts)(tenant=leaving(State.DESTROYED), backups=(made,))
    later = plan(destroyed, POLICIES, now=DESTROY_AFTER + timedelta(days=40))
    assert [step.do.value for step in later.steps] == ["look-at-copies"]
