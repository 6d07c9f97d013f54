"""Verification by a real restore: the only proof that a backup is one.

A copy is read back, restored into a scratch database on an instance of role
verify in the copy's own jurisdiction, and every table's rows and checksum are
compared with those taken in the dump's snapshot. The scratch database is
residue: written down before it is made, and swept whatever happens.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tenantctl.backups.attempt import read_manifest
from tenantctl.backups.destinations import regions_left
from tenantctl.backups.keys import open_identity
from tenantctl.backups.reading import Reading
from tenantctl.backups.stream import opened
from tenantctl.engine.actions import Work
from tenantctl.model.backup import (
    Backup,
    BackupState,
    Copy,
    CopyState,
    Residue,
    ResidueKind,
    TableDigest,
    VerificationLevel,
)
from tenantctl.model.errors import Damaged, NotFound, Refused, TenantctlError, Transient
from tenantctl.model.plan import Blocker, Do, Plan, Step
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import InstanceRole, Tenant
from tenantctl.ports.world import World

VERIFICATION_FAILED = "verification-failed"
FAULTS_TOLD_MAX = 20


@dataclass(frozen=True)
class ScratchPlace:
    """A scratch database: the instance and the name, which is that of its role too."""

    instance: str
    name: str

    def __str__(self) -> str:
        return f"{self.instance}/{self.name}"

    @classmethod
    def parse(cls, place: str) -> "ScratchPlace":
        """The place that a line of the residue inventory names."""
        instance, name = place.split("/")
        return cls(instance, name)


@dataclass(frozen=True)
class Asked:
    """What a step asks of a verification, written as its argument: the level alone, or a drill's moment and region."""

    since: datetime | None = None
    region: str | None = None

    def __str__(self) -> str:
        since = f" since {self.since.isoformat()}" if self.since else ""
        return f"{VerificationLevel.RESTORED.value}{since}{f' from {self.region}' if self.region else ''}"

    @classmethod
    def parse(cls, argument: str) -> "Asked":
        """What an argument says."""
        words = argument.split()[1:]
        said = dict(zip(words[::2], words[1::2], strict=True))
        return cls(datetime.fromisoformat(said["since"]) if "since" in said else None, said.get("from"))


def plan_drill(tenant: Tenant, backup: Backup, *, since: datetime, region: str | None) -> Plan:
    """The plan of a drill: a verification that counts only if it is made from now on, from one region if that is asked.

    Raises:
        Refused: the backup has no copy there.
    """
    if region is not None and region not in backup.regions_holding():
        there = ", ".join(backup.regions_holding()) or "no region"
        raise Refused(f"Backup {backup.id} has no copy in {region}: it is in {there}.")
    step = Step(Do.VERIFY_BACKUP, backup.id, "a drill, asked for", str(Asked(since, region)))
    return Plan(tenant.uid, "verify", (step,))


class VerifyBackup:
    """Restores the backup that is the step's subject and compares every table."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the backup was verified by a restore since it was asked for, or has failed it."""
        backup = find_backup(work.world, work.tenant.uid, step.subject)
        if backup.state is BackupState.FAILED:
            return True
        since = Asked.parse(step.argument).since
        lately = since is None or (backup.verified_at is not None and backup.verified_at >= since)
        return lately and backup.verified_level is VerificationLevel.RESTORED

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """A backup without a copy cannot be verified."""
        backup = find_backup(work.world, work.tenant.uid, step.subject)
        if not any(copy.state is CopyState.WRITTEN for copy in backup.copies):
            yield Blocker("no-copy", f"backup {backup.id} has no copy to verify", alarm=True)

    def act(self, work: Work, step: Step) -> None:
        """Restores and compares; a difference fails the backup and raises an alarm.

        Raises:
            Transient: a vault or the instance did not answer.
            Refused: no instance may receive the restore.
        """
        backup = find_backup(work.world, work.tenant.uid, step.subject)
        copy, instance = _choose_copy(work, backup, Asked.parse(step.argument).region)
        place = ScratchPlace(instance, f"s_{backup.id}")
        residue = _record_scratch(work, backup, place)
        try:
            faults = tuple(_restore_and_compare(work, backup, copy, place))
        except TenantctlError:
            # Swept now if that is possible; the residue stays on record, so that a sweep will try again.
            with suppress(TenantctlError):
                work.world.scratch.drop(place.instance, place.name)
            raise
        work.world.scratch.drop(place.instance, place.name)
        _lapse_scratch(work, residue, place)
        _record_verdict(work, backup, copy, faults)


class SweepScratch:
    """Drops the scratch database whose residue is the step's subject."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the residue has lapsed."""
        return _residue(work, step.subject).lapsed_at is not None

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """What a verification left behind is always ours to drop."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Drops it and asks the instance."""
        residue = _residue(work, step.subject)
        place = ScratchPlace.parse(residue.place)
        work.world.scratch.drop(place.instance, place.name)
        _lapse_scratch(work, residue, place)


def find_backup(world: World, tenant_uid: str, backup_id: str) -> Backup:
    """One of the tenant's backups.

    Raises:
        NotFound: it has none of this id.
    """
    for backup in reversed(world.registry.backups(tenant_uid)):  # it is nearly always one of the newest
        if backup.id == backup_id:
            return backup
    raise NotFound(f"There is no backup {backup_id} of tenant {tenant_uid}.", hint="List them: tenantctl backup list")


def _choose_copy(work: Work, backup: Backup, region: str | None) -> tuple[Copy, str]:
    """A written copy, of one region if that is asked, and an instance of role verify in its jurisdiction.

    In the same region where there is one; never where the tenant's bytes go no more.
    """
    world, closed = work.world, regions_left(work)
    instances = world.registry.instances(role=InstanceRole.VERIFY)
    copies = [copy for copy in backup.copies if copy.state is CopyState.WRITTEN and region in {None, copy.region}]
    if copies and all(copy.region in closed for copy in copies):
        raise Refused(
            f"Backup {backup.id} is restored nowhere: its copies lie where {work.tenant.label} has moved away from.",
            hint="The next backup, of the new place, can be proved.",
        )
    pairs = [
        (copy, instance)
        for copy in copies
        for instance in instances
        if copy.region not in closed and world.jurisdictions[instance.region] == world.jurisdictions[copy.region]
    ]
    if not pairs:
        raise Refused(
            f"No instance may receive a restore of backup {backup.id}: none of role verify lies where a copy does.",
            hint="Add one: tenantctl instance add NAME --region REGION --role verify",
        )
    copy, instance = min(pairs, key=lambda pair: (pair[0].off_cloud, pair[0].region != pair[1].region))
    return copy, instance.name


def _record_scratch(work: Work, backup: Backup, place: ScratchPlace) -> Residue:
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        residue = Residue(
            id=f"scratch/{backup.id}/{int(writes.now.timestamp())}",
            tenant_uid=backup.tenant_uid,
            kind=ResidueKind.SCRATCH,
            place=str(place),
            made_at=writes.now,
            unreadable_after=writes.now + timedelta(hours=work.world.policies.backups.scratch_hours),
        )
        writes.put_residue(residue)
    return residue


def _restore_and_compare(work: Work, backup: Backup, copy: Copy, place: ScratchPlace) -> Iterator[str]:
    """A sentence for each way in which the copy is not the backup that was made."""
    manifest = read_manifest(work, copy)
    if manifest is None or not manifest.describes(backup):
        yield f"the copy in {copy.region} has no manifest of its own"
        return
    scratch, reading = work.world.scratch, Reading(work, copy)
    identity = open_identity(work.world, backup) if backup.recipient else None
    scratch.drop(place.instance, place.name)
    scratch.create(place.instance, place.name)
    try:
        scratch.restore(place.instance, place.name, opened(reading.chunks(), identity))
    except (Damaged, Refused) as fault:
        if not reading.comes_again():
            raise Transient(f"A copy came damaged, and otherwise the second time: {fault.sentence}") from fault
        yield f"it does not restore: {fault.sentence}"
        return
    if reading.sha256 != backup.sha256:
        yield f"its SHA-256 is {reading.sha256}, not {backup.sha256}"
    yield from differences(manifest.tables, scratch.digests(place.instance, place.name))


def differences(dumped: Mapping[str, TableDigest], restored: Mapping[str, TableDigest]) -> Iterator[str]:
    """A sentence for each table that is not the same on both sides."""
    for table in sorted(dumped.keys() | restored.keys()):
        if table not in restored:
            yield f"{table} is missing"
        elif table not in dumped:
            yield f"{table} was not dumped"
        elif dumped[table] != restored[table]:
            yield f"{table} has {restored[table].rows} rows or other content, dumped were {dumped[table].rows}"


def _lapse_scratch(work: Work, residue: Residue, place: ScratchPlace) -> None:
    """Writes the lapse down once the instance itself shows nothing of that name."""
    match work.world.scratch.names(place.instance):
        case Present(names) if place.name not in names:
            proof = f"instance {place.instance} shows no database or role of this name"
        case Gone():
            proof = f"instance {place.instance} itself is gone"
        case Present():
            raise Transient(f"Scratch database {place} is still there after it was dropped.")
        case Unreachable(reason):
            raise Transient(f"Instance {place.instance} does not answer: {reason}")
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        writes.put_residue(replace(residue, lapsed_at=writes.now, proof=proof))


def _record_verdict(work: Work, backup: Backup, copy: Copy, faults: tuple[str, ...]) -> None:
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        if faults:
            # The faults may name tables and quote rows: an alarm's reason can be blanked, the journal is for ever.
            writes.put_backup(replace(backup, state=BackupState.FAILED, verified_at=writes.now))
            writes.raise_alarm(VERIFICATION_FAILED, f"backup {backup.id}: {'; '.join(faults[:FAULTS_TOLD_MAX])}")
            writes.journal("verification-failed", backup=backup.id, region=copy.region, faults=len(faults))
            return
        level = VerificationLevel.RESTORED
        writes.put_backup(replace(backup, verified_at=writes.now, verified_level=level))
        writes.clear_alarm(VERIFICATION_FAILED)
        writes.journal(
            "backup-verified",
            backup=backup.id,
            region=copy.region,
            level=level.value,
            tables=backup.tables,
            rows=backup.rows,
        )


def _residue(work: Work, residue_id: str) -> Residue:
    return next(residue for residue in work.world.registry.residues(work.tenant.uid) if residue.id == residue_id)
