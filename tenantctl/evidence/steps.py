"""The effect of anchoring, and the gate that stands before every effect that cannot be undone."""

from collections.abc import Iterable
from dataclasses import dataclass

from tenantctl.engine.actions import Action, Work
from tenantctl.evidence.anchoring import anchor_tenants, registry_seen
from tenantctl.evidence.restored import is_anchored, registry_blockers
from tenantctl.model.plan import Blocker, Step
from tenantctl.ports.world import World


class AnchorJournal:
    """Anchors the newest entry of this tenant's journal, so that nothing before the act that follows can be altered.

    It writes no entry of its own: that would be newer than the one that is anchored.
    """

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the newest entry stands in an anchor which two regions hold."""
        registry = work.world.registry
        head = registry.head(work.tenant.uid)
        return head is not None and registry.anchored_head(work.tenant.uid) == head

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The registry must be no older than the anchors that are there."""
        return irreversible_blockers(work.world)

    def act(self, work: Work, step: Step) -> None:
        """Makes a small anchor."""
        anchor_tenants(work.world, [work.tenant.uid])


@dataclass(frozen=True)
class Irreversible:
    """An effect that cannot be undone, behind the gate.

    Attributes:
        action: the effect itself.
        rests_on_anchor: whether the tenant's newest entry has to be anchored first.
    """

    action: Action
    rests_on_anchor: bool = False

    @property
    def journals_itself(self) -> bool:
        """As the effect says."""
        return self.action.journals_itself

    def is_done(self, work: Work, step: Step) -> bool:
        """As the effect says."""
        return self.action.is_done(work, step)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The gate, and then what the effect itself asks."""
        yield from irreversible_blockers(work.world, work.tenant.uid if self.rests_on_anchor else None)
        yield from self.action.guard(work, step)

    def act(self, work: Work, step: Step) -> None:
        """Carries it out."""
        self.action.act(work, step)


def irreversible_blockers(world: World, anchored_uid: str | None = None) -> Iterable[Blocker]:
    """Why nothing irreversible may be done now.

    Args:
        world: where it would be done.
        anchored_uid: the tenant whose newest entry must be anchored, if one must.
    """
    seen = registry_seen(world, anchored_uid)
    yield from registry_blockers(seen, world.policies.anchors, now=world.registry.now())
    if anchored_uid is not None and not is_anchored(seen):
        yield Blocker("anchored", "the newest entry of its journal stands in no anchor that two regions hold")
