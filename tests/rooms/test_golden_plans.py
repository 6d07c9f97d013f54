"""The plan of every state as a person reads it, held against texts; TENANTCTL_WRITE_GOLDEN=1 writes them anew."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tenantctl.backups.planning import TOGETHER
from tenantctl.model.backup import CopyState, ResidueKind, RetentionClass, VerificationLevel
from tenantctl.model.decisions import Act, Approval, CapCount, CapSeen, Freeze, Proposal, ProposalKind
from tenantctl.model.facts import Facts, LoginsSeen
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Do
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Tenant, Wanted
from tenantctl.sweeps.planning import plan
from tests.rooms.held_cases import CASES_OF_HOLDS, HELD
from tests.rooms.moving_cases import CASES_OF_MOVES
from tests.rooms.restore_facts import RESTORES
from tests.rooms.rule_facts import (
    CANCELLED,
    CLOSED,
    CLOSED_LOGINS,
    CREATED,
    DESTROY_AFTER,
    HOSTING,
    MARKED,
    ONE_HOUR,
    OPEN,
    POLICIES,
    backup,
    leaving,
    residue,
    ripe_facts,
    standing,
    tenant,
    verified_final,
    with_copy,
)
from tests.rooms.waiting_cases import CASES_OF_WAITING

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "plans"
WRITE = "TENANTCTL_WRITE_GOLDEN"

NIGHT = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)  # its nightly backup is due by then
SILENT = Unreachable("no answer within 10 s")
MONTHLY = backup(
    "b2d4f6h8k3m5", "2026-11-01", CREATED, retention_class=RetentionClass.MONTHLY, seen_at=NIGHT - 3 * ONE_HOUR
)
LAST_NIGHT = backup("c3e5g7j9m2p4", "2026-11-22", NIGHT - timedelta(days=1), seen_at=NIGHT)
UNREAD = backup("d4f6h8k2n3q5", "2026-11-23", NIGHT, retention_class=RetentionClass.WEEKLY, seen_at=NIGHT)
TONIGHT = replace(UNREAD, verified_at=NIGHT, verified_level=VerificationLevel.STRUCTURE)
SEALED = replace(LAST_NIGHT, copies=tuple(replace(copy, wrapped_key="d3JhcHBlZA==") for copy in LAST_NIGHT.copies))
KEPT = (MONTHLY, LAST_NIGHT)
FINAL = verified_final(seen_at=CLOSED + timedelta(minutes=9))
FINAL_ENDS = min(copy.lapses_at for copy in FINAL.copies) - timedelta(days=POLICIES.lifecycle.destroy_within_days)
UNVERIFIED = replace(FINAL, verified_at=None, verified_level=None)
REGISTRY_WINDOW = residue(ResidueKind.REGISTRY_BACKUPS, DESTROY_AFTER, lapsed=True)


def facts_of(of: Tenant, **changes: Any) -> Facts:
    """Facts under which nobody's decision stands in the way."""
    act = Act.DEACTIVATE if of.state is State.ACTIVE else Act.DESTROY
    return Facts(of, **{"standing": standing(act=act), **changes})


FROZEN = Freeze(1, "us-south1", "the audit looks odd", CLOSED, "alice@example.com")
ERASURE = Proposal(
    "fedcba9876543210",
    ProposalKind.ERASURE,
    HOSTING.uid,
    {"basis": "customer", "reference": "SUPPORT-1234"},
    CANCELLED,
    "alice@example.com",
    CANCELLED + timedelta(days=1),
    approvals=(Approval("alice@example.com", CANCELLED), Approval("bob@example.com", CANCELLED)),
)
TOO_MANY = CapCount(acted=2, due=30, tenants=100)
BATCH = Proposal(
    "0123456789abcdef",
    ProposalKind.BATCH,
    None,
    {"act": "destroy", "region": "us-south1", "members": [HOSTING.uid]},
    DESTROY_AFTER,
    "worker@example.com",
    DESTROY_AFTER + timedelta(days=1),
)

CASES: Mapping[str, tuple[Facts, datetime]] = {
    "requested": (facts_of(tenant(State.REQUESTED), database=Gone(), roles=Gone(), logins=Gone()), CREATED),
    "requested-half-made": (
        facts_of(tenant(State.REQUESTED), database=Gone(), roles=Present((HOSTING.owner,)), logins=Gone()),
        CREATED,
    ),
    "requested-cancelled": (
        facts_of(leaving(State.REQUESTED), database=Gone(), roles=Gone(), logins=Gone()),
        CANCELLED,
    ),
    "requested-adopting": (
        facts_of(tenant(State.REQUESTED), database=Gone(), roles=Gone(), logins=Gone(), adopts="shop"),
        CREATED,
    ),
    "requested-unreachable": (facts_of(tenant(State.REQUESTED), database=SILENT, roles=SILENT, logins=SILENT), CREATED),
    "active-first-backup": (facts_of(tenant(State.ACTIVE)), CREATED),
    "active-backup-due": (facts_of(tenant(State.ACTIVE), backups=KEPT), NIGHT),
    "active-nothing-due": (facts_of(tenant(State.ACTIVE), backups=(*KEPT, TONIGHT)), NIGHT + ONE_HOUR),
    "active-unread": (facts_of(tenant(State.ACTIVE), backups=(*KEPT, UNREAD)), NIGHT + ONE_HOUR),
    "active-key-to-shred": (
        facts_of(tenant(State.ACTIVE), backups=(MONTHLY, SEALED, TONIGHT)),
        max(copy.lapses_at for copy in SEALED.copies),
    ),
    "active-copies-to-look-at": (
        facts_of(tenant(State.ACTIVE), backups=(*KEPT, TONIGHT)),
        NIGHT + 22 * ONE_HOUR,
    ),
    "active-copy-lost": (
        facts_of(tenant(State.ACTIVE), backups=(*KEPT, with_copy(TONIGHT, "us-central1", state=CopyState.LOST))),
        NIGHT + ONE_HOUR,
    ),
    "active-scratch-left-behind": (
        facts_of(
            tenant(State.ACTIVE),
            backups=(*KEPT, TONIGHT),
            residues=(residue(ResidueKind.SCRATCH, NIGHT + timedelta(days=1)),),
        ),
        NIGHT + ONE_HOUR,
    ),
    "active-cancellation-to-come": (
        facts_of(
            tenant(State.ACTIVE, wanted=Wanted.LEAVING, intent_effective_at=NIGHT + 5 * ONE_HOUR),
            backups=(*KEPT, TONIGHT),
        ),
        NIGHT + ONE_HOUR,
    ),
    "active-cancelled": (
        facts_of(
            leaving(State.ACTIVE, logins_closed_at=None, destroy_after=None), backups=KEPT, database=MARKED, logins=OPEN
        ),
        CANCELLED,
    ),
    "deactivating-final-backup": (
        facts_of(leaving(State.DEACTIVATING), backups=KEPT, database=MARKED, logins=CLOSED_LOGINS),
        CLOSED,
    ),
    "deactivating-session-left": (
        facts_of(
            leaving(State.DEACTIVATING, logins_closed_at=None, destroy_after=None),
            backups=KEPT,
            database=MARKED,
            logins=Present(LoginsSeen(can_log_in=False, sessions=1)),
        ),
        CLOSED,
    ),
    "deactivating-unverified": (
        facts_of(leaving(State.DEACTIVATING), backups=(*KEPT, UNVERIFIED), database=MARKED, logins=CLOSED_LOGINS),
        CLOSED + timedelta(minutes=5),
    ),
    "deactivating-proved": (
        facts_of(leaving(State.DEACTIVATING), backups=(*KEPT, FINAL), database=MARKED, logins=CLOSED_LOGINS),
        CLOSED + timedelta(minutes=9),
    ),
    "deactivating-reinstated": (
        facts_of(leaving(State.DEACTIVATING, wanted=Wanted.LIVING), database=MARKED, logins=CLOSED_LOGINS),
        CLOSED + ONE_HOUR,
    ),
    "deactivated-in-grace": (
        facts_of(leaving(State.DEACTIVATED), backups=(FINAL,), database=MARKED, logins=CLOSED_LOGINS),
        CLOSED + ONE_HOUR,
    ),
    "deactivated-found-open": (
        facts_of(leaving(State.DEACTIVATED), backups=(FINAL,), database=MARKED, logins=OPEN),
        CLOSED + ONE_HOUR,
    ),
    "deactivated-unreachable": (
        facts_of(leaving(State.DEACTIVATED), backups=(FINAL,), database=SILENT, logins=SILENT),
        DESTROY_AFTER,
    ),
    "deactivated-final-copy-lost": (
        facts_of(
            leaving(State.DEACTIVATED),
            backups=(with_copy(FINAL, "us-south1", state=CopyState.LOST),),
            database=MARKED,
            logins=CLOSED_LOGINS,
        ),
        CLOSED + ONE_HOUR,
    ),
    "deactivated-final-reaches-its-term": (
        facts_of(
            leaving(State.DEACTIVATED),
            backups=(replace(FINAL, copies=tuple(replace(c, seen_at=FINAL_ENDS) for c in FINAL.copies)),),
            database=MARKED,
            logins=CLOSED_LOGINS,
        ),
        FINAL_ENDS,
    ),
    "deactivated-copies-not-seen-of-late": (
        facts_of(leaving(State.DEACTIVATED), backups=(FINAL,), database=MARKED, logins=CLOSED_LOGINS),
        DESTROY_AFTER,
    ),
    "deactivated-ripe": (ripe_facts(), DESTROY_AFTER),
    "deactivated-other-marker": (
        replace(ripe_facts(), database=Present(replace(MARKED.value, marker="somebody else's"))),
        DESTROY_AFTER,
    ),
    "deactivated-reinstated": (
        facts_of(
            leaving(State.DEACTIVATED, wanted=Wanted.LIVING),
            backups=(replace(FINAL, forced_row_security=('"public"."ledger"',)),),
            database=MARKED,
            logins=CLOSED_LOGINS,
        ),
        CLOSED + timedelta(days=20),
    ),
    "destroying": (facts_of(leaving(State.DESTROYING), backups=(FINAL,)), DESTROY_AFTER),
    "destroyed-copies-remain": (
        facts_of(
            leaving(State.DESTROYED),
            backups=(verified_final(seen_at=DESTROY_AFTER),),
            residues=(
                residue(ResidueKind.COPY, DESTROY_AFTER + timedelta(days=313)),
                residue(ResidueKind.INSTANCE_BACKUPS, DESTROY_AFTER + timedelta(days=8)),
            ),
        ),
        DESTROY_AFTER + ONE_HOUR,
    ),
    "destroyed-window-passed": (
        facts_of(leaving(State.DESTROYED), residues=(residue(ResidueKind.INSTANCE_BACKUPS, DESTROY_AFTER),)),
        DESTROY_AFTER + TOGETHER,
    ),
    "destroyed-nothing-left": (
        facts_of(
            leaving(State.DESTROYED), residues=(residue(ResidueKind.INSTANCE_BACKUPS, DESTROY_AFTER, lapsed=True),)
        ),
        DESTROY_AFTER,
    ),
    "destroyed-names-blanked": (
        facts_of(leaving(State.DESTROYED, name=None), residues=(REGISTRY_WINDOW,)),
        DESTROY_AFTER,
    ),
    "forgotten": (facts_of(leaving(State.FORGOTTEN, name=None), residues=(REGISTRY_WINDOW,)), DESTROY_AFTER),
    "moving-unknown": (facts_of(tenant(State.MOVING), backups=KEPT), NIGHT),
    "active-cancelled-frozen": (
        facts_of(leaving(State.ACTIVE), backups=KEPT, standing=standing(act=Act.DEACTIVATE, freezes=(FROZEN,))),
        CANCELLED,
    ),
    "active-cancelled-over-cap": (
        facts_of(leaving(State.ACTIVE), backups=KEPT, standing=standing(cap=CapSeen(Act.DEACTIVATE, TOO_MANY, None))),
        CANCELLED,
    ),
    "deactivated-notice-due": (
        facts_of(
            leaving(State.DEACTIVATED),
            backups=(FINAL,),
            database=MARKED,
            logins=CLOSED_LOGINS,
            standing=standing(notices=False),
        ),
        CLOSED + ONE_HOUR,
    ),
    "deactivated-ripe-held-frozen-over-cap": (
        replace(
            ripe_facts(),
            standing=standing(holds=(HELD,), freezes=(FROZEN,), cap=CapSeen(Act.DESTROY, TOO_MANY, BATCH)),
        ),
        DESTROY_AFTER,
    ),
    "active-erasure-approved": (
        facts_of(
            tenant(State.ACTIVE),
            backups=KEPT,
            database=MARKED,
            logins=OPEN,
            registry=ripe_facts().registry,
            standing=standing(proposals=(ERASURE,)),
        ),
        CANCELLED,
    ),
    "active-erasure-approved-held": (
        facts_of(
            tenant(State.ACTIVE),
            backups=KEPT,
            database=MARKED,
            logins=OPEN,
            registry=ripe_facts().registry,
            standing=standing(proposals=(ERASURE,), holds=(HELD,)),
        ),
        CANCELLED,
    ),
    "destroyed-erased": (
        facts_of(leaving(State.DESTROYED, wanted=Wanted.ERASED), backups=(SEALED,)),
        NIGHT,
    ),
    **CASES_OF_HOLDS,
    "destroying-frozen": (
        facts_of(leaving(State.DESTROYING), backups=(FINAL,), standing=standing(freezes=(FROZEN,), holds=(HELD,))),
        DESTROY_AFTER,
    ),
    **RESTORES,
    **CASES_OF_WAITING,
    **CASES_OF_MOVES,
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_plan_reads_as_it_should(name: str) -> None:
    """What a person is shown before anything is done."""
    facts, now = CASES[name]
    text = plan(facts, POLICIES, now=now).text() + "\n"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get(WRITE):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_every_state_and_every_text_has_its_case() -> None:
    """No state without a text, and no text that nothing is held against."""
    assert {facts.tenant.state for facts, _ in CASES.values()} == set(State)
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_plan_has_no_clock_in_it(name: str) -> None:
    """A minute later the same plan comes out, by the same name: what was approved is still what is carried out."""
    facts, now = CASES[name]
    assert plan(facts, POLICIES, now=now + timedelta(minutes=1)).digest == plan(facts, POLICIES, now=now).digest


def test_every_step_is_planned_somewhere() -> None:
    """The texts between them show each effect that the program can have."""
    planned = {step.do for facts, now in CASES.values() for step in plan(facts, POLICIES, now=now).steps}
    assert planned == set(Do)
