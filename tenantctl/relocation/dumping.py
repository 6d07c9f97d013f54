"""The way of what no replication carries: its customer is sent away, and the database is dumped into the new place.

Nothing can change from the moment at which the customer was sent away, so what was dumped since is all there is; the
cut-over compares every table all the same. Whoever finds the customer's login open begins anew. The customer has
agreed to be out for so long, counted from the first time: past that nothing goes on, and the move is undone.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tenantctl.engine.actions import Work
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.tenant import Wanted
from tenantctl.ports.databases import seen_or_wait
from tenantctl.relocation.standing import freezes, give_up, make_empty, not_cut_over, record_copied, the_move


class SendAway:
    """Refuses the customer's log-ins, once the registry has when that began."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance shows the login closed and nobody in, and the registry since when."""
        return the_move(work).fenced_at is not None and _is_out(work)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Nobody is sent away where a region is frozen, or for a dump that could not read all rows."""
        yield from not_cut_over(work)
        yield from freezes(work)
        if work.world.databases.forced_row_security(the_move(work).source):
            yield Blocker(
                "forced-row-security", "tables force row security on their owner: nobody could dump them", alarm=True
            )

    def act(self, work: Work, step: Step) -> None:
        """Writes the moment down, and closes the login; whatever was copied before is a copy of nothing any more.

        Raises:
            Transient: something newer is wanted of the tenant.
        """
        world, move = work.world, the_move(work)
        with world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            if writes.tenant.state is not State.MOVING or writes.tenant.wanted is not Wanted.LIVING:
                raise Transient("Something newer is wanted of the tenant.")
            writes.put_move(replace(move, fenced_at=move.fenced_at or writes.now, schema_digest=None))
        world.databases.close_logins(move.source)


class CopyByDump:
    """Fills the empty target with everything, and writes down of which schema."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry has the schema's digest."""
        return the_move(work).schema_digest is not None

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Only before the cut-over, and only of what nobody writes to."""
        yield from not_cut_over(work)
        if not _is_out(work):
            yield Blocker("writers", "the customer can still write to what is to be dumped")

    def act(self, work: Work, step: Step) -> None:
        """Dumps and restores at once, without a file in between; what an earlier try left is dropped first.

        Raises:
            Transient: an instance went away, or the time is over.
            Refused: the dump does not restore; the move is undone.
        """
        world, move = work.world, the_move(work)
        make_empty(work, move)
        digest = world.replication.schema_digest(move.source)
        try:
            with world.databases.dump(move.source) as dump:
                left_out = world.databases.restore(move.target, _in_time(work, move, dump.chunks()), source=move.source)
        except Refused as fault:
            give_up(work, move, "what was dumped does not restore", fault.sentence)
            raise
        record_copied(work, move, digest, left_out)


def _in_time(work: Work, move: Move, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The dump, for as long as the customer has agreed to be out.

    Raises:
        Transient: the time is over.
    """
    until = move.dumped_by
    if until is None:
        raise Refused("Nothing is dumped before the customer was sent away.")
    ends = time.monotonic() + (until - work.world.registry.now()).total_seconds()
    for chunk in chunks:
        work.heartbeat.check()
        if time.monotonic() > ends:
            raise Transient("The dump takes longer than the customer has agreed to be out.")
        yield chunk


def _is_out(work: Work) -> bool:
    """Whether the old place shows the login closed, and nobody in."""
    source = the_move(work).source
    seen = seen_or_wait(work.world.databases.look_at_logins(source), source)
    return seen is not None and not seen.can_log_in and not seen.sessions
