"""Which class a backup is of, and until when its copies can be read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tenantctl.model.backup import Backup, BackupState, Copy, CopyState, RetentionClass, bucket_name, object_name
from tenantctl.model.calendar import month_slot, week_slot
from tenantctl.model.off_cloud import rounding_days
from tenantctl.model.policy import WRITING_DAYS_MAX, BackupsPolicy

SERVES_A_MONTH: Final = frozenset({RetentionClass.MONTHLY, RetentionClass.FINAL})
SERVES_A_WEEK: Final = SERVES_A_MONTH | {RetentionClass.WEEKLY}
LONGEST_MONTH: Final = timedelta(days=31)


@dataclass(frozen=True)
class Choice:
    """A retention class, and why it is this one."""

    retention_class: RetentionClass
    reason: str


def choose_class(backups: Iterable[Backup], *, now: datetime) -> Choice:
    """Monthly for the first complete backup of the UTC month, weekly likewise, else daily.

    What only began does not count: a month whose first backup failed gets its
    monthly one from the next. Nor does a daily one that was planned before the
    month's turn and begun after it: it will not be kept as long as a month needs.
    """
    since = now - LONGEST_MONTH  # of what is older than this, none can be of this month or week
    complete = [one for one in backups if one.begun_at > since and one.state is BackupState.COMPLETE]
    months = {month_slot(backup.begun_at) for backup in complete if backup.retention_class in SERVES_A_MONTH}
    if month_slot(now) not in months:
        return Choice(RetentionClass.MONTHLY, f"the first complete one of {month_slot(now)}")
    weeks = {week_slot(backup.begun_at) for backup in complete if backup.retention_class in SERVES_A_WEEK}
    if week_slot(now) not in weeks:
        return Choice(RetentionClass.WEEKLY, f"the first complete one of {week_slot(now)}")
    return Choice(RetentionClass.DAILY, f"{month_slot(now)} and {week_slot(now)} have theirs")


@dataclass(frozen=True)
class Readable:
    """How long a record that was deleted at one moment can still be read in backups of one class.

    `delays` are the parts of the latest moment, in days, in the order in which they can follow each other.
    """

    retention_class: RetentionClass
    earliest: datetime
    latest: datetime
    delays: Mapping[str, int]


def readable_after_deletion(policy: BackupsPolicy, *, deleted_at: datetime) -> Iterator[Readable]:
    """Per class, from when at the earliest and at the latest nothing of a deleted record can be read any more.

    The earliest: the record was last in a backup of the night before, whose key
    is shredded on the day. The latest: it was in a dump that was just being
    written, one copy of which was repaired on the last day, and deleted as late
    as a bucket may, from a registry whose own backups still held its key.
    """
    for retention_class, term in sorted(policy.classes.items(), key=lambda pair: pair[1].age_days):
        delays = {
            "writing": WRITING_DAYS_MAX,
            "age": term.age_days,
            "repair": policy.repair_days,
            **({"rounding": policy.rounding_days} if policy.rounding_days else {}),
            "lifecycle lag": policy.lifecycle_lag_days,
            "key residue": policy.key_residue_days,
        }
        yield Readable(
            retention_class,
            earliest=deleted_at - timedelta(days=1) + timedelta(days=term.age_days),
            latest=deleted_at + timedelta(days=policy.days_readable(term)),
            delays=delays,
        )


def intended_copy(
    backup: Backup, region: str, *, bucket_prefix: str, policy: BackupsPolicy, allowance: timedelta, now: datetime
) -> Copy:
    """A copy that is about to be written, with its term.

    `allowance` is the longest that the writing may take: an object's age starts
    when it is sealed, so the promise counts from the latest moment that can be.
    """
    term = policy.classes[backup.retention_class]
    lapses_at = now + timedelta(days=term.age_days)
    return Copy(
        backup_id=backup.id,
        tenant_uid=backup.tenant_uid,
        region=region,
        bucket=bucket_name(bucket_prefix, region, backup.retention_class, term.age_days),
        object_name=object_name(backup.tenant_uid, backup.id),
        state=CopyState.INTENDED,
        intended_at=now,
        lapses_at=lapses_at,
        unreadable_after=deleted_by(region, lapses_at, policy) + allowance,
    )


def deleted_by(region: str, lapses_at: datetime, policy: BackupsPolicy) -> datetime:
    """The moment by which a region's bucket has deleted what reaches its age at `lapses_at`."""
    return lapses_at + timedelta(days=rounding_days(region) + policy.lifecycle_lag_days)
