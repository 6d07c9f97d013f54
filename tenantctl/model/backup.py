"""Backups, their copies, and every other place where a tenant's bytes can be."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from tenantctl.model.remembered import remembered


class RetentionClass(StrEnum):
    """How long a backup is kept; chosen when it is made, since a locked copy cannot be promoted."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    FINAL = "final"


class BackupState(StrEnum):
    """How far the making of a backup came."""

    BEGUN = "begun"
    COMPLETE = "complete"
    SHORT = "short"  # it exists, in fewer regions than it should
    FAILED = "failed"


class CopyState(StrEnum):
    """What is known of one copy."""

    INTENDED = "intended"  # bytes may exist: written down before the first of them
    WRITTEN = "written"
    LOST = "lost"  # gone before its term: an incident
    LAPSED = "lapsed"  # gone in its term: the promise kept
    ABSENT = "absent"  # never came to be, and was seen not to be there


GONE: Final = frozenset({CopyState.LAPSED, CopyState.ABSENT})
NOT_THERE: Final = frozenset({CopyState.INTENDED, CopyState.ABSENT, CopyState.LOST})


class VerificationLevel(StrEnum):
    """What was proved of a backup, from least to most."""

    READ_BACK = "L1"
    STRUCTURE = "L2"
    RESTORED = "L3"


@dataclass(frozen=True)
class Copy:
    """One copy of a backup: an object, and its manifest beside it, in one region's bucket."""

    backup_id: str
    tenant_uid: str
    region: str
    bucket: str
    object_name: str
    state: CopyState
    intended_at: datetime
    lapses_at: datetime  # when the bucket's lifecycle age is reached
    unreadable_after: datetime  # with the lifecycle's lag: still there after this is a finding
    size: int | None = None
    crc32c: str | None = None
    written_at: datetime | None = None
    seen_at: datetime | None = None
    wrapped_key: str | None = (
        None  # the backup's identity, wrapped by this region's KMS key, base64; None once shredded
    )
    verified_at: datetime | None = None
    verified_level: VerificationLevel | None = None
    repairs: int = 0  # how often it was made again from another copy
    held_at: datetime | None = None  # when the store was seen to hold it for the law, with its manifest
    hold_asked_at: datetime | None = None  # when the store was last asked to hold it, or to let it go; None once it has

    @property
    def is_settled(self) -> bool:
        """Whether it is no more, or never was, and neither a key nor a hold of it is left: nothing is to be done."""
        return self.state in GONE and self.wrapped_key is None and self.hold_asked_at is None

    @property
    def may_be_held(self) -> bool:
        """Whether its store may keep it past its age, because of a legal hold."""
        return self.hold_asked_at is not None

    @property
    def is_at_rest(self) -> bool:
        """Whether it is where it was seen, and only time asks for anything: another look, its term, a reading."""
        seen = self.state is CopyState.WRITTEN and self.seen_at is not None and self.seen_at < self.lapses_at
        return seen and self.hold_asked_at is None

    @property
    def read_at(self) -> datetime:
        """When it was last read back, or else written."""
        return self.verified_at or self.written_at or self.intended_at

    @property
    def manifest_name(self) -> str:
        """The object beside the copy that describes it."""
        return manifest_name(self.object_name)

    @property
    def address(self) -> str:
        """Where the object is, with the scheme of its store."""
        return f"{'s3' if self.off_cloud else 'gs'}://{self.bucket}/{self.object_name}"

    @property
    def off_cloud(self) -> bool:
        """Whether it lies off Google's cloud, in a region that bears its cloud before a colon."""
        return ":" in self.region

    @property
    def residue_id(self) -> str:
        """This copy's line in the residue inventory; made again it has another, since a lapse stays written."""
        again = f"/{self.repairs}" if self.repairs else ""
        return f"copy/{self.backup_id}/{self.region}{again}"

    @property
    def key_residue_id(self) -> str:
        """The line of the key that opens this copy."""
        return f"key/{self.backup_id}/{self.region}"


@dataclass(frozen=True)
class Backup:
    """One dump of one tenant's database, made for one slot.

    A slot belongs to the backup that is begun or complete; one that failed or is
    short of copies leaves it to another try.
    """

    id: str
    tenant_uid: str
    slot: str  # unique for a tenant: a night's date, or what it was asked for by
    retention_class: RetentionClass
    state: BackupState
    begun_at: datetime
    completed_at: datetime | None = None
    verified_at: datetime | None = None  # of one that failed its proof: when it did
    verified_level: VerificationLevel | None = None
    tables: int | None = None
    rows: int | None = None
    size: int | None = None
    sha256: str | None = None
    recipient: str | None = None  # the age recipient of its identity; None for a backup that was stored in the clear
    forced_row_security: tuple[str, ...] = ()  # tables whose FORCE was lifted for this dump; none once it is set again
    copies: tuple[Copy, ...] = ()

    @remembered
    def is_settled(self) -> bool:
        """Whether it is made or failed, and all its copies are settled: most backups of a long life are."""
        return self.state is not BackupState.BEGUN and all(copy.is_settled for copy in self.copies)

    @remembered
    def is_at_rest(self) -> bool:
        """Whether it is whole, and each of its copies that is not over is at rest: most that still exist are."""
        existing = [copy for copy in self.copies if copy.state is not CopyState.LAPSED or not copy.is_settled]
        return self.state is BackupState.COMPLETE and bool(existing) and all(copy.is_at_rest for copy in existing)

    @remembered
    def lacks_copies(self) -> bool:
        """Whether a copy that was intended is not there, as far as is known."""
        return any(copy.state in NOT_THERE for copy in self.copies)

    @remembered
    def may_be_held(self) -> bool:
        """Whether the store of any copy may keep it past its age, because of a legal hold."""
        return any(copy.may_be_held for copy in self.copies)

    @remembered
    def has_key(self) -> bool:
        """Whether the registry holds the wrapped key of any copy."""
        return any(copy.wrapped_key for copy in self.copies)

    @remembered
    def lapses_at(self) -> datetime | None:
        """When the last of its copies reaches its age; None if it has none."""
        return max((copy.lapses_at for copy in self.copies), default=None)

    def regions_holding(self) -> tuple[str, ...]:
        """The regions of the cloud in which a copy is known to be; what lies off it comes on top of `copies_min`."""
        return tuple(copy.region for copy in self.copies if copy.state is CopyState.WRITTEN and not copy.off_cloud)


class ResidueKind(StrEnum):
    """The kinds of places where a tenant's bytes can be."""

    DATABASE = "database"
    COPY = "copy"
    KEY = "key"
    KEY_BACKUPS = "key-backups"
    SCRATCH = "scratch"
    EXPORT = "export"
    INSTANCE_BACKUPS = "instance-backups"
    REGISTRY_BACKUPS = "registry-backups"


@dataclass(frozen=True)
class Residue:
    """A place where a tenant's bytes are or were, and the date after which nothing there can be read.

    `unreadable_after` is None while that date depends on a destruction to come.
    """

    id: str
    tenant_uid: str
    kind: ResidueKind
    place: str
    made_at: datetime
    unreadable_after: datetime | None
    lapsed_at: datetime | None = None
    proof: str | None = None


@dataclass(frozen=True)
class TableDigest:
    """A table's content in two numbers: how many rows, and a checksum that does not depend on their order."""

    rows: int
    checksum: str


def newest_final(backups: Iterable[Backup], closed_at: datetime | None) -> Backup | None:
    """The newest complete final backup that was begun after the logins were closed, whether or not it lasts."""
    if closed_at is None:
        return None
    finals = [
        backup
        for backup in backups
        if backup.retention_class is RetentionClass.FINAL
        and backup.state is BackupState.COMPLETE
        and backup.begun_at >= closed_at
    ]
    return max(finals, key=lambda backup: backup.begun_at, default=None)


def object_name(tenant_uid: str, backup_id: str) -> str:
    """The name of a backup's object; unique, so it is never overwritten."""
    return f"{tenant_uid}/{backup_id}/dump.zst.age"


def manifest_name(name: str) -> str:
    """The name of the manifest beside an object."""
    return name.rsplit("/", 1)[0] + "/manifest.json"


def bucket_name(prefix: str, region: str, retention_class: RetentionClass, age_days: int) -> str:
    """The bucket for copies of one class and term in one region; another term is another bucket.

    A region off Google's cloud bears its cloud before a colon (`model/off_cloud.py`), which no bucket's name may have.
    """
    return f"{prefix}-{region.replace(':', '-')}-{retention_class}-{age_days}d"


def bucket_of_term(bucket: str, retention_class: RetentionClass, age_days: int) -> bool:
    """Whether a bucket, in whichever region, is that of a class and term."""
    return bucket.endswith(f"-{retention_class}-{age_days}d")
