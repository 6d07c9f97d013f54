"""The recovery point: whatever keeps a backup from being made, that there is none is an alarm by itself."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.backups.planning import plan_backups
from tenantctl.model.backup import BackupState
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import State
from tenantctl.sweeps.coverage import examine_backups
from tests.rooms.company import Company
from tests.rooms.rule_facts import CREATED, ONE_HOUR, POLICIES, backup, tenant

RPO = timedelta(hours=POLICIES.backups.rpo_hours)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from(BackupState)), max_size=6),
    st.integers(0, 300),
)
@settings(deadline=None, max_examples=200)
def test_an_active_tenant_has_a_complete_backup_within_the_rpo_or_an_alarm(
    made: list[tuple[int, BackupState]], after: int
) -> None:
    """Only a complete one counts; until the first can be expected, its absence is none."""
    now = CREATED + after * ONE_HOUR
    backups = tuple(
        backup(f"b{number}", f"slot-{number}", CREATED + begun * ONE_HOUR, state=state)
        for number, (begun, state) in enumerate(sorted(made))  # oldest first, as the registry tells them
        if begun <= after
    )
    complete = [one.begun_at for one in backups if one.state is BackupState.COMPLETE]
    missed = now - max(complete, default=CREATED) > RPO
    planned = plan_backups(Facts(tenant(State.ACTIVE), backups=backups), POLICIES, now=now)
    assert [(one.code, one.alarm) for one in planned.blockers] == ([("rpo", True)] if missed else [])


@given(st.integers(0, 60))
@settings(deadline=None)
def test_the_moment_at_which_it_is_missed_is_not_slept_through(after: int) -> None:
    """Whenever it was looked at before, it is looked at again by then, or within the hour."""
    made = backup("b", "2026-11-02", CREATED)
    now = CREATED + after * ONE_HOUR
    planned = plan_backups(Facts(tenant(State.ACTIVE), backups=(made,)), POLICIES, now=now)
    assert planned.next_look is not None
    assert planned.next_look <= max(CREATED + RPO, now + ONE_HOUR)


def test_the_words_of_the_alarm_do_not_change_from_night_to_night() -> None:
    """A plan has no clock in it: the age itself is told by `backup status`."""
    facts = Facts(tenant(State.ACTIVE), backups=(backup("b", "2026-11-02", CREATED),))
    first, later = (plan_backups(facts, POLICIES, now=CREATED + RPO + timedelta(days=days)).blockers for days in (1, 9))
    assert first == later
    assert first[0].since == CREATED + RPO


@pytest.fixture
def company() -> Company:
    return Company()


@pytest.mark.parametrize("trouble", [Transient("the instance does not answer"), Refused("a table cannot be dumped")])
def test_it_is_told_though_every_attempt_fails(company: Company, trouble: Exception) -> None:
    """Night after night the dump breaks; that there is no backup is an alarm of its own, and closes with the next."""
    one = company.create()
    company.run()
    dump = company.databases.dump

    def broken(*_: object) -> None:
        raise trouble

    company.databases.dump = broken  # type: ignore[method-assign, assignment]
    for _ in range(29):
        company.advance(hours=1)
        company.run()
    assert "blocked/rpo" not in company.alarms(one)
    for _ in range(8):
        company.advance(hours=1)
        company.run()
    assert {"trouble", "blocked/rpo"} <= company.alarms(one)
    company.databases.dump = dump  # type: ignore[method-assign]
    company.advance(hours=8)
    company.run()
    assert company.alarms(one) == set()


def test_it_is_told_though_the_program_itself_breaks(company: Company) -> None:
    """A mistake of ours in the making of backups does not keep the alarm back either."""
    one = company.create()
    company.run()

    def broken(*_: object) -> None:
        raise ValueError("a bug")

    company.databases.dump = broken  # type: ignore[method-assign, assignment]
    company.advance(hours=POLICIES.backups.rpo_hours + 1)
    with pytest.raises(ValueError, match="a bug"):
        company.run()
    assert "blocked/rpo" in company.alarms(one)


def test_short_backups_do_not_count_toward_it(company: Company) -> None:
    """One region of two is not what was promised: it is told as short of copies at once, and as missed in time."""
    one = company.create()
    company.run()
    company.vault.unreachable.add("us-central1")
    for _ in range(3):
        company.advance(days=1)
        company.run()
    assert {"short-of-copies", "blocked/rpo"} <= company.alarms(one)


def test_the_fleets_view_names_what_is_short_before_it_is_overdue(company: Company) -> None:
    """The newest complete backup is whole; the one after it is not, and that is told at once."""
    company.create()
    company.run()
    company.vault.unreachable.add("us-central1")
    company.advance(days=1)
    company.run()
    fleet = examine_backups(company.world)
    assert fleet.short_of_copies == 1
    assert fleet.overdue == 0
    assert "1 of 2 regions" in fleet.tenants[0].faults[-1]


def test_a_policy_without_patience_is_told_at_once(company: Company) -> None:
    """The hours are the policy's: a shorter RPO is an alarm about what was good before."""
    one = company.create()
    company.run()
    policies = company.world.policies
    strict = replace(policies, backups=replace(policies.backups, rpo_hours=1))
    company.wrapped = lambda world: replace(world, policies=strict)
    company.registry.make_due(one.uid)
    company.advance(hours=2)
    company.run()
    assert "blocked/rpo" in company.alarms(one)
