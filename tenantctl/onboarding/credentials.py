"""The customer's password: made here, shown once, stored nowhere."""

import secrets

from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Tenant
from tenantctl.onboarding.importing import refuse_while_importing
from tenantctl.ports.world import World

PASSWORD_BYTES = 24  # 192 random bits: 32 characters that need no quoting in a connection string


def rotate_password(world: World, tenant: Tenant) -> str:
    """Gives the tenant's login a new password and returns it, the only time that it is seen.

    Sessions that are open stay open.

    Raises:
        Refused: the tenant has no login that may be used now.
        Transient: its instance does not answer.
    """
    if tenant.state not in {State.ACTIVE, State.MOVING}:
        raise Refused(
            f"Tenant {tenant.label} is {tenant.state}: its login gets no new password.",
            hint=f"See what happens next: tenantctl tenant explain {tenant.label}",
        )
    if tenant.awaits_data:
        raise Refused(
            f"Tenant {tenant.label} is {tenant.state}: its data is not restored yet.",
            hint="Run it to its end first: tenantctl run",
        )
    refuse_while_importing(world, tenant)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    world.databases.set_password(tenant.hosting, password)
    return password
