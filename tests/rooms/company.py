"""A whole company in memory: its clock, its world, and what a test does to them.

The rooms' real planning, steps and engine run on it; only the outside is fake,
and each fake passes the same contract suite as the adapter that it stands for.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import pytest

from tenantctl.adapters.memory.billing import MemoryBilling
from tenantctl.adapters.memory.databases import MemoryDatabase, MemoryDatabases, MemoryInstances, MemoryScratch
from tenantctl.adapters.memory.decisions import MemoryDecisions
from tenantctl.adapters.memory.fuse import Crash, Fuse, fused
from tenantctl.adapters.memory.instances import MemoryInstances as MemoryAdminApi
from tenantctl.adapters.memory.keys import MemoryKeys, MemoryKeyStore
from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.adapters.memory.replication import MemoryReplication
from tenantctl.adapters.memory.vault import MemoryVault
from tenantctl.bootstrap import jurisdictions, policies
from tenantctl.engine.worker import Turn
from tenantctl.model.anchor import anchor_bucket_name
from tenantctl.model.backup import RetentionClass, bucket_name
from tenantctl.model.journal import broken_links
from tenantctl.model.policy import Policies
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting, Instance, InstanceRole, Tenant
from tenantctl.offboarding.request import request_cancellation, request_reinstatement
from tenantctl.ports.vault import BucketSeen
from tenantctl.ports.world import AssembledWorld
from tenantctl.sweeps.tenants import sweep
from tests.asking import ask_for_tenant

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOME, PARTNER = "us-south1", "us-central1"
TENANTS_INSTANCE, VERIFY_INSTANCE = "tenants-1", "verify-1"


@dataclass
class Company:
    """Everything a test needs; `world` is what the program sees."""

    moment: datetime = START
    wrapped: Callable[[AssembledWorld], AssembledWorld] = field(default=lambda world: world)
    policies: Policies = field(default_factory=policies)

    def __post_init__(self) -> None:
        self.registry = MemoryRegistry(self.clock)
        self.decisions = MemoryDecisions(self.registry)
        self.billing = MemoryBilling(self.registry)
        self.servers = MemoryInstances()
        self.databases = MemoryDatabases(self.servers)
        self.replication = MemoryReplication(self.servers)
        self.scratch = MemoryScratch(self.servers)
        self.vault = MemoryVault(self.clock)
        self.keys = MemoryKeys((HOME, PARTNER))
        self.key_store = MemoryKeyStore((HOME, PARTNER), self.clock)
        self.admin_api = MemoryAdminApi()
        for name, role in ((TENANTS_INSTANCE, InstanceRole.TENANTS), (VERIFY_INSTANCE, InstanceRole.VERIFY)):
            self.registry.add_instance(Instance(name, HOME, role, 400))
            self.admin_api.add(name, HOME)
        for region in (HOME, PARTNER):
            for retention_class, term in policies().backups.classes.items():
                name = bucket_name("acme", region, retention_class, term.age_days)
                self.vault.make_bucket(name, BucketSeen.locked_for(region, term))
        anchors = policies().anchors
        for region in anchors.regions:
            name = anchor_bucket_name("acme", region, anchors.age_days)
            self.vault.make_bucket(name, BucketSeen.locked_for(region, anchors.term))

    def clock(self) -> datetime:
        """The one clock."""
        return self.moment

    @cached_property
    def bare_world(self) -> AssembledWorld:
        """The world without anything in between."""
        return AssembledWorld(
            registry=self.registry,
            decisions=self.decisions,
            subscriptions=self.billing,
            databases=self.databases,
            replication=self.replication,
            scratch=self.scratch,
            vault=self.vault,
            keys=self.keys,
            key_store=self.key_store,
            instances=self.admin_api,
            policies=policies(),
            bucket_prefix="acme",
            jurisdictions=jurisdictions(policies().regions),
        )

    @property
    def world(self) -> AssembledWorld:
        """The world as the program is given it."""
        return self.wrapped(replace(self.bare_world, policies=self.policies))

    def colleagues_decisions(self, actor: str) -> MemoryDecisions:
        """The decisions as somebody else makes them."""
        return MemoryDecisions(self.registry.as_actor(actor))

    def key_names(self) -> list[str]:
        """The names of all keys that are kept, in whichever region."""
        seen = (self.key_store.names(region, "") for region in (HOME, PARTNER))
        return [name for sight in seen if isinstance(sight, Present) for name in sight.value]

    def advance(self, **duration: float) -> None:
        """Moves the clock, and lets the buckets' lifecycle act."""
        self.moment += timedelta(**duration)
        self.vault.expire()

    def run(self, *, fuse: Fuse | None = None) -> list[Turn]:
        """One sweep; with a fuse, one that may die anywhere."""
        return list(sweep(self.world if fuse is None else fused_world(self.bare_world, fuse)))

    def run_until_killed(self, touches: int) -> bool:
        """One sweep that is killed after so many touches of the world; whether it was."""
        fuse = Fuse(touches)
        with suppress(Crash):
            self.run(fuse=fuse)
        return fuse.blown

    def create(self, name: str = "acme", *, rows: Sequence[str] = ("one", "two"), **options: object) -> Tenant:
        """A living tenant with some data; not backed up yet."""
        tenant = self.request(name, **options)
        self.run()
        self.database(tenant).tables["public.orders"] = list(rows)
        return self.registry.tenant(tenant.uid)

    def request(self, name: str = "acme", **options: object) -> Tenant:
        """A tenant that is only asked for."""
        return ask_for_tenant(self.world, name, **options)

    def cancel(self, tenant: Tenant, *, effective_at: datetime | None = None) -> None:
        """Asks for a cancellation."""
        now = self.registry.tenant(tenant.uid)
        request_cancellation(self.world, now, cause="test", instructing_party="customer", effective_at=effective_at)

    def reinstate(self, tenant: Tenant) -> None:
        """Asks for a reinstatement."""
        now = self.registry.tenant(tenant.uid)
        request_reinstatement(self.world, now, cause="test", instructing_party="customer")

    def deactivated(self, name: str = "acme") -> Tenant:
        """A tenant in grace."""
        tenant = self.create(name)
        self.cancel(tenant)
        self.run()
        return self.registry.tenant(tenant.uid)

    def database(self, tenant: Tenant) -> MemoryDatabase:
        """The tenant's database as it lies on its instance."""
        return self.servers[tenant.hosting.instance].databases[tenant.hosting.database]

    def can_log_in(self, hosting: Hosting) -> bool:
        """Whether the customer may log in there."""
        seen = self.databases.look_at_logins(hosting)
        return isinstance(seen, Present) and seen.value.can_log_in

    def has_database(self, tenant: Tenant) -> bool:
        """Whether the instance has it."""
        return tenant.hosting.database in self.servers[tenant.hosting.instance].databases

    def events(self, tenant: Tenant) -> list[str]:
        """The journal's events, after its chain was found whole."""
        entries = self.registry.entries(tenant.uid)
        assert list(broken_links(entries, self.registry.head(tenant.uid))) == []
        return [entry.event for entry in entries]

    def alarms(self, tenant: Tenant) -> set[str]:
        """The codes of the open alarms."""
        return {alarm.code for alarm in self.registry.alarms(tenant.uid)}

    def final_buckets(self) -> list[str]:
        """The names of the buckets of final backups."""
        age = policies().backups.classes[RetentionClass.FINAL].age_days
        return [bucket_name("acme", region, RetentionClass.FINAL, age) for region in (HOME, PARTNER)]


def company_at_a_shell(monkeypatch: pytest.MonkeyPatch) -> Company:
    """A company that the command line works on too, in this process."""
    made = Company()

    @contextmanager
    def opened_world(*, looks_only: bool = False) -> Iterator[AssembledWorld]:
        yield made.world

    monkeypatch.setattr("tenantctl.bootstrap.opened_world", opened_world)
    monkeypatch.setattr("tenantctl.entrypoints.cli.waiting.PAUSE_SECONDS", 0)
    return made


def fused_world(world: AssembledWorld, fuse: Fuse) -> AssembledWorld:
    """The world with one fuse in all its ports."""
    return replace(
        world,
        registry=fused(world.registry, fuse),
        decisions=fused(world.decisions, fuse),
        subscriptions=fused(world.subscriptions, fuse),
        databases=fused(world.databases, fuse),
        replication=fused(world.replication, fuse),
        scratch=fused(world.scratch, fuse),
        vault=fused(world.vault, fuse),
        keys=fused(world.keys, fuse),
        key_store=fused(world.key_store, fuse),
        instances=fused(world.instances, fuse),
    )
