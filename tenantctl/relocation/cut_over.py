"""The cut-over: the few seconds in which a customer is sent away, and let in again somewhere else.

Between the fence and the transaction that places the tenant anew, the schema and every row are compared, and sequences
are set. Whatever does not agree, or does not come in time, lets the customer in again where it was. A process that
dies in between leaves a closed login, which the next plan sees, and goes on or undoes.
"""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from tenantctl.backups.restore import FAULTS_TOLD_MAX, differences
from tenantctl.engine.actions import Work
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.tenant import Hosting, Wanted
from tenantctl.placement.elsewhere import moved
from tenantctl.ports.databases import Databases
from tenantctl.ports.replication import Replication
from tenantctl.relocation.standing import begin_anew, freezes, give_up, not_cut_over, the_move

POLL_SECONDS: Final = 0.05


class CutOver:
    """Fences, compares, and places the tenant anew."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry places the tenant where the move leads."""
        return work.world.registry.tenant(work.tenant.uid).hosting == the_move(work).target

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Only once, and in no region that is frozen."""
        yield from not_cut_over(work)
        yield from freezes(work)

    def act(self, work: Work, step: Step) -> None:
        """Carries it out; whatever keeps it from its end lets the customer in again where it was.

        Raises:
            Transient: an instance did not answer, the target did not follow in time, or the schema has changed.
            Refused: the contents differ; the move is undone.
        """
        move, world = the_move(work), work.world
        world.replication.settle(move.source, move.target)
        world.databases.close_logins(move.source)
        try:
            _compare(work, move)
            if move.verifier is not None:
                world.replication.set_verifier(move.target, move.verifier)
            _place(work, move)
        except (Transient, Refused) as trouble:
            if move.dumped_because is not None and isinstance(trouble, Transient):
                raise  # a copy of what its customer works on would have to be made again: there is time until it is due
            if world.registry.tenant(work.tenant.uid).hosting == move.source:
                world.databases.open_logins(move.source)
            raise


def _compare(work: Work, move: Move) -> None:
    """Waits until the target has everything, and compares all of it."""
    world = work.world
    if move.dumped_because is None:
        _catch_up(work, move)
    schema, faults = compared(world.replication, world.databases, move.source, move.target)
    if schema != move.schema_digest:
        begin_anew(work, "the schema has changed since it was copied")
        raise Transient("The schema has changed since it was copied: the copy is made anew.")
    if faults:
        told = "; ".join(faults[:FAULTS_TOLD_MAX])
        give_up(work, move, "what was copied is not what is there", told)
        raise Refused(f"What was copied to {move.instance} is not what is there: {told}")


def compared(
    replication: Replication, databases: Databases, source: Hosting, target: Hosting
) -> tuple[str, Sequence[str]]:
    """The digest of the source's schema, and how the target's rows differ; the sequences are set meanwhile.

    All of it goes on at the same time, since a customer stands outside.
    """
    with ThreadPoolExecutor(3, thread_name_prefix="compare") as pool:
        schema = pool.submit(replication.schema_digest, source)
        there, here = (pool.submit(databases.digests, one) for one in (source, target))
        replication.copy_sequences(source, target)
        return schema.result(), tuple(differences(there.result(), here.result()))


def _catch_up(work: Work, move: Move) -> None:
    """Waits until the target has confirmed what the source had when the customer was sent away.

    Raises:
        Transient: it takes longer than the policy has a customer wait.
    """
    replication, most = work.world.replication, work.world.policies.lifecycle.moves.catch_up_seconds_max
    position, began = replication.mark(move.source), time.monotonic()
    while not replication.has_reached(move.source, position):
        if time.monotonic() - began > most:
            raise Transient(f"The copy on {move.instance} did not catch up within {most} s.")
        work.heartbeat.check()
        time.sleep(POLL_SECONDS)


def _place(work: Work, move: Move) -> None:
    """The one transaction, in which everything is asked again.

    Raises:
        Transient: something newer is wanted, or forbids it.
    """
    world = work.world
    explanation = world.registry.explanation(work.tenant.uid)
    if move.region != move.source_region:
        because = f"moved from {move.source_region} on the instruction of {move.instructing_party}"
        explanation = moved(explanation, move.region, because)
    with world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        tenant = writes.tenant
        if tenant.state is not State.MOVING or tenant.hosting != move.source or tenant.wanted is not Wanted.LIVING:
            raise Transient("Something newer is wanted of the tenant.")
        for freeze in writes.freezes():
            raise Transient(f"{freeze.scope} was frozen meanwhile: {freeze.reason}")
        writes.cut_over(replace(move, verifier=None), explanation)
