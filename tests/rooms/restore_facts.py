"""Facts of restores, for the plans that are held word for word: a new tenant that gets its data, and a lost region."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from tenantctl.model.backup import Residue, ResidueKind
from tenantctl.model.facts import Facts, FormerSeen, LoginsSeen
from tenantctl.model.lifecycle import State
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Hosting, Origin
from tests.rooms.rule_facts import CANCELLED, CLOSED_LOGINS, CREATED, HOSTING, MARKED, ONE_HOUR, UID, leaving, tenant

SILENT = Unreachable("no answer within 10 s")
OF_ANOTHER = Origin("b2d4f6h8k3m5", "q9w8e7r6t5yz")
OF_ITS_OWN = Origin("b2d4f6h8k3m5", UID)
ELSEWHERE = Hosting(UID, "tenants-us-central1-1", "us-central1", 2)
LINE = f"database/{UID}/1"
LINES = (Residue(LINE, UID, ResidueKind.DATABASE, f"{HOSTING.instance}/{HOSTING.database}", CREATED, None),)
NOTHING: dict[str, Any] = {"database": Gone(), "roles": Gone(), "logins": Gone()}
MADE: dict[str, Any] = {"database": MARKED, "roles": Present((HOSTING.login, HOSTING.owner)), "logins": CLOSED_LOGINS}

RESTORES: Mapping[str, tuple[Facts, datetime]] = {
    "restored-requested": (Facts(tenant(State.REQUESTED, restored_from=OF_ANOTHER), **NOTHING), CREATED),
    "restored-prepared": (
        Facts(tenant(State.REQUESTED, restored_from=OF_ANOTHER), **MADE, prepared=True),
        CREATED,
    ),
    "restored-filled": (
        Facts(tenant(State.REQUESTED, restored_from=OF_ANOTHER, restored_at=CREATED + ONE_HOUR), **MADE),
        CREATED + ONE_HOUR,
    ),
    "restored-cancelled": (
        Facts(leaving(State.REQUESTED, restored_from=OF_ANOTHER), **MADE, prepared=True),
        CANCELLED,
    ),
    "rehosted": (Facts(tenant(State.MOVING, hosting=ELSEWHERE, restored_from=OF_ITS_OWN), **NOTHING), CREATED),
    "rehosted-unreachable": (
        Facts(tenant(State.MOVING, hosting=ELSEWHERE, restored_from=OF_ITS_OWN), database=SILENT, roles=SILENT),
        CREATED,
    ),
    "rehosted-cancelled": (
        Facts(
            replace(leaving(State.MOVING, restored_from=OF_ITS_OWN), hosting=ELSEWHERE),
            **MADE,
            prepared=True,
        ),
        CANCELLED,
    ),
    "former-came-back": (
        Facts(
            leaving(State.DESTROYED, hosting=ELSEWHERE),
            residues=LINES,
            formers=(FormerSeen(LINE, HOSTING, MARKED, Present(LoginsSeen(can_log_in=True, sessions=2))),),
        ),
        CREATED,
    ),
    "former-gone": (
        Facts(
            leaving(State.DESTROYED, hosting=ELSEWHERE),
            residues=LINES,
            formers=(FormerSeen(LINE, HOSTING, Gone(), Gone()),),
        ),
        CREATED,
    ),
    "former-silent": (
        Facts(
            leaving(State.DESTROYED, hosting=ELSEWHERE),
            residues=LINES,
            formers=(FormerSeen(LINE, HOSTING, SILENT, SILENT),),
        ),
        CREATED,
    ),
}
