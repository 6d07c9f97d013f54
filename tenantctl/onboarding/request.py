"""Records that a tenant is wanted: where its customer is based, where it is placed, and why there."""

from collections.abc import Sequence

from tenantctl.model.errors import Refused
from tenantctl.model.region import Placement, RegionCatalogue
from tenantctl.model.tenant import Tenant, new_uid
from tenantctl.placement.geocode import geocode
from tenantctl.placement.newcomer import capacity, check_newcomers_name
from tenantctl.placement.planning import plan_placement
from tenantctl.ports.registry import NewTenant
from tenantctl.ports.world import World


def request_tenant(
    world: World,
    catalogue: RegionCatalogue,
    *,
    name: str,
    based_in: str,
    keep_in: str | None,
    connection_limit: int | None,
    extensions: Sequence[str],
    cause: str,
    instructing_party: str,
) -> tuple[Tenant, Placement]:
    """Places a tenant and writes the request; a worker carries it out.

    Raises:
        Refused: the name, the place, an extension or the policy does not allow it; nothing was written.
    """
    check_newcomers_name(world.registry, name)
    policy = world.policies.lifecycle
    if refused := sorted(set(extensions) - set(policy.allowed_extensions)):
        raise Refused(
            f"The policy does not allow the extension {', '.join(refused)}.",
            hint=f"Allowed are {', '.join(policy.allowed_extensions)}: see policies/lifecycle.yaml",
        )
    limit = policy.connections_per_tenant if connection_limit is None else connection_limit
    if not 1 <= limit <= policy.connections_per_tenant:
        raise Refused(f"A tenant may have 1 to {policy.connections_per_tenant} connections, not {limit}.")
    answers, regions = geocode(based_in), world.policies.regions
    # Asked first without regard to room: which place is meant must not depend on where there happens to be some.
    plan_placement(answers, catalogue, regions, None, keep_in=keep_in)
    placement = plan_placement(answers, catalogue, regions, capacity(world.registry), keep_in=keep_in)
    tenant = world.registry.request_tenant(
        NewTenant(
            uid=new_uid(),
            name=name,
            region=placement.region,
            time_zone=placement.place.time_zone,
            connection_limit=limit,
            extensions=tuple(sorted(set(extensions))),
            explanation=placement.to_plain(),
            cause=cause,
            instructing_party=instructing_party,
        )
    )
    return tenant, placement
