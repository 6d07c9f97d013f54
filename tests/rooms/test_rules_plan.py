"""Properties of plans as data, and of the table of transitions."""

import string
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import LIVING, REINSTATABLE, TRANSITIONS, Event, State, diagram, transition
from tenantctl.model.plan import DUTY_OF, Blocker, Do, Duty, Plan, Step

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
words = st.text(string.ascii_lowercase + ' ",[]{}:\\é', max_size=12)
steps = st.builds(Step, do=st.sampled_from(Do), subject=words, reason=words, argument=words)
blockers = st.builds(Blocker, code=words, reason=words)
plans = st.builds(
    Plan,
    tenant_uid=words,
    purpose=words,
    steps=st.lists(steps, max_size=3).map(tuple),
    blockers=st.lists(blockers, max_size=2).map(tuple),
)
rules = settings(deadline=None, max_examples=200)


@given(plans, plans)
@rules
def test_a_digest_names_one_content(one: Plan, other: Plan) -> None:
    """Two plans have one name exactly if they say the same, whatever marks their words contain."""
    assert (one.digest == other.digest) == (one == other)


@given(plans, words, words)
@rules
def test_words_do_not_flow_into_each_other(plan: Plan, word: str, more: str) -> None:
    """What is moved from one field to the next is another plan."""
    joined = replace(plan, steps=(Step(Do.BACK_UP, word + more, "x"),))
    apart = replace(plan, steps=(Step(Do.BACK_UP, word, more + "x"),))
    assert (joined.digest == apart.digest) == (more == "")


@given(plans, st.integers(0, 10**6), words)
@rules
def test_a_digest_does_not_know_when_it_was_made(plan: Plan, seconds: int, because: str) -> None:
    """When to look again, and why nothing is to be done, may change from one minute to the next."""
    later = replace(plan, next_look=NOW + timedelta(seconds=seconds), because=because)
    aged = replace(later, blockers=tuple(replace(one, since=NOW, alarm=True) for one in plan.blockers))
    assert plan.digest == later.digest == aged.digest


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda plan: replace(plan, tenant_uid="other"), id="another tenant"),
        pytest.param(lambda plan: replace(plan, purpose="other"), id="another purpose"),
        pytest.param(lambda plan: replace(plan, steps=plan.steps[::-1]), id="another order"),
        pytest.param(lambda plan: replace(plan, steps=plan.steps[:1]), id="a step less"),
        pytest.param(lambda plan: replace(plan, steps=(*plan.steps, plan.steps[0])), id="a step twice"),
        pytest.param(lambda plan: replace(plan, blockers=()), id="no blocker"),
        pytest.param(lambda plan: replace(plan, blockers=(Blocker("a", "c"),)), id="another reason"),
        pytest.param(
            lambda plan: replace(plan, steps=(replace(plan.steps[0], argument="L3"), *plan.steps[1:])),
            id="another argument",
        ),
    ],
)
def test_another_content_has_another_name(change: Callable[[Plan], Plan]) -> None:
    """Whatever could be approved by mistake changes the digest."""
    plan = Plan(
        "uid", "destroy", (Step(Do.DROP_DATABASE, "uid", "x"), Step(Do.DROP_ROLES, "uid", "y")), (Blocker("a", "b"),)
    )
    assert change(plan).digest != plan.digest


@given(plans)
@rules
def test_the_text_leaves_nothing_out(plan: Plan) -> None:
    """Each step with its reason, each blocker with its reason, and the name of the whole."""
    text = plan.text()
    assert plan.digest in text
    for number, step in enumerate(plan.steps, 1):
        assert f"{number}. {step.do} {step.subject}: {step.reason}" in text
    for blocker in plan.blockers:
        assert f"blocked: {blocker.code}: {blocker.reason}" in text
    assert ("nothing to do" in text) >= (not plan.steps and not plan.blockers)


def test_the_duty_of_a_plan_is_that_of_its_first_step() -> None:
    """Whoever claims a tenant by its duty can begin; each duty has something to do, or a room that is to come."""
    for do, duty in DUTY_OF.items():
        assert Plan("uid", "x", (Step(do, "uid", "y"), Step(Do.MARK_FORGOTTEN, "uid", "z"))).duty is duty
    assert Plan("uid", "x").duty is None
    assert set(DUTY_OF.values()) >= set(Duty) - {Duty.RESTORE}


@given(st.sampled_from(State), st.sampled_from(Event))
@rules
def test_only_the_table_moves_a_tenant(state: State, event: Event) -> None:
    """A pair that is in no row is refused, and says which."""
    rows = [row for row in TRANSITIONS if (row.source, row.event) == (state, event)]
    if rows:
        assert [transition(state, event)] == rows
    else:
        with pytest.raises(Refused, match=f"{state} cannot take {event}"):
            transition(state, event)


def reachable(start: State) -> set[State]:
    """The states that some row leads to from `start`, in any number of moves."""
    found = {start}
    while more := {row.target for row in TRANSITIONS if row.source in found} - found:
        found |= more
    return found


def test_every_state_is_reached_and_every_life_ends() -> None:
    """Nothing is stranded, and whoever begins can be forgotten."""
    assert reachable(State.REQUESTED) == set(State)
    for state in State:
        assert State.FORGOTTEN in reachable(state)


def test_there_is_no_way_back_from_a_destruction() -> None:
    """From destroying on nothing living is reached, and nothing but grace's end or an approved erasure leads there."""
    assert reachable(State.DESTROYING) == {State.DESTROYING, State.DESTROYED, State.FORGOTTEN}
    assert not reachable(State.DESTROYING) & LIVING
    entries = {(row.source, row.event) for row in TRANSITIONS if row.target is State.DESTROYING}
    assert {event for _, event in entries} == {Event.GRACE_ENDED, Event.ERASURE_APPROVED}
    assert {source for source, event in entries if event is Event.GRACE_ENDED} == {State.DEACTIVATED}


def test_reinstatement_leads_to_active_from_wherever_grace_runs() -> None:
    """Until destroying, and from nowhere else."""
    assert set(REINSTATABLE) == {State.DEACTIVATING, State.DEACTIVATED}
    assert {row.target for row in TRANSITIONS if row.event is Event.REINSTATED} == {State.ACTIVE}


def test_the_diagram_is_the_table() -> None:
    """A line for each row, and the way in and out."""
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    rows = {f"    {row.source} --> {row.target}: {row.event}" for row in TRANSITIONS}
    assert set(lines[1:]) == rows | {"    [*] --> requested", "    forgotten --> [*]"}
