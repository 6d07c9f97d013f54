"""Tenants under a legal hold, and after one: facts whose plans are held against texts like all others."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tenantctl.model.backup import Backup, CopyState, ResidueKind, RetentionClass, VerificationLevel
from tenantctl.model.decisions import Act, Hold
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import State
from tests.rooms.rule_facts import (
    CREATED,
    DESTROY_AFTER,
    HOSTING,
    ONE_HOUR,
    backup,
    leaving,
    residue,
    standing,
    tenant,
    with_copy,
)

ONE_DAY = timedelta(days=1)
PLACED = CREATED + 21 * ONE_DAY
ASKED = PLACED + ONE_HOUR
HELD = Hold(1, HOSTING.uid, "AZ 12/26", DESTROY_AFTER + 30 * ONE_DAY, PLACED, "alice@example.com")
OVERDUE = replace(HELD, id=2, case_reference="AZ 13/26", review_by=PLACED)

MONTHLY = backup("b2d4f6h8k3m5", "2026-11-01", CREATED, retention_class=RetentionClass.MONTHLY, seen_at=PLACED)
WEEKLY = backup("d4f6h8k2n3q5", "2026-11-23", PLACED, retention_class=RetentionClass.WEEKLY, seen_at=PLACED)
DAILY = replace(
    backup("c3e5g7j9m2p4", "2026-11-24", PLACED + 20 * ONE_HOUR, seen_at=PLACED + 22 * ONE_HOUR),
    verified_at=PLACED + 22 * ONE_HOUR,
    verified_level=VerificationLevel.STRUCTURE,
)


def in_vaults(of: Backup, **changes: Any) -> Backup:
    """The same backup, each of its copies changed."""
    return replace(of, copies=tuple(replace(copy, **changes) for copy in of.copies))


def seen_held(of: Backup, **changes: Any) -> Backup:
    """The same backup, its copies seen held in both regions."""
    return in_vaults(of, held_at=ASKED, hold_asked_at=ASKED, **changes)


FINAL = in_vaults(
    backup("f4j6n8r2t5vx", "final-20261123T120002Z", PLACED, retention_class=RetentionClass.FINAL),
    wrapped_key="d3JhcHBlZA==",
)
LONG_AFTER = DESTROY_AFTER + 400 * ONE_DAY

CASES_OF_HOLDS: Mapping[str, tuple[Facts, datetime]] = {
    # One is held, one could not be, one lost its hold, one was written since; and nobody has reviewed the other case.
    "active-held": (
        Facts(
            tenant(State.ACTIVE),
            backups=(
                seen_held(MONTHLY),
                with_copy(seen_held(WEEKLY), "us-south1", held_at=None),
                with_copy(DAILY, "us-central1", state=CopyState.LOST),
            ),
            standing=standing(holds=(HELD, OVERDUE), act=Act.DEACTIVATE),
        ),
        PLACED + 23 * ONE_HOUR,
    ),
    "active-hold-released": (
        Facts(
            tenant(State.ACTIVE),
            backups=(seen_held(MONTHLY), with_copy(WEEKLY, "us-south1", hold_asked_at=PLACED), DAILY),
            standing=standing(act=Act.DEACTIVATE),
        ),
        PLACED + 23 * ONE_HOUR,
    ),
    "destroyed-held": (
        Facts(
            leaving(State.DESTROYED),
            backups=(seen_held(FINAL, seen_at=LONG_AFTER),),
            residues=(residue(ResidueKind.KEY, DESTROY_AFTER + timedelta(days=13)),),
            standing=standing(holds=(replace(HELD, review_by=DESTROY_AFTER + 900 * ONE_DAY),)),
        ),
        LONG_AFTER + ONE_HOUR,
    ),
    "destroyed-held-nothing-left": (
        Facts(
            leaving(State.DESTROYED),
            residues=(residue(ResidueKind.INSTANCE_BACKUPS, DESTROY_AFTER, lapsed=True),),
            standing=standing(holds=(HELD,)),
        ),
        DESTROY_AFTER,
    ),
}
