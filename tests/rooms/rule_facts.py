"""Facts made by hand, for the tests of the pure rules: one tenant, its backups and its sightings, at fixed moments."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tenantctl.backups.retention import intended_copy
from tenantctl.bootstrap import policies
from tenantctl.model.anchor import Anchor, AnchorOnRecord, RegistrySeen
from tenantctl.model.backup import (
    Backup,
    BackupState,
    Copy,
    CopyState,
    Residue,
    ResidueKind,
    RetentionClass,
    VerificationLevel,
)
from tenantctl.model.billing import SubscriptionSeen
from tenantctl.model.decisions import Act, CapCount, CapSeen, Notice, Standing
from tenantctl.model.facts import DatabaseSeen, Facts, LoginsSeen
from tenantctl.model.lifecycle import State
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting, Tenant, Wanted
from tenantctl.offboarding.grace import destroy_after
from tenantctl.offboarding.notices import owed

POLICIES = policies()
CREATED = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
CANCELLED = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLOSED = CANCELLED + timedelta(seconds=2)
TIME_ZONE = "America/Chicago"
DESTROY_AFTER = destroy_after(CLOSED, TIME_ZONE, POLICIES.lifecycle)
ONE_HOUR = timedelta(hours=1)
UID = "k7m2qp5xw3ab"
HOSTING = Hosting(UID, "tenants-us-south1-1", "us-south1", 1)
REGIONS = ("us-south1", "us-central1")

MARKED = Present(DatabaseSeen(HOSTING.marker, 8_400_000))
OPEN = Present(LoginsSeen(can_log_in=True, sessions=3))
CLOSED_LOGINS = Present(LoginsSeen(can_log_in=False, sessions=0))


def tenant(state: State, **changes: Any) -> Tenant:
    """A tenant that is wanted, and was never closed."""
    wanted = Tenant(
        uid=UID,
        name="acme",
        state=state,
        wanted=Wanted.LIVING,
        intent_id=1,
        intent_effective_at=CREATED,
        time_zone=TIME_ZONE,
        hosting=HOSTING,
        connection_limit=20,
        extensions=(),
        created_at=CREATED,
        due_at=CREATED,
    )
    return replace(wanted, **changes)


def leaving(state: State, **changes: Any) -> Tenant:
    """A tenant whose cancellation is in effect and whose logins were closed."""
    closed = {"logins_closed_at": CLOSED, "destroy_after": DESTROY_AFTER}
    intent = {"wanted": Wanted.LEAVING, "intent_id": 2, "intent_effective_at": CANCELLED}
    return tenant(state, **{**intent, **closed, **changes})


def backup(
    identifier: str,
    slot: str,
    begun_at: datetime,
    *,
    retention_class: RetentionClass = RetentionClass.DAILY,
    seen_at: datetime | None = None,
    **changes: Any,
) -> Backup:
    """A complete backup with a copy in each of the two regions, both seen at `seen_at`."""
    bare = Backup(
        id=identifier,
        tenant_uid=UID,
        slot=slot,
        retention_class=retention_class,
        state=BackupState.COMPLETE,
        begun_at=begun_at,
        completed_at=begun_at + timedelta(minutes=3),
        tables=12,
        rows=3400,
        size=5_120_000,
        sha256="0" * 64,
    )
    copies = tuple(written_copy(bare, region, seen_at=seen_at or begun_at) for region in REGIONS)
    return replace(bare, copies=copies, **changes)


def written_copy(of: Backup, region: str, *, seen_at: datetime) -> Copy:
    """A copy that was sealed the moment its backup began."""
    copy = intended_copy(
        of, region, bucket_prefix="acme", policy=POLICIES.backups, allowance=timedelta(0), now=of.begun_at
    )
    return replace(
        copy, state=CopyState.WRITTEN, size=of.size, crc32c="AAAAAA==", written_at=of.begun_at, seen_at=seen_at
    )


def verified_final(*, seen_at: datetime | None = None, **changes: Any) -> Backup:
    """The final backup of this closing, proved by a restore."""
    proof = {"verified_at": CLOSED + timedelta(minutes=9), "verified_level": VerificationLevel.RESTORED}
    return backup(
        "f4j6n8r2t5vx",
        "final-20261123T120002Z",
        CLOSED + timedelta(minutes=1),
        retention_class=RetentionClass.FINAL,
        seen_at=seen_at,
        **{**proof, **changes},
    )


def with_copy(of: Backup, where: str, /, **changes: Any) -> Backup:
    """A backup whose copy in one region is otherwise."""
    copies = tuple(replace(copy, **changes) if copy.region == where else copy for copy in of.copies)
    return replace(of, copies=copies)


def residue(kind: ResidueKind, unreadable_after: datetime | None, *, lapsed: bool = False) -> Residue:
    """A place that holds bytes until a date, or did."""
    return Residue(
        id=f"{kind}/1",
        tenant_uid=UID,
        kind=kind,
        place=f"a place of kind {kind}",
        made_at=CREATED,
        unreadable_after=unreadable_after,
        lapsed_at=unreadable_after if lapsed else None,
        proof="it was looked for" if lapsed else None,
    )


def registry_as_it_was(number: int = 3) -> RegistrySeen:
    """A registry that knows every anchor there is; the newest has this number."""
    anchor = Anchor(number, CLOSED, "one", "0" * 64, 12, 240, True, "1" * 64, "")
    return RegistrySeen(
        identity="one",
        newest=AnchorOnRecord(anchor, CLOSED),
        known=frozenset({anchor.digest}),
        reconciled=None,
        listed=dict.fromkeys(POLICIES.anchors.regions, Present((anchor.name,))),
    )


def ripe_facts(*, now: datetime = DESTROY_AFTER) -> Facts:
    """Facts under which every safeguard of a destruction holds at `now`."""
    return Facts(
        tenant=leaving(State.DEACTIVATED),
        backups=(verified_final(seen_at=now - ONE_HOUR),),
        database=MARKED,
        logins=CLOSED_LOGINS,
        registry=registry_as_it_was(),
        subscription=Present(SubscriptionSeen(lasts=False, finding="every subscription has ended")),
        standing=standing(),
    )


def standing(*, notices: bool = True, act: Act = Act.DESTROY, **changes: Any) -> Standing:
    """Decisions that stop nothing: no freeze, no hold, one act due of a hundred tenants, every notice put out."""
    kinds = [kind for kind, _ in owed(leaving(State.DEACTIVATED), POLICIES.lifecycle.notices)] if notices else []
    put = tuple(
        Notice(number, UID, kind, CLOSED, DESTROY_AFTER, CLOSED + ONE_HOUR) for number, kind in enumerate(kinds, 1)
    )
    return replace(Standing(notices=put, cap=CapSeen(act, CapCount(0, 1, 100), None)), **changes)
