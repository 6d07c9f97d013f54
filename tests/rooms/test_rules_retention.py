"""Properties of retention: which class a backup is of, and that nothing outlives the promise."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tenantctl.backups.attempt import WRITING_MAX
from tenantctl.backups.retention import choose_class, intended_copy
from tenantctl.model.backup import Backup, BackupState, RetentionClass
from tenantctl.model.calendar import add_months, month_slot, shortest_days_in_months, week_slot
from tenantctl.model.policy import BackupsPolicy, Term
from tests.rooms.rule_facts import CLOSED, POLICIES, backup
from tests.rooms.test_rules_grace import moments

rules = settings(deadline=None, max_examples=100)
small = st.integers(0, 40)

# What a night does: how long after the last one it comes, how long the worker takes from its plan to its first write,
# and how the attempt ends.
outcomes = st.sampled_from([BackupState.COMPLETE, BackupState.COMPLETE, BackupState.FAILED, BackupState.SHORT])
attempts = st.tuples(st.timedeltas(timedelta(hours=1), timedelta(days=9)), st.just(timedelta(0)), outcomes)
LATE = (timedelta(days=1), timedelta(hours=1), BackupState.COMPLETE)


@st.composite
def terms(draw: st.DrawFn) -> Term:
    """Terms that hold by themselves, and some that do not."""
    age_days = draw(st.integers(1, 400))
    return Term(lock_days=age_days - draw(st.integers(0, 3)), age_days=age_days)


backups_policies = st.builds(
    BackupsPolicy,
    promise_months=st.integers(1, 24),
    copies_min=st.integers(1, 3),
    rpo_hours=st.integers(1, 48),
    rto_hours=st.integers(1, 48),
    repair_days=small,
    lifecycle_lag_days=small,
    key_residue_days=small,
    look_at_copies_every_hours=st.integers(1, 48),
    scratch_hours=st.just(24),
    night=st.just(POLICIES.backups.night),
    verification=st.just(POLICIES.backups.verification),
    off_cloud=st.sampled_from([{}, {"EU": "aws:eu-central-1"}, {"EU": "aws:eu-central-1", "US": "aws:us-east-2"}]),
    classes=st.fixed_dictionaries(dict.fromkeys(RetentionClass, terms())),
)


def history(start: datetime, nights: list[tuple[timedelta, timedelta, BackupState]]) -> list[Backup]:
    """The backups that a run of nights leaves behind, each of the class that was chosen when it was planned."""
    made: list[Backup] = []
    moment = start
    for number, (gap, delay, state) in enumerate(nights):
        moment += gap
        choice = choose_class(made, now=moment)
        moment += delay
        made.append(backup(f"b{number}", f"slot-{number}", moment, retention_class=choice.retention_class, state=state))
    return [one for one in made if one.state is BackupState.COMPLETE]


@given(moments, st.lists(attempts, max_size=50))
@rules
def test_no_month_and_no_week_has_two_of_its_own(
    start: datetime, nights: list[tuple[timedelta, timedelta, BackupState]]
) -> None:
    """A class is given once: the rest of the month is weekly, the rest of the week daily."""
    made = history(start, nights)
    for retention_class, slot in ((RetentionClass.MONTHLY, month_slot), (RetentionClass.WEEKLY, week_slot)):
        slots = [slot(one.begun_at) for one in made if one.retention_class is retention_class]
        assert len(slots) == len(set(slots))


@given(moments, st.lists(attempts, max_size=50))
@rules
def test_the_first_complete_backup_of_a_month_is_its_monthly_one(
    start: datetime, nights: list[tuple[timedelta, timedelta, BackupState]]
) -> None:
    """Likewise the week's first is weekly, unless it is the month's; a failed night takes no turn."""
    made = history(start, nights)
    months: set[str] = set()
    weeks: set[str] = set()
    for one in made:
        month, week = month_slot(one.begun_at), week_slot(one.begun_at)
        if month not in months:
            assert one.retention_class is RetentionClass.MONTHLY
        elif week not in weeks:
            assert one.retention_class is RetentionClass.WEEKLY
        else:
            assert one.retention_class is RetentionClass.DAILY
        months.add(month)
        weeks.add(week)


late_attempts = st.tuples(
    st.sampled_from([timedelta(days=1), timedelta(days=2)]), st.timedeltas(timedelta(0), timedelta(hours=1)), outcomes
)


@given(st.integers(0, 365), st.lists(late_attempts, max_size=50))
@rules
@example(0, [(timedelta(days=9), timedelta(0), BackupState.COMPLETE), *[LATE] * 26])
def test_a_backup_planned_before_midnight_and_begun_after_it_takes_nobodys_turn(
    first_night: int, nights: list[tuple[timedelta, timedelta, BackupState]]
) -> None:
    """It has the class of the month in which it was planned; the month in which it was begun still gets its own."""
    half_an_hour_to_midnight = datetime(2026, 11, 1, 23, 30, tzinfo=UTC) + timedelta(days=first_night)
    made = history(half_an_hour_to_midnight, nights)
    for slot, served in (
        (month_slot, {RetentionClass.MONTHLY}),
        (week_slot, {RetentionClass.MONTHLY, RetentionClass.WEEKLY}),
    ):
        for name in {slot(one.begun_at) for one in made}:
            classes = [one.retention_class for one in made if slot(one.begun_at) == name]
            assert len(classes) < 2 or served & set(classes)


@given(moments)
@rules
def test_a_final_backup_serves_as_the_months(now: datetime) -> None:
    """It has the same term, so who comes back after it needs no second one of that month."""
    final = backup("f", "final-1", now, retention_class=RetentionClass.FINAL)
    assert choose_class([final], now=now).retention_class is RetentionClass.DAILY
    assert POLICIES.backups.classes[RetentionClass.FINAL] == POLICIES.backups.classes[RetentionClass.MONTHLY]


@given(backups_policies)
@rules
def test_a_policy_is_accepted_exactly_if_its_sums_are_right(policy: BackupsPolicy) -> None:
    """Nothing that breaks the promise gets in, and nothing that keeps it is kept out."""
    allowed = shortest_days_in_months(policy.promise_months)
    good = policy.copies_min >= 2 and policy.lifecycle_lag_days >= 1
    for term in policy.classes.values():
        good = good and 1 <= term.lock_days < term.age_days <= term.lock_days + 2
        good = good and policy.days_readable(term) <= allowed
    assert (not list(policy.faults())) == good


@given(backups_policies, moments, st.sampled_from(sorted(RetentionClass)), small)
@settings(deadline=None, max_examples=100)
def test_what_an_accepted_policy_lets_be_written_is_unreadable_in_time(
    policy: BackupsPolicy, snapshot: datetime, retention_class: RetentionClass, repaired_after: int
) -> None:
    """However long the writing takes, and if it is made again on the last day: gone within the promised months."""
    policy = fitted(policy)
    assume(not list(policy.faults()))
    begun = replace(backup("b", "2026-11-23", snapshot), retention_class=retention_class)
    copy = intended_copy(
        begun,
        "us-south1",
        bucket_prefix="acme",
        policy=policy,
        allowance=WRITING_MAX,
        now=snapshot + timedelta(days=min(repaired_after, policy.repair_days)),
    )
    keys_gone = copy.unreadable_after + timedelta(days=policy.key_residue_days)
    assert keys_gone <= add_months(snapshot, policy.promise_months)
    assert copy.lapses_at < copy.unreadable_after


def fitted(policy: BackupsPolicy) -> BackupsPolicy:
    """The policy with each class as long as its promise allows at most: where a sum is wrong, it shows."""
    around = policy.days_readable(Term(0, 0))
    age_days = shortest_days_in_months(policy.promise_months) - around
    return replace(
        policy,
        copies_min=max(2, policy.copies_min),
        lifecycle_lag_days=max(1, policy.lifecycle_lag_days),
        classes=dict.fromkeys(RetentionClass, Term(age_days - 1, age_days)),
    )


def test_the_bucket_is_of_class_and_term() -> None:
    """Another term is another bucket, since a bucket's retention acts on what is already there."""
    made = backup("b", "2026-11-23", datetime(2026, 11, 23, tzinfo=UTC), retention_class=RetentionClass.MONTHLY)
    classes = {**POLICIES.backups.classes, RetentionClass.MONTHLY: Term(300, 301)}
    shorter = replace(POLICIES.backups, classes=classes)
    names = [
        intended_copy(made, "us-south1", bucket_prefix="acme", policy=policy, allowance=WRITING_MAX, now=CLOSED).bucket
        for policy in (POLICIES.backups, shorter)
    ]
    assert names == ["acme-us-south1-monthly-331d", "acme-us-south1-monthly-301d"]
