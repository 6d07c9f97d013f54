"""Which instances answer: asked at the same time, since silence takes long."""

from collections.abc import Sequence
from typing import Final

from tenantctl.engine.fleet import side_by_side
from tenantctl.model.sighting import Unreachable
from tenantctl.model.tenant import Hosting, Instance, InstanceRole
from tenantctl.ports.world import World

NOBODY: Final = "nobody"  # no tenant's uid: to ask an instance for what it cannot have


def for_tenants(world: World, *, region: str | None = None) -> Sequence[Instance]:
    """The instances for tenants, of one region or of all."""
    tenants = (one for one in world.registry.instances() if one.role is InstanceRole.TENANTS)
    return [one for one in tenants if region in {None, one.region}]


def answering(world: World, instances: Sequence[Instance]) -> frozenset[str]:
    """The names of those that answer, by what each says of a database that it cannot have."""

    def answers(one: Instance) -> bool:
        return not isinstance(world.databases.look(Hosting(NOBODY, one.name, one.region, 1)), Unreachable)

    said = side_by_side(answers, instances, len(instances))
    return frozenset(one.name for one, spoke in zip(instances, said, strict=True) if spoke)


def silent_regions(world: World, instances: Sequence[Instance]) -> frozenset[str]:
    """The regions of these instances of which none answers."""
    spoke = answering(world, instances)
    return frozenset({one.region for one in instances} - {one.region for one in instances if one.name in spoke})
