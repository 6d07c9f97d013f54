"""The cut-over: the few seconds in which a customer is sent away, and let in again somewhere else.

What replication carries is compared before the fence, while the customer works, and behind it the rows alone that have
changed since (`proving.py`); what was dumped is compared whole. Between the fence and the transaction that places the
tenant anew, the schema is compared too, and sequences are set. Whatever does not agree, or does not come in time, lets
the customer in again where it was. A process that dies in between leaves a closed login, which the next plan sees, and
goes on or undoes.
"""

import time
from collections.abc import Callable, Iterable, Sequence
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
from tenantctl.ports.replication import Replication
from tenantctl.relocation.proving import Proving
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
        if move.dumped_because is None:  # a worker may have died behind the fence, and what comes before it takes long
            world.databases.open_logins(move.source)
        world.replication.settle(move.source, move.target)
        try:
            schema, faults = (_compared_whole if move.dumped_because is not None else _compared)(work, move)
            _judge(work, move, schema, faults)
            if move.verifier is not None:
                world.replication.set_verifier(move.target, move.verifier)
            _place(work, move)
        except (Transient, Refused) as trouble:
            if move.dumped_because is not None and isinstance(trouble, Transient):
                raise  # a copy of what its customer works on would have to be made again: there is time until it is due
            if world.registry.tenant(work.tenant.uid).hosting == move.source:
                world.databases.open_logins(move.source)
            raise


def _compared(work: Work, move: Move) -> tuple[str, Sequence[str]]:
    """Compares rows while the customer works, sends it away, and compares the rest; as `behind_the_fence` says.

    What differs beforehand is told before anybody is sent away.
    """
    replication = work.world.replication
    with replication.changes(move.source) as log:
        proving = Proving(
            replication,
            move.source,
            move.target,
            log,
            catch_up=lambda: _catch_up(work, move),
            check=work.heartbeat.check,
        )
        if faults := proving.beforehand():
            return replication.schema_digest(move.source), faults
        work.world.databases.close_logins(move.source)
        _catch_up(work, move)
        proving.read_on()
    return behind_the_fence(replication, move.source, move.target, proving.rest)


def _compared_whole(work: Work, move: Move) -> tuple[str, Sequence[str]]:
    """Sends the customer away, if it is not out already, and compares every row; as `behind_the_fence` says."""
    databases = work.world.databases
    databases.close_logins(move.source)

    def rows() -> Sequence[str]:
        with ThreadPoolExecutor(2, thread_name_prefix="digests") as pool:
            return tuple(differences(*pool.map(databases.digests, (move.source, move.target))))

    return behind_the_fence(work.world.replication, move.source, move.target, rows)


def behind_the_fence(
    replication: Replication, source: Hosting, target: Hosting, rows: Callable[[], Sequence[str]]
) -> tuple[str, Sequence[str]]:
    """The digest of the source's schema, and how the target's rows differ; the sequences are set meanwhile.

    All of it goes on at the same time, since a customer stands outside.
    """
    with ThreadPoolExecutor(2, thread_name_prefix="compare") as pool:
        schema, faults = pool.submit(replication.schema_digest, source), pool.submit(rows)
        replication.copy_sequences(source, target)
        return schema.result(), faults.result()


def _judge(work: Work, move: Move, schema: str, faults: Sequence[str]) -> None:
    """Goes on only if nothing differs.

    Raises:
        Transient: the schema has changed.
        Refused: the contents differ; the move is undone.
    """
    if schema != move.schema_digest:
        begin_anew(work, "the schema has changed since it was copied")
        raise Transient("The schema has changed since it was copied: the copy is made anew.")
    if faults:
        told = "; ".join(faults[:FAULTS_TOLD_MAX])
        give_up(work, move, "what was copied is not what is there", told)
        raise Refused(f"What was copied to {move.instance} is not what is there: {told}")


def _catch_up(work: Work, move: Move) -> None:
    """Waits until the target has confirmed what the source has just now.

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
