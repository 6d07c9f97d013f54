"""What billing may ask of a tenant: how it stands, until when it can come back, and what was said of it last."""

from dataclasses import dataclass
from datetime import datetime

from tenantctl.model.billing import Head
from tenantctl.model.lifecycle import LIVING, State
from tenantctl.model.tenant import Wanted
from tenantctl.ports.billing import Billing
from tenantctl.ports.registry import Registry


@dataclass(frozen=True)
class TenantStanding:
    """A tenant as billing sees it: no name and no place.

    `leaves_at` is from when it is leaving, None while it is not; `can_resume` says whether a resumption would be taken
    now, and `destroy_after` until when that is promised.
    """

    uid: str
    state: State
    wanted: Wanted
    leaves_at: datetime | None
    can_resume: bool
    destroy_after: datetime | None
    destroyed_at: datetime | None
    subscriptions: tuple[Head, ...]


def standing_of(registry: Registry, billing: Billing, uid: str) -> TenantStanding:
    """How the tenant of this uid stands.

    Raises:
        NotFound: there is none.
    """
    tenant = registry.tenant(uid)
    return TenantStanding(
        uid=tenant.uid,
        state=tenant.state,
        wanted=tenant.wanted,
        leaves_at=tenant.intent_effective_at if tenant.wanted is Wanted.LEAVING else None,
        can_resume=tenant.state in LIVING and tenant.wanted is not Wanted.ERASED,
        destroy_after=tenant.destroy_after,
        destroyed_at=tenant.destroyed_at,
        subscriptions=tuple(billing.heads(uid)),
    )
