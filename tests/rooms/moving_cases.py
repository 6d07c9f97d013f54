"""Plans of tenants that move: begun, following, its moment, undone, arrived, begun anew, and the place left behind."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tenantctl.model.backup import Backup, RetentionClass, VerificationLevel
from tenantctl.model.facts import Facts, FormerSeen
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move
from tenantctl.model.replication import ReplicationSeen
from tenantctl.model.sighting import Present, Sighting, Unreachable
from tests.rooms.rule_facts import CLOSED_LOGINS, CREATED, HOSTING, MARKED, OPEN, backup, standing, tenant

ASKED: Final = CREATED + timedelta(hours=1)
MOVE: Final = Move(
    tenant_uid=HOSTING.uid,
    generation=2,
    region="us-central1",
    instance="tenants-us-central1-1",
    source_region=HOSTING.region,
    source_instance=HOSTING.instance,
    source_generation=HOSTING.generation,
    cause="TICKET-7",
    instructing_party="customer",
    requested_at=ASKED,
)
COPIED: Final = replace(MOVE, schema_digest="5ca1ab1e")
ARRIVED: Final = replace(COPIED, cut_over_at=ASKED + timedelta(hours=1))
LEFT: Final = replace(ARRIVED, ended_at=ASKED + timedelta(hours=1))
DUMPED: Final = replace(MOVE, dumped_because="large objects", expected_seconds=700, accepted_seconds=1800)
SENT_AWAY: Final = replace(DUMPED, fenced_at=ASKED)
NOTHING: Final = ReplicationSeen(None, slot=False, lost=False, subscribed=False, tables=0, ready=0, lag=None)
FOLLOWING: Final = ReplicationSeen("5ca1ab1e", slot=True, lost=False, subscribed=True, tables=9, ready=9, lag=120)
COPYING: Final = replace(FOLLOWING, ready=4)
LINE: Final = f"database/{HOSTING.uid}/1"
BEGUN_ELSEWHERE: Final = ASKED + timedelta(hours=2)


def _verified(identifier: str, slot: str, begun_at: datetime, *, seen_at: datetime) -> Backup:
    """A backup that was proved when it was made."""
    made = backup(identifier, slot, begun_at, retention_class=RetentionClass.MONTHLY, seen_at=seen_at)
    return replace(made, verified_at=begun_at, verified_level=VerificationLevel.STRUCTURE)


TODAYS: Final = _verified("c3e5g7j9m2p4", "2026-11-02", CREATED, seen_at=ASKED)


def _moving(move: Move, seen: ReplicationSeen | str, *, state: State = State.MOVING, **facts: object) -> Facts:
    sight: Sighting[ReplicationSeen] = Unreachable(seen) if isinstance(seen, str) else Present(seen)
    given = {"backups": (TODAYS,), "logins": OPEN, "database": MARKED, "standing": standing(), **facts}
    hosting = move.source if move.cut_over_at is None else move.target
    return Facts(tenant(state, hosting=hosting), moves=(move,), replication=sight, **given)  # type: ignore[arg-type]


def _left(days: int) -> tuple[Facts, datetime]:
    now = BEGUN_ELSEWHERE + timedelta(days=days)
    facts = Facts(
        tenant(State.ACTIVE, hosting=LEFT.target),
        backups=(_verified("e5g7j9m2p4r6", f"2026-11-{2 + days:02}", now - timedelta(hours=2), seen_at=now),),
        formers=(FormerSeen(LINE, HOSTING, MARKED, CLOSED_LOGINS),),
        moves=(LEFT,),
        standing=standing(),
    )
    return facts, now


CASES_OF_MOVES: Final[Mapping[str, tuple[Facts, datetime]]] = {
    "moving-begun": (_moving(MOVE, NOTHING), ASKED),
    "moving-copying": (_moving(COPIED, COPYING), ASKED),
    "moving-its-moment": (_moving(COPIED, FOLLOWING), ASKED),
    "moving-fenced": (_moving(COPIED, FOLLOWING, logins=CLOSED_LOGINS), ASKED),
    "moving-fenced-behind": (_moving(COPIED, replace(FOLLOWING, lag=None), logins=CLOSED_LOGINS), ASKED),
    "moving-fenced-silent": (_moving(COPIED, "no answer within 10 s", logins=CLOSED_LOGINS), ASKED),
    "moving-log-lost": (_moving(COPIED, replace(FOLLOWING, lost=True)), ASKED),
    "moving-schema-changed": (_moving(MOVE, FOLLOWING), ASKED),
    "moving-by-dump": (_moving(DUMPED, NOTHING), ASKED),
    "moving-by-dump-waits": (_moving(replace(DUMPED, not_before=ASKED + timedelta(hours=3)), NOTHING), ASKED),
    "moving-by-dump-out": (_moving(SENT_AWAY, NOTHING, logins=CLOSED_LOGINS), ASKED),
    "moving-by-dump-copied": (
        _moving(replace(SENT_AWAY, schema_digest="5ca1ab1e"), NOTHING, logins=CLOSED_LOGINS),
        ASKED,
    ),
    "moving-by-dump-overdue": (
        _moving(SENT_AWAY, NOTHING, logins=CLOSED_LOGINS),
        ASKED + timedelta(minutes=30),
    ),
    "moving-silent": (_moving(COPIED, "no answer within 10 s"), ASKED),
    "moving-undone": (_moving(replace(COPIED, undo_because="the customer asked"), FOLLOWING), ASKED),
    "moving-undone-fenced": (
        _moving(replace(COPIED, undo_because="the customer asked"), FOLLOWING, logins=CLOSED_LOGINS),
        ASKED,
    ),
    "moving-cut-over": (_moving(ARRIVED, FOLLOWING, logins=CLOSED_LOGINS), ASKED),
    "moved-source-silent": (_moving(ARRIVED, "no answer within 10 s", state=State.ACTIVE), ASKED),
    "moved-source-kept": _left(3),
    "moved-source-ripe": _left(8),
}
