"""What a step can do: the one shape that every effect has.

An action looks before it acts and after: `is_done` asks the world, never the
journal, so that running a plan again after any crash finishes it once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tenantctl.engine.heartbeat import Heartbeat
from tenantctl.model.plan import Blocker, Do, Plan, Step
from tenantctl.model.tenant import Tenant
from tenantctl.ports.registry import Lease
from tenantctl.ports.world import World


@dataclass(frozen=True)
class Work:
    """What an action is given: the world, the right to act in it, and the plan it belongs to.

    `tenant` is as it was when the plan was made; an action that depends on what
    may have changed since reads again.
    """

    world: World
    tenant: Tenant
    plan: Plan
    heartbeat: Heartbeat

    @property
    def lease(self) -> Lease:
        """The lease as last renewed."""
        return self.heartbeat.lease


class Action(Protocol):
    """One kind of effect.

    1. `is_done` is true only if the effect was seen in the world.
    2. `act` may be called again after a crash in the middle of it.
    3. `journals_itself` is true for effects on the registry alone, which are one transaction with their entry.
    """

    @property
    def journals_itself(self) -> bool:
        """Whether the effect and its journal entry are one transaction."""

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the world shows the effect.

        Raises:
            Transient: the world could not be looked at.
        """

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """What forbids the act right now; read afresh, whatever planning saw."""

    def act(self, work: Work, step: Step) -> None:
        """Carries the effect out."""


Actions: TypeAlias = Mapping[Do, Action]
