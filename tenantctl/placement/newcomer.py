"""What every newcomer needs before it is placed: a name that is nobody's uid, and a region with room."""

from contextlib import suppress

from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.tenant import InstanceRole, check_name
from tenantctl.ports.registry import Registry


def check_newcomers_name(registry: Registry, name: str) -> None:
    """Whether a new tenant may be called this; that it is free is the registry's own question.

    Raises:
        Refused: it cannot be a name, or it is a tenant's uid: a command that names a tenant by its uid must never
            reach one that chose it for a name.
    """
    check_name(name)
    with suppress(NotFound):
        registry.tenant(name)
        raise Refused(f"{name!r} is the uid of a tenant, and can be nobody's name.", hint="Choose another name.")


def capacity(registry: Registry) -> dict[str, int]:
    """Region → tenants for which its instances have room; a region without an instance is not in it."""
    room: dict[str, int] = {}
    for instance in registry.instances():
        if instance.role is InstanceRole.TENANTS:
            room[instance.region] = room.get(instance.region, 0) + max(instance.databases_max - instance.databases, 0)
    return room
