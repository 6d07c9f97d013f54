"""How a tenant moves: what is to be done next, from what the two instances show. Pure.

Until the cut-over everything can be undone, and leaves the source as it was; after it there is only forward. The place
that is left is kept, sealed, for some days, and at least until the new place has a verified backup of its own.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from tenantctl.model.backup import Backup, BackupState
from tenantctl.model.calendar import brief, rfc3339
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move
from tenantctl.model.plan import Blocker, Do, Plan, Step
from tenantctl.model.policy import Policies
from tenantctl.model.replication import ReplicationSeen
from tenantctl.model.sighting import Gone, Present, Unreachable

POLL: Final = timedelta(minutes=1)
LAG_MAX: Final = 1_000_000  # bytes of the log that are still to be read when the writers are sent away


def plan_move(facts: Facts, move: Move, *, unwanted: str | None, now: datetime) -> Plan:
    """The next steps of a move that has not ended; none while the copy follows and the moment has not come.

    Args:
        facts: with what both instances show.
        move: the move.
        unwanted: why it is to be undone, if something newer says so.
        now: the registry's time.
    """
    because = move.undo_because or unwanted or _overdue(move, now=now)
    if move.cut_over_at is not None:
        steps = tuple(_arriving(facts, move))
    elif because is not None:
        steps = tuple(_undoing(facts, move, because))
    else:
        match facts.replication:
            case Present(_) if move.dumped_because is not None:
                steps = tuple(_onward_by_dump(facts, move, now=now))
            case Present(seen):
                steps = tuple(_onward(facts, move, seen, now=now))
            case Unreachable(reason):
                silent = Blocker("move-silent", f"it is not known how far the move is: {reason}", alarm=True)
                opening = () if move.dumped_because is not None else tuple(_letting_in(facts))
                return Plan(facts.tenant.uid, "move", opening, (silent,), next_look=now + POLL)
            case Gone():
                steps = ()
    return Plan(facts.tenant.uid, "move", steps, next_look=now + POLL, because=_waiting_for(facts, move, now=now))


def is_urgent(facts: Facts, move: Move, *, unwanted: str | None) -> bool:
    """Whether nothing else may come first: a customer stands outside, or the move is to be undone."""
    return _is_closed(facts) or move.cut_over_at is not None or (move.undo_because or unwanted) is not None


def _onward(facts: Facts, move: Move, seen: ReplicationSeen, *, now: datetime) -> Iterator[Step]:
    uid, target = facts.tenant.uid, move.target
    where = f"{target.instance} in {target.region}"
    follows = move.schema_digest is not None and seen.digest is not None and seen.slot and seen.subscribed
    if follows and not seen.lost and seen.in_step(LAG_MAX) and now >= (move.not_before or now):
        yield Step(Do.CUT_OVER, uid, f"{where} follows in step")
        return
    yield from _letting_in(facts)
    if seen.lost:
        yield Step(Do.BEGIN_MOVE_ANEW, uid, "the source gave up the log that the target had still to read")
        return
    if move.schema_digest is None:
        if not seen.is_nothing:
            yield Step(Do.STOP_REPLICATION, uid, "what was copied is not what is there now")
        yield Step(Do.MAKE_TARGET, uid, f"roles, database and marker of generation {target.generation} on {where}")
        yield Step(Do.COPY_SCHEMA, uid, "everything but rows")
    if not follows:
        yield Step(Do.START_REPLICATION, uid, f"the rows are copied to {where} while the customer works")


def _onward_by_dump(facts: Facts, move: Move, *, now: datetime) -> Iterator[Step]:
    uid, target = facts.tenant.uid, move.target
    where = f"{target.instance} in {target.region}"
    is_out = _is_closed(facts) and move.fenced_at is not None
    if not is_out and now < (move.not_before or now):
        return
    if not is_out or move.schema_digest is None:
        yield Step(Do.MAKE_TARGET, uid, f"roles, database and marker of generation {target.generation} on {where}")
        if not is_out:
            yield Step(Do.SEND_AWAY, uid, f"no replication carries {move.dumped_because}: {_told_of(move)}")
        yield Step(Do.COPY_BY_DUMP, uid, f"everything, dumped and restored on {where}")
    yield Step(Do.CUT_OVER, uid, f"{where} has all of it")


def _told_of(move: Move) -> str:
    """What its customer was told, and has agreed to."""
    expected, accepted = (timedelta(seconds=number or 0) for number in (move.expected_seconds, move.accepted_seconds))
    return f"its customer is out for about {brief(expected)}, as it was told, and {brief(accepted)} at most"


def _overdue(move: Move, *, now: datetime) -> str | None:
    """Why a dump is not gone on with; it stays so until the move has ended, since nothing begins the time anew."""
    if move.dumped_by is None or now < move.dumped_by or move.accepted_seconds is None:
        return None
    return f"it took longer than the {brief(timedelta(seconds=move.accepted_seconds))} that its customer agreed to"


def _letting_in(facts: Facts) -> Iterator[Step]:
    """Nobody stands outside while the copy does not follow: a fence fell, and its worker or the target went away."""
    if _is_closed(facts):
        yield Step(Do.OPEN_LOGINS, facts.tenant.uid, "the cut-over did not come to its end, and cannot at once")


def _is_closed(facts: Facts) -> bool:
    return isinstance(facts.logins, Present) and not facts.logins.value.can_log_in


def _is_open(facts: Facts) -> bool:
    return isinstance(facts.logins, Present) and facts.logins.value.can_log_in


def _undoing(facts: Facts, move: Move, because: str) -> Iterator[Step]:
    uid = facts.tenant.uid
    if _is_closed(facts):
        yield Step(Do.OPEN_LOGINS, uid, "the customer stays where it is")
    yield Step(Do.STOP_REPLICATION, uid, because)
    yield Step(Do.DROP_TARGET, uid, f"nobody was ever let into it on {move.instance}")
    yield Step(Do.MARK_MOVE_UNDONE, uid, because)


def _arriving(facts: Facts, move: Move) -> Iterator[Step]:
    uid = facts.tenant.uid
    if facts.tenant.state is State.MOVING:
        if not _is_open(facts):  # another duty's step: once it is done, the plan begins with those that are left
            yield Step(Do.OPEN_LOGINS, uid, f"the customer works on {move.instance} from here on")
        yield Step(Do.MARK_MOVED, uid, "the new place shows the database and its open login")
    yield Step(Do.STOP_REPLICATION, uid, "nothing is written to the old place any more")
    yield Step(Do.END_MOVE, uid, "no slot, publication or subscription is left")


def _waiting_for(facts: Facts, move: Move, *, now: datetime) -> str:
    waits = move.not_before is not None and now < move.not_before
    if waits and move.dumped_because is not None and move.not_before is not None:
        return f"{_told_of(move)}, from {rfc3339(move.not_before)} on: no replication carries {move.dumped_because}"
    if isinstance(facts.replication, Present) and facts.replication.value.subscribed:
        seen = facts.replication.value
        if not seen.in_step(LAG_MAX):
            return f"{seen.ready} of {seen.tables} tables are copied to {move.instance}"
        if waits and move.not_before is not None:
            return f"the copy follows; the cut-over waits for {rfc3339(move.not_before)}"
    return ""


def retiring_steps(facts: Facts, *, policies: Policies, now: datetime) -> Iterator[Step]:
    """The sources of moves that have been kept for long enough; of a destroyed tenant at once. Never under a hold."""
    for move in facts.moves:
        if any(former.hosting.generation == move.source_generation for former in facts.formers):
            blockers = tuple(retiring_blockers(facts, move, policies=policies, now=now))
            shown = [one for one in facts.formers if one.hosting.generation == move.source_generation]
            if not blockers and any(isinstance(one.database, Present) for one in shown):
                reason = f"left {rfc3339(move.cut_over_at)} for {move.instance}" if move.cut_over_at else "left"
                yield Step(Do.RETIRE_SOURCE, str(move.source_generation), reason)


def retiring_blockers(facts: Facts, move: Move, *, policies: Policies, now: datetime) -> Iterator[Blocker]:
    """Why the place that a move has left is still kept."""
    if move.cut_over_at is None or move.ended_at is None:
        yield Blocker("not-ended", "the move has not ended")
        return
    if facts.standing is None or facts.standing.holds:
        yield Blocker("hold", "the tenant is under a legal hold, or nobody asked")
    if facts.standing is None or facts.standing.freezes:
        yield Blocker("freeze", "its region is frozen, or nobody asked")
    if facts.tenant.state is State.DESTROYED:
        return
    if now < (until := move.cut_over_at + timedelta(days=policies.lifecycle.moves.source_kept_days)):
        yield Blocker("kept", f"it is kept until {rfc3339(until)}")
    if not any(_proves(backup, move.cut_over_at, policies.backups.copies_min) for backup in facts.backups):
        yield Blocker("no-backup", "the new place has no verified backup of its own in enough regions")


def _proves(backup: Backup, since: datetime, copies_min: int) -> bool:
    whole = backup.state is BackupState.COMPLETE and backup.verified_at is not None
    return whole and backup.begun_at > since and len(backup.regions_holding()) >= copies_min
