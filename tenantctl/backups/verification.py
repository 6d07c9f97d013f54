"""Reading a copy back: to its last byte through checksum, key and compression, and through `pg_restore` into nothing.

What fails here is no backup any more: the copy counts as lost, an alarm names
it, and planning makes another.
"""

from collections.abc import Iterable
from dataclasses import replace

from tenantctl.backups.keys import open_identity
from tenantctl.backups.reading import Reading
from tenantctl.backups.restore import find_backup
from tenantctl.backups.rotation import read_due
from tenantctl.backups.stream import opened
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Backup, Copy, CopyState, VerificationLevel
from tenantctl.model.errors import Damaged, NotFound, Refused, Transient
from tenantctl.model.plan import Blocker, Step

VERIFICATION_FAILED = "verification-failed"  # as a restore's


class ReadCopy:
    """Reads the copy that is the step's subject (`backup/region`) at the level of its argument."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether it was read at this level when its turn came, or is no copy any more."""
        copy = _find_copy(work, step)
        if copy.state is not CopyState.WRITTEN:
            return True
        if copy.verified_at is None or copy.verified_level is None or copy.verified_level < step.argument:
            return False
        return read_due(copy, work.world.policies.backups.verification) > work.world.registry.now()

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Reading harms nothing."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Reads it all, and writes down what was found.

        Raises:
            Transient: the vault, or every region's KMS, did not answer.
        """
        copy, level = _find_copy(work, step), VerificationLevel(step.argument)
        backup = find_backup(work.world, work.tenant.uid, copy.backup_id)
        fault = _read(work, backup, copy, level)
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            if fault is None:
                writes.put_copy(replace(copy, verified_at=writes.now, verified_level=level, seen_at=writes.now))
                if level > (backup.verified_level or ""):
                    writes.put_backup(replace(backup, verified_at=writes.now, verified_level=level, copies=()))
                return
            writes.put_copy(replace(copy, state=CopyState.LOST))
            writes.raise_alarm(VERIFICATION_FAILED, f"backup {backup.id} in {copy.region}: {fault}")
            writes.journal("copy-failed", backup=backup.id, region=copy.region, level=level.value)


def _read(work: Work, backup: Backup, copy: Copy, level: VerificationLevel) -> str | None:
    """What is wrong with a copy, in a sentence; None if nothing is.

    Raises:
        Transient: the vault or the KMS did not answer, or the bytes were damaged on their way and not where they lie.
    """
    identity = open_identity(work.world, backup) if backup.recipient else None
    reading = Reading(work, copy)
    try:
        archive = opened(reading.chunks(), identity)
        if level is VerificationLevel.READ_BACK:
            for _ in archive:
                pass
        else:
            work.world.scratch.read_through(archive)
    except (Damaged, Refused) as fault:
        if not reading.comes_again():
            raise Transient(f"A copy came damaged, and otherwise the second time: {fault.sentence}") from fault
        return "the vault says that it is gone" if isinstance(fault, NotFound) else fault.sentence
    if reading.sha256 != backup.sha256:
        return f"its SHA-256 is {reading.sha256}, not {backup.sha256}"
    return None


def _find_copy(work: Work, step: Step) -> Copy:
    backup_id, region = step.subject.split("/")
    backup = find_backup(work.world, work.tenant.uid, backup_id)
    return next(copy for copy in backup.copies if copy.region == region)
