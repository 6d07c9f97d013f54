"""The simulated world: two instances, three regions with their vaults and keys, an instance for restores, one clock.

The program is given a world of ports that knows nothing of being simulated. The clock goes on by a few milliseconds
whenever the registry reads it, as a real one does; the machine's own clock shows another year all the while, so that
whatever reads it is found out.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from tenantctl.adapters.memory.billing import MemoryBilling
from tenantctl.adapters.memory.databases import MemoryInstances, MemoryScratch
from tenantctl.adapters.memory.decisions import MemoryDecisions
from tenantctl.adapters.memory.fuse import Crash
from tenantctl.adapters.memory.instances import MemoryInstances as MemoryAdminApi
from tenantctl.adapters.memory.replication import MemoryReplication
from tenantctl.bootstrap import catalogue, policies
from tenantctl.engine.worker import Turn, Worker
from tenantctl.model.anchor import anchor_bucket_name
from tenantctl.model.backup import RetentionClass, bucket_name
from tenantctl.model.errors import TenantctlError
from tenantctl.model.policy import Policies, Term
from tenantctl.model.tenant import Instance, InstanceRole, Tenant
from tenantctl.ports.vault import BucketSeen
from tenantctl.ports.world import AssembledWorld
from tenantctl.sweeps.observe import observe_and_plan
from tenantctl.sweeps.tenants import ACTIONS
from tests.simulation.faults import Fault, Trouble, troubled
from tests.simulation.stand_ins import Chance, PlainKeys
from tests.simulation.truth import Happening, Truth
from tests.simulation.witnessed import WitnessedDatabases, WitnessedKeyStore, WitnessedRegistry, WitnessedVault

START: Final = datetime(2027, 1, 1, 9, tzinfo=UTC)
REGIONS: Final = ("us-south1", "us-central1", "us-east5")
HOME: Final = REGIONS[0]
INSTANCES: Final = {
    "tenants-1": InstanceRole.TENANTS,
    "tenants-2": InstanceRole.TENANTS,
    "verify-1": InstanceRole.VERIFY,
}
TICK: Final = timedelta(milliseconds=7)
TURNS_AT_ONCE_MAX: Final = 40


class Town:
    """One world, its truth, and what acts need to change it.

    Args:
        seed: what everything that the program draws at random is derived from.
        tell: who is told of each happening.
        promises: the policies to begin with.
    """

    def __init__(self, seed: str, tell: Callable[["Town", Happening], None], promises: Policies) -> None:
        self.seed, self.moment, self.policies = seed, START, promises
        self.chance, self.truth = Chance(), Truth()
        self.faults: dict[str, list[Fault]] = {}
        self.injected, self.steps, self.turns = 0, 0, 0
        self.households: dict[int, str] = {}  # the id of the act that asked for a tenant → its uid
        self.workers_rest_until = START
        self._later: list[tuple[datetime, Callable[[], None]]] = []

        def told(happening: Happening) -> None:
            tell(self, happening)

        self.registry = WitnessedRegistry(self.clock, self.truth, told)
        self.decisions = MemoryDecisions(self.registry)
        self.servers = MemoryInstances()
        self.databases = WitnessedDatabases(self.servers, self.truth, told, lambda: self.moment)
        self.scratch = MemoryScratch(self.servers)
        self.vault = WitnessedVault(lambda: self.moment, self.truth, told)
        self.keys = PlainKeys(REGIONS)
        self.key_store = WitnessedKeyStore(REGIONS, lambda: self.moment, self.truth, told)
        self.admin_api = MemoryAdminApi()
        for name, role in INSTANCES.items():
            self.registry.add_instance(Instance(name, HOME, role, 400))
            self.admin_api.add(name, HOME)
        self.make_buckets(promises.backups.classes)
        anchors = promises.anchors
        for region in anchors.regions:
            name = anchor_bucket_name("acme", region, anchors.age_days)
            self.vault.make_bucket(name, BucketSeen.locked_for(region, anchors.term))
        self._jurisdictions = {region.id: region.jurisdiction for region in catalogue().regions}
        self._world = self._assembled()

    def clock(self) -> datetime:
        """The registry's clock: no two readings are the same."""
        self.moment += TICK
        return self.moment

    @property
    def world(self) -> AssembledWorld:
        """What the program is given."""
        if self._world.policies is not self.policies:
            self._world = self._assembled()
        return self._world

    def make_buckets(self, terms: Mapping[RetentionClass, Term]) -> None:
        """What Terraform makes for these terms; buckets that exist already stay as they are."""
        for region in REGIONS:
            for retention_class, term in terms.items():
                name = bucket_name("acme", region, retention_class, term.age_days)
                self.vault.make_bucket(name, BucketSeen.locked_for(region, term))

    def tenant_of(self, household: int) -> Tenant | None:
        """The tenant that an act is about; None if its request was refused, or is no part of this script."""
        uid = self.households.get(household)
        return None if uid is None else self.registry.tenant(uid)

    def asked(self, request: Callable[[], object]) -> None:
        """Makes a request as a person or another program does: a refusal is an answer."""
        with suppress(TenantctlError):
            request()

    def work(self, uid: str, owner: str = "worker") -> Turn | None:
        """One turn for one tenant that is due, under whatever faults wait for it; None if it died or nothing is due."""
        self.turns += 1
        self.chance.begin(self.seed, uid, owner, self.moment.isoformat())
        waiting = [fault for fault in self.faults.get(uid, ()) if not fault.happened]
        world = troubled(self.world, Trouble(waiting)) if waiting else self.world
        outer, renewed_at, turn = self.truth.turn, self.truth.renewed_at, None
        try:
            turn = next(Worker(world, observe_and_plan, ACTIONS, owner, None, uid).turns(), None)
        except (Crash, TenantctlError):
            pass  # dead, or the registry did not answer: whoever is next finds what is left
        finally:
            self.truth.turn, self.truth.renewed_at = outer, renewed_at
        if waiting:
            self.injected += sum(fault.happened for fault in waiting)
            self.faults[uid] = [fault for fault in waiting if not fault.happened]
        if turn is not None:
            self.steps += len(turn.steps)
        return turn

    def later(self, after: timedelta, what: Callable[[], None]) -> None:
        """Has something happen by itself, such as the end of an outage."""
        self._later.append((self.moment + after, what))
        self._later.sort(key=lambda pair: pair[0])

    def next_later(self) -> datetime | None:
        """When the next of these is due."""
        return self._later[0][0] if self._later else None

    def do_later(self) -> None:
        """Does what is due first."""
        self._later.pop(0)[1]()

    def works_between(self, uid: str, pause: timedelta) -> None:
        """While a worker sleeps in the middle of its turn: time passes, and others do the tenant's work."""
        set_aside, self.faults[uid] = self.faults.get(uid, []), []
        self.moment += pause
        for number in range(TURNS_AT_ONCE_MAX):
            if self.work(uid, f"other-{number}") is None:
                break
        self.faults[uid] = set_aside

    def _assembled(self) -> AssembledWorld:
        return AssembledWorld(
            registry=self.registry,
            decisions=self.decisions,
            subscriptions=MemoryBilling(self.registry),
            databases=self.databases,
            replication=MemoryReplication(self.servers),
            scratch=self.scratch,
            vault=self.vault,
            keys=self.keys,
            key_store=self.key_store,
            instances=self.admin_api,
            policies=self.policies,
            bucket_prefix="acme",
            jurisdictions=self._jurisdictions,
        )


def nightly() -> Policies:
    """The policies of the repository."""
    return policies()


def monthly() -> Policies:
    """The same, with looks as rare and terms as long as monthly backups need: for lives by the hundred thousand."""
    told = policies()
    lifecycle = replace(told.lifecycle, copies_seen_within_hours=30 * 24, keep_closed_every_hours=7 * 24)
    long = dict.fromkeys(told.backups.classes, told.backups.classes[RetentionClass.MONTHLY])
    backups = replace(told.backups, rpo_hours=32 * 24, look_at_copies_every_hours=30 * 24, classes=long)
    return replace(told, lifecycle=lifecycle, backups=backups)
