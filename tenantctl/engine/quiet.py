"""Quiet turns: due tenants about which nothing is to be done are read together, planned, and put off.

Most looks at most tenants end so. They need no lease, since nothing is done that one would have to guard, and a
hundred of them take the registry hardly longer than one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tenantctl.model.look import Known
from tenantctl.model.plan import Plan
from tenantctl.model.tenant import Tenant
from tenantctl.model.work import danger_of
from tenantctl.ports.work import Later
from tenantctl.ports.world import World

QUIET_AT_ONCE: Final = 100  # their rows are locked while they are planned: for some hundredths of a second

QuietPlanner = Callable[[World, Sequence[Known]], Sequence[tuple[Tenant, Plan]]]


def quiet(world: World, planner: QuietPlanner) -> Sequence[tuple[Tenant, Plan]]:
    """Puts off up to `QUIET_AT_ONCE` tenants; each with its plan, which has no step.

    Args:
        world: the ports; of them the registry alone is asked.
        planner: of those that it is shown, the tenants in which there is nothing to do, with their plans.
    """
    planned: dict[str, tuple[Tenant, Plan]] = {}

    def decide(shown: Sequence[Known]) -> Mapping[str, Later]:
        later = {}
        for tenant, plan in planner(world, shown):
            if not plan.steps and not plan.blockers and plan.next_look is not None:
                planned[tenant.uid] = tenant, plan
                later[tenant.uid] = Later(plan.next_look, danger_of(tenant, plan))
        return later

    return [planned[uid] for uid in world.registry.put_off(decide, count=QUIET_AT_ONCE)]
