"""How full an instance is, which one a newcomer goes to, and how many there is room for. Pure.

Every registry chooses by `emptiest`, and whoever plans a placement counts by the same `Room`, so that what is planned
and what is done agree; the registry has the last word, since it counts under a lock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from tenantctl.model.tenant import Instance, InstanceRole, InstanceState

_NO_LIMIT: Final = 1_000_000  # of one instance, where nothing that limits it is measured in tenants


@dataclass(frozen=True)
class Demand:
    """What one tenant needs of an instance.

    Args:
        connections: how many it may have at once.
        size: the bytes that it comes with; 0 for one that begins empty.
        headroom_percent: how much of an instance's bytes must stay free beside it, for those who are there to grow.
    """

    connections: int
    size: int = 0
    headroom_percent: int = 0


def shares(instance: Instance) -> Mapping[str, float | None]:
    """How much is taken of each limit, 1.0 being all of it; None where no limit was given."""
    return {
        "databases": _share(instance.databases, instance.databases_max),
        "connections": _share(instance.connections, instance.connections_max),
        "bytes": _share(instance.bytes_seen, instance.bytes_max),
    }


def fullest_share(instance: Instance) -> float:
    """The share of the limit that is nearest to being reached."""
    return max(share for share in shares(instance).values() if share is not None)


def objection(instance: Instance, demand: Demand) -> str | None:
    """Why an instance does not take a tenant, in a clause; None where it does."""
    if instance.role is not InstanceRole.TENANTS:
        return f"{instance.name} is for {instance.role}"
    if instance.state is not InstanceState.SERVING:
        return f"{instance.name} is {instance.state}"
    if instance.databases >= instance.databases_max:
        return f"{instance.name} {instance.databases} of {instance.databases_max}"
    limit = instance.connections_max
    if limit is not None and instance.connections + demand.connections > limit:
        return f"{instance.name} {instance.connections} of {limit} connections"
    if not _has_bytes(instance, demand):
        kept = f", of which {demand.headroom_percent} % are kept free" if demand.headroom_percent else ""
        return f"{instance.name} {instance.bytes_seen:,} of {instance.bytes_max:,} bytes{kept}"
    return None


def emptiest(instances: Iterable[Instance], demand: Demand) -> Instance | None:
    """The instance whose fullest share is the smallest, of those with room; None where none has any."""
    with_room = (one for one in instances if objection(one, demand) is None)
    return min(with_room, key=lambda one: (fullest_share(one), one.databases, one.name), default=None)


def with_one_more(instance: Instance, demand: Demand) -> Instance:
    """The instance as it is once a tenant is on it."""
    return replace(
        instance,
        databases=instance.databases + 1,
        connections=instance.connections + demand.connections,
        bytes_seen=instance.bytes_seen + demand.size,
    )


@dataclass(frozen=True)
class Room:
    """The instances for tenants, as counted at one moment."""

    instances: Sequence[Instance]

    def regions(self, demand: Demand) -> Mapping[str, int]:
        """Region → for how many such tenants its instances have room; a region without an instance is not in it."""
        return {region: sum(_times(one, demand) for one in instances) for region, instances in self._by_region.items()}

    def without(self, region: str, demand: Demand) -> "Room":
        """What is left once one such tenant is placed in a region; the same where it has no room."""
        taken = emptiest(self._by_region.get(region, ()), demand)
        if taken is None:
            return self
        return Room(tuple(with_one_more(one, demand) if one.name == taken.name else one for one in self.instances))

    @cached_property
    def _by_region(self) -> Mapping[str, Sequence[Instance]]:
        found: dict[str, list[Instance]] = {}
        for one in self.instances:
            if one.role is InstanceRole.TENANTS:
                found.setdefault(one.region, []).append(one)
        return found


def _times(instance: Instance, demand: Demand) -> int:
    if objection(instance, demand) is not None:
        return 0
    return min(_limits(instance, demand))


def _limits(instance: Instance, demand: Demand) -> Iterator[int]:
    yield instance.databases_max - instance.databases
    if instance.connections_max is not None:
        left = instance.connections_max - instance.connections
        yield left // demand.connections if demand.connections else _NO_LIMIT
    if instance.bytes_max is not None and demand.size:
        kept_free = instance.bytes_max * demand.headroom_percent // 100
        yield max(1, (instance.bytes_max - kept_free - instance.bytes_seen) // demand.size)


def _has_bytes(instance: Instance, demand: Demand) -> bool:
    if instance.bytes_max is None:
        return True
    return (instance.bytes_seen + demand.size) * 100 < instance.bytes_max * (100 - demand.headroom_percent)


def _share(used: int, limit: int | None) -> float | None:
    if limit is None:
        return None
    return used / limit if limit else 1.0
