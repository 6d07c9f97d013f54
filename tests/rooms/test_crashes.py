"""Crash at every call: whenever the process dies, running again finishes the work, and every effect happened once.

A fuse sits in every port. Each phase of a tenant's life is run once to count
the touches, and then once for each touch, killed there; the sweep after it must
come to the same end.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tenantctl.adapters.memory.fuse import Fuse
from tenantctl.model.backup import BackupState, CopyState, ResidueKind
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.tenant import Tenant
from tests.rooms.company import PARTNER, TENANTS_INSTANCE, VERIFY_INSTANCE, Company

EVENTS = {event.value for event in Event}


@dataclass(frozen=True)
class Phase:
    """A piece of life: how to come before it, and where it ends."""

    prepare: Callable[[Company], Tenant]
    ends_in: State


def _arriving(company: Company) -> Tenant:
    return company.request()


def _backing_up(company: Company) -> Tenant:
    tenant = company.create()
    company.advance(days=1)
    return tenant


def _repairing(company: Company) -> Tenant:
    """A night's backup without its second region, which has come back."""
    tenant = company.create()
    company.advance(days=1)
    company.vault.unreachable.add(PARTNER)
    company.keys.unreachable.add(PARTNER)
    company.run()
    company.vault.unreachable.clear()
    company.keys.unreachable.clear()
    company.advance(hours=1)
    return tenant


def _deactivating(company: Company) -> Tenant:
    tenant = company.create()
    company.database(tenant).forced.add("public.orders")
    company.cancel(tenant)
    return tenant


def _reinstating(company: Company) -> Tenant:
    tenant = company.create()
    company.database(tenant).forced.add("public.orders")
    company.cancel(tenant)
    company.run()
    company.reinstate(tenant)
    return tenant


def _destroying(company: Company) -> Tenant:
    tenant = company.deactivated()
    company.advance(days=25)
    return tenant


def _forgetting(company: Company) -> Tenant:
    tenant = company.deactivated()
    company.advance(days=25)
    company.run()
    company.advance(days=350)
    company.run()
    company.advance(days=9)
    return tenant


PHASES = {
    "arrival": Phase(_arriving, State.ACTIVE),
    "backup": Phase(_backing_up, State.ACTIVE),
    "repair": Phase(_repairing, State.ACTIVE),
    "deactivation": Phase(_deactivating, State.DEACTIVATED),
    "reinstatement": Phase(_reinstating, State.ACTIVE),
    "destruction": Phase(_destroying, State.DESTROYED),
    "forgetting": Phase(_forgetting, State.FORGOTTEN),
}


class Counting:
    """The databases, counting the effects that changed something."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.effects: Counter[str] = Counter()

    def __getattr__(self, name: str) -> object:
        inner = getattr(self._company.databases, name)
        if name not in {"drop_database", "drop_roles", "create_database"}:
            return inner

        def counted(hosting, **options):
            server = self._company.servers[TENANTS_INSTANCE]
            before = (set(server.databases), set(server.roles))
            inner(hosting, **options)
            if before != (set(server.databases), set(server.roles)):
                self.effects[name] += 1

        return counted


@pytest.mark.parametrize("name", PHASES)
def test_a_crash_at_any_call_is_finished_by_running_again(name: str) -> None:
    phase = PHASES[name]
    company = Company()
    phase.prepare(company)
    fuse = Fuse()
    company.run(fuse=fuse)
    assert fuse.count > 20
    killed = 0
    for touches in range(fuse.count):
        company = Company()
        tenant = phase.prepare(company)
        counting = Counting(company)
        company.bare_world = replace(company.bare_world, databases=counting)  # type: ignore[arg-type]
        killed += company.run_until_killed(touches)  # a life whose uid has less to do that day may end before
        for _ in range(3):
            company.advance(minutes=10)
            company.run()
        _assert_whole(company, tenant, phase, f"killed after {touches} touches")
        assert all(count == 1 for count in counting.effects.values()), (touches, counting.effects)
    assert killed > fuse.count // 2


def _assert_whole(company: Company, tenant: Tenant, phase: Phase, when: str) -> None:
    """The end state, with every effect once and nothing left behind."""
    now = company.registry.tenant(tenant.uid)
    assert now.state is phase.ends_in, (when, company.registry.alarms(tenant.uid))
    assert company.alarms(tenant) == set(), when
    moves = Counter(event for event in company.events(tenant) if event in EVENTS)
    assert all(count == 1 for count in moves.values()), (when, moves)
    assert company.has_database(tenant) == (phase.ends_in in {State.ACTIVE, State.DEACTIVATED}), when
    assert company.servers[VERIFY_INSTANCE].databases == {}, when
    complete = Counter(b.slot for b in company.registry.backups(tenant.uid) if b.state is BackupState.COMPLETE)
    assert all(count == 1 for count in complete.values()), (when, complete)
    unsettled = [
        residue
        for residue in company.registry.residues(tenant.uid)
        if residue.lapsed_at is None and residue.kind is ResidueKind.SCRATCH
    ]
    assert unsettled == [], when
    _assert_every_object_is_on_record(company, tenant, when)
    assert_evidence_is_finished(company, tenant, when)


def _assert_every_object_is_on_record(company: Company, tenant: Tenant, when: str) -> None:
    """No byte lies in a vault that the residue inventory does not know."""
    residues = {residue.place for residue in company.registry.residues(tenant.uid) if residue.lapsed_at is None}
    for copy in (copy for backup in company.registry.backups(tenant.uid) for copy in backup.copies):
        names = company.vault.names(copy.bucket, tenant.uid)
        there = copy.object_name in getattr(names, "value", ())
        if there:
            assert f"gs://{copy.bucket}/{copy.object_name}" in residues, when
        if copy.state is CopyState.WRITTEN:
            assert there, when


def assert_evidence_is_finished(company: Company, tenant: Tenant, when: str) -> None:
    """Each step that began has ended, as often as it was carried out to its end: the newest word is *done*."""
    newest: dict[tuple[str, str], str] = {}
    for entry in company.registry.entries(tenant.uid):
        if entry.event in {"step-begun", "step-done"}:
            said = json.loads(entry.body)
            newest[said["do"], said["subject"]] = entry.event
    dangling = {step for step, event in newest.items() if event == "step-begun"}
    assert dangling == set(), when
