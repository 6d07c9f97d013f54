"""What the contract's tests are made of: an office with a registry and a clock, and rows to put into it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tenantctl.model.backup import Backup, BackupState, Copy, CopyState, RetentionClass, object_name
from tenantctl.model.lifecycle import Event
from tenantctl.model.tenant import Instance, InstanceRole, Tenant, new_uid
from tenantctl.ports.billing import Billing
from tenantctl.ports.decisions import Decisions
from tenantctl.ports.registry import FencedWrites, Lease, NewTenant, Registry

REGION = "europe-west1"
FIVE_MINUTES = timedelta(minutes=5)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EXPLANATION = {"query": "Luik", "candidates": [{"region": REGION, "distance_km": 87.25, "allowed": True}], "no": None}

CLOSING = (Event.DATABASE_READY, Event.CANCELLATION_EFFECTIVE)
DYING = (*CLOSING, Event.FINAL_BACKUP_VERIFIED, Event.GRACE_ENDED, Event.DATABASE_GONE)


@dataclass(frozen=True)
class Office:
    """One registry as two people reach it, and the clock that it goes by."""

    registry: Registry
    colleague: Registry
    advance: Callable[[timedelta], None]
    decisions: Decisions
    colleagues_decisions: Decisions
    billing: Billing

    def tenant(self, name: str = "acme", **changes: Any) -> Tenant:
        """A requested tenant, on an instance that is added if it is missing."""
        self.registry.add_instance(Instance("ew1-a", REGION, InstanceRole.TENANTS, 500))
        return self.registry.request_tenant(new_tenant(name, **changes))

    def lease(self, tenant: Tenant, owner: str = "worker-1") -> Lease:
        """The lease on a tenant that is due."""
        lease = self.registry.claim(owner, lease=FIVE_MINUTES, tenant=tenant.uid)
        assert lease is not None, "the tenant should be due"
        return lease

    def led_to(self, *events: Event, name: str = "acme") -> tuple[Tenant, Lease]:
        """A tenant that was taken along these events, and the lease under which it was."""
        tenant = self.tenant(name)
        lease = self.lease(tenant)
        with self.registry.fenced(lease) as writes:
            for event in events:
                writes.move(event)
        return self.registry.tenant(tenant.uid), lease

    def write(self, lease: Lease, writing: Callable[[FencedWrites], object]) -> None:
        """One write in a transaction of its own."""
        with self.registry.fenced(lease) as writes:
            writing(writes)

    def events(self, uid: str) -> list[str]:
        """The events of a tenant's journal, in order."""
        return [entry.event for entry in self.registry.entries(uid)]


def new_tenant(name: str = "acme", **changes: Any) -> NewTenant:
    """A request for a tenant."""
    values: dict[str, Any] = {
        "uid": new_uid(),
        "name": name,
        "region": REGION,
        "time_zone": "Europe/Brussels",
        "connection_limit": 20,
        "extensions": ("citext", "pg_trgm"),
        "explanation": EXPLANATION,
        "cause": "contract 4711",
        "instructing_party": "sales",
    }
    return NewTenant(**{**values, **changes})


def backup_of(tenant: Tenant, at: datetime, *, slot: str = "2026-11-23", number: int = 1, **changes: Any) -> Backup:
    """A backup that has begun, with two intended copies."""
    identity = f"{tenant.uid}-{number}"
    copies = tuple(copy_of(tenant, identity, region, at) for region in ("europe-west1", "europe-west4"))
    values: dict[str, Any] = {"retention_class": RetentionClass.DAILY, "state": BackupState.BEGUN, "copies": copies}
    return Backup(id=identity, tenant_uid=tenant.uid, slot=slot, begun_at=at, **{**values, **changes})


def copy_of(tenant: Tenant, backup_id: str, region: str, at: datetime) -> Copy:
    """A copy that is intended."""
    return Copy(
        backup_id=backup_id,
        tenant_uid=tenant.uid,
        region=region,
        bucket=f"vault-{region}-daily-35d",
        object_name=object_name(tenant.uid, backup_id),
        state=CopyState.INTENDED,
        intended_at=at,
        lapses_at=at + timedelta(days=35),
        unreadable_after=at + timedelta(days=37),
    )
