"""Where a move stands, and what every step of one may do about it: look, write down, clear the copy, give up."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tenantctl.engine.actions import Work
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move, open_move
from tenantctl.model.plan import Blocker
from tenantctl.model.replication import ReplicationSeen
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Hosting
from tenantctl.ports.registry import FencedWrites

MOVED_IN_PART = "moved-in-part"
NOT_MOVED = "not-moved"


def the_move(work: Work) -> Move:
    """The tenant's open move as the registry has it now.

    Raises:
        NotFound: there is none.
    """
    move = open_move(work.world.registry.moves(work.tenant.uid))
    if move is None:
        raise NotFound(f"Tenant {work.tenant.uid} has no move that has not ended.")
    return move


def replication_or_wait(work: Work) -> ReplicationSeen:
    """How far the replication is.

    Raises:
        Transient: an instance did not answer.
    """
    move = the_move(work)
    match work.world.replication.look(move.source, move.target):
        case Present(seen):
            return seen
        case Unreachable(reason):
            raise Transient(reason)
        case Gone():
            raise Transient("The instances do not say how far the move is.")


def not_cut_over(work: Work) -> Iterable[Blocker]:
    """What stands in the way of everything that is for before the cut-over alone."""
    if the_move(work).cut_over_at is not None:
        yield Blocker("cut-over", "the tenant lives in its new place: there is only forward")


def freezes(work: Work) -> Iterable[Blocker]:
    """The freezes of the two regions: nobody is sent away meanwhile."""
    move = the_move(work)
    for region in sorted({move.source_region, move.region}):
        for freeze in work.world.decisions.freezes(region):
            yield Blocker("freeze", f"{freeze.scope} is frozen: {freeze.reason}", freeze.placed_at)


def make_empty(work: Work, move: Move) -> None:
    """Makes sure that the target is empty: what an earlier try left in it is dropped with it.

    Raises:
        Refused: the tenant lives there, or did.
    """
    databases = work.world.databases
    if not databases.look_empty(move.target):
        check_never_lived_in(work, move)
        databases.drop_database(move.target)
        databases.create_database(move.target)
        databases.prepare(move.target, extensions=work.tenant.extensions)


def record_copied(work: Work, move: Move, digest: str, left_out: Sequence[str]) -> None:
    """Writes down of which schema the target is a copy, and tells a person of what was left out."""
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        writes.put_move(replace(move, schema_digest=digest))
        if left_out:
            writes.raise_alarm(MOVED_IN_PART, f"the copy on {move.instance} lacks: {'; '.join(left_out[:5])}")
        writes.journal("schema-copied", digest=digest, left_out=len(left_out))


def give_up(work: Work, move: Move, because: str, told: str) -> None:
    """Has the move be undone, and tells a person why."""
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        writes.put_move(replace(move, undo_because=because))
        writes.raise_alarm(NOT_MOVED, f"{because}, and the move to {move.instance} is undone: {told}")


def tell_if_late(writes: FencedWrites, move: Move, because: str) -> None:
    """Tells a person of a dump that was not over in time."""
    if move.dumped_by is not None and move.dumped_by <= writes.now:
        writes.raise_alarm(NOT_MOVED, f"the move to {move.instance} is undone: {because}")


def begin_anew(work: Work, reason: str) -> None:
    """Has the target be made anew."""
    move = the_move(work)
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        writes.put_move(replace(move, schema_digest=None))
        writes.journal("move-begun-anew", reason=reason)


def check_never_lived_in(work: Work, move: Move) -> None:
    """The last look before a copy is dropped, in a transaction of its own.

    Raises:
        Refused: the registry places the tenant there, or has cut over.
    """
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        _refuse_if_lived_in(writes, move.target)
        writes.journal("copy-dropped", database=move.target.database, instance=move.instance)


def _refuse_if_lived_in(writes: FencedWrites, target: Hosting) -> None:
    if writes.tenant.state is not State.MOVING or writes.tenant.hosting.generation >= target.generation:
        raise Refused(f"Database {target.database} is not the copy of a move: nothing in it is dropped.")
