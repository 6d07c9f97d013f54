"""Which copies a backup lacks, from what they are made again, and until when. Pure.

A backup that exists in fewer places than were intended is completed from one of
its own copies, and only for `repair_days`: the age of a rewritten object starts
at zero, and the promise counts from the snapshot. After that a new dump is made.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from tenantctl.model.backup import NOT_THERE, Backup, BackupState, Copy, CopyState, Residue, bucket_of_term
from tenantctl.model.policy import BackupsPolicy


def good_copies(backup: Backup, *, now: datetime) -> tuple[Copy, ...]:
    """The copies that another can be made from: seen written, and not at their term yet."""
    return tuple(copy for copy in backup.copies if copy.state is CopyState.WRITTEN and now < copy.lapses_at)


def missing_copies(
    backup: Backup,
    residues: Iterable[Residue],
    policy: BackupsPolicy,
    *,
    now: datetime,
    closed_regions: Collection[str] = (),
) -> tuple[Copy, ...]:
    """The copies of a backup that are to be made again now; none where nothing may be.

    A copy that is lost because its bytes are wrong is none of them while they are
    still there: they are locked, and their name is theirs. Nor is one whose bucket
    is of a term that the policy does not have any more, nor one in `closed_regions`,
    whose jurisdiction the tenant has left.
    """
    if not backup.lacks_copies:
        return ()  # as with nearly every backup: neither it nor the inventory need be read any further
    if backup.state not in {BackupState.COMPLETE, BackupState.SHORT} or now >= repaired_until(backup, policy):
        return ()
    if is_shredded(backup) or not good_copies(backup, now=now):
        return ()
    there = {residue.id for residue in residues if residue.lapsed_at is None}
    age_days = policy.classes[backup.retention_class].age_days
    return tuple(
        copy
        for copy in backup.copies
        if copy.state in NOT_THERE
        if copy.state is not CopyState.LOST or copy.residue_id not in there
        if bucket_of_term(copy.bucket, backup.retention_class, age_days) and copy.region not in closed_regions
    )


def repaired_until(backup: Backup, policy: BackupsPolicy) -> datetime:
    """The moment from which no copy of a backup is made again."""
    return backup.begun_at + timedelta(days=policy.repair_days)


def is_shredded(backup: Backup) -> bool:
    """Whether nobody can open a backup any more: it was sealed, and no wrapped key of it is left."""
    return backup.recipient is not None and not backup.has_key


def is_being_completed(
    backup: Backup,
    residues: Iterable[Residue],
    policy: BackupsPolicy,
    *,
    now: datetime,
    closed_regions: Collection[str] = (),
) -> bool:
    """Whether a backup is short of copies and will have them: its slot needs no other one."""
    if backup.state is not BackupState.SHORT:
        return False
    return bool(missing_copies(backup, residues, policy, now=now, closed_regions=closed_regions))


def lacking(
    backups: Iterable[Backup],
    residues: Iterable[Residue],
    policy: BackupsPolicy,
    *,
    now: datetime,
    closed_regions: Collection[str] = (),
) -> tuple[Backup, ...]:
    """The backups that somebody must be told of: those to be completed, and short ones that no whole one follows."""
    known, places = tuple(backups), tuple(residues)
    whole = max((one.begun_at for one in known if one.state is BackupState.COMPLETE), default=None)
    return tuple(
        one
        for one in known
        if (one.lacks_copies and missing_copies(one, places, policy, now=now, closed_regions=closed_regions))
        or (one.state is BackupState.SHORT and (whole is None or one.begun_at > whole))
    )
