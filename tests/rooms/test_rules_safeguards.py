"""Properties of a destruction: every safeguard blocks by itself, and no plan destroys while one does not hold."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenantctl.model.backup import BackupState, CopyState, RetentionClass, VerificationLevel
from tenantctl.model.billing import SubscriptionSeen
from tenantctl.model.decisions import Act, Approval, CapCount, CapSeen, Proposal
from tenantctl.model.facts import DatabaseSeen, Facts, LoginsSeen
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Do
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Wanted
from tenantctl.offboarding.safeguards import ALWAYS_ALARMED, destruction_blockers, safeguards
from tenantctl.sweeps.planning import plan
from tests.rooms.held_cases import HELD
from tests.rooms.rule_facts import CLOSED, DESTROY_AFTER, HOSTING, ONE_HOUR, POLICIES, ripe_facts, standing, with_copy
from tests.rooms.test_golden_plans import BATCH, FROZEN, TOO_MANY

SECOND = timedelta(seconds=1)
IRREVERSIBLE = {Do.MARK_DESTROYING, Do.DROP_DATABASE, Do.DROP_ROLES}
SILENT = Unreachable("no answer")
RIPE = ripe_facts()
FINAL = RIPE.backups[0]
Spoil = Callable[[Facts], Facts]


def of_tenant(**changes: Any) -> Spoil:
    """The same facts, of a tenant that is otherwise."""
    return lambda facts: replace(facts, tenant=replace(facts.tenant, **changes))


def of_final(**changes: Any) -> Spoil:
    """The same facts, with a final backup that is otherwise."""
    return lambda facts: replace(facts, backups=tuple(replace(one, **changes) for one in facts.backups))


def of_copy(**changes: Any) -> Spoil:
    """The same facts, with one copy of two that is otherwise."""
    return lambda facts: replace(facts, backups=tuple(with_copy(one, "us-south1", **changes) for one in facts.backups))


def of_facts(**changes: Any) -> Spoil:
    """The same tenant, seen otherwise."""
    return lambda facts: replace(facts, **changes)


def of_standing(**changes: Any) -> Spoil:
    """The same facts, with other decisions of people."""

    def spoil(facts: Facts) -> Facts:
        return facts if facts.standing is None else replace(facts, standing=replace(facts.standing, **changes))

    return spoil


def approved(people: int) -> Proposal:
    """The batch, as so many people have approved it."""
    yes = tuple(Approval(f"person-{number}@example.com", DESTROY_AFTER) for number in range(people))
    return replace(BATCH, approvals=yes)


RIPE_NOTICES = standing().notices


# What is wrong → (how the facts come to be so, the safeguards that must say no).
SPOILT: Mapping[str, tuple[Spoil, set[str]]] = {
    "no anchor was looked at": (of_facts(registry=SILENT), {"registry"}),
    "it is still deactivating": (of_tenant(state=State.DEACTIVATING), {"state"}),
    "it is active again": (of_tenant(state=State.ACTIVE), {"state"}),
    "the customer came back": (of_tenant(wanted=Wanted.LIVING), {"intent"}),
    "the cancellation is for later": (of_tenant(intent_effective_at=DESTROY_AFTER + SECOND), {"intent"}),
    "grace lasts a second more": (of_tenant(destroy_after=DESTROY_AFTER + SECOND), {"grace"}),
    "no grace was counted": (of_tenant(destroy_after=None), {"grace", "notice"}),
    "the closing is not on record": (
        of_tenant(logins_closed_at=None),
        {"logins-closed", "final-backup", "copies-seen", "notice"},
    ),
    "the login is open": (of_facts(logins=Present(LoginsSeen(can_log_in=True, sessions=0))), {"logins-closed"}),
    "a session is left": (of_facts(logins=Present(LoginsSeen(can_log_in=False, sessions=1))), {"logins-closed"}),
    "the login is gone": (of_facts(logins=Gone()), {"logins-closed"}),
    "the login could not be looked at": (of_facts(logins=SILENT), {"logins-closed"}),
    "there is no backup": (of_facts(backups=()), {"final-backup", "copies-seen"}),
    "the backup is none of the final ones": (
        of_final(retention_class=RetentionClass.MONTHLY),
        {"final-backup", "copies-seen"},
    ),
    "the backup is not complete": (of_final(state=BackupState.SHORT), {"final-backup", "copies-seen"}),
    "the backup failed its restore": (of_final(state=BackupState.FAILED), {"final-backup", "copies-seen"}),
    "the backup is of before the closing": (of_final(begun_at=CLOSED - SECOND), {"final-backup", "copies-seen"}),
    "the backup is not verified": (of_final(verified_level=None), {"final-backup"}),
    "the backup was only read back": (of_final(verified_level=VerificationLevel.STRUCTURE), {"final-backup"}),
    "a copy is lost": (of_copy(state=CopyState.LOST), {"copies-seen"}),
    "a copy was only intended": (of_copy(state=CopyState.INTENDED), {"copies-seen"}),
    "a copy was never seen": (of_copy(seen_at=None), {"copies-seen"}),
    "a copy was seen too long ago": (of_copy(seen_at=DESTROY_AFTER - 24 * ONE_HOUR - SECOND), {"copies-seen"}),
    "a copy reaches its term too soon": (
        of_copy(lapses_at=DESTROY_AFTER + timedelta(days=POLICIES.lifecycle.destroy_within_days)),
        {"final-backup", "copies-seen"},
    ),
    "both copies lie in one region": (of_copy(region="us-central1"), {"copies-seen"}),
    "the marker is another's": (
        of_facts(database=Present(DatabaseSeen(replace(HOSTING, uid="x" * 12).marker, 1))),
        {"marker"},
    ),
    "the marker is of another generation": (
        of_facts(database=Present(DatabaseSeen(replace(HOSTING, generation=2).marker, 1))),
        {"marker"},
    ),
    "there is no marker": (of_facts(database=Present(DatabaseSeen("", 1))), {"marker"}),
    "the database is gone already": (of_facts(database=Gone()), {"marker"}),
    "the database could not be looked at": (of_facts(database=SILENT), {"marker"}),
    "nobody asked what people decided": (of_facts(standing=None), {"hold", "freeze", "notice", "cap"}),
    "nobody could say whether it is paid for": (of_facts(subscription=SILENT), {"subscription"}),
    "it is still paid for": (of_facts(subscription=Present(SubscriptionSeen(True, "it lasts"))), {"subscription"}),
    "it is under a hold": (of_standing(holds=(HELD,)), {"hold"}),
    "its region is frozen": (of_standing(freezes=(FROZEN,)), {"freeze"}),
    "no notice was put out": (of_facts(standing=standing(notices=False)), {"notice"}),
    "one notice was not put out": (of_standing(notices=RIPE_NOTICES[:-1]), {"notice"}),
    "the notices are of an earlier closing": (
        of_standing(notices=tuple(replace(one, closing=CLOSED - ONE_HOUR) for one in RIPE_NOTICES)),
        {"notice"},
    ),
    "nobody counted": (of_standing(cap=None), {"cap"}),
    "more is due than the cap allows": (of_standing(cap=CapSeen(Act.DESTROY, CapCount(0, 11, 100), None)), {"cap"}),
    "what was done and what is due are too much together": (
        of_standing(cap=CapSeen(Act.DESTROY, CapCount(6, 5, 100), None)),
        {"cap"},
    ),
    "the batch is not approved": (of_standing(cap=CapSeen(Act.DESTROY, TOO_MANY, BATCH)), {"cap"}),
    "the batch is approved by one person": (of_standing(cap=CapSeen(Act.DESTROY, TOO_MANY, approved(1))), {"cap"}),
    "the batch is of others": (
        of_standing(cap=CapSeen(Act.DESTROY, TOO_MANY, replace(approved(2), content={"members": ["another"]}))),
        {"cap"},
    ),
}


def codes(facts: Facts) -> set[str]:
    """The codes of what blocks the destruction of a tenant at the end of its grace."""
    return {blocker.code for blocker in destruction_blockers(facts, POLICIES, now=DESTROY_AFTER)}


def destroys(facts: Facts) -> bool:
    """Whether the plan has a step that cannot be undone."""
    return any(step.do in IRREVERSIBLE for step in plan(facts, POLICIES, now=DESTROY_AFTER).steps)


def test_nothing_blocks_where_everything_holds() -> None:
    """Else the tests below would show nothing."""
    assert codes(RIPE) == set()
    assert destroys(RIPE)


@pytest.mark.parametrize("what", sorted(SPOILT))
def test_each_condition_blocks_alone(what: str) -> None:
    """One thing is wrong and everything else holds: exactly that is said, and no plan destroys."""
    spoil, blocking = SPOILT[what]
    assert codes(spoil(RIPE)) == blocking
    assert not destroys(spoil(RIPE))


def test_each_safeguard_is_the_only_one_to_block_somewhere() -> None:
    """None of them is a duplicate of another, which could be removed without a test noticing."""
    alone = {next(iter(blocking)) for _, blocking in SPOILT.values() if len(blocking) == 1}
    assert alone == {guard.code for guard in safeguards(RIPE, POLICIES, now=DESTROY_AFTER)}


@given(st.lists(st.sampled_from(sorted(SPOILT)), min_size=1, max_size=6, unique=True))
@settings(deadline=None, max_examples=200)
@example(["grace lasts a second more", "there is no backup"])
def test_nothing_that_is_wrong_is_mended_by_something_else_that_is(wrong: list[str]) -> None:
    """However many things are wrong at once, and in whatever order they went wrong, no plan destroys."""
    facts = RIPE
    for what in wrong:
        facts = SPOILT[what][0](facts)
    assert codes(facts)
    assert not destroys(facts)


@given(st.integers(1, 90 * 24 * 3600))
@settings(deadline=None, max_examples=100)
def test_no_moment_of_grace_is_long_enough(seconds: int) -> None:
    """At no second before its end is anything irreversible planned."""
    early = DESTROY_AFTER - timedelta(seconds=seconds)
    planned = plan(ripe_facts(now=early), POLICIES, now=early)
    assert not IRREVERSIBLE & {step.do for step in planned.steps}


@given(st.sampled_from(sorted(SPOILT)), st.integers(0, 60))
@settings(deadline=None, max_examples=100)
def test_what_blocks_for_too_long_raises_an_alarm(what: str, days: int) -> None:
    """Within the days in which a database is to be destroyed a blocker only says why; past them somebody is told."""
    facts = SPOILT[what][0](RIPE)
    now = DESTROY_AFTER + timedelta(days=days, seconds=1)
    due = facts.tenant.destroy_after
    overdue = due is not None and now > due + timedelta(days=POLICIES.lifecycle.destroy_within_days)
    for blocker in destruction_blockers(facts, POLICIES, now=now):
        assert blocker.alarm == (blocker.code in ALWAYS_ALARMED or (overdue and blocker.code != "hold"))
        assert blocker.since is not None or due is None


@pytest.mark.parametrize("state", sorted(set(State) - {State.DEACTIVATED, State.DESTROYING}))
def test_no_other_state_destroys(state: State) -> None:
    """Whatever else holds: only a deactivated tenant begins to be destroyed, and only one that began is finished."""
    assert not destroys(of_tenant(state=state)(RIPE))
