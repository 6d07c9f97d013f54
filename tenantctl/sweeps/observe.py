"""Observation: everything that planning is given about one tenant, read at one moment."""

from tenantctl.model.facts import NOT_LOOKED, Facts
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Plan
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World
from tenantctl.sweeps.planning import plan

# The states whose plans depend on what the instance shows; of the others it is not asked.
LOOKED_AT = frozenset({State.REQUESTED, State.DEACTIVATING, State.DEACTIVATED})


def observe(world: World, tenant: Tenant) -> Facts:
    """Reads the registry and, where the plan depends on it, asks the instance.

    Raises:
        Transient: the registry does not answer; an instance that does not is a fact.
    """
    databases, hosting = world.databases, tenant.hosting
    looked_at = tenant.state in LOOKED_AT
    return Facts(
        tenant=tenant,
        backups=tuple(world.registry.backups(tenant.uid)),
        residues=tuple(world.registry.residues(tenant.uid)),
        database=databases.look(hosting) if looked_at else NOT_LOOKED,
        roles=databases.look_at_roles(hosting) if tenant.state is State.REQUESTED else NOT_LOOKED,
        logins=databases.look_at_logins(hosting) if looked_at else NOT_LOOKED,
    )


def observe_and_plan(world: World, tenant: Tenant) -> Plan:
    """What is to be done about a tenant as it stands now, by the registry's clock."""
    facts = observe(world, tenant)
    return plan(facts, world.policies, now=world.registry.now())
