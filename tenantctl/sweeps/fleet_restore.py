"""A whole region restored elsewhere: several tenants at a time, each placed anew and filled from its newest backup.

Whatever ends it, running it again goes on: a tenant that is placed already is only carried on, one that is restored is
passed over. Time is measured against the restore time that the policy states, and the age of what came back against the
moment at which it was begun.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tenantctl.custody.basis import Basis, check_basis
from tenantctl.custody.rehosting import request_rehosting
from tenantctl.engine.executor import Progress
from tenantctl.engine.fleet import carry_on, side_by_side
from tenantctl.model.errors import Refused, TenantctlError
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Plan
from tenantctl.model.tenant import Tenant
from tenantctl.onboarding.former import former_hostings
from tenantctl.placement.elsewhere import check_region, elsewhere
from tenantctl.ports.world import World
from tenantctl.sweeps.answering import answering, for_tenants, silent_regions
from tenantctl.sweeps.observe import observe_and_plan
from tenantctl.sweeps.tenants import ACTIONS

AN_HOUR: Final = timedelta(hours=1)

Told = Callable[["TenantRestore"], None]


@dataclass(frozen=True)
class TenantRestore:
    """What came of one tenant; `outcome` is `restored`, `waiting` (run it again), `refused`, or `stays`.

    Ages in hours, at the moment at which the whole was begun; None where nothing was restored.
    """

    uid: str
    name: str
    outcome: str
    region: str
    instance: str
    backup: str | None
    data_from: datetime | None
    data_age_hours: float | None
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class FleetRestore:
    """What came of a region: each of its tenants, and the whole against the policy."""

    region: str
    tenants: Sequence[TenantRestore]
    seconds: float
    rto_hours: int
    within_rto: bool
    rpo_hours: int
    oldest_data_hours: float | None

    def of(self, outcome: str) -> Sequence[TenantRestore]:
        """Those of one outcome."""
        return [one for one in self.tenants if one.outcome == outcome]


def restore_fleet(
    world: World,
    lost: str,
    basis: Basis,
    *,
    to: str,
    parallel: int,
    although_it_answers: bool = False,
    progress: Progress = lambda step: None,
    told: Told = lambda one: None,
) -> FleetRestore:
    """Restores the active tenants of a lost region elsewhere; those that are leaving stay with their copies.

    Args:
        world: what is acted on.
        lost: the region.
        basis: why its backups are opened.
        to: a region, or `partners`.
        parallel: how many tenants at a time.
        although_it_answers: go on where an instance of the region answers; its logins are closed first.
        progress: called as steps begin.
        told: called with each tenant as it ends.

    Raises:
        Refused: there is no basis for it, the region answers, or nothing elsewhere may take its tenants.
    """
    began, now = time.monotonic(), world.registry.now()
    check_region(lost, world.policies.regions)
    if to != "partners":
        check_region(to, world.policies.regions)
    everyone = world.registry.tenants()
    moving = [tenant for tenant in everyone if _is_on_its_way(world, tenant, lost)]
    active = [tenant for tenant in everyone if tenant.state is State.ACTIVE and tenant.hosting.region == lost]
    staying = [
        tenant for tenant in everyone if tenant.hosting.region == lost and tenant.state in _STAYING and tenant.is_placed
    ]
    for tenant in active[:1]:
        check_basis(basis, tenant)
    if spoke := answering(world, for_tenants(world, region=lost)):
        if not although_it_answers:
            raise Refused(
                f"Region {lost} is not lost: {', '.join(sorted(spoke))} answers.",
                hint="What its tenants wrote since their last backup would be left behind. "
                "If that is meant: --although-it-answers",
            )
        _close(world, active, spoke)
    silent = silent_regions(world, [one for one in for_tenants(world) if one.region != lost])

    def restore(tenant: Tenant) -> TenantRestore:
        started = time.monotonic()
        ended = _restore_one(world, tenant, basis, lost=lost, to=to, silent=silent, progress=progress)
        ended = _measured(world, ended, now=now, seconds=time.monotonic() - started)
        told(ended)
        return ended

    ended = side_by_side(restore, [*moving, *active], parallel)
    ended += [_of(tenant, "stays", reason=f"it is {tenant.state}: it stays with its copies") for tenant in staying]
    seconds, policy = time.monotonic() - began, world.policies.backups
    ages = [one.data_age_hours for one in ended if one.data_age_hours is not None]
    within = seconds <= policy.rto_hours * 3600 and all(one.outcome in {"restored", "stays"} for one in ended)
    oldest = max(ages, default=None)
    return FleetRestore(lost, ended, seconds, policy.rto_hours, within, policy.rpo_hours, oldest)


_STAYING: Final = frozenset({State.REQUESTED, State.DEACTIVATING, State.DEACTIVATED})


def _is_on_its_way(world: World, tenant: Tenant, lost: str) -> bool:
    """Whether a run before this one has placed a tenant of the lost region anew, and did not come to its end."""
    if tenant.state is not State.MOVING or tenant.restored_from is None:
        return False
    here = {one.name for one in world.registry.instances() if one.region == lost}
    formers = former_hostings(tenant, world.registry.residues(tenant.uid))
    return any(hosting.instance in here for _, hosting in formers)


def _close(world: World, tenants: Sequence[Tenant], spoke: frozenset[str]) -> None:
    """Lets nobody write any more to databases that are about to be left, as far as they can be reached."""
    for tenant in tenants:
        if tenant.hosting.instance in spoke:
            with suppress(TenantctlError):
                world.databases.close_logins(tenant.hosting)


def _restore_one(
    world: World, tenant: Tenant, basis: Basis, *, lost: str, to: str, silent: frozenset[str], progress: Progress
) -> TenantRestore:
    """Places a tenant unless it is placed, and carries it on until it is active."""
    try:
        if tenant.state is State.ACTIVE:
            explanation = world.registry.explanation(tenant.uid)
            others = elsewhere(lost, to, explanation, world.policies.regions, world.jurisdictions)
            regions = [region for region in others.regions if region not in silent]
            if not regions:
                reasons = [f"{region} does not answer" for region in others.regions]
                reasons += [f"{region}: {objection}" for region, objection in others.objections.items()]
                sentence = "; ".join(reasons) or f"{lost} has no partner"
                raise Refused(f"No region may take tenant {tenant.label}: {sentence}.")  # noqa: TRY301 - told as others
            request_rehosting(world, tenant, basis, lost=lost, regions=regions)
        return _carry_on(world, tenant, progress)
    except Refused as refused:
        return _of(world.registry.tenant(tenant.uid), "refused", reason=refused.sentence)
    except TenantctlError as trouble:
        return _of(world.registry.tenant(tenant.uid), "waiting", reason=trouble.sentence)


def _carry_on(world: World, tenant: Tenant, progress: Progress) -> TenantRestore:
    """Works on one tenant until it is active; whatever else is due for it is left to the next run."""
    came = carry_on(world, tenant.uid, _only_rehosting, ACTIONS, is_done=_is_active, progress=progress)
    outcome = "restored" if came.done else "refused" if came.refused else "waiting"
    return _of(came.tenant, outcome, reason=came.reason)


def _is_active(tenant: Tenant) -> bool:
    return tenant.state is State.ACTIVE


def _only_rehosting(world: World, tenant: Tenant) -> Plan:
    """What belongs to the restore; once that is done there is nothing to do, and the next run looks at once."""
    if tenant.state is State.MOVING:
        return observe_and_plan(world, tenant)
    return Plan(tenant.uid, "rehost", next_look=world.registry.now())


def _of(tenant: Tenant, outcome: str, *, reason: str = "") -> TenantRestore:
    origin, hosting = tenant.restored_from, tenant.hosting
    backup = origin.backup_id if origin and outcome != "stays" else None
    return TenantRestore(
        tenant.uid, tenant.label, outcome, hosting.region, hosting.instance, backup, None, None, 0.0, reason
    )


def _measured(world: World, one: TenantRestore, *, now: datetime, seconds: float) -> TenantRestore:
    """With how long it took, and how old the data is that came back."""
    backups = world.registry.backups(one.uid) if one.outcome == "restored" else ()
    for backup in backups:
        if backup.id == one.backup:
            age = round((now - backup.begun_at) / AN_HOUR, 2)
            return replace(one, seconds=round(seconds, 3), data_from=backup.begun_at, data_age_hours=age)
    return replace(one, seconds=round(seconds, 3))
