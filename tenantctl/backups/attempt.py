"""One attempt at a backup, in the registry: begun, adopted after a crash, complete, short of copies, or failed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tenantctl.backups.age import Identity
from tenantctl.backups.keys import key_residue, store_in_each, wrap_in_each
from tenantctl.backups.manifest import Manifest
from tenantctl.backups.retention import intended_copy
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Backup, BackupState, Copy, CopyState, Residue, ResidueKind, RetentionClass
from tenantctl.model.errors import NotFound, Transient
from tenantctl.model.plan import Step
from tenantctl.model.policy import WRITING_DAYS_MAX, BackupsPolicy
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import new_uid
from tenantctl.ports.vault import ObjectSeen

WRITING_MAX: Final = timedelta(days=WRITING_DAYS_MAX)
SHORT_OF_COPIES: Final = "short-of-copies"


def begin(work: Work, step: Step, regions: Sequence[str], forced_row_security: tuple[str, ...]) -> Backup:
    """Writes the backup, its copies, its key and their residue down; from here on bytes may exist.

    The identity is wrapped by each region's KMS before anything is written, and
    kept in each region's key bucket before anything is sealed for it: a dump that
    nobody could open is never made.

    Raises:
        Transient: a region's KMS or key bucket does not answer.
    """
    world = work.world
    backup_id, identity = new_uid(), Identity.generate()
    wrapped = wrap_in_each(world, identity, work.tenant.uid, backup_id, regions)
    with world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        backup = Backup(
            id=backup_id,
            tenant_uid=work.tenant.uid,
            slot=step.subject,
            retention_class=RetentionClass(step.argument),
            state=BackupState.BEGUN,
            begun_at=writes.now,
            recipient=identity.recipient,
            forced_row_security=forced_row_security,
        )
        copies = tuple(
            replace(
                intended_copy(
                    backup,
                    region,
                    bucket_prefix=world.bucket_prefix,
                    policy=world.policies.backups,
                    allowance=WRITING_MAX,
                    now=writes.now,
                ),
                wrapped_key=wrapped[region],
            )
            for region in regions
        )
        backup = replace(backup, copies=copies)
        writes.put_backup(backup)
        for copy in copies:
            writes.put_residue(_residue_of(copy))
            writes.put_residue(key_residue(copy, world.policies.backups))
        writes.journal(
            "backup-begun", backup=backup.id, slot=backup.slot, regions=list(regions), recipient=backup.recipient
        )
    store_in_each(world, backup)
    return backup


def adopt_or_fail(work: Work, backup: Backup) -> bool:
    """Settles an attempt that a crash left open: complete if a manifest was written, else failed.

    Raises:
        Transient: a vault does not answer, so what exists is unknown.
    """
    manifest = _find_manifest(work, backup)
    if manifest is None:
        fail(work, backup)
        return False
    sealed: dict[str, ObjectSeen] = {}
    for copy in backup.copies:
        match work.world.vault.look(copy.bucket, copy.object_name):
            case Present(seen):
                sealed[copy.region] = seen
                work.world.vault.put(copy.bucket, copy.manifest_name, manifest.to_bytes())
            case Unreachable(reason):
                raise Transient(f"{copy.region}: {reason}")
            case Gone():
                pass
    complete(work, backup, manifest, sealed)
    return True


def complete(work: Work, backup: Backup, manifest: Manifest, sealed: Mapping[str, ObjectSeen]) -> None:
    """Writes down what exists: complete with enough copies, else short of them and alarmed."""
    policy = work.world.policies.backups
    expected = (manifest.size, manifest.crc32c)
    age_days = policy.classes[backup.retention_class].age_days
    good = {region: seen for region, seen in sealed.items() if (seen.size, seen.crc32c) == expected}
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        enough = len(good) >= policy.copies_min
        copies = tuple(
            _written(copy, good[copy.region], policy, age_days, writes.now) if copy.region in good else copy
            for copy in backup.copies
        )
        settled = replace(
            backup,
            state=BackupState.COMPLETE if enough else BackupState.SHORT,
            completed_at=writes.now,
            tables=len(manifest.tables),
            rows=sum(digest.rows for digest in manifest.tables.values()),
            size=manifest.size,
            sha256=manifest.sha256,
            copies=copies,
        )
        writes.put_backup(settled)
        for copy in copies:
            writes.put_residue(_residue_of(copy))
        missing = sorted({copy.region for copy in copies} - set(good))
        event = "backup-complete" if enough else "backup-short"
        writes.journal(
            event,
            backup=backup.id,
            slot=backup.slot,
            retention_class=backup.retention_class.value,
            size=manifest.size,
            sha256=manifest.sha256,
            regions=sorted(good),
            missing=missing,
        )
        if enough:
            writes.clear_alarm(SHORT_OF_COPIES)
        else:
            writes.raise_alarm(SHORT_OF_COPIES, f"backup {backup.id} exists in {len(good)} regions only")


def fail(work: Work, backup: Backup) -> None:
    """Gives an attempt up; its copies stay in the residue inventory until they were looked for."""
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        writes.put_backup(replace(backup, state=BackupState.FAILED))
        writes.journal("backup-failed", backup=backup.id, slot=backup.slot)


def read_manifest(work: Work, copy: Copy) -> Manifest | None:
    """The manifest beside a copy; None if the vault answers that there is none.

    Raises:
        Transient: the vault does not answer.
        Refused: what stands there is no manifest.
    """
    try:
        return Manifest.from_bytes(b"".join(work.world.vault.read(copy.bucket, copy.manifest_name)))
    except NotFound:
        return None


def _find_manifest(work: Work, backup: Backup) -> Manifest | None:
    for copy in backup.copies:
        manifest = read_manifest(work, copy)
        if manifest is not None and manifest.describes(backup):
            return manifest
    return None


def _written(copy: Copy, seen: ObjectSeen, policy: BackupsPolicy, age_days: int, now: datetime) -> Copy:
    lapses_at = seen.created_at + timedelta(days=age_days)
    return replace(
        copy,
        state=CopyState.WRITTEN,
        size=seen.size,
        crc32c=seen.crc32c,
        written_at=seen.created_at,
        seen_at=now,
        lapses_at=lapses_at,
        unreadable_after=lapses_at + timedelta(days=policy.lifecycle_lag_days),
    )


def _residue_of(copy: Copy) -> Residue:
    return Residue(
        id=copy.residue_id,
        tenant_uid=copy.tenant_uid,
        kind=ResidueKind.COPY,
        place=f"gs://{copy.bucket}/{copy.object_name}",
        made_at=copy.intended_at,
        unreadable_after=copy.unreadable_after,
    )
