"""A tenant held for what a person asked for at a shell: the same lease that workers take, kept alive as theirs is."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tenantctl.engine.heartbeat import Heartbeat
from tenantctl.engine.worker import LEASE_FOR, new_owner
from tenantctl.model.errors import LeaseLost, Refused, TenantctlError, Transient
from tenantctl.model.tenant import Tenant
from tenantctl.model.work import TROUBLE
from tenantctl.ports.world import World


@contextmanager
def leased(world: World, tenant: Tenant) -> Iterator[Heartbeat]:
    """Holds a tenant for as long as the block; a worker looks at it right afterwards.

    Raises:
        Transient: a worker has it.
        Refused: it is parked.
        LeaseLost: from the heartbeat's `check`: it was taken over, or something newer is wanted of the tenant.
    """
    registry = world.registry
    registry.make_due(tenant.uid)
    lease = registry.claim(new_owner(), lease=LEASE_FOR, tenant=tenant.uid)
    if lease is None:
        raise not_claimed(world, tenant)
    heartbeat = Heartbeat(registry, lease, lease_for=LEASE_FOR)
    if lease.taken_over:  # the next worker is to look for the evidence that the one before did not write
        with registry.fenced(lease) as writes:
            writes.raise_alarm(TROUBLE, "a worker ended in the middle of its work")
    try:
        with heartbeat.beating():
            yield heartbeat
    finally:
        with suppress(LeaseLost, Transient):
            registry.release(heartbeat.lease, due_at=registry.now(), duty=None)


def not_claimed(world: World, tenant: Tenant) -> TenantctlError:
    """Why a tenant that was made due could not be had: it was set aside, or somebody else has it."""
    parking = world.registry.work_item(tenant.uid).parking
    if parking is not None:
        return Refused(
            f"Tenant {tenant.label} is parked: {parking.because}.",
            hint=f"Take it up again: tenantctl work unpark {tenant.label}",
        )
    return Transient(
        f"Another worker has tenant {tenant.label} just now.", hint="Try again in a minute, or see: tenantctl work list"
    )
