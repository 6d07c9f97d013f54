"""One attempt at a backup, in the registry: begun, adopted after a crash, complete, short of copies, or failed."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tenantctl.backups.age import Identity
from tenantctl.backups.completeness import lacking
from tenantctl.backups.destinations import Destinations, regions_left
from tenantctl.backups.keys import key_residue, store
from tenantctl.backups.manifest import Manifest
from tenantctl.backups.retention import deleted_by, intended_copy
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Backup, BackupState, Copy, CopyState, Residue, ResidueKind, RetentionClass
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.plan import Step
from tenantctl.model.policy import WRITING_DAYS_MAX, BackupsPolicy
from tenantctl.model.sighting import Present, Unreachable
from tenantctl.ports.registry import FencedWrites
from tenantctl.ports.vault import ObjectSeen

WRITING_MAX: Final = timedelta(days=WRITING_DAYS_MAX)
SHORT_OF_COPIES: Final = "short-of-copies"
SHORT_TOLD_MAX: Final = 20  # backups that the alarm names: those that were begun last


def begin(
    work: Work,
    step: Step,
    identity: Identity,
    destinations: Destinations,
    forced_row_security: tuple[str, ...],
    *,
    size: int | None = None,
) -> tuple[Backup, frozenset[str]]:
    """Writes the backup, its copies, its keys and their residue down; from here on bytes may exist.

    The identity was wrapped by each region's KMS before anything is written, and is
    kept in each region's key bucket before anything is sealed for it: a dump that
    nobody could open is never made. The regions that took its key, and so get a copy
    now, are returned with it. `size` is what the database was seen to have, in bytes.

    Raises:
        Transient: no region's key bucket answers; the attempt was given up.
    """
    world, policy = work.world, work.world.policies.backups
    with world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        backup = Backup(
            id=destinations.backup_id,
            tenant_uid=work.tenant.uid,
            slot=step.subject,
            retention_class=RetentionClass(step.argument),
            state=BackupState.BEGUN,
            begun_at=writes.now,
            recipient=identity.recipient,
            forced_row_security=forced_row_security,
        )
        intended = [
            intended_copy(
                backup, region, bucket_prefix=world.bucket_prefix, policy=policy, allowance=WRITING_MAX, now=writes.now
            )
            for region in destinations.intended
        ]
        copies = tuple(replace(copy, wrapped_key=destinations.wrapped.get(copy.region)) for copy in intended)
        backup = replace(backup, copies=copies)
        writes.put_backup(backup)
        if size is not None:
            writes.record_size(size)
        for copy in copies:
            writes.put_residue(residue_of(copy))
            if copy.wrapped_key is not None:
                writes.put_residue(key_residue(copy, policy))
        writes.journal(
            "backup-begun",
            backup=backup.id,
            slot=backup.slot,
            regions=list(destinations.intended),
            recipient=backup.recipient,
        )
    ready, trouble = set[str](), list[str]()
    for copy in copies:
        if copy.wrapped_key is None:
            continue
        try:
            store(world, copy)
            ready.add(copy.region)
        except (Transient, Refused) as error:
            trouble.append(f"{copy.region}: {error.sentence}")
    if not ready:
        fail(work, backup)
        raise Transient(f"No key bucket took the key of backup {backup.id}: {'; '.join(trouble)}")
    return backup, frozenset(ready | set(destinations.keyless))


def adopt(work: Work, backup: Backup) -> bool:
    """Completes an attempt that a crash left open, if a manifest is found of it; silent vaults are not waited for.

    Raises:
        Transient: there is a manifest, and the vaults of its copies do not answer.
    """
    manifest = _find_manifest(work, backup)
    if manifest is None:
        return False
    sealed: dict[str, ObjectSeen] = {}
    trouble: list[str] = []
    for copy in backup.copies:
        match work.world.vault.look(copy.bucket, copy.object_name):
            case Present(seen) if (seen.size, seen.crc32c) == (manifest.size, manifest.crc32c):
                try:
                    work.world.vault.put(copy.bucket, copy.manifest_name, manifest.to_bytes())
                    sealed[copy.region] = seen
                except (Transient, Refused) as error:
                    trouble.append(f"{copy.region}: {error.sentence}")
            case Unreachable(reason):
                trouble.append(f"{copy.region}: {reason}")
            case _:
                pass
    if sealed:
        complete(work, backup, manifest, sealed)
    elif trouble:
        raise Transient(f"Backup {backup.id} has a manifest, and no vault shows a copy of it: {'; '.join(trouble)}")
    return bool(sealed)


def complete(work: Work, backup: Backup, manifest: Manifest, sealed: Mapping[str, ObjectSeen]) -> None:
    """Writes down what exists: complete with enough copies, else short of them and alarmed."""
    policy = work.world.policies.backups
    expected = (manifest.size, manifest.crc32c)
    age_days = policy.classes[backup.retention_class].age_days
    good = {region: seen for region, seen in sealed.items() if (seen.size, seen.crc32c) == expected}
    others = [one for one in work.world.registry.backups(work.tenant.uid) if one.id != backup.id]
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        copies = tuple(
            written_copy(copy, good[copy.region], policy, age_days, writes.now) if copy.region in good else copy
            for copy in backup.copies
        )
        enough = len(replace(backup, copies=copies).regions_holding()) >= policy.copies_min
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
            writes.put_residue(residue_of(copy))
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
        tell_of_short(work, writes, (*others, settled))


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
    """A manifest of the attempt, from whichever vault answers."""
    for copy in backup.copies:
        try:
            manifest = read_manifest(work, copy)
        except Transient:
            continue
        if manifest is not None and manifest.describes(backup):
            return manifest
    return None


def tell_of_short(work: Work, writes: FencedWrites, backups: Iterable[Backup]) -> None:
    """One alarm for all backups that are short of copies, open for as long as there is one of them."""
    registry, policy = work.world.registry, work.world.policies.backups
    places = registry.open_residues(work.tenant.uid)
    short = lacking(backups, places, policy, now=writes.now, closed_regions=regions_left(work))
    if not short:
        writes.clear_alarm(SHORT_OF_COPIES)
        return
    missing = {
        backup.id: sorted(copy.region for copy in backup.copies if copy.state is not CopyState.WRITTEN)
        for backup in short
    }
    sentences = [f"backup {name} has no copy in {', '.join(regions)}" for name, regions in missing.items()]
    writes.raise_alarm(SHORT_OF_COPIES, "; ".join(sentences[-SHORT_TOLD_MAX:]))


def written_copy(copy: Copy, seen: ObjectSeen, policy: BackupsPolicy, age_days: int, now: datetime) -> Copy:
    """A copy as it is once its bucket shows it; its age counts from its own seal."""
    lapses_at = seen.created_at + timedelta(days=age_days)
    return replace(
        copy,
        state=CopyState.WRITTEN,
        size=seen.size,
        crc32c=seen.crc32c,
        written_at=seen.created_at,
        seen_at=now,
        lapses_at=lapses_at,
        unreadable_after=deleted_by(copy.region, lapses_at, policy),
    )


def residue_of(copy: Copy) -> Residue:
    """The line of the residue inventory for a copy."""
    return Residue(
        id=copy.residue_id,
        tenant_uid=copy.tenant_uid,
        kind=ResidueKind.COPY,
        place=copy.address,
        made_at=copy.intended_at,
        unreadable_after=copy.unreadable_after,
    )
