"""What the tests of billing begin with: a registry with one tenant, and events about it that lack something."""

from datetime import UTC, datetime
from typing import Any

from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.model.tenant import Instance, InstanceRole
from tests.contracts.registry_samples import REGION, new_tenant
from tests.rooms.callers import cloud_event

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
UID = "k7m2qp5xw3ab"


def registry_with_a_tenant() -> MemoryRegistry:
    """A registry whose clock stands still, with a tenant that billing may speak of."""
    registry = MemoryRegistry(lambda: NOW)
    registry.add_instance(Instance("one", REGION, InstanceRole.TENANTS, 500))
    registry.request_tenant(new_tenant(uid=UID))
    return registry


def without(name: str, **changes: Any) -> dict[str, Any]:
    """An event whose data lack a field, or say something else."""
    said = cloud_event(UID, 1)
    said["data"] = {key: value for key, value in {**said["data"], **changes}.items() if key != name}
    return said
