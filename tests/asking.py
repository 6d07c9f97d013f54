"""A request for a tenant, as tests make one that does not care how."""

from typing import Any

from tenantctl.bootstrap import catalogue
from tenantctl.model.tenant import Tenant
from tenantctl.onboarding.request import request_tenant
from tenantctl.ports.world import World

PLACE = "Southlake, TX, US"


def ask_for_tenant(world: World, name: str = "acme", **options: Any) -> Tenant:
    """A requested tenant; `options` are those of `request_tenant` that matter."""
    usual = {"based_in": PLACE, "keep_in": None, "connection_limit": None, "extensions": ()}
    by = {"cause": "test", "instructing_party": "customer"}
    tenant, _ = request_tenant(world, catalogue(), name=name, **{**usual, **by, **options})
    return tenant
