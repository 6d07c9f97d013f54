"""Which copies are read back and which backups restored, and when: verification by rotation. Pure.

Each new backup is read once as a restore reads it; each copy is read back to
its last byte now and then; and every tenant's newest backup is proved by a real
restore once in each period, on a day of the tenant's own.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from tenantctl.model.backup import Backup, BackupState, Copy, CopyState, VerificationLevel
from tenantctl.model.calendar import ONE_DAY
from tenantctl.model.policy import Verification

COPIES_A_LOOK_MAX = 2  # read back at most in one look, so that old copies never hold up a night's backups


def restore_due(uid: str, backups: Iterable[Backup], policy: Verification, *, since: datetime) -> datetime:
    """When a tenant's newest backup is to be proved by a restore; `since` is when the tenant was created.

    The first falls on a day of the tenant's own within the first period, so that
    the restores of a fleet are spread over it. One that failed is not followed by
    another the same day, or a fault of the restore's own would eat every backup.
    """
    backups = [backup for backup in backups if backup.verified_at is not None]
    not_before = max(
        (backup.verified_at + ONE_DAY for backup in failed_proofs(backups) if backup.verified_at), default=since
    )
    return max(not_before, _restore_turn(uid, backups, policy, since=since))


def failed_proofs(backups: Iterable[Backup]) -> tuple[Backup, ...]:
    """The backups that were made and then failed a restore."""
    return tuple(one for one in backups if one.state is BackupState.FAILED and one.verified_at is not None)


def _restore_turn(uid: str, backups: Iterable[Backup], policy: Verification, *, since: datetime) -> datetime:
    period = timedelta(days=policy.restore_every_days)
    proved = [
        backup.verified_at
        for backup in backups
        if backup.verified_at is not None and backup.verified_level is VerificationLevel.RESTORED
    ]
    if proved:
        return max(proved) + period
    share = int.from_bytes(hashlib.sha256(uid.encode()).digest()[4:8]) / 2**32
    return since + period * share


def copies_to_read(backups: Iterable[Backup], policy: Verification, *, now: datetime) -> Iterator[Copy]:
    """The copies whose turn it is to be read back, those longest unread first; what is past its term has no key."""
    before = now - timedelta(days=policy.read_back_every_days)
    due = [copy for copy in _good_copies(backups) if copy.read_at <= before and now < copy.lapses_at]
    yield from sorted(due, key=lambda copy: read_due(copy, policy))[:COPIES_A_LOOK_MAX]


def read_due(copy: Copy, policy: Verification) -> datetime:
    """When a copy is to be read back next."""
    return copy.read_at + timedelta(days=policy.read_back_every_days)


def unread_backup(newest: Backup | None) -> Copy | None:
    """The copy of the newest backup that is to be read as a restore reads it; None if it was, in whichever region."""
    if newest is None or newest.verified_level is not None:
        return None
    levels = {copy.verified_level for copy in newest.copies}
    if levels & {VerificationLevel.STRUCTURE, VerificationLevel.RESTORED}:
        return None
    written = [copy for copy in newest.copies if copy.state is CopyState.WRITTEN]
    return min(written, key=lambda copy: copy.off_cloud, default=None)


def _good_copies(backups: Iterable[Backup]) -> Iterator[Copy]:
    return (
        copy
        for backup in backups
        if backup.state is BackupState.COMPLETE and not backup.is_settled
        for copy in backup.copies
        if copy.state is CopyState.WRITTEN
    )
