"""Quiet turns: what is planned of many tenants together is what would be planned of each by itself."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tenantctl.backups.schedule import newest_slot
from tenantctl.engine.ending import Ending
from tenantctl.engine.executor import Outcome
from tenantctl.model.backup import (
    Backup,
    BackupState,
    CopyState,
    Residue,
    ResidueKind,
    RetentionClass,
    VerificationLevel,
)
from tenantctl.model.decisions import Standing
from tenantctl.model.facts import Facts
from tenantctl.model.look import Known, for_a_look, residues_for_a_look
from tenantctl.model.policy import Policies
from tenantctl.model.tenant import Tenant
from tenantctl.model.work import Danger
from tenantctl.ports.work import Later
from tenantctl.sweeps.observe import observe_and_plan, quiet_plans
from tenantctl.sweeps.planning import plan, plan_of_a_look
from tenantctl.sweeps.tenants import sweep
from tests.contracts.registry_samples import LONG_AGO, backup_of
from tests.rooms.company import Company


def made_due(company: Company, tenant: Tenant) -> None:
    """Due now, as it is after so long without a worker, and not because somebody asked."""
    lease = company.registry.claim("w", lease=timedelta(minutes=1), tenant=tenant.uid)
    if lease is None:
        company.registry.make_due(tenant.uid)
        lease = company.registry.claim("w", lease=timedelta(minutes=1), tenant=tenant.uid)
    assert lease is not None
    company.registry.release(lease, due_at=company.moment, duty=None, danger=Danger.BACKUP, failures=0)


def test_plans_of_many_are_the_plans_of_each() -> None:
    """At every hour of some weeks, with freezes and customers that come and go: the next look, and who has steps."""
    company, compared = Company(), [0, 0]
    tenants = [company.create(f"t{number}") for number in range(3)]

    def decide(shown: Sequence[Known]) -> Mapping[str, Later]:
        for tenant, planned in quiet_plans(company.world, shown):
            fully = observe_and_plan(company.world, tenant)
            assert fully.steps or fully.blockers if planned.steps or planned.blockers else planned == fully
            compared[bool(planned.steps)] += 1
        return {}

    for day in range(40):
        company.run()
        if day == 7:
            company.decisions.freeze("all", "the audit looks odd")
        if day == 9:
            company.cancel(tenants[2])
        for hours in (1, 5, 9, 9):
            company.advance(hours=hours)
            for tenant in tenants[: 2 if day >= 9 else 3]:
                made_due(company, tenant)
            company.registry.put_off(decide, count=9)
    assert compared[0] > 100
    assert compared[1] > 0


@pytest.mark.parametrize("seed", range(6))
def test_a_look_never_misses_what_a_turn_would_do(seed: int) -> None:
    """Lives of up to a year and more: who is put off would be planned so to the word with everything known."""
    said, company = random.Random(f"a look, {seed}"), Company()
    tenant, policies, seen = company.create(), company.world.policies, Counter[str]()
    for _ in range(20):
        began, days = company.moment + timedelta(days=said.randrange(60)), said.randrange(30, 460)
        tenant = replace(tenant, created_at=began - timedelta(days=days + said.randrange(2)))
        facts = Facts(tenant, tuple(any_life(said, tenant, began, days, policies)), standing=Standing())
        for minutes in (0, 20, 40, 90, 180, 23 * 60, 24 * 60 + 5, 24 * 60 + 15, 30 * 60, 24 * 25 * 60):
            now = began + timedelta(minutes=minutes)
            shown, at_rest = for_a_look(facts.backups, now=now)
            looked = plan_of_a_look(replace(facts, backups=shown), at_rest, policies, now=now)
            planned = plan(facts, policies, now=now)
            if looked is None or looked.steps or looked.blockers:
                is_lost = any(copy.state is CopyState.LOST for one in facts.backups for copy in one.copies)
                assert planned.steps or planned.blockers or is_lost
                seen["work"] += 1
            else:
                assert looked == planned
                seen["quiet"] += 1
                seen["quiet, and some at rest"] += at_rest is not None
            seen["left out"] += len(facts.backups) - len(shown)
            seen["left to a turn"] += looked is None
    assert seen["left out"] > 10_000
    assert min(seen["work"], seen["quiet, and some at rest"], seen["left to a turn"]) > 0


ODDITIES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "a store that may hold a copy for the law": ({}, {"hold_asked_at": LONG_AGO}),
    "a key of what never came to be": ({"state": BackupState.FAILED, "verified_at": None}, {}),
    "a key of what is over": ({}, {"state": CopyState.LAPSED, "lapses_at": LONG_AGO}),
    "a lost copy whose bytes are still there": ({}, {"state": CopyState.LOST, "seen_at": LONG_AGO}),
    "a copy that was never seen": ({}, {"state": CopyState.INTENDED, "seen_at": None}),
    "a copy past its term": ({}, {"lapses_at": LONG_AGO}),
    "a copy that nobody looked at for two days": ({}, {"seen_at": LONG_AGO}),
    "a copy that nobody read back for months": ({}, {"verified_at": None, "written_at": LONG_AGO}),
}


@pytest.mark.parametrize("odd", ODDITIES)
def test_one_old_backup_that_is_unlike_the_others_is_not_passed_over(odd: str) -> None:
    """What a turn would do about it is not put off, whether the look shows it or leaves the tenant to a claim."""
    company = Company()
    tenant, policies = company.create(), company.world.policies
    now = newest_slot(tenant.uid, tenant.time_zone, policies.backups.night, now=company.moment).due_at
    said = random.Random("a quiet life")
    life = list(
        a_life(said, tenant, now, 15, policies, odd=0.0, over_after=timedelta(days=36), seen_ago=0, read_days=1)
    )
    facts = Facts(replace(tenant, created_at=now - timedelta(days=15)), tuple(life), standing=Standing())
    assert not plan(facts, policies, now=now).steps
    of_backup, of_copies = ODDITIES[odd]
    copies = tuple(replace(copy, **{"wrapped_key": "AAAA", **of_copies}) for copy in life[5].copies)
    life[5] = replace(life[5], **of_backup, copies=copies)
    places = tuple(
        Residue(copy.residue_id, tenant.uid, ResidueKind.COPY, copy.address, copy.intended_at, copy.unreadable_after)
        for backup in life
        for copy in backup.copies
    )
    assert plan(replace(facts, backups=tuple(life), residues=places), policies, now=now).steps
    shown, at_rest = for_a_look(life, now=now)
    known = replace(facts, backups=shown, residues=residues_for_a_look(places))
    looked = plan_of_a_look(known, at_rest, policies, now=now)
    assert looked is None or looked.steps


def any_life(said: random.Random, tenant: Tenant, now: datetime, days: int, policies: Policies) -> Iterator[Backup]:
    """Of some days, kept for some, with or without anything odd about it, looked at and read back some time ago."""
    return a_life(
        said,
        tenant,
        now,
        days,
        policies,
        odd=said.choice([0.0, 0.0, 0.0, 0.01]),
        over_after=timedelta(days=said.choice([3, 20, 36]), hours=said.randrange(24)),
        seen_ago=said.choice([0, 5, 23]),
        read_days=said.choice([1, 20, 20, 31]),
        last=said.choice([0, 0, 0, 60]),
    )


def a_life(
    said: random.Random,
    tenant: Tenant,
    now: datetime,
    days: int,
    policies: Policies,
    *,
    odd: float,
    over_after: timedelta,
    seen_ago: int,
    read_days: int,
    last: int = 0,
) -> Iterator[Backup]:
    """A backup a night, the old ones over; few were proved, and to as many as `odd` says anything may have happened."""
    unlike = said.choice([BackupState.COMPLETE, BackupState.FAILED, BackupState.SHORT]) if odd else BackupState.COMPLETE
    odder, monthly, proofs = said.randrange(30), said.randrange(40), said.choice([20, 60, 240])
    proved, seen_at = said.randrange(proofs), now - timedelta(hours=seen_ago)
    for night in range(days, last, -1):
        before = now - timedelta(days=night - 1)
        slot = newest_slot(tenant.uid, tenant.time_zone, policies.backups.night, now=before)
        at = slot.due_at
        is_over, is_odd = now - at > over_after, said.random() < odd
        made = backup_of(
            tenant,
            at,
            slot=slot.name,
            number=night,
            state=said.choice(list(BackupState)) if is_odd else unlike if night % 30 == odder else BackupState.COMPLETE,
            retention_class=RetentionClass.MONTHLY if night % 40 == monthly else RetentionClass.DAILY,
            verified_at=at if night % proofs == proved or night % 30 == odder else None,
            verified_level=VerificationLevel.RESTORED if night % proofs == proved else VerificationLevel.STRUCTURE,
        )
        states = list(CopyState) if is_odd else [CopyState.LAPSED if is_over else CopyState.WRITTEN]
        key = None if is_over else said.choice([None, "AAAA"])
        copies = [
            replace(
                copy,
                state=said.choice(states),
                wrapped_key=key,
                written_at=at,
                seen_at=seen_at - timedelta(minutes=said.randrange(30)),
                verified_at=now - timedelta(days=said.randrange(read_days), minutes=said.randrange(600)),
                lapses_at=at + over_after,
                hold_asked_at=at if is_odd and said.random() < 0.2 else None,
            )
            for copy in made.copies
        ]
        yield replace(made, copies=tuple(copies))


def test_quiet_tenants_are_put_off_and_the_others_worked_on() -> None:
    """Each due tenant has its turn; a quiet one without a lease, and one with work to do is left to a claim."""
    company = Company()
    tenants = [company.create(f"t{number}") for number in range(4)]
    company.run()
    expected = {tenant.uid: company.registry.tenant(tenant.uid).due_at for tenant in tenants}
    for tenant in tenants:
        made_due(company, tenant)
    turns = list(sweep(company.world, at_once=3))
    assert {turn.tenant_uid: turn.due_at for turn in turns} == expected
    assert all(turn.outcome is Outcome.DONE and not turn.steps for turn in turns)
    assert {one.uid: one.due_at for one in company.registry.tenants()} == expected
    assert all(company.registry.claim("w", lease=timedelta(1), tenant=uid) is None for uid in expected)
    company.advance(days=1)
    turns = company.run()
    assert sorted(turn.tenant_uid for turn in turns if turn.steps) == sorted(expected)


def test_a_worker_that_is_to_end_puts_nobody_off() -> None:
    company, ending = Company(), Ending()
    tenant = company.create()
    company.run()
    made_due(company, tenant)
    ending.ask("it is told to")
    assert list(sweep(company.world, ending=ending)) == []
    assert company.registry.tenant(tenant.uid).due_at == company.moment
