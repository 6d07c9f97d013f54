"""The place that a tenant has left by a move: dropped once it has been kept for long enough, and by this rule alone."""

from collections.abc import Iterable

from tenantctl.engine.actions import Work
from tenantctl.model.errors import NotFound, Transient
from tenantctl.model.facts import Facts
from tenantctl.model.move import Move
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.sighting import Gone, Unreachable
from tenantctl.relocation.planning import retiring_blockers


class RetireSource:
    """Drops database and roles of the generation that is the step's subject."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance itself shows neither."""
        source, databases = _left(work, step).source, work.world.databases
        sights = (databases.look(source), databases.look_at_roles(source))
        for sight in sights:
            if isinstance(sight, Unreachable):
                raise Transient(f"Instance {source.instance} does not answer: {sight.reason}")
        return all(isinstance(sight, Gone) for sight in sights)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The rule again, from what is known now; and never the place where the tenant lives."""
        world, move = work.world, _left(work, step)
        tenant = world.registry.tenant(work.tenant.uid)
        if tenant.hosting.generation <= move.source_generation:
            yield Blocker("lives-there", "the tenant lives in the place that is to be dropped")
        facts = Facts(
            tenant=tenant,
            backups=tuple(world.registry.backups(tenant.uid)),
            standing=world.decisions.standing(tenant.uid, move.source_region, None),
        )
        yield from retiring_blockers(facts, move, policies=world.policies, now=world.registry.now())

    def act(self, work: Work, step: Step) -> None:
        """Drops them; the adapter compares the marker."""
        source = _left(work, step).source
        work.world.databases.close_logins(source)
        work.world.databases.drop_database(source)
        work.world.databases.drop_roles(source)


def _left(work: Work, step: Step) -> Move:
    for move in work.world.registry.moves(work.tenant.uid):
        if str(move.source_generation) == step.subject and move.cut_over_at is not None:
            return move
    raise NotFound(f"Tenant {work.tenant.uid} has left no place of generation {step.subject}.")
