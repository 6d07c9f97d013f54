"""Records that deactivation and destruction are to stop, in a region or everywhere."""

from tenantctl.model.decisions import EVERYWHERE, Freeze
from tenantctl.model.errors import Refused
from tenantctl.ports.world import World


def request_freeze(world: World, scope: str, reason: str) -> Freeze:
    """Freezes a region that the policy names, or all; the freeze that stands, if there is one.

    Raises:
        Refused: the policy names no such region, or the reason is blank.
    """
    known = world.policies.regions.regions
    if scope != EVERYWHERE and scope not in known:
        raise Refused(
            f"The policy names no region {scope!r}; nothing was frozen.",
            hint="Freeze one of: tenantctl region list; or everything: tenantctl freeze all",
        )
    if not reason.strip():
        raise Refused("A freeze has a reason that everybody can read.", hint='--reason "the audit of us-south1 is odd"')
    return world.decisions.freeze(scope, reason)
