"""What PostgreSQL itself refuses: evidence is added to, never edited, whoever asks, and promises are not shortened.

Each test acts in SQL, past the program, as a person with a login could.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from tenantctl.adapters.postgres.migrations import upgrade
from tenantctl.adapters.postgres.registry import PostgresRegistry
from tenantctl.adapters.postgres.registry_engine import registry_engine
from tenantctl.model.journal import broken_links
from tenantctl.model.lifecycle import TRANSITIONS, Event
from tenantctl.model.tenant import Instance, InstanceRole, IntentKind
from tenantctl.ports.registry import Registry
from tests.contracts.postgres import (
    ALICE,
    BOB,
    MIGRATOR,
    OUTSIDER,
    PostgresCluster,
    RegistryDatabase,
    postgres_cluster,
)
from tests.contracts.registry_samples import REGION, Office, new_tenant

NOT_ALLOWED = psycopg.errors.InsufficientPrivilege
NOT_POSSIBLE = psycopg.errors.IntegrityConstraintViolation
SUPERUSER = "the superuser"
EDITS = (
    "UPDATE journal SET body = '{}'",
    "UPDATE journal SET actor = 'bob@example.com' WHERE sequence = 1",
    "DELETE FROM journal",
    "DELETE FROM journal WHERE sequence = 2",
    "TRUNCATE journal",
    "UPDATE journal_heads SET sequence = 1",
    "UPDATE journal_heads SET hash = repeat('0', 64)",
    "DELETE FROM journal_heads",
    "TRUNCATE journal_heads",
    "INSERT INTO journal_heads VALUES ('x', 1, '')",
    "UPDATE intents SET cause = 'another'",
    "UPDATE intents SET actor = 'bob@example.com'",
    "DELETE FROM intents",
    "TRUNCATE intents",
    "DELETE FROM tenants",
    "TRUNCATE tenants CASCADE",
)
APPLICATION_MAY_NOT = (
    *EDITS,
    "DELETE FROM backups",
    "DELETE FROM copies",
    "DELETE FROM residues",
    "DELETE FROM placements",
    "DELETE FROM alarms",
    "DELETE FROM instances",
    "UPDATE tenants SET uid = 'abc'",
    "UPDATE tenants SET created_at = now()",
    "UPDATE instances SET region = 'elsewhere'",
    "INSERT INTO transitions VALUES ('active', 'forgotten')",
    "ALTER TABLE journal DISABLE TRIGGER ALL",
    "DROP TABLE journal",
    "DROP TRIGGER journal_seal ON journal",
    "CREATE TABLE registry.mine (a int)",
    "SET ROLE registry_owner",
    "SET SESSION AUTHORIZATION 'bob@example.com'",
    "UPDATE clock SET movable = true",
    "UPDATE alembic_version SET version_num = '0'",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster() as running:
        yield running


@dataclass(frozen=True)
class Archive:
    """A registry with one tenant of uid `acme`, closed for three weeks from now, whose journal has three entries."""

    office: Office
    database: RegistryDatabase

    @property
    def registry(self) -> Registry:
        return self.office.registry

    def session(self, login: str) -> psycopg.Connection[Any]:
        return self.database.superuser_session() if login == SUPERUSER else self.database.session(login)

    def is_unbroken(self) -> bool:
        return list(broken_links(self.registry.entries("acme"), self.registry.head("acme"))) == []


@contextmanager
def archive_in(cluster: PostgresCluster) -> Iterator[Archive]:
    with cluster.registry_database() as database:
        office = database.office()
        tenant = office.tenant("acme", uid="acme")
        with office.registry.fenced(office.lease(tenant)) as writes:
            writes.move(Event.DATABASE_READY)
            writes.move(Event.CANCELLATION_EFFECTIVE)
            writes.record_closing(writes.now, writes.now + timedelta(days=21))
        yield Archive(office, database)


@pytest.fixture(scope="module")
def sealed(cluster: PostgresCluster) -> Iterator[Archive]:
    """For tests after which everything is as it was."""
    with archive_in(cluster) as archive:
        yield archive


@pytest.fixture
def archive(cluster: PostgresCluster) -> Iterator[Archive]:
    """For tests that write."""
    with archive_in(cluster) as own:
        yield own


@pytest.mark.parametrize("statement", APPLICATION_MAY_NOT)
def test_the_application_may_not(sealed: Archive, statement: str) -> None:
    """A member of registry_app is refused by privilege, before any trigger is asked."""
    with sealed.session(ALICE) as session, pytest.raises(NOT_ALLOWED):
        session.execute(statement)
    assert len(sealed.registry.entries("acme")) == 3
    assert sealed.is_unbroken()


@pytest.mark.parametrize("login", [MIGRATOR, SUPERUSER])
@pytest.mark.parametrize("statement", EDITS)
def test_not_even_the_owner_edits_evidence(sealed: Archive, login: str, statement: str) -> None:
    """Who owns the tables, or is a superuser, is refused by the triggers."""
    with sealed.session(login) as session, pytest.raises(NOT_POSSIBLE):
        session.execute(statement)
    assert len(sealed.registry.entries("acme")) == 3
    assert sealed.is_unbroken()


@pytest.mark.parametrize("column", ["actor", "at", "hash", "previous", "sequence"])
def test_nobody_says_who_wrote_an_entry_or_when(archive: Archive, column: str) -> None:
    """The application cannot give these columns; what the owner gives is overwritten."""
    value: Any = {"at": "1999-01-01", "sequence": 77}.get(column, "forged")
    statement = (
        f"INSERT INTO journal (tenant_uid, event, plan_digest, body, {column}) VALUES ('acme', 'e', '', '{{}}', %s)"
    )
    with archive.session(ALICE) as session, pytest.raises(NOT_ALLOWED):
        session.execute(statement, [value])
    with archive.session(MIGRATOR) as session:
        session.execute(statement, [value])
    entry = archive.registry.entries("acme")[-1]
    assert (entry.sequence, entry.actor) == (4, MIGRATOR)
    assert entry.at > archive.registry.tenant("acme").created_at
    assert archive.is_unbroken()


def test_the_actor_is_the_session_user(archive: Archive) -> None:
    """Neither a role that was taken on, nor the function's owner, but the login that came in."""
    with archive.session(BOB) as session:
        session.execute("SET ROLE registry_app")
        session.execute("INSERT INTO journal (tenant_uid, event, plan_digest, body) VALUES ('acme', 'e', '', '{}')")
    assert archive.registry.entries("acme")[-1].actor == BOB
    assert (archive.registry.actor(), archive.office.colleague.actor()) == (ALICE, BOB)


def test_entries_past_the_program_wait_their_turn(archive: Archive) -> None:
    """Whoever inserts at once, holding no row of the tenant's, still makes one chain."""
    threads, turns = 4, 25

    def insert(number: int) -> None:
        with archive.session((ALICE, BOB)[number % 2]) as session:
            for turn in range(turns):
                session.execute(
                    "INSERT INTO journal (tenant_uid, event, plan_digest, body) VALUES ('acme', 'e', '', %s)",
                    [f'{{"number":{number},"turn":{turn}}}'],
                )

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(insert, range(threads)))
    assert len(archive.registry.entries("acme")) == 3 + threads * turns
    assert archive.is_unbroken()


@pytest.mark.parametrize("column", ["actor", "requested_at"])
def test_nobody_says_who_made_a_request_or_when(sealed: Archive, column: str) -> None:
    """The database writes both."""
    values = "'acme', 9, 'cancel', 'c', 'p', now(), now()"
    with sealed.session(ALICE) as session, pytest.raises(NOT_ALLOWED):
        session.execute(
            f"INSERT INTO intents (tenant_uid, id, kind, cause, instructing_party, effective_at, {column})"
            f" VALUES ({values})"
        )
    assert [intent.actor for intent in sealed.registry.intents("acme")] == [ALICE]


def test_only_a_local_registry_lets_a_session_move_its_clock(cluster: PostgresCluster) -> None:
    """Anyone can change a setting of one's own session; in production that earns no evidence with a false date."""
    cluster.create_database("production")

    def connect(login: str, offset: str) -> psycopg.Connection[Any]:
        session = cluster.connect(login, "production")
        session.execute("SELECT set_config('tenantctl.clock_offset', %s, false)", [offset])
        session.commit()
        return session

    migrating = registry_engine(lambda: connect(MIGRATOR, ""))
    upgrade(migrating)
    migrating.dispose()
    true, false = (PostgresRegistry(registry_engine(partial(connect, ALICE, offset))) for offset in ("", "-1 year"))
    for registry in (true, false):
        registry.add_instance(Instance("ew1-a", REGION, InstanceRole.TENANTS, 500))
    with pytest.raises(DBAPIError, match="moved its clock"):
        false.request_tenant(new_tenant())
    tenant = true.request_tenant(new_tenant())
    with pytest.raises(DBAPIError, match="moved its clock"):
        false.record_intent(tenant, IntentKind.CANCEL, cause="c", instructing_party="p", effective_at=None)
    assert [intent.kind for intent in true.intents(tenant.uid)] == [IntentKind.CREATE]
    for registry in (true, false):
        registry.close()


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE journal SET body = '{\"n\":1}' WHERE sequence = 2", "its content was changed"),
        ("UPDATE journal SET at = at - interval '1 day' WHERE sequence = 2", "its content was changed"),
        ("UPDATE journal SET actor = 'bob@example.com' WHERE sequence = 1", "its content was changed"),
        ("UPDATE journal SET plan_digest = 'other' WHERE sequence = 3", "its content was changed"),
        ("DELETE FROM journal WHERE sequence = 2", "entry 2 should stand here"),
        ("DELETE FROM journal WHERE sequence = 3", "its head says 3"),
        ("DELETE FROM journal", "its head says 3"),
        ("DELETE FROM journal_heads", "the head of its chain is missing"),
    ],
)
def test_a_superuser_who_goes_past_the_triggers_is_found_out(archive: Archive, tampering: str, found: str) -> None:
    """What cannot be prevented is seen by whoever verifies the chain."""
    assert archive.is_unbroken()
    with archive.session(SUPERUSER) as session:
        session.execute("SET session_replication_role = replica")
        assert session.execute(tampering).rowcount > 0
    assert archive.registry.chains() == ["acme"]
    sentences = list(broken_links(archive.registry.entries("acme"), archive.registry.head("acme")))
    assert any(found in sentence for sentence in sentences)


@pytest.mark.parametrize("login", [ALICE, MIGRATOR, SUPERUSER])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenants SET destroy_after = destroy_after - interval '1 microsecond'",
        "UPDATE tenants SET destroy_after = NULL, logins_closed_at = NULL",
        "UPDATE tenants SET state = 'destroyed', destroyed_at = now()",
        "UPDATE tenants SET state = 'forgotten'",
        "UPDATE tenants SET lease_epoch = 0",
        "UPDATE tenants SET intent_id = 0",
        "UPDATE tenants SET generation = 0",
    ],
)
def test_no_update_shortens_a_promise(sealed: Archive, login: str, statement: str) -> None:
    """Grace is not shortened, no state is left out, and what counts does not count backwards."""
    before = sealed.registry.tenant("acme")
    with sealed.session(login) as session, pytest.raises((NOT_POSSIBLE, psycopg.errors.CheckViolation)):
        session.execute(statement)
    assert sealed.registry.tenant("acme") == before


def test_what_may_be_updated_is(archive: Archive) -> None:
    """The refusals above are not because of something else."""
    with archive.session(ALICE) as session:
        session.execute("UPDATE tenants SET destroy_after = destroy_after + interval '1 day'")
        session.execute("UPDATE tenants SET logins_closed_at = NULL")  # a closing that did not last keeps its grace
        session.execute("UPDATE tenants SET state = 'deactivated'")
        session.execute("UPDATE tenants SET state = 'active', destroy_after = NULL, logins_closed_at = NULL")
    assert archive.registry.tenant("acme").destroy_after is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenants SET destroy_after = NULL",
        "UPDATE tenants SET state = 'sleeping'",
        "UPDATE tenants SET wanted = ''",
        "UPDATE tenants SET name = NULL",
        "UPDATE tenants SET due_duty = 'cook'",
        "UPDATE tenants SET lease_owner = NULL",
        "INSERT INTO journal (tenant_uid, event, plan_digest, body) VALUES ('acme', 'e', '', 'no JSON')",
        "INSERT INTO journal (tenant_uid, event, plan_digest, body) VALUES ('acme', '', '', '{}')",
        "INSERT INTO journal (tenant_uid, event, plan_digest, body) VALUES ('acme', 'a' || chr(31), '', '{}')",
        "INSERT INTO journal (tenant_uid, event, plan_digest, body) VALUES ('nobody', 'e', '', '{}')",
    ],
)
def test_what_cannot_be_is_not_written(sealed: Archive, statement: str) -> None:
    """States that nobody knows, half a closing, an entry that is no JSON or of nobody."""
    with sealed.session(ALICE) as session, pytest.raises(psycopg.errors.IntegrityError):
        session.execute(statement)
    assert sealed.is_unbroken()


def test_a_line_that_lapsed_is_not_brought_back(archive: Archive) -> None:
    """Nor is its proof replaced."""
    with archive.session(ALICE) as session:
        session.execute("UPDATE residues SET lapsed_at = now(), proof = 'seen'")
        for statement in ("UPDATE residues SET lapsed_at = NULL", "UPDATE residues SET proof = 'other'"):
            with pytest.raises(NOT_POSSIBLE):
                session.execute(statement)
    assert archive.registry.residues("acme")[0].proof == "seen"


def test_the_database_knows_the_models_transitions(sealed: Archive) -> None:
    """All of them, and no other."""
    with sealed.session(ALICE) as session:
        known = session.execute("SELECT source, target FROM transitions").fetchall()
    assert sorted(known) == sorted({(row.source.value, row.target.value) for row in TRANSITIONS})


def test_who_was_granted_nothing_sees_nothing(sealed: Archive) -> None:
    """A login of the instance is no login of the registry."""
    assert sealed.registry.chains() == ["acme"]
    with sealed.session(OUTSIDER) as session:
        for table in ("tenants", "journal", "intents", "placements"):
            with pytest.raises(NOT_ALLOWED):
                session.execute(f"SELECT * FROM registry.{table}")
