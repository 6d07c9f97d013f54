"""Observation: everything that planning is given about one tenant, read at one moment."""

from collections.abc import Sequence

from tenantctl.evidence.anchoring import registry_seen
from tenantctl.model.decisions import Act
from tenantctl.model.errors import Transient
from tenantctl.model.facts import NOT_LOOKED, DatabaseSeen, Facts
from tenantctl.model.lifecycle import State
from tenantctl.model.look import Known
from tenantctl.model.move import closed_regions, open_move
from tenantctl.model.plan import Plan
from tenantctl.model.sighting import Present, Sighting
from tenantctl.model.tenant import Tenant, Wanted
from tenantctl.onboarding.adopting import adopted_name
from tenantctl.onboarding.former import former_hostings, look_at_formers
from tenantctl.onboarding.waiting import look_at_waiting
from tenantctl.ports.world import World
from tenantctl.sweeps.planning import is_approved_erasure, plan, plan_of_a_look

# The states whose plans depend on what the instance shows; of the others it is not asked.
LOOKED_AT = frozenset({State.REQUESTED, State.MOVING, State.DEACTIVATING, State.DEACTIVATED})
COMING = frozenset({State.REQUESTED, State.MOVING})
# And those in which it can wait for a former region to come back.
REMEMBERING = frozenset({State.ACTIVE, State.DEACTIVATED, State.DESTROYED})

# What comes next in these states, if the tenant is leaving, falls under a cap.
CAPPED = {State.ACTIVE: Act.DEACTIVATE, State.DEACTIVATED: Act.DESTROY}


def observe(world: World, tenant: Tenant) -> Facts:
    """Reads the registry and, where the plan depends on it, asks the instance.

    Raises:
        Transient: the registry does not answer; an instance that does not is a fact.
    """
    databases, hosting, placed = world.databases, tenant.hosting, tenant.is_placed
    leaving = tenant.wanted is Wanted.LEAVING
    standing = world.decisions.standing(tenant.uid, hosting.region, CAPPED.get(tenant.state) if leaving else None)
    erased = any(is_approved_erasure(one, now=world.registry.now()) for one in standing.proposals)
    looked_at = placed and (tenant.state in LOOKED_AT or erased)
    residues = tuple(world.registry.open_residues(tenant.uid))
    moves = tuple(world.registry.moves(tenant.uid))
    move = open_move(moves)
    database = databases.look(hosting) if looked_at or tenant.state is State.DESTROYED else NOT_LOOKED
    return Facts(
        tenant=tenant,
        backups=tuple(world.registry.backups(tenant.uid)),
        residues=residues,
        database=database,
        roles=databases.look_at_roles(hosting) if placed and tenant.state in COMING else NOT_LOOKED,
        logins=databases.look_at_logins(hosting) if looked_at else NOT_LOOKED,
        moves=moves,
        closed_regions=closed_regions(moves, hosting.region, world.jurisdictions),
        replication=NOT_LOOKED if move is None else world.replication.look(move.source, move.target),
        registry=registry_seen(world) if tenant.state is State.DEACTIVATED or erased else NOT_LOOKED,
        subscription=world.subscriptions.look(tenant.uid) if tenant.state is State.DEACTIVATED else NOT_LOOKED,
        prepared=_is_prepared(world, tenant, database),
        formers=look_at_formers(world, tenant, residues) if tenant.state in REMEMBERING else (),
        waiting=None if placed or tenant.state is not State.REQUESTED else look_at_waiting(world, tenant),
        adopts=adopted_name(world, tenant) if placed and tenant.state is State.REQUESTED else "",
        standing=standing,
    )


def observe_and_plan(world: World, tenant: Tenant) -> Plan:
    """What is to be done about a tenant as it stands now, by the registry's clock."""
    facts = observe(world, tenant)
    return plan(facts, world.policies, now=world.registry.now())


def quiet_plans(world: World, shown: Sequence[Known]) -> Sequence[tuple[Tenant, Plan]]:
    """The plans of those of these active tenants for which what they are shown tells, as in `plan_of_a_look`.

    Of an active tenant no instance is asked, unless it has left a database behind.
    """
    now, found = world.registry.now(), []
    for known in shown:
        tenant = known.tenant
        if former_hostings(tenant, known.residues):
            continue
        facts = Facts(
            tenant=tenant,
            backups=known.backups,
            residues=known.residues,
            moves=known.moves,
            closed_regions=closed_regions(known.moves, tenant.hosting.region, world.jurisdictions),
            standing=known.standing,
        )
        planned = plan_of_a_look(facts, known.at_rest, world.policies, now=now)
        if planned is not None:
            found.append((tenant, planned))
    return found


def _is_prepared(world: World, tenant: Tenant, database: Sighting[DatabaseSeen]) -> bool:
    """Whether a database that waits for its data is ready for it; where that cannot be seen, the steps look again."""
    if not tenant.awaits_data or not isinstance(database, Present):
        return False
    try:
        return world.databases.look_prepared(tenant.hosting, extensions=tenant.extensions)
    except Transient:
        return False
