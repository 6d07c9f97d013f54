"""What must be true when the storm is over, as the registry and its journal tell it."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from tenantctl.engine.executor import DONE
from tenantctl.model.backup import BackupState
from tenantctl.model.journal import broken_links
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.plan import Do
from tenantctl.model.tenant import Tenant, Wanted
from tenantctl.ports.registry import Registry

# What happens once in a life that has one beginning and one end, whoever is killed over it.
ONCE = frozenset(
    {
        *(Do.CREATE_ROLES, Do.CREATE_DATABASE, Do.PREPARE_DATABASE, Do.MARK_ACTIVE),
        *(Do.MARK_DESTROYING, Do.DROP_DATABASE, Do.DROP_ROLES, Do.MARK_DESTROYED),
    }
)
TRANSITIONS = frozenset(event.value for event in Event)


def is_settled(registry: Registry, tenant: Tenant) -> bool:
    """Whether a tenant is where its newest intent wants it, as far as the time goes."""
    if tenant.wanted is Wanted.LIVING:
        return tenant.state is State.ACTIVE and any(
            one.state is BackupState.COMPLETE for one in registry.backups(tenant.uid)
        )
    return tenant.state is (State.DESTROYED if _is_over(registry, tenant) else State.DEACTIVATED)


def faults(registry: Registry, tenants: Sequence[Tenant]) -> Iterator[str]:
    """Whatever is not as it must be, in a sentence each."""
    for before in tenants:
        tenant = registry.tenant(before.uid)
        if not is_settled(registry, tenant):
            yield f"{tenant.label} is {tenant.state}, and is wanted {tenant.wanted}: {_last_known(registry, tenant)}"
        entries = registry.entries(tenant.uid)
        if broken := list(broken_links(entries, registry.head(tenant.uid))):
            yield f"the journal of {tenant.label} is broken: {broken}"
        told = [json.loads(entry.body) for entry in entries if entry.event == DONE]
        done = Counter((body["do"], body["subject"]) for body in told if body["do"] in ONCE)
        yield from (f"{tenant.label}: {do} {subject} was done {n} times" for (do, subject), n in done.items() if n > 1)
        moved = Counter(entry.event for entry in entries if entry.event in TRANSITIONS)
        yield from (f"{tenant.label}: {event} came {n} times" for event, n in moved.items() if n > 1)
        slots = Counter(one.slot for one in registry.backups(tenant.uid) if one.state is BackupState.COMPLETE)
        yield from (f"{tenant.label} has {n} backups of {slot}" for slot, n in slots.items() if n > 1)


def _last_known(registry: Registry, tenant: Tenant) -> str:
    """What is alarmed about a tenant, and how its journal ends."""
    alarms = [f"{alarm.code} ({alarm.reason})" for alarm in registry.alarms(tenant.uid)]
    return "; ".join(
        [*alarms, *(f"{entry.at} {entry.event} {entry.body}" for entry in registry.entries(tenant.uid)[-3:])]
    )


def _is_over(registry: Registry, tenant: Tenant) -> bool:
    return tenant.state is State.DESTROYED or (
        tenant.destroy_after is not None and tenant.destroy_after <= registry.now()
    )
