"""Properties of completing a backup: what is missing is known, is made in time, and is readable no longer for it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.backups.attempt import WRITING_MAX, written_copy
from tenantctl.backups.completeness import is_being_completed, lacking, missing_copies
from tenantctl.backups.keys import key_residue
from tenantctl.backups.planning import due_backup, plan_repairs
from tenantctl.backups.retention import intended_copy
from tenantctl.model.backup import Backup, BackupState, CopyState, Residue, ResidueKind, RetentionClass
from tenantctl.model.calendar import add_months
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Do
from tenantctl.ports.vault import ObjectSeen
from tests.rooms.rule_facts import CREATED, ONE_HOUR, POLICIES, REGIONS, backup, tenant, with_copy

POLICY = POLICIES.backups
DAYS = POLICY.repair_days
rules = settings(deadline=None, max_examples=200)
hours = st.integers(0, 30 * 24)
UNWRITTEN = frozenset({CopyState.INTENDED, CopyState.ABSENT})


def short(retention_class: RetentionClass = RetentionClass.DAILY) -> Backup:
    """A backup whose second region took nothing."""
    made = backup("b", "2026-11-02", CREATED, retention_class=retention_class, state=BackupState.SHORT)
    return with_copy(made, REGIONS[1], state=CopyState.INTENDED, size=None, written_at=None, seen_at=None)


def place(of: Backup, *, lapsed: bool) -> Residue:
    """The inventory's line for the second region's copy."""
    copy = of.copies[1]
    when = CREATED if lapsed else None
    return Residue(copy.residue_id, of.tenant_uid, ResidueKind.COPY, "x", CREATED, copy.unreadable_after, when)


@given(hours, st.sampled_from(BackupState), st.sampled_from(CopyState), st.sampled_from(CopyState), st.booleans())
@rules
def test_a_copy_is_made_again_exactly_if_it_is_missing_and_another_is_good_and_it_is_not_too_late(
    after: int, state: BackupState, first: CopyState, second: CopyState, lapsed: bool
) -> None:
    """Of each copy: it never was, or is lost and seen to be gone; and its backup has a good one, and its days."""
    made = with_copy(with_copy(replace(short(), state=state), REGIONS[0], state=first), REGIONS[1], state=second)
    now = CREATED + after * ONE_HOUR
    missing = missing_copies(made, [place(made, lapsed=lapsed)], POLICY, now=now)
    lacks = second in UNWRITTEN or (second is CopyState.LOST and lapsed)
    good = first is CopyState.WRITTEN and state in {BackupState.COMPLETE, BackupState.SHORT}
    in_time = now < CREATED + timedelta(days=DAYS)
    assert (made.copies[1] in missing) == (lacks and good and in_time)
    assert not any(copy.state is CopyState.WRITTEN for copy in missing)


@given(st.integers(0, DAYS * 24 * 60 - 1), st.sampled_from(RetentionClass), st.integers(0, 24 * 60))
@rules
def test_a_repaired_copy_is_unreadable_within_the_promise(
    after: int, retention_class: RetentionClass, writing: int
) -> None:
    """Begun at the last minute and written for a day: its bytes and its key are gone in time all the same."""
    made = short(retention_class)
    begun = made.begun_at + timedelta(minutes=after)
    intended = intended_copy(made, REGIONS[1], bucket_prefix="acme", policy=POLICY, allowance=WRITING_MAX, now=begun)
    seen = ObjectSeen(7, "AAAAAA==", begun + timedelta(minutes=writing), None, held=False)
    copy = written_copy(intended, seen, POLICY, POLICY.classes[retention_class].age_days, begun)
    promised = add_months(made.begun_at, POLICY.promise_months)
    for last in (intended, copy):
        assert last.unreadable_after + timedelta(days=POLICY.key_residue_days) <= promised
        assert key_residue(last, POLICY).unreadable_after <= promised  # type: ignore[operator]
    assert copy.lapses_at == seen.created_at + timedelta(days=POLICY.classes[retention_class].age_days)
    assert copy.unreadable_after <= intended.unreadable_after


@given(hours)
@rules
def test_a_slot_is_served_by_a_backup_that_will_be_complete_and_by_no_other_that_is_short(after: int) -> None:
    """As long as it can be completed nothing is dumped for its slot; from then on something is."""
    made = short()
    now = CREATED + after * ONE_HOUR
    facts = Facts(tenant(State.ACTIVE), backups=(replace(made, slot="now"),))
    served = is_being_completed(made, (), POLICY, now=now)
    assert served == bool(list(plan_repairs(facts, POLICY, now=now)))
    assert served == (now < CREATED + timedelta(days=DAYS))
    due = list(due_backup(Facts(tenant(State.ACTIVE), backups=(made,)), POLICY, now=now))
    slot_of_the_night = due[0].subject if due else made.slot
    again = list(
        due_backup(Facts(tenant(State.ACTIVE), backups=(replace(made, slot=slot_of_the_night),)), POLICY, now=now)
    )
    assert bool(again) == (not served)


@pytest.mark.parametrize("state", [BackupState.SHORT, BackupState.COMPLETE])
def test_nothing_is_made_of_what_nobody_can_open(state: BackupState) -> None:
    """A backup whose key is shredded stays as it is, whatever copies it lacks."""
    made = replace(short(), state=state, recipient="age1recipient")
    assert missing_copies(made, (), POLICY, now=CREATED + ONE_HOUR) == ()
    wrapped = with_copy(made, REGIONS[0], wrapped_key="d3JhcHBlZA==")
    assert [copy.region for copy in missing_copies(wrapped, (), POLICY, now=CREATED + ONE_HOUR)] == [REGIONS[1]]


def test_another_term_is_another_bucket() -> None:
    """A policy that was changed meanwhile has other buckets: what the old ones lack is not made there."""
    made = short()
    classes = {**POLICY.classes, RetentionClass.DAILY: replace(POLICY.classes[RetentionClass.DAILY], age_days=32)}
    assert missing_copies(made, (), POLICY, now=CREATED) != ()
    assert missing_copies(made, (), replace(POLICY, classes=classes), now=CREATED) == ()


def test_the_newest_is_completed_first() -> None:
    older, newer = short(), replace(short(), id="c", begun_at=CREATED + ONE_HOUR)
    newer = replace(newer, copies=tuple(replace(copy, backup_id="c") for copy in newer.copies))
    steps = list(plan_repairs(Facts(tenant(State.ACTIVE), backups=(older, newer)), POLICY, now=CREATED + ONE_HOUR))
    assert [(step.do, step.subject) for step in steps] == [
        (Do.REPAIR_COPY, f"c/{REGIONS[1]}"),
        (Do.REPAIR_COPY, f"b/{REGIONS[1]}"),
    ]


def test_who_is_told_of_what_is_short() -> None:
    """What can be completed, and what no whole one follows; not what is past mending and followed by a whole one."""
    now = CREATED + timedelta(days=DAYS + 1)
    old, whole = short(), backup("w", "2026-11-20", now)
    assert [one.id for one in lacking([old], (), POLICY, now=now)] == ["b"]
    assert lacking([old, whole], (), POLICY, now=now) == ()
    assert [one.id for one in lacking([old, whole], (), POLICY, now=CREATED + ONE_HOUR)] == ["b"]
