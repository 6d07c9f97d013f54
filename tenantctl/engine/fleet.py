"""Acts on many tenants, so many at a time, each carried on until it has come to its end: what every such command needs.

Whatever ends it, running it again goes on: what is known of each tenant stands in the registry, and nothing here.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from tenantctl.engine.actions import Actions
from tenantctl.engine.executor import Progress
from tenantctl.engine.worker import Planner, Worker, new_owner
from tenantctl.model.errors import LeaseLost, Refused
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World

AT_ONCE: Final = 4
SECONDS_MAX: Final = 6 * 3600.0  # that one tenant is carried on, or waited for while another worker has it
PAUSE_SECONDS: Final = 0.5

One = TypeVar("One")
Came = TypeVar("Came")


@dataclass(frozen=True)
class Carried:
    """How far a tenant came: to its end, refused, or neither, which the next run goes on with; and why."""

    tenant: Tenant
    done: bool
    refused: bool = False
    reason: str = ""


def side_by_side(act: Callable[[One], Came], ones: Iterable[One], limit: int) -> list[Came]:
    """What came of each, in their order; whoever is interrupted begins no more of them.

    Args:
        act: what is done to one.
        ones: all of them.
        limit: how many at a time; at least one.
    """
    with ThreadPoolExecutor(max(1, limit), thread_name_prefix="fleet") as pool:
        try:
            return list(pool.map(act, ones))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def carry_on(
    world: World,
    uid: str,
    planner: Planner,
    actions: Actions,
    *,
    is_done: Callable[[Tenant], bool],
    troubles_max: int = 1,
    progress: Progress = lambda step: None,
) -> Carried:
    """Works on one tenant until it is done, or something has stood in the way for so many turns one after another.

    Args:
        world: what is acted on.
        uid: the tenant.
        planner: what belongs to the work.
        actions: what carries it out.
        is_done: whether a tenant, as the registry has it, has come to its end.
        troubles_max: how many turns in a row may end in trouble or before a blocker.
        progress: called as steps begin.
    """
    deadline, troubles, reason, refused = time.monotonic() + SECONDS_MAX, 0, "another worker has it", False
    while time.monotonic() < deadline:
        world.registry.make_due(uid)
        if (parking := world.registry.work_item(uid).parking) is not None:
            return Carried(world.registry.tenant(uid), done=False, refused=True, reason=f"parked: {parking.because}")
        turn = next(Worker(world, planner, actions, new_owner(), None, uid).turns(progress=progress), None)
        now_is = world.registry.tenant(uid)
        if is_done(now_is):
            return Carried(now_is, done=True)
        if turn is not None and not isinstance(turn.trouble, LeaseLost):
            reasons = [blocker.reason for blocker in turn.blockers]
            if turn.trouble is not None:
                reasons.append(turn.trouble.sentence)
            troubles = troubles + 1 if reasons else 0
            reason, refused = "; ".join(reasons) or "it takes long", isinstance(turn.trouble, Refused)
            if troubles >= troubles_max:
                return Carried(now_is, done=False, refused=refused, reason=reason)
        time.sleep(PAUSE_SECONDS)
    return Carried(world.registry.tenant(uid), done=False, refused=refused, reason=reason)
