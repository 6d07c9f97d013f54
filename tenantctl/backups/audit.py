"""Looking at what exists: copies seen, lost, overdue or lapsed, each by name and by its own bucket's word.

Nothing here deletes. A bucket deletes by its own lifecycle, and this sweep
proves it; "not found" counts only if the bucket itself answered.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tenantctl.backups.destinations import regions_left
from tenantctl.backups.exports import proofs_of_exports
from tenantctl.backups.planning import TOGETHER, copies_to_look_at, lapses_by_date, unsettled_copies
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Copy, CopyState, ResidueKind
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import Transient
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.registry import FencedWrites
from tenantctl.ports.vault import ObjectSeen

COPY_LOST = "copy-lost"
COPY_OVERDUE = "copy-overdue"
WRITTEN_TOGETHER_MAX = 50  # sights in one transaction


@dataclass(frozen=True)
class Verdict:
    """What a sight of a copy means: its new state, and a sentence of evidence."""

    state: CopyState
    sentence: str


def judge(copy: Copy, sight: Present[ObjectSeen] | Gone, *, now: datetime) -> Verdict:
    """What is to be thought of a copy, now that its bucket has answered.

    Gone before its term, or while it was held, is lost, never lapsed, and what was
    lost once stays so; a copy that was only intended and is not there counts as never made.
    """
    match sight:
        case Present() if copy.state is CopyState.LOST:
            return Verdict(CopyState.LOST, f"{copy.region} holds bytes of it that cannot be read")
        case Gone() if copy.state is CopyState.LOST:
            return Verdict(CopyState.LOST, f"{copy.region} reported it absent at {rfc3339(now)}: it was lost before")
        case Present(seen) if copy.state is CopyState.WRITTEN and (seen.size, seen.crc32c) != (copy.size, copy.crc32c):
            return Verdict(CopyState.LOST, f"{copy.region} holds other bytes under its name")
        case Present():
            return Verdict(CopyState.WRITTEN, f"{copy.region} holds it")
        case Gone() if copy.state is CopyState.INTENDED:
            absent = f"{copy.region} reported it absent at {rfc3339(now)}"
            return Verdict(CopyState.ABSENT, f"{absent}: it was intended, and nobody ever saw it there")
        case Gone() if copy.held_at is not None:  # certificates quote this sentence, and never say why it was kept
            return Verdict(
                CopyState.LOST, f"{copy.region} reported it absent at {rfc3339(now)}: it was to be there still"
            )
        case Gone() if now < copy.lapses_at:
            return Verdict(
                CopyState.LOST, f"{copy.region} reported it absent before its term {rfc3339(copy.lapses_at)}"
            )
        case Gone():
            return Verdict(CopyState.LAPSED, f"{copy.region} reported it absent at {rfc3339(now)}")


class LookAtCopies:
    """Looks at each copy whose turn it is, in every region, by name."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether no copy's turn is overdue: one that has just come up is for the next look."""
        return not _whose_turn_it_is(work, now=work.world.registry.now() - TOGETHER)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Looking harms nothing."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Looks, and writes down what each bucket said.

        What would come up within half a period is looked at too, so that a tenant's
        copies keep being looked at together, and not each at an hour of its own.

        Raises:
            Transient: a bucket did not answer; what the others said is written down.
        """
        silent: list[str] = []
        as_they_were: list[tuple[Copy, Present[ObjectSeen]]] = []
        ahead = timedelta(hours=work.world.policies.backups.look_at_copies_every_hours) / 2
        for copy in _whose_turn_it_is(work, now=work.world.registry.now(), ahead=ahead):
            work.heartbeat.check()
            sight = self._look(work, copy)
            if isinstance(sight, Unreachable):
                silent.append(f"{copy.region}: {sight.reason}")
            elif isinstance(sight, Present) and _is_as_it_was(copy, sight.value):
                as_they_were.append((copy, sight))
            else:
                _record(work, copy, sight)
            if len(as_they_were) == WRITTEN_TOGETHER_MAX:
                _record_as_they_were(work, as_they_were)
                as_they_were = []
        _record_as_they_were(work, as_they_were)
        _tell_of_overdue(work)
        if silent:
            raise Transient(f"Copies could not be looked at in {'; '.join(sorted(set(silent)))}")

    def _look(self, work: Work, copy: Copy) -> Sighting[ObjectSeen]:
        """The copy's sighting; gone only if its manifest is gone too, which a bucket may delete some hours later."""
        sight = work.world.vault.look(copy.bucket, copy.object_name)
        if isinstance(sight, Gone) and copy.held_at is None and copy.lapses_at <= work.world.registry.now():
            manifest = work.world.vault.look(copy.bucket, copy.manifest_name)
            if isinstance(manifest, Present):
                left = manifest.value
                return Present(replace(left, size=copy.size or left.size, crc32c=copy.crc32c or left.crc32c))
            return manifest
        return sight


class ProveLapse:
    """Writes down the lapse of places past their date: the platform's backup windows, and exports not found there."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether no such place is well past its date and still open."""
        now = work.world.registry.now() - TOGETHER
        residues = work.world.registry.open_residues(work.tenant.uid)
        return not any(lapses_by_date(residue, now=now) for residue in residues)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """A date that has passed has passed."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Writes each lapse with its date.

        Raises:
            Transient: a bucket did not answer, or still has an export; the other places are written down.
        """
        registry = work.world.registry
        now = registry.now()
        past = [one for one in registry.open_residues(work.tenant.uid) if lapses_by_date(one, now=now)]
        exports = (residue for residue in past if residue.kind is ResidueKind.EXPORT)
        proofs, troubles = proofs_of_exports(work.world, exports)
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            for residue in past:
                proof = proofs.get(residue.id, "the window in which the platform could bring it back has passed")
                if residue.kind is not ResidueKind.EXPORT or residue.id in proofs:
                    writes.put_residue(replace(residue, lapsed_at=writes.now, proof=proof))
                    writes.journal("place-lapsed", place=residue.id, kind=residue.kind.value, proof=proof)
        if troubles:
            raise Transient(f"Exports are not seen to be gone: {'; '.join(troubles)}")


def _is_as_it_was(copy: Copy, seen: ObjectSeen) -> bool:
    """Whether a sight says nothing but that the copy is there still: nearly every one does."""
    whole = copy.state is CopyState.WRITTEN and (seen.size, seen.crc32c) == (copy.size, copy.crc32c)
    return whole and (copy.held_at is None or seen.held)


def _record_as_they_were(work: Work, sights: Sequence[tuple[Copy, Present[ObjectSeen]]]) -> None:
    """Writes down in one transaction when copies were seen that are as they were: there are many of them each day."""
    if sights:
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            for copy, sight in sights:
                writes.put_copy(_seen(copy, sight, now=writes.now))


def _record(work: Work, copy: Copy, sight: Present[ObjectSeen] | Gone) -> None:
    registry = work.world.registry
    with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        verdict = judge(copy, sight, now=writes.now)
        writes.put_copy(_seen(replace(copy, state=verdict.state), sight, now=writes.now))
        if copy.held_at is not None and isinstance(sight, Present) and not sight.value.held:
            writes.journal("copy-found-unheld", backup=copy.backup_id, region=copy.region)
        match verdict.state:
            case CopyState.LAPSED | CopyState.ABSENT:
                _lapse(writes, work, copy, verdict)
            case CopyState.LOST:
                if copy.state is not CopyState.LOST:
                    writes.raise_alarm(COPY_LOST, f"backup {copy.backup_id}: {verdict.sentence}")
                if isinstance(sight, Gone):
                    _lapse(writes, work, copy, verdict)
            case _:
                pass


def _tell_of_overdue(work: Work) -> None:
    """One alarm for all copies that were seen after their date, open for as long as there is one of them."""
    registry = work.world.registry
    late = [
        f"{copy.address} should have lapsed by {rfc3339(copy.unreadable_after)}"
        for copy in _unsettled(work)
        if copy.seen_at is not None and copy.seen_at > copy.unreadable_after and not copy.may_be_held
    ]
    if late or any(alarm.code == COPY_OVERDUE for alarm in registry.alarms(work.tenant.uid)):
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            if late:
                writes.raise_alarm(COPY_OVERDUE, "; ".join(late))
            else:
                writes.clear_alarm(COPY_OVERDUE)


def _whose_turn_it_is(work: Work, *, now: datetime, ahead: timedelta = timedelta(0)) -> Sequence[Copy]:
    registry, uid, policy = work.world.registry, work.tenant.uid, work.world.policies.backups
    known, places = registry.backups(uid), registry.open_residues(uid)
    return list(copies_to_look_at(known, places, policy, now=now, ahead=ahead, closed_regions=regions_left(work)))


def _unsettled(work: Work) -> Iterable[Copy]:
    registry, uid = work.world.registry, work.tenant.uid
    return unsettled_copies(registry.backups(uid), registry.open_residues(uid))


def _seen(copy: Copy, sight: Present[ObjectSeen] | Gone, *, now: datetime) -> Copy:
    """The copy with what was seen of it; one that was only intended takes its measures from the sight."""
    if isinstance(sight, Gone):
        return replace(copy, held_at=None, hold_asked_at=None)
    seen = sight.value
    return replace(
        copy,
        seen_at=now,
        held_at=copy.held_at if seen.held else None,  # let go by somebody else: held again by the next plan
        size=copy.size or seen.size,
        crc32c=copy.crc32c or seen.crc32c,
        written_at=copy.written_at or seen.created_at,
        lapses_at=copy.lapses_at if copy.written_at else seen.created_at + (copy.lapses_at - copy.intended_at),
    )


def _lapse(writes: FencedWrites, work: Work, copy: Copy, verdict: Verdict) -> None:
    residues = work.world.registry.open_residues(copy.tenant_uid)
    residue = next(residue for residue in residues if residue.id == copy.residue_id)
    writes.put_residue(replace(residue, lapsed_at=writes.now, proof=verdict.sentence))
    writes.journal(f"copy-{verdict.state.value}", backup=copy.backup_id, region=copy.region, evidence=verdict.sentence)
