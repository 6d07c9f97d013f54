"""What is to be done about a tenant's backups: make, look at, verify, and see lapse.

Pure: facts, policies and `now` in, a plan out.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

from tenantctl.backups.completeness import is_being_completed, missing_copies, repaired_until
from tenantctl.backups.holding import is_held
from tenantctl.backups.retention import choose_class
from tenantctl.backups.rotation import copies_to_read, failed_proofs, restore_due, unread_backup
from tenantctl.backups.schedule import newest_slot, next_slot
from tenantctl.model.backup import Backup, BackupState, Copy, CopyState, Residue, ResidueKind, VerificationLevel
from tenantctl.model.calendar import ONE_DAY, rfc3339
from tenantctl.model.facts import Facts
from tenantctl.model.plan import Blocker, Do, Plan, Step
from tenantctl.model.policy import WRITING_DAYS_MAX, BackupsPolicy, Policies
from tenantctl.model.tenant import Tenant, Wanted

# What the platform keeps of instances, of the registry and of the key buckets cannot be looked at one by one: its
# window is its proof. An export is looked for once, when its bucket must have deleted it.
LAPSING_BY_DATE: Final = frozenset(
    {ResidueKind.INSTANCE_BACKUPS, ResidueKind.REGISTRY_BACKUPS, ResidueKind.KEY_BACKUPS, ResidueKind.EXPORT}
)

AFTER_LOSS: Final = "after-loss-of-"  # how the slots of backups begin that replace one
REMADE_A_DAY_MAX: Final = 2
SOONEST: Final = timedelta(hours=1)  # what is not urgent is gathered for so long
# What comes up while a look is under way is for the next one: copies that were sealed, or seen, one after the other
# come up one after the other, and a look that is held to those too would never be seen to end.
TOGETHER: Final = timedelta(minutes=10)
_MAY_BE_THERE: Final = frozenset({CopyState.WRITTEN, CopyState.INTENDED})
_BEGUN_AT: Final = attrgetter("begun_at")


def plan_backups(facts: Facts, policies: Policies, *, now: datetime) -> Plan:
    """The plan of an active tenant's copies: the nightly backup first, then the care of what there is."""
    tenant, policy = facts.tenant, policies.backups
    steps = (*due_backup(facts, policy, now=now), *plan_care(facts, policy, now=now))
    if not steps:
        # What is proved by rotation is the newest backup, and so never the one before the one that is due.
        steps = tuple(plan_rotation(facts, policy, now=now))
    # Last, because what is missing may be missing for as long as a region is down, and holds up nothing until then.
    steps += tuple(plan_repairs(facts, policy, now=now))
    following = next_slot(tenant.uid, tenant.time_zone, policy.night, now=now).due_at
    missed_at = rpo_missed_at(facts, policy)
    return Plan(
        tenant.uid,
        "back up",
        steps,
        tuple(rpo_blockers(facts, policy, now=now)),
        next_look=min((following, max(missed_at, now + SOONEST), *upkeep_moments(facts, policy, now=now))),
        because=f"the next backup is due {rfc3339(following)}",
        each_alone=True,
    )


def rpo_missed_at(facts: Facts, policy: BackupsPolicy) -> datetime:
    """When the newest complete backup is too old; of a tenant that has none, when it has been without for too long."""
    newest = facts.newest_complete
    since = facts.tenant.created_at if newest is None else newest.begun_at
    return since + timedelta(hours=policy.rpo_hours)


def rpo_blockers(facts: Facts, policy: BackupsPolicy, *, now: datetime) -> Iterator[Blocker]:
    """The alarm on the absence of a backup: whatever keeps it from being made, and whether or not that was told."""
    if now <= (missed_at := rpo_missed_at(facts, policy)):
        return
    newest = facts.newest_complete
    found = (
        "there is no complete backup" if newest is None else f"the newest is {newest.id} of {rfc3339(newest.begun_at)}"
    )
    reason = f"a complete backup is never to be older than {policy.rpo_hours} hours, and {found}"
    yield Blocker("rpo", reason, since=missed_at, alarm=True)


def due_backup(facts: Facts, policy: BackupsPolicy, *, now: datetime) -> Iterator[Step]:
    """The backup that should exist by now and does not, if any.

    One that failed its proof or lost a copy is made again, but not for ever: its
    copies are locked, and what cannot be proved twice is a person's matter.
    """
    tenant = facts.tenant
    slot = newest_slot(tenant.uid, tenant.time_zone, policy.night, now=now)
    newest = facts.newest_complete
    if not _is_served(facts, slot.name, policy, now=now):
        if sum(backup.slot == slot.name for backup in failed_proofs(facts.backups)) <= REMADE_A_DAY_MAX:
            yield backup_step(facts, policy, slot.name, f"due since {rfc3339(slot.due_at)}", now=now)
    elif newest is not None and needs_another(facts, newest, policy, now=now):
        name = f"{AFTER_LOSS}{newest.id}"
        remade = sum(one.slot.startswith(AFTER_LOSS) and one.begun_at > now - ONE_DAY for one in facts.backups)
        if remade < REMADE_A_DAY_MAX and not _is_served(facts, name, policy, now=now):
            yield backup_step(facts, policy, name, f"backup {newest.id} lost a copy", now=now)


def _is_served(facts: Facts, slot: str, policy: BackupsPolicy, *, now: datetime) -> bool:
    """Whether a slot has a backup that is complete, or will be."""
    return any(
        backup.slot == slot and (backup.state is BackupState.COMPLETE or _comes_to_be(facts, backup, policy, now=now))
        for backup in reversed(facts.backups)
    )


def needs_another(facts: Facts, backup: Backup, policy: BackupsPolicy, *, now: datetime) -> bool:
    """Whether a complete backup has lost a copy that is not made again from another: a new dump takes its place."""
    short = len(backup.regions_holding()) < policy.copies_min
    return short and not repaired_copies(facts, backup, policy, now=now)


def repaired_copies(facts: Facts, backup: Backup, policy: BackupsPolicy, *, now: datetime) -> tuple[Copy, ...]:
    """The copies of a backup that are to be made again now, none of them where the tenant's bytes go no more."""
    return missing_copies(backup, facts.residues, policy, now=now, closed_regions=facts.closed_regions)


def _comes_to_be(facts: Facts, backup: Backup, policy: BackupsPolicy, *, now: datetime) -> bool:
    return is_being_completed(backup, facts.residues, policy, now=now, closed_regions=facts.closed_regions)


def plan_repairs(facts: Facts, policy: BackupsPolicy, *, now: datetime) -> Iterator[Step]:
    """The copies that are to be made again from others, of the newest backup first; none of the erased."""
    if facts.tenant.wanted is Wanted.ERASED:
        return
    lacking = (backup for backup in facts.unsettled if backup.lacks_copies)
    for backup in sorted(lacking, key=_BEGUN_AT, reverse=True):
        yield from repair_steps(facts, backup, policy, now=now)


def repair_steps(facts: Facts, backup: Backup, policy: BackupsPolicy, *, now: datetime) -> Iterator[Step]:
    """The steps that complete one backup."""
    for copy in repaired_copies(facts, backup, policy, now=now):
        until = rfc3339(repaired_until(backup, policy))
        reason = f"it has no copy in {copy.region}; one is made from another until {until}"
        yield Step(Do.REPAIR_COPY, f"{backup.id}/{copy.region}", reason)


def backup_step(facts: Facts, policy: BackupsPolicy, slot: str, reason: str, *, now: datetime) -> Step:
    """The step that makes a backup for `slot`, of the class that is its turn."""
    choice = choose_class(whole_or_to_be(facts, policy, now=now), now=now)
    return Step(Do.BACK_UP, slot, f"{reason}; {choice.retention_class}: {choice.reason}", choice.retention_class.value)


def whole_or_to_be(facts: Facts, policy: BackupsPolicy, *, now: datetime) -> Iterator[Backup]:
    """The complete backups, and those that will be: the turns of their classes are taken."""
    for backup in facts.backups:
        if _comes_to_be(facts, backup, policy, now=now):
            yield replace(backup, state=BackupState.COMPLETE)
        elif backup.state is BackupState.COMPLETE:
            yield backup


def plan_asked_backup(facts: Facts, policy: BackupsPolicy, slot: str, *, now: datetime) -> Plan:
    """The plan of a backup that a person asked for."""
    return Plan(facts.tenant.uid, "back up", (backup_step(facts, policy, slot, "asked for", now=now),))


def plan_verification(tenant: Tenant, backup: Backup, reason: str) -> Plan:
    """The plan of one backup's verification by a real restore."""
    return Plan(tenant.uid, "verify", (verification_step(backup, reason),))


def verification_step(backup: Backup, reason: str) -> Step:
    """The step that proves a backup by restoring it."""
    return Step(Do.VERIFY_BACKUP, backup.id, reason, VerificationLevel.RESTORED.value)


def plan_upkeep(facts: Facts, policy: BackupsPolicy, *, now: datetime) -> Iterator[Step]:
    """The upkeep of what exists, in every state: taken care of, and completed where a copy is missing."""
    yield from plan_care(facts, policy, now=now)
    yield from plan_repairs(facts, policy, now=now)


def plan_care(facts: Facts, policy: BackupsPolicy, *, now: datetime) -> Iterator[Step]:
    """The care of what exists: leftovers swept, copies looked at, keys shredded, lapses by date written down."""
    uid = facts.tenant.uid
    for residue in facts.residues:
        if residue.kind is ResidueKind.SCRATCH and residue.lapsed_at is None:
            yield Step(Do.SWEEP_SCRATCH, residue.id, "a verification did not come to its end")
    stale = tuple(
        copies_to_look_at(
            facts.unsettled, facts.residues, policy, now=now - TOGETHER, closed_regions=facts.closed_regions
        )
    )
    if stale:
        yield Step(Do.LOOK_AT_COPIES, uid, f"copies whose turn it is: {len(stale)}")
    for backup in facts.unsettled:
        moment = None if is_held(facts.standing) else shred_moment(backup)
        if moment is not None and facts.tenant.wanted is Wanted.ERASED:
            yield Step(
                Do.SHRED_KEY, backup.id, "its tenant was erased: what is locked in the vaults becomes unreadable"
            )
        elif moment is not None and moment <= now:
            yield Step(
                Do.SHRED_KEY, backup.id, f"its copies have reached their term, or never came to be ({backup.state})"
            )
    past = [residue for residue in dated(facts.residues) if lapses_by_date(residue, now=now - TOGETHER)]
    if past:
        yield Step(Do.PROVE_LAPSE, uid, f"places past their date: {len(past)}")


def plan_rotation(facts: Facts, policy: BackupsPolicy, *, now: datetime) -> Iterator[Step]:
    """What an active tenant's backups are proved by, as their turn comes."""
    newest = facts.newest_complete
    tenant = facts.tenant
    unproved = newest is not None and newest.verified_level is not VerificationLevel.RESTORED
    due = restore_due(tenant.uid, facts.backups, policy.verification, since=tenant.created_at) if unproved else now
    if newest is not None and unproved and due <= now and _is_restored_somewhere(facts, newest):
        yield verification_step(newest, f"a restore was due {rfc3339(due)}")
    elif (copy := unread_backup(newest)) is not None:
        yield read_step(copy, VerificationLevel.STRUCTURE, "each backup is read once as a restore reads it")
    for copy in copies_to_read(facts.unsettled, policy.verification, now=now):
        days = policy.verification.read_back_every_days
        yield read_step(copy, VerificationLevel.READ_BACK, f"not read back for {days} days")


def _is_restored_somewhere(facts: Facts, backup: Backup) -> bool:
    """Whether a backup may be proved by a restore: not where the tenant's bytes go no more; a newer one comes."""
    return any(region not in facts.closed_regions for region in backup.regions_holding())


def read_step(copy: Copy, level: VerificationLevel, reason: str) -> Step:
    """The step that reads one copy back to its last byte."""
    return Step(Do.READ_COPY, f"{copy.backup_id}/{copy.region}", reason, level.value)


def upkeep_moments(facts: Facts, policy: BackupsPolicy, *, now: datetime) -> Iterator[datetime]:
    """The first moment from which there will be more upkeep, later than `now`; none if there will be none."""
    moments = [next_sight(copy, policy) + TOGETHER for copy in unsettled_copies(facts.unsettled, facts.residues)]
    if not is_held(facts.standing):
        moments += [moment for backup in facts.unsettled if (moment := shred_moment(backup)) is not None]
    dates = [residue.unreadable_after for residue in dated(facts.residues) if residue.unreadable_after is not None]
    if dates:
        moments.append(min(dates) + TOGETHER)
    if moments:
        yield max(min(moments), now + SOONEST)


def newest_complete(backups: Iterable[Backup]) -> Backup | None:
    """The complete backup that was begun last."""
    complete = (backup for backup in backups if backup.state is BackupState.COMPLETE)
    return max(complete, key=_BEGUN_AT, default=None)


def unsettled_copies(backups: Iterable[Backup], residues: Iterable[Residue] = ()) -> Iterator[Copy]:
    """The copies that are in a vault, or may be: those of a backup in the making are its own affair.

    A copy that is lost because it cannot be read is among them for as long as its place is open.
    """
    places: set[str] | None = None
    for backup in backups:
        if backup.is_settled or backup.state is BackupState.BEGUN:
            continue
        for copy in backup.copies:
            if copy.state in _MAY_BE_THERE:
                yield copy
            elif copy.state is CopyState.LOST:  # so seldom that the inventory is read for it alone
                places = {residue.id for residue in open_residues(residues)} if places is None else places
                if copy.residue_id in places:
                    yield copy


def copies_to_look_at(
    backups: Iterable[Backup],
    residues: Iterable[Residue],
    policy: BackupsPolicy,
    *,
    now: datetime,
    ahead: timedelta = timedelta(0),
    closed_regions: Collection[str] = (),
) -> Iterator[Copy]:
    """The copies whose turn it is, or will be so soon; those to be made again are looked at by whoever makes them.

    One that was never seen is not looked at ahead of its turn: until then, that it is not there proves nothing.
    """
    known, places, later = [backup for backup in backups if not backup.is_settled], tuple(residues), now + ahead
    due = [
        copy
        for copy in unsettled_copies(known, places)
        if next_sight(copy, policy) <= (now if copy.seen_at is None else later)
    ]
    if not due:  # as in nearly every plan: what is to be made again matters to nobody then
        return
    repaired = {
        copy.residue_id
        for one in known
        if one.lacks_copies
        for copy in missing_copies(one, places, policy, now=now, closed_regions=closed_regions)
    }
    yield from (copy for copy in due if copy.residue_id not in repaired)


def shred_moment(backup: Backup) -> datetime | None:
    """When a backup's key is to be shredded; None if it has none, or is being made.

    On the day on which the last of its copies reaches its age, whether or not the
    bucket has deleted it by then; where no backup came of the attempt, once nobody
    can be at work on it: a worker that woke up later might keep the key once more.
    """
    if backup.state is BackupState.BEGUN or not backup.has_key:
        return None
    if backup.state is BackupState.FAILED and backup.completed_at is None:
        return backup.begun_at + timedelta(days=WRITING_DAYS_MAX)
    return backup.lapses_at


def open_residues(residues: Iterable[Residue]) -> Iterator[Residue]:
    """The places that have not lapsed yet."""
    return (residue for residue in residues if residue.lapsed_at is None)


def next_sight(copy: Copy, policy: BackupsPolicy) -> datetime:
    """When a copy is to be looked at next: regularly, as soon as it may have lapsed, and if never seen once it must be.

    What was only intended may still be sealed by a worker that was thought dead, or by a request that was thought lost:
    until the time for the writing is over, that it is not there proves nothing.
    """
    if copy.seen_at is None:
        return copy.intended_at + timedelta(days=WRITING_DAYS_MAX)
    regularly = copy.seen_at + policy.look_at_copies_every
    return copy.lapses_at if copy.seen_at < copy.lapses_at < regularly else regularly


def waits_for_a_date(residue: Residue) -> bool:
    """Whether nothing but a date, which is known, has to pass for a place to lapse."""
    return residue.kind in LAPSING_BY_DATE and residue.unreadable_after is not None


def dated(residues: Iterable[Residue]) -> list[Residue]:
    """The open places that wait for a date."""
    return [one for one in residues if one.kind in LAPSING_BY_DATE and one.lapsed_at is None and waits_for_a_date(one)]


def lapses_by_date(residue: Residue, *, now: datetime) -> bool:
    """Whether a place that no look can reach is past its date."""
    return waits_for_a_date(residue) and residue.unreadable_after is not None and residue.unreadable_after <= now
