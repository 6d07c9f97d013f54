"""The registry's contract, on every registry there is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tenantctl.adapters.memory.billing import MemoryBilling
from tenantctl.adapters.memory.decisions import MemoryDecisions
from tenantctl.adapters.memory.registry import MemoryRegistry
from tests.contracts.anchors_contract import AnchorsContract
from tests.contracts.audits_contract import AuditsContract
from tests.contracts.billing_contract import BillingContract
from tests.contracts.decisions_contract import DecisionsContract
from tests.contracts.postgres import PostgresCluster, postgres_cluster
from tests.contracts.registry_capacity_contract import CapacityContract
from tests.contracts.registry_contract import RegistryContract
from tests.contracts.registry_fleet_contract import FleetContract
from tests.contracts.registry_moves_contract import MovesContract
from tests.contracts.registry_quiet_contract import QuietContract
from tests.contracts.registry_restores_contract import RestoresContract
from tests.contracts.registry_samples import Office
from tests.contracts.registry_work_contract import WorkContract
from tests.contracts.registry_writes_contract import WritesContract


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    """One cluster for all tests of this file."""
    with postgres_cluster() as running:
        yield running


class TestInMemory(
    RegistryContract,
    AnchorsContract,
    AuditsContract,
    WritesContract,
    WorkContract,
    FleetContract,
    QuietContract,
    RestoresContract,
    CapacityContract,
    MovesContract,
    DecisionsContract,
    BillingContract,
):
    """The registry that the rooms' tests use."""

    @pytest.fixture
    def office(self) -> Office:
        """A registry of its own, whose clock goes on by itself as a real one does."""
        offset = timedelta(0)

        def advance(duration: timedelta) -> None:
            nonlocal offset
            offset += duration

        registry = MemoryRegistry(lambda: datetime.now(UTC) + offset, "alice@example.com")
        colleague = registry.as_actor("bob@example.com")
        decisions = MemoryDecisions(registry), MemoryDecisions(colleague)
        return Office(registry, colleague, advance, *decisions, MemoryBilling(registry))


class TestOnPostgres(
    RegistryContract,
    AnchorsContract,
    AuditsContract,
    WritesContract,
    WorkContract,
    FleetContract,
    QuietContract,
    RestoresContract,
    CapacityContract,
    MovesContract,
    DecisionsContract,
    BillingContract,
):
    """The registry that everything else uses, reached by logins that are members of registry_app and no more."""

    @pytest.fixture
    def office(self, cluster: PostgresCluster) -> Iterator[Office]:
        """A registry in a database of its own."""
        with cluster.registry_database() as database:

            def advance(duration: timedelta) -> None:
                database.offset += duration

            yield database.office(advance)
