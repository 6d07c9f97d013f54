"""Facts of tenants as a fleet has them: what they are planned from, made by hand, at one moment of a night.

The tenant of a year has what a year of nights leaves under the policy in use: copies in two regions of each backup that
its class keeps, all seen two hours ago, and the backups that have lapsed since.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tenantctl.backups.retention import choose_class, intended_copy
from tenantctl.backups.schedule import Slot, newest_slot
from tenantctl.bootstrap import policies
from tenantctl.model.backup import Backup, BackupState, CopyState, Residue, ResidueKind, VerificationLevel
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Hosting, Tenant, Wanted

NOW = datetime.now(UTC)
TIME_ZONE = "America/Chicago"
REGIONS = ("us-south1", "us-central1")
POLICIES = policies()


def tenant(uid: str, days: int) -> Tenant:
    """An active one of so many days."""
    created = NOW - timedelta(days=days)
    return Tenant(
        uid=uid,
        name=uid,
        state=State.ACTIVE,
        wanted=Wanted.LIVING,
        intent_id=1,
        intent_effective_at=created,
        time_zone=TIME_ZONE,
        hosting=Hosting(uid, "tenants-us-south1-1", REGIONS[0], 1),
        connection_limit=20,
        extensions=(),
        created_at=created,
        due_at=NOW,
    )


def facts_of(uid: str, days: int) -> Facts:
    """What is known of a tenant that was backed up in each of so many nights."""
    backups: list[Backup] = []
    for night in range(days, 0, -1):
        slot = newest_slot(uid, TIME_ZONE, POLICIES.backups.night, now=NOW - timedelta(days=night - 1))
        backups.append(_backup(uid, backups, slot))
    residues = tuple(_residues(backups))
    return Facts(tenant(uid, days), backups=tuple(backups), residues=residues)


def _backup(uid: str, before: list[Backup], slot: Slot) -> Backup:
    begun_at = slot.due_at
    retention_class = choose_class(before, now=begun_at).retention_class
    identity = f"{uid}-{begun_at:%Y%m%d}"
    made = Backup(
        id=identity,
        tenant_uid=uid,
        slot=slot.name,
        retention_class=retention_class,
        state=BackupState.COMPLETE,
        begun_at=begun_at,
        completed_at=begun_at,
        verified_at=begun_at,
        verified_level=VerificationLevel.RESTORED,
    )
    copies = []
    for region in REGIONS:
        copy = intended_copy(
            made, region, bucket_prefix="acme", policy=POLICIES.backups, allowance=timedelta(days=1), now=begun_at
        )
        lapsed = copy.lapses_at <= NOW
        copies.append(
            replace(
                copy,
                state=CopyState.LAPSED if lapsed else CopyState.WRITTEN,
                size=1,
                crc32c="AAAAAA==",
                written_at=begun_at,
                seen_at=copy.lapses_at if lapsed else NOW - timedelta(hours=2),
                wrapped_key=None if lapsed else "AAAA",
                verified_at=begun_at if lapsed else NOW - timedelta(days=3),
                verified_level=VerificationLevel.READ_BACK,
            )
        )
    return replace(made, copies=tuple(copies))


def _residues(backups: list[Backup]) -> Iterator[Residue]:
    for backup in backups:
        for copy in backup.copies:
            if copy.state is CopyState.WRITTEN:
                place, until = copy.address, copy.unreadable_after
                yield Residue(copy.residue_id, copy.tenant_uid, ResidueKind.COPY, place, copy.intended_at, until)
                yield Residue(copy.key_residue_id, copy.tenant_uid, ResidueKind.KEY, place, copy.intended_at, until)
