"""Records that the law wants a tenant's data kept, and that it no longer does."""

from datetime import datetime

from tenantctl.model.calendar import rfc3339
from tenantctl.model.decisions import Hold
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World


def request_hold(world: World, tenant: Tenant, *, case_reference: str, review_by: datetime) -> Hold:
    """Puts a tenant under a hold; the one that stands, if it is under one for this case.

    Raises:
        Refused: the case is blank, the review lies in the past, or nothing of the tenant is left to be kept.
    """
    if not case_reference.strip():
        raise Refused("A hold refers to a case: a court's or an authority's file number.", hint='--case "AZ 12/26"')
    _refuse_past_review(world, review_by)
    if tenant.state is State.FORGOTTEN:
        raise Refused(f"Tenant {tenant.uid} is forgotten: nothing of it is left that a hold could keep.")
    return world.decisions.place_hold(tenant.uid, case_reference.strip(), review_by)


def request_review(world: World, tenant: Tenant, *, case_reference: str, review_by: datetime, because: str) -> Hold:
    """Puts on record that a tenant's hold for one case is still needed, and when that is asked again.

    Raises:
        NotFound: it is under no hold for this case.
        Refused: no reason is given, or the next review lies in the past.
    """
    if not because.strip():
        raise Refused("A review has a result: who wants it kept still.", hint='--reason "the court asks for it still"')
    _refuse_past_review(world, review_by)
    return world.decisions.review_hold(tenant.uid, case_reference.strip(), review_by, because)


def request_release(world: World, tenant: Tenant, *, case_reference: str, because: str) -> Hold:
    """Ends a tenant's hold for one case; the terms go on where they stand.

    Raises:
        NotFound: it is under no hold for this case.
        Refused: no reason is given.
    """
    if not because.strip():
        raise Refused("A release has a reason: whose decision it was.", hint='--reason "order of 2027-03-01"')
    return world.decisions.release_hold(tenant.uid, case_reference.strip(), because)


def _refuse_past_review(world: World, review_by: datetime) -> None:
    if review_by <= world.registry.now():
        raise Refused(
            f"The hold would have to be reviewed by {rfc3339(review_by)}, which has passed.",
            hint="Name the day on which somebody asks whether it is still needed: --review-by 2027-03-31",
        )
