"""The company's promises as numbers, and the arithmetic that they must satisfy.

Each dataclass is one file under `policies/`, or a part of one. There are no defaults: unknown means stop.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import ClassVar, Final

from tenantctl.model.backup import RetentionClass
from tenantctl.model.calendar import shortest_days_in_months
from tenantctl.model.caps import Caps
from tenantctl.model.off_cloud import AGE_DAYS_MIN, country_of, rounding_days
from tenantctl.model.off_cloud import REGIONS as OFF_CLOUD_REGIONS
from tenantctl.model.region import RegionsPolicy
from tenantctl.model.strict import STRICT
from tenantctl.model.work import WorkPolicy

LOCK_TO_AGE_DAYS_MAX: Final = 2
ANCHOR_REGIONS_MIN: Final = 2
WRITING_DAYS_MAX: Final = 1  # a copy's age counts from its seal, which comes this long after its snapshot at most


@dataclass(frozen=True)
class NoticesPolicy:
    """When a customer is told of its destruction, and whether it must have been.

    Besides once at deactivation, a notice is put out so many days before the
    destruction. With `delivery_required`, nothing is destroyed before each was
    reported as delivered, the last one `hours_min` ago; one that is missing for
    `page_after_hours` is alarmed.
    """

    __pydantic_config__: ClassVar = STRICT

    before_destruction_days: tuple[int, ...]
    delivery_required: bool
    hours_min: int
    page_after_hours: int

    def faults(self) -> Iterator[tuple[str, str]]:
        """(key, reason) for each number that cannot be."""
        if any(days < 1 for days in self.before_destruction_days):
            yield "before_destruction_days", "must be days before the destruction, each at least 1"
        if len(set(self.before_destruction_days)) != len(self.before_destruction_days):
            yield "before_destruction_days", "names a day twice"
        if self.hours_min < 0:
            yield "hours_min", f"must not be negative, is {self.hours_min}"
        if self.page_after_hours < 1:
            yield "page_after_hours", f"must be at least 1, is {self.page_after_hours}"


@dataclass(frozen=True)
class ImportsPolicy:
    """What a customer's own dump may be: so many decimal gigabytes, packed and unpacked, and so long on its way in."""

    __pydantic_config__: ClassVar = STRICT

    gigabytes_max: int
    hours_max: int


@dataclass(frozen=True)
class MovesPolicy:
    """What a customer that moves is promised: how long its old place is kept, and from what its downtime is told.

    Megabytes are decimal; the rates are of a database's size, one after the other.
    """

    __pydantic_config__: ClassVar = STRICT

    source_kept_days: int
    catch_up_seconds_max: int
    whole_rows_megabytes_max: int
    dump_megabytes_per_second: int
    compare_megabytes_per_second: int


@dataclass(frozen=True)
class ExportsPolicy:
    """For how many days a bucket keeps an export, before it deletes it by its age."""

    __pydantic_config__: ClassVar = STRICT

    age_days: int


@dataclass(frozen=True)
class LifecyclePolicy:
    """`lifecycle.yaml`: from request to forgotten.

    Days are 24 hours each; `instance_backup_days` and `registry_backup_days` are
    how long the platform's own backups and point-in-time logs can bring bytes back.
    """

    __pydantic_config__: ClassVar = STRICT

    grace_days: int
    destroy_within_days: int
    copies_seen_within_hours: int
    instance_backup_days: int
    registry_backup_days: int
    connections_per_tenant: int
    allowed_extensions: tuple[str, ...]
    keep_closed_every_hours: int
    caps: Caps
    notices: NoticesPolicy
    imports: ImportsPolicy
    moves: MovesPolicy
    exports: ExportsPolicy
    work: WorkPolicy

    def faults(self) -> Iterator[tuple[str, str]]:
        """(key, reason) for each number that cannot be."""
        for key in ("grace_days", "destroy_within_days", "copies_seen_within_hours", "keep_closed_every_hours"):
            if getattr(self, key) < 1:
                yield key, f"must be at least 1, is {getattr(self, key)}"
        for key in ("instance_backup_days", "registry_backup_days"):
            if getattr(self, key) < 0:
                yield key, f"must not be negative, is {getattr(self, key)}"
        if not 1 <= self.connections_per_tenant <= 1000:
            yield "connections_per_tenant", f"must lie within 1 and 1000, is {self.connections_per_tenant}"
        for key, value in (
            *(
                (f"{part}.{name}", value)
                for part in ("imports", "moves")
                for name, value in vars(getattr(self, part)).items()
            ),
            ("exports.age_days", self.exports.age_days),
        ):
            if value < 1:
                yield key, f"must be at least 1, is {value}"
        yield from ((f"caps.{key}", reason) for key, reason in self.caps.faults())
        yield from ((f"notices.{key}", reason) for key, reason in self.notices.faults())
        yield from ((f"work.{key}", reason) for key, reason in self.work.faults())
        late = [days for days in self.notices.before_destruction_days if days > self.grace_days]
        if late:
            yield (
                "notices.before_destruction_days",
                f"{late[0]} days before is longer than the grace of {self.grace_days}",
            )

    def faults_beside(self, backups: "BackupsPolicy") -> Iterator[tuple[str, str]]:
        """(key, reason) for each number that does not go with the terms of backups.

        A destruction on its last day still wants a final backup that stays as long again.
        """
        final = backups.classes.get(RetentionClass.FINAL)
        needed = self.grace_days + 2 * self.destroy_within_days
        if final is not None and final.age_days <= needed:
            parts = (
                f"grace_days {self.grace_days} + twice destroy_within_days {self.destroy_within_days} = {needed} days"
            )
            yield "grace_days", f"{parts}, but final backups are deleted at an age of {final.age_days}"


@dataclass(frozen=True)
class Term:
    """One retention class: locked for `lock_days`, deleted by the bucket at an age of `age_days`."""

    __pydantic_config__: ClassVar = STRICT

    lock_days: int
    age_days: int


@dataclass(frozen=True)
class Night:
    """When nightly backups are made: `hours` long from `starts_at_hour`, where the customer is based."""

    __pydantic_config__: ClassVar = STRICT

    starts_at_hour: int
    hours: int


@dataclass(frozen=True)
class Verification:
    """How often copies are read back, and how often each tenant's newest backup is proved by a restore."""

    __pydantic_config__: ClassVar = STRICT

    read_back_every_days: int
    restore_every_days: int


@dataclass(frozen=True)
class BackupsPolicy:
    """`backups.yaml`: how often, how many copies, and for how long."""

    __pydantic_config__: ClassVar = STRICT

    promise_months: int
    copies_min: int
    rpo_hours: int
    rto_hours: int
    repair_days: int
    lifecycle_lag_days: int
    key_residue_days: int
    look_at_copies_every_hours: int
    scratch_hours: int
    night: Night
    verification: Verification
    off_cloud: Mapping[str, str]  # jurisdiction → the region off Google's cloud that has a further copy; none: {}
    classes: Mapping[RetentionClass, Term]

    @cached_property
    def look_at_copies_every(self) -> timedelta:
        """How long after a look at a copy the next one is due."""
        return timedelta(hours=self.look_at_copies_every_hours)

    def faults(self) -> Iterator[tuple[str, str]]:
        """(key, reason) for each number that cannot be, or that breaks the promise."""
        for key in (
            "promise_months",
            "rpo_hours",
            "rto_hours",
            "lifecycle_lag_days",
            "look_at_copies_every_hours",
            "scratch_hours",
        ):
            if getattr(self, key) < 1:
                yield key, f"must be at least 1, is {getattr(self, key)}"
        for key in ("repair_days", "key_residue_days"):
            if getattr(self, key) < 0:
                yield key, f"must not be negative, is {getattr(self, key)}"
        if self.copies_min < 2:
            yield "copies_min", f"must be at least 2, the promise says several regions; is {self.copies_min}"
        if not (0 <= self.night.starts_at_hour <= 23 and 1 <= self.night.hours <= 12):
            yield "night", "must start at an hour within 0 and 23 and last 1 to 12 hours"
        for key in ("read_back_every_days", "restore_every_days"):
            if not 1 <= getattr(self.verification, key) <= 365:
                yield f"verification.{key}", f"must lie within 1 and 365, is {getattr(self.verification, key)}"
        yield from self._off_cloud_faults()
        for missing in sorted(set(RetentionClass) - set(self.classes)):
            yield f"classes.{missing}", "is missing"
        if self.promise_months >= 1:
            for name, term in self.classes.items():
                yield from self._term_faults(f"classes.{name}", term)

    def _off_cloud_faults(self) -> Iterator[tuple[str, str]]:
        for jurisdiction, region in self.off_cloud.items():
            if region not in OFF_CLOUD_REGIONS:
                yield f"off_cloud.{jurisdiction}", f"{region} is no known region off Google's cloud"
        for name, term in self.classes.items():
            if self.off_cloud and term.age_days < AGE_DAYS_MIN:
                yield f"classes.{name}.age_days", f"must be at least {AGE_DAYS_MIN} off Google's cloud"

    def _term_faults(self, key: str, term: Term) -> Iterator[tuple[str, str]]:
        if term.lock_days < 1:
            yield f"{key}.lock_days", f"must be at least 1, is {term.lock_days}"
        if not term.lock_days < term.age_days <= term.lock_days + LOCK_TO_AGE_DAYS_MAX:
            yield (
                f"{key}.lock_days",
                f"{term.lock_days} must be less than age_days {term.age_days}, by at most {LOCK_TO_AGE_DAYS_MAX}",
            )
        allowed = shortest_days_in_months(self.promise_months)
        needed = self.days_readable(term)
        if needed > allowed:
            parts = f"writing {WRITING_DAYS_MAX} + age {term.age_days} + repair {self.repair_days}"
            if self.rounding_days:
                parts += f" + rounding {self.rounding_days}"
            total = f"{parts} + lag {self.lifecycle_lag_days} + key residue {self.key_residue_days} = {needed} days"
            yield f"{key}.age_days", f"{total}, but {self.promise_months} months can be as short as {allowed} days"

    def faults_beside(self, regions: RegionsPolicy) -> Iterator[tuple[str, str]]:
        """(key, reason) for each copy off Google's cloud that would lie under another law than its tenant."""
        for jurisdiction, region in self.off_cloud.items():
            law = regions.residency.jurisdiction_of(country_of(region))
            if law != jurisdiction:
                yield f"off_cloud.{jurisdiction}", f"{region} lies in {law}"

    @property
    def rounding_days(self) -> int:
        """The most days that a store's own count adds to a term, in any region that has copies."""
        return max((rounding_days(region) for region in self.off_cloud.values()), default=0)

    def days_readable(self, term: Term) -> int:
        """The most days from a record's deletion until its last byte in this class is unreadable."""
        after = self.repair_days + self.rounding_days + self.lifecycle_lag_days + self.key_residue_days
        return WRITING_DAYS_MAX + term.age_days + after


@dataclass(frozen=True)
class AnchorsPolicy:
    """`anchors.yaml`: where the journal's anchors are kept, for how long, and how often one is made."""

    __pydantic_config__: ClassVar = STRICT

    regions: tuple[str, ...]
    every_hours: int
    lock_days: int
    age_days: int

    @property
    def term(self) -> Term:
        """The term of the anchors' buckets."""
        return Term(lock_days=self.lock_days, age_days=self.age_days)

    def faults(self) -> Iterator[tuple[str, str]]:
        """(key, reason) for each number that cannot be."""
        if len(set(self.regions)) < ANCHOR_REGIONS_MIN or len(set(self.regions)) < len(self.regions):
            yield "regions", f"must be at least {ANCHOR_REGIONS_MIN}, none of them twice"
        if not 1 <= self.every_hours <= 24:
            yield "every_hours", f"must lie within 1 and 24, is {self.every_hours}"
        if not 1 <= self.lock_days < self.age_days <= self.lock_days + LOCK_TO_AGE_DAYS_MAX:
            yield (
                "lock_days",
                f"{self.lock_days} must be less than age_days {self.age_days}, by at most {LOCK_TO_AGE_DAYS_MAX}",
            )

    def faults_beside(self, backups: BackupsPolicy) -> Iterator[tuple[str, str]]:
        """(key, reason) for each number that does not go with the terms of backups."""
        needed = max((backups.days_readable(term) for term in backups.classes.values()), default=0)
        if self.lock_days < needed:
            yield "lock_days", f"must be at least {needed}, for so long a backup can be read; is {self.lock_days}"


@dataclass(frozen=True)
class Policies:
    """All policies as loaded together, and a digest of their content."""

    lifecycle: LifecyclePolicy
    backups: BackupsPolicy
    regions: RegionsPolicy
    anchors: AnchorsPolicy
    digest: str
