"""The registry's migrations: from nothing, without a superuser, and the same tables as the program writes against."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy import Engine, create_engine, text

from tenantctl.adapters.postgres import schema
from tenantctl.adapters.postgres.migrations import current, grant_app, head, upgrade
from tenantctl.adapters.postgres.registry import PostgresRegistry
from tenantctl.adapters.postgres.registry_engine import registry_engine
from tenantctl.model.backup import BackupState, CopyState, ResidueKind, RetentionClass, VerificationLevel
from tenantctl.model.decisions import Act, ProposalKind
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Duty
from tenantctl.model.tenant import InstanceRole, InstanceState, IntentKind, Wanted
from tests.contracts.postgres import ALICE, BOB, MIGRATOR, OUTSIDER, TEMPLATE, PostgresCluster, postgres_cluster

ENUMERATIONS: dict[str, type[StrEnum]] = {
    "tenants_state": State,
    "tenants_wanted": Wanted,
    "tenants_due_duty": Duty,
    "instances_role": InstanceRole,
    "instances_state": InstanceState,
    "intents_kind": IntentKind,
    "backups_retention_class": RetentionClass,
    "backups_state": BackupState,
    "backups_verified_level": VerificationLevel,
    "copies_state": CopyState,
    "residues_kind": ResidueKind,
    "proposals_kind": ProposalKind,
    "acts_act": Act,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster(members=[ALICE]) as running:
        yield running


def engine_of(cluster: PostgresCluster, login: str, database: str) -> Engine:
    return registry_engine(lambda: cluster.connect(login, database))


@pytest.fixture
def empty(cluster: PostgresCluster) -> Iterator[str]:
    """A database in which nothing was ever migrated."""
    cluster.create_database("empty")
    yield "empty"
    with cluster.superuser() as session:
        session.execute("DROP DATABASE empty WITH (FORCE)")


@pytest.fixture
def migrated(cluster: PostgresCluster) -> Iterator[Engine]:
    engine = engine_of(cluster, MIGRATOR, TEMPLATE)
    yield engine
    engine.dispose()


def test_an_empty_database_is_at_no_revision(cluster: PostgresCluster, empty: str) -> None:
    """Then at the newest; again is a no-op."""
    engine = engine_of(cluster, MIGRATOR, empty)
    assert current(engine) is None
    for _ in range(2):
        upgrade(engine)
        assert current(engine) == head()
    engine.dispose()


def test_two_migrators_at_once_make_one_registry(cluster: PostgresCluster, empty: str) -> None:
    """One waits and finds it done."""
    engines = [engine_of(cluster, MIGRATOR, empty) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(upgrade, engines))
    assert [current(engine) for engine in engines] == [head()] * 3
    for engine in engines:
        engine.dispose()


def test_a_migration_that_fails_leaves_nothing(cluster: PostgresCluster, empty: str) -> None:
    """All of it is one transaction."""
    with cluster.connect(MIGRATOR, empty, autocommit=True) as session:
        session.execute("CREATE SCHEMA registry")
        session.execute("CREATE TABLE registry.journal (a int)")
        session.execute("GRANT ALL ON SCHEMA registry TO registry_owner")
    engine = engine_of(cluster, MIGRATOR, empty)
    with pytest.raises(Exception, match="already exists"):
        upgrade(engine)
    assert current(engine) is None
    with engine.connect() as connection:
        left = connection.scalars(text("SELECT relname FROM pg_class WHERE relnamespace = 'registry'::regnamespace"))
        assert left.all() == ["journal"]
    engine.dispose()


def test_the_tables_are_those_that_the_program_knows(cluster: PostgresCluster) -> None:
    """Every table, column, type and NOT NULL, in both directions."""
    # Alembic takes a schema on the search path for one that has no name, so this engine leaves the path alone.
    plain = create_engine("postgresql+psycopg://", creator=lambda: cluster.connect(MIGRATOR, TEMPLATE))
    with plain.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "version_table_schema": schema.SCHEMA,
                "compare_type": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == schema.SCHEMA,
                "include_object": lambda _, __, kind, ___, ____: kind in {"table", "column"},
            },
        )
        assert compare_metadata(context, schema.metadata) == []
    plain.dispose()


def test_every_word_of_the_model_is_the_databases(migrated: Engine) -> None:
    """A state that the program has and the database refuses would be found by a customer."""
    with migrated.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE contype = 'c' AND connamespace = 'registry'::regnamespace"
            )
        )
        definitions: dict[str, str] = {row.conname: row.pg_get_constraintdef for row in rows}
    for name, words in ENUMERATIONS.items():
        known = set(re.findall(r"'([^']*)'::text", definitions[name])) - {""}
        assert known == {word.value for word in words}, name


def test_the_owner_cannot_log_in_and_nobody_is_a_superuser(migrated: Engine) -> None:
    """What migrates is an administrator of Cloud SQL's kind; what owns is nobody's login."""
    with migrated.connect() as connection:
        roles = connection.execute(
            text(
                "SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles"
                " WHERE rolname IN ('registry_owner', 'registry_app', :migrator, :alice) ORDER BY rolname"
            ),
            {"migrator": MIGRATOR, "alice": ALICE},
        )
        assert [tuple(role) for role in roles] == [
            (name, name in {ALICE, MIGRATOR}, False, False, False, False)
            for name in (ALICE, MIGRATOR, "registry_app", "registry_owner")
        ]
        owners = connection.scalars(
            text("SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'registry'::regnamespace")
        )
        assert owners.all() == ["registry_owner"]


def test_another_migrator_goes_on_where_one_left_off(cluster: PostgresCluster, empty: str) -> None:
    """People leave; the roles were made by the administrators' role, not by a person."""
    first = engine_of(cluster, MIGRATOR, empty)
    upgrade(first, to="0012")
    first.dispose()
    with cluster.superuser() as session:
        session.execute('CREATE ROLE "next@example.com" LOGIN IN ROLE cloudsqlsuperuser, cloudsqliamuser')
    engine = engine_of(cluster, "next@example.com", empty)
    upgrade(engine)
    grant_app(engine, BOB)
    assert current(engine) == head()
    engine.dispose()


@pytest.mark.parametrize("login", ["plain", 'quo"ted; DROP--', "Ünïcode@example.com", "sa@project.iam", "per%cent:x"])
def test_any_login_can_be_let_in(cluster: PostgresCluster, login: str) -> None:
    """Names of IAM logins have dots and at signs; a name is never taken for SQL."""
    with cluster.superuser() as session:
        session.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE cloudsqliamuser").format(sql.Identifier(login)))
    migrating, theirs = engine_of(cluster, MIGRATOR, TEMPLATE), engine_of(cluster, login, TEMPLATE)
    with pytest.raises(Refused):
        PostgresRegistry(theirs).tenants()
    for _ in range(2):
        grant_app(migrating, login)
    assert PostgresRegistry(theirs).tenants() == []
    assert current(theirs) == head()
    for engine in (migrating, theirs):
        engine.dispose()


def test_only_a_login_that_exists_is_let_in(migrated: Engine) -> None:
    """A name that was mistyped is told, not made."""
    with pytest.raises(NotFound, match="alcie"):
        grant_app(migrated, "alcie@example.com")


@pytest.mark.parametrize("login", [ALICE, OUTSIDER])
def test_only_a_migrator_migrates(cluster: PostgresCluster, empty: str, login: str) -> None:
    """Neither who works with the registry nor an outsider can make one, or let others in."""
    engine = engine_of(cluster, login, empty)
    with pytest.raises(Refused, match="permission denied"):
        upgrade(engine)
    with pytest.raises(Refused, match="permission denied"):
        grant_app(engine, OUTSIDER)
    assert current(engine) is None
    engine.dispose()
