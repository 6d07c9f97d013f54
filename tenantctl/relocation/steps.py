"""The effects of a move, each of which looks before it acts and after."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from tenantctl.engine.actions import Work
from tenantctl.model.backup import Residue, ResidueKind
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.move import open_move
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.databases import seen_or_wait
from tenantctl.relocation.standing import (
    MOVED_IN_PART,
    begin_anew,
    check_never_lived_in,
    make_empty,
    not_cut_over,
    record_copied,
    replication_or_wait,
    tell_if_late,
    the_move,
)


class MakeTarget:
    """Makes roles and database of the next generation, closed."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance shows them prepared, and nobody let in."""
        target, databases = the_move(work).target, work.world.databases
        if not databases.look_prepared(target, extensions=work.tenant.extensions):
            return False
        seen = seen_or_wait(databases.look_at_logins(target), target)
        return seen is not None and not seen.can_log_in

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Names with a generation that was never used before; the adapter compares the marker."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Makes what is missing."""
        target, databases = the_move(work).target, work.world.databases
        databases.create_roles(target, connection_limit=work.tenant.connection_limit)
        databases.create_database(target)
        databases.prepare(target, extensions=work.tenant.extensions)
        databases.close_logins(target)


class CopySchema:
    """Fills the empty target with everything but rows, and writes down of which schema."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry has the schema's digest."""
        return the_move(work).schema_digest is not None

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Never once the tenant lives there."""
        return not_cut_over(work)

    def act(self, work: Work, step: Step) -> None:
        """Copies it; what an earlier try left is dropped first.

        Raises:
            Transient: the schema changed meanwhile, or an instance went away.
        """
        move, world = the_move(work), work.world
        make_empty(work, move)
        digest = world.replication.schema_digest(move.source)
        left_out = world.replication.copy_schema(move.source, move.target)
        if world.replication.schema_digest(move.source) != digest:
            raise Transient("The schema changed while it was copied.")
        record_copied(work, move, digest, left_out)


class StartReplication:
    """Publishes the source and has the target follow."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether both instances show it."""
        seen = replication_or_wait(work)
        return seen.digest is not None and seen.slot and seen.subscribed

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Never once the tenant lives at the target."""
        return not_cut_over(work)

    def act(self, work: Work, step: Step) -> None:
        """Publishes, then subscribes."""
        move = the_move(work)
        if move.schema_digest is None:
            raise Refused("Nothing is replicated into a database without a schema.")
        work.world.replication.publish(move.source, move.schema_digest)
        work.world.replication.subscribe(move.source, move.target)


class StopReplication:
    """Takes away slot, publications, subscription and their logins, on whichever side they are."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether neither instance shows anything of it."""
        return replication_or_wait(work).is_nothing

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """It is never the only place of anything: before the cut-over the source has all, after it the target."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Takes it away."""
        move = the_move(work)
        work.world.replication.remove(move.source, move.target)


class BeginMoveAnew:
    """Forgets of which schema the target is a copy, so that it is made anew."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry has no digest."""
        return the_move(work).schema_digest is None

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Never once the tenant lives there."""
        return not_cut_over(work)

    def act(self, work: Work, step: Step) -> None:
        """Writes it."""
        begin_anew(work, step.reason)


class DropTarget:
    """Drops the copy of a move that is undone, with its roles."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance itself shows neither database nor roles."""
        move, databases = the_move(work), work.world.databases
        sights = (databases.look(move.target), databases.look_at_roles(move.target))
        for sight in sights:
            if isinstance(sight, Unreachable):
                raise Transient(f"Instance {move.instance} does not answer: {sight.reason}")
        return all(isinstance(sight, Gone) for sight in sights)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Never once the tenant lives there."""
        return not_cut_over(work)

    def act(self, work: Work, step: Step) -> None:
        """Drops it; the registry is asked in a fenced transaction just before, and the adapter compares the marker."""
        move, databases = the_move(work), work.world.databases
        check_never_lived_in(work, move)
        databases.drop_database(move.target)
        databases.drop_roles(move.target)


class MarkMoveUndone:
    """Records that the tenant stays where it is, and that nothing is left where it was to go."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state is not State.MOVING

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The target must be gone, and the customer let in."""
        if not isinstance(work.world.databases.look(the_move(work).target), Gone):
            yield Blocker("target-present", "the instance still shows the copy, or does not answer")
        yield from not_cut_over(work)

    def act(self, work: Work, step: Step) -> None:
        """Ends the move; the copy's line has lapsed, and what the instance's own backups hold of it is counted."""
        move = the_move(work)
        lines = work.world.registry.residues(work.tenant.uid)
        window = timedelta(days=work.world.policies.lifecycle.instance_backup_days)
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            for line in lines:
                if line.id == f"database/{move.tenant_uid}/{move.generation}" and line.lapsed_at is None:
                    proof = f"instance {move.instance} reported {move.target.database} absent at {rfc3339(writes.now)}"
                    writes.put_residue(replace(line, unreadable_after=writes.now, lapsed_at=writes.now, proof=proof))
            writes.put_residue(
                Residue(
                    id=f"instance-backups/{move.instance}/{move.generation}",
                    tenant_uid=move.tenant_uid,
                    kind=ResidueKind.INSTANCE_BACKUPS,
                    place=f"backups and point-in-time logs of {move.instance}",
                    made_at=move.requested_at,
                    unreadable_after=writes.now + window,
                )
            )
            because = move.undo_because or step.reason
            writes.put_move(replace(move, verifier=None, undo_because=because, ended_at=writes.now))
            writes.clear_alarm(MOVED_IN_PART)
            tell_if_late(writes, move, because)
            writes.move(Event.MOVE_ENDED, undone=because)


class MarkMoved:
    """Records that the tenant lives in its new place."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state is State.ACTIVE

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Only after the cut-over, and with the customer let in."""
        tenant = work.world.registry.tenant(work.tenant.uid)
        if the_move(work).cut_over_at is None or tenant.hosting != the_move(work).target:
            yield Blocker("not-cut-over", "the tenant still lives in its old place")
        match work.world.databases.look_at_logins(tenant.hosting):
            case Present(seen) if seen.can_log_in:
                pass
            case _:
                yield Blocker("closed", "the new place does not show an open login")

    def act(self, work: Work, step: Step) -> None:
        """Moves the tenant on."""
        hosting = work.world.registry.tenant(work.tenant.uid).hosting
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            writes.move(Event.MOVE_ENDED, instance=hosting.instance, region=hosting.region)


class EndMove:
    """Records that nothing of the replication is left; the old place is kept on, sealed."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether no move is open."""
        return open_move(work.world.registry.moves(work.tenant.uid)) is None

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Both instances must say so."""
        if not replication_or_wait(work).is_nothing:
            yield Blocker("replication-left", "something of the replication is still there")

    def act(self, work: Work, step: Step) -> None:
        """Writes it."""
        move = the_move(work)
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            writes.put_move(replace(move, ended_at=writes.now))
            writes.journal("replication-ended", source=move.source_instance, target=move.instance)
