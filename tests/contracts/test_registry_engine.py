"""The registry's engine: limits on every wait, and the database's failures in the program's own words."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Never

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from tenantctl.adapters.postgres.registry import PostgresRegistry
from tenantctl.adapters.postgres.registry_engine import (
    POOL_SIZE_MAX,
    SETTINGS,
    answering,
    clock_offset,
    registry_engine,
)
from tenantctl.model.errors import Refused, Transient
from tenantctl.ports.registry import FencedWrites, Lease
from tests.contracts.postgres import ALICE, BOB, OUTSIDER, PostgresCluster, RegistryDatabase, postgres_cluster
from tests.contracts.registry_samples import FIVE_MINUTES, LONG_AGO, Office


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster() as running:
        yield running


@pytest.fixture
def database(cluster: PostgresCluster) -> Iterator[RegistryDatabase]:
    with cluster.registry_database() as registry:
        yield registry


@pytest.fixture
def office(database: RegistryDatabase) -> Office:
    return database.office()


def test_a_connection_is_given_its_limits(database: RegistryDatabase) -> None:
    """Time-outs, search path, time zone and name, on every connection."""
    engine = database.engine(ALICE)
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            found = {name: connection.scalar(text(f"SELECT current_setting('{name}')")) for name in SETTINGS}
            assert found == SETTINGS


def test_nothing_is_connected_before_it_is_needed() -> None:
    """Making an engine cannot fail, nor can closing one that was never used."""

    def connect() -> psycopg.Connection[Any]:
        raise AssertionError("nobody asked")

    PostgresRegistry(registry_engine(connect)).close()


@pytest.mark.parametrize(
    "failure",
    [
        psycopg.OperationalError("connection refused\nIs the server running?"),
        ConnectionRefusedError("connection refused"),
        TimeoutError("connection refused, or so it seems"),
    ],
)
def test_a_registry_that_is_not_there_is_transient(failure: Exception) -> None:
    """One sentence, whatever the call and however the connection failed."""

    def connect() -> Never:
        raise failure

    registry = PostgresRegistry(registry_engine(connect))
    lease = Lease("acme", "w", 1, LONG_AGO)
    for call in (
        registry.now,
        registry.actor,
        lambda: registry.claim("w", lease=FIVE_MINUTES),
        lambda: registry.release(lease, due_at=LONG_AGO, duty=None),
        lambda: registry.fenced(lease).__enter__(),
    ):
        with pytest.raises(Transient, match=r"^The registry does not answer: .*connection refused[^\n]*\.$") as caught:
            call()
        assert caught.value.hint


def test_an_answer_of_whoever_connects_goes_through() -> None:
    """A refusal of the connector's is not taken for weather."""

    def connect() -> Never:
        raise Refused("no such instance")

    with pytest.raises(Refused, match="no such instance"):
        PostgresRegistry(registry_engine(connect)).now()


def test_a_connection_that_died_is_replaced(office: Office, database: RegistryDatabase) -> None:
    """A failover between two calls is not noticed."""
    assert office.registry.actor() == ALICE
    end_sessions(database)
    office.tenant()
    end_sessions(database)
    assert office.registry.find("acme").name == "acme"


def test_a_connection_that_dies_in_a_block_is_transient(office: Office, database: RegistryDatabase) -> None:
    """And nothing of the block is written."""
    tenant = office.tenant()
    lease = office.lease(tenant)

    def die(writes: FencedWrites) -> None:
        writes.journal("lost")
        end_sessions(database)

    with pytest.raises(Transient):
        office.write(lease, die)
    assert office.events(tenant.uid) == ["requested"]
    office.write(lease, lambda writes: writes.journal("again"))
    assert office.events(tenant.uid) == ["requested", "again"]


def end_sessions(database: RegistryDatabase) -> None:
    with database.superuser_session() as session:
        session.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def impatient(database: RegistryDatabase, **settings: str) -> PostgresRegistry:
    """A registry whose sessions have shorter limits."""
    engine = database.engine(BOB)

    def shorten(connection: psycopg.Connection[Any], _record: object) -> None:
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        connection.commit()

    event.listen(engine, "connect", shorten)
    return PostgresRegistry(engine)


def test_a_row_that_stays_locked_is_transient(office: Office, database: RegistryDatabase) -> None:
    """Nobody waits for ever for a worker that was paused in the middle of a block."""
    registry = impatient(database, lock_timeout="20ms")
    tenant = office.tenant()
    with office.registry.fenced(office.lease(tenant)), pytest.raises(Transient, match="lock timeout"):
        registry.make_due(tenant.uid)
    registry.make_due(tenant.uid)


def test_a_worker_that_sleeps_in_a_block_loses_it(office: Office, database: RegistryDatabase) -> None:
    """The database ends its session and gives the row back; what it wrote is undone."""
    registry = impatient(database, idle_in_transaction_session_timeout="20ms")
    tenant = office.tenant()
    lease = office.lease(tenant)

    def sleep(writes: FencedWrites) -> None:
        writes.raise_alarm("asleep", "for too long")
        wait_until_alone(database)

    with pytest.raises(Transient):
        replace(office, registry=registry).write(lease, sleep)
    assert list(office.registry.alarms()) == []
    office.write(lease, lambda writes: writes.journal("awake"))


def wait_until_alone(database: RegistryDatabase) -> None:
    """Waits until no session of the database is in a transaction."""
    pause = threading.Event()
    with database.superuser_session() as session:
        question = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        )
        while session.execute(question).fetchone() != (0,):
            pause.wait(0.01)


def test_more_callers_than_connections_wait_their_turn(office: Office) -> None:
    """Blocks that run at once are many; connections are few."""
    tenants = [office.tenant(f"t{number}") for number in range(POOL_SIZE_MAX * 2)]
    leases = [office.lease(tenant) for tenant in tenants]
    threads = [
        threading.Thread(target=office.write, args=(lease, lambda writes: writes.journal("turn"))) for lease in leases
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(office.events(tenant.uid) == ["requested", "turn"] for tenant in tenants)


def test_an_outsider_is_refused_and_told_what_to_do(database: RegistryDatabase) -> None:
    """A login without membership gets a sentence, not a traceback."""
    registry = database.registry(OUTSIDER)
    with pytest.raises(Refused, match="permission denied") as caught:
        registry.tenants()
    assert "registry_app" in caught.value.hint


def test_a_database_without_a_registry_is_refused(cluster: PostgresCluster) -> None:
    """Before the first migration."""
    engine = registry_engine(lambda: cluster.connect(ALICE, "postgres"))
    registry = PostgresRegistry(engine)
    with pytest.raises(Refused, match="not set up") as caught:
        registry.tenants()
    assert "tenantctl db upgrade" in caught.value.hint
    registry.close()


def test_our_own_mistakes_are_not_taken_for_weather(database: RegistryDatabase) -> None:
    """A statement that cannot be is a bug and goes through as what it is."""
    with database.engine(ALICE).connect() as connection, pytest.raises(DBAPIError), answering():
        connection.execute(text("SELECT 1 / 0"))


def test_a_moved_clock_is_told(database: RegistryDatabase, cluster: PostgresCluster) -> None:
    """Production refuses to start where this is anything but None."""
    engine = registry_engine(lambda: cluster.connect(ALICE, database.name))
    with database.superuser_session() as session:
        session.execute("ALTER ROLE \"alice@example.com\" SET tenantctl.clock_offset = ''")
        assert clock_offset(engine) is None
        engine.dispose()
        session.execute("ALTER ROLE \"alice@example.com\" SET tenantctl.clock_offset = '21 days'")
        assert clock_offset(engine) == "21 days"
        registry = PostgresRegistry(engine)
        plain = session.execute("SELECT statement_timestamp()").fetchone()
        assert plain is not None
        assert registry.now() - plain[0] >= timedelta(days=21)
        session.execute('ALTER ROLE "alice@example.com" RESET tenantctl.clock_offset')
    engine.dispose()
