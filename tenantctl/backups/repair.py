"""A copy made again from another: the same sealed bytes, beside the same manifest, in the region that lacks them.

Nothing is decrypted but the backup's key, and that only where the region has not
got it wrapped yet. Its place is on record, and its key kept there, before the
first byte is; what was sealed counts only if the store's own size and checksum
are the manifest's. Whatever already stands under its name is looked at first, so
that a crash at any call is finished by running again.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from tenantctl.backups.attempt import WRITING_MAX, read_manifest, residue_of, tell_of_short, written_copy
from tenantctl.backups.completeness import good_copies, missing_copies, repaired_until
from tenantctl.backups.destinations import check_bucket, regions_left
from tenantctl.backups.keys import key_residue, open_identity, store, wrap_in
from tenantctl.backups.manifest import Manifest
from tenantctl.backups.restore import find_backup
from tenantctl.backups.retention import intended_copy
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Backup, BackupState, Copy, CopyState
from tenantctl.model.errors import Refused, TenantctlError, Transient
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.registry import FencedWrites
from tenantctl.ports.vault import ObjectSeen

COPY_LOST: Final = "copy-lost"  # as an audit's


class RepairCopy:
    """Makes the copy that is the step's subject (`backup/region`) from another copy of its backup."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry has it as written, after its bucket showed it; or as lost, with other bytes there."""
        copy = _find_copy(work, step)
        if copy.state is not CopyState.LOST:
            return copy.state is CopyState.WRITTEN
        return any(line.id == copy.residue_id for line in work.world.registry.open_residues(work.tenant.uid))

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The act looks at both ends before it writes anything, and refuses what is too late."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Looks at the bucket, writes the copy down, keeps its key, and streams the bytes over.

        Raises:
            Transient: the region's bucket, KMS or key bucket, or every good copy, does not answer.
            Refused: it is too late, the bucket's terms are not the policy's, or no copy is good.
        """
        registry, policy = work.world.registry, work.world.policies.backups
        copy = _find_copy(work, step)
        backup = find_backup(work.world, work.tenant.uid, copy.backup_id)
        _refuse_unless_missing(work, backup, copy)
        check_bucket(work, copy.bucket, copy.region, policy.classes[backup.retention_class])
        source, manifest = _good_source(work, backup)
        copy = _write_down(work, backup, copy)
        store(work.world, copy)
        seen = self._made(work, copy, source, manifest)
        if (seen.size, seen.crc32c) != (manifest.size, manifest.crc32c):
            with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
                writes.put_copy(replace(copy, state=CopyState.LOST))
                writes.raise_alarm(COPY_LOST, f"backup {backup.id}: {copy.region} holds other bytes under its name")
                writes.journal("copy-lost", backup=backup.id, region=copy.region, size=seen.size, crc32c=seen.crc32c)
            return
        work.world.vault.put(copy.bucket, copy.manifest_name, manifest.to_bytes())
        _record(work, copy, source, seen)

    def _made(self, work: Work, copy: Copy, source: Copy, manifest: Manifest) -> ObjectSeen:
        """The object as its store shows it, streamed over unless it is there."""
        match work.world.vault.look(copy.bucket, copy.object_name):
            case Present(seen):
                return seen
            case Unreachable(reason):
                raise Transient(f"{copy.region}: {reason}")
            case Gone():
                return _stream_over(work, copy, source, manifest)


def _refuse_unless_missing(work: Work, backup: Backup, copy: Copy) -> None:
    registry, policy = work.world.registry, work.world.policies.backups
    residues = registry.open_residues(work.tenant.uid)
    missing = missing_copies(backup, residues, policy, now=registry.now(), closed_regions=regions_left(work))
    if copy.region not in {one.region for one in missing}:
        raise Refused(f"The copy of backup {backup.id} in {copy.region} is not to be made again, or not any more.")


def _good_source(work: Work, backup: Backup) -> tuple[Copy, Manifest]:
    """A copy whose store shows the bytes that were written, and the manifest beside it that says the same.

    Raises:
        Transient: none answered as good, and some did not answer.
        Refused: all answered, and none is good.
    """
    trouble: list[str] = []
    silent = False
    for copy in good_copies(backup, now=work.world.registry.now()):
        match work.world.vault.look(copy.bucket, copy.object_name):
            case Present(seen) if (seen.size, seen.crc32c) == (copy.size, copy.crc32c):
                pass
            case Unreachable(reason):
                silent = True
                trouble.append(f"{copy.region}: {reason}")
                continue
            case _:
                trouble.append(f"{copy.region}: it does not hold what was written there")
                continue
        try:
            manifest = read_manifest(work, copy)
        except TenantctlError as error:
            silent = silent or isinstance(error, Transient)
            trouble.append(f"{copy.region}: {error.sentence}")
            continue
        if manifest is not None and manifest.describes(backup) and manifest.sha256 == backup.sha256:
            return copy, manifest
        trouble.append(f"{copy.region}: it has no manifest of its own")
    sentence = f"No copy of backup {backup.id} can be copied: {'; '.join(trouble)}"
    raise Transient(sentence) if silent else Refused(sentence)


def _write_down(work: Work, backup: Backup, copy: Copy) -> Copy:
    """The copy as intended again, on record with its place, its key and their dates: from here on bytes may exist."""
    world, policy = work.world, work.world.policies.backups
    wrapped = copy.wrapped_key
    if wrapped is None and backup.recipient is not None and not copy.off_cloud:
        wrapped = wrap_in(world, copy.region, open_identity(world, backup), backup.tenant_uid, backup.id)
    lapsed = {one.id for one in world.registry.residues(work.tenant.uid) if one.lapsed_at is not None}
    with world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        if writes.now >= repaired_until(backup, policy):
            raise Refused(f"It is too late to make a copy of backup {backup.id}: a new object's age starts at zero.")
        fresh = intended_copy(
            backup, copy.region, bucket_prefix=world.bucket_prefix, policy=policy, allowance=WRITING_MAX, now=writes.now
        )
        again = replace(
            copy,
            state=CopyState.INTENDED,
            intended_at=fresh.intended_at,
            lapses_at=fresh.lapses_at,
            unreadable_after=fresh.unreadable_after,
            size=None,
            crc32c=None,
            written_at=None,
            seen_at=None,
            verified_at=None,
            verified_level=None,
            wrapped_key=wrapped,
            held_at=None,
            hold_asked_at=None,
            repairs=copy.repairs + (copy.residue_id in lapsed),
        )
        writes.put_copy(again)
        writes.put_residue(residue_of(again))
        if wrapped is not None:
            writes.put_residue(key_residue(again, policy))
        writes.journal("copy-repair-begun", backup=backup.id, region=copy.region, bucket=copy.bucket)
    return again


def _stream_over(work: Work, copy: Copy, source: Copy, manifest: Manifest) -> ObjectSeen:
    """The bytes of one copy written as another; nothing is sealed unless they are the manifest's to the last.

    Raises:
        Transient: an end did not answer, or what came is not what was written.
    """
    sha256, size = hashlib.sha256(), 0
    with work.world.vault.upload(copy.bucket, copy.object_name) as upload:
        for chunk in work.world.vault.read(source.bucket, source.object_name):
            work.heartbeat.check()
            sha256.update(chunk)
            size += len(chunk)
            upload.write(chunk)
        if (size, sha256.hexdigest()) != (manifest.size, manifest.sha256):
            raise Transient(
                f"What was read of backup {copy.backup_id} in {source.region} is not what was written there."
            )
        work.heartbeat.renew()
        return upload.seal()


def _record(work: Work, copy: Copy, source: Copy, seen: ObjectSeen) -> None:
    """Writes down that it exists; a backup that has enough copies now is complete, unless another has its slot."""
    registry, policy = work.world.registry, work.world.policies.backups
    backups = registry.backups(work.tenant.uid)
    backup = next(one for one in backups if one.id == copy.backup_id)
    others = [one for one in backups if one.id != backup.id]
    age_days = policy.classes[backup.retention_class].age_days
    with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        made = written_copy(copy, seen, policy, age_days, writes.now)
        copies = tuple(made if one.region == made.region else one for one in backup.copies)
        backup = replace(backup, copies=copies)
        taken = any(
            one.slot == backup.slot and one.state in {BackupState.BEGUN, BackupState.COMPLETE} for one in others
        )
        whole = len(backup.regions_holding()) >= policy.copies_min
        if backup.state is BackupState.SHORT and whole and not taken:
            backup = replace(backup, state=BackupState.COMPLETE)
        writes.put_backup(backup)
        writes.put_residue(residue_of(made))
        _journal(writes, backup, made, source)
        tell_of_short(work, writes, (*others, backup))


def _journal(writes: FencedWrites, backup: Backup, made: Copy, source: Copy) -> None:
    writes.journal(
        "copy-repaired",
        backup=backup.id,
        region=made.region,
        made_from=source.region,
        size=made.size,
        crc32c=made.crc32c,
        regions=sorted(backup.regions_holding()),
        state=backup.state.value,
    )


def _find_copy(work: Work, step: Step) -> Copy:
    backup_id, region = step.subject.split("/")
    backup = find_backup(work.world, work.tenant.uid, backup_id)
    return next(copy for copy in backup.copies if copy.region == region)
