"""What every newcomer needs before it is placed: a name that is nobody's uid."""

from contextlib import suppress

from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.tenant import check_name
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
