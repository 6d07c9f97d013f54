"""A throw-away PostgreSQL cluster as Cloud SQL would offer it, with the registry migrated into a template.

Logins are what production has: a migrator that is a member of `cloudsqlsuperuser` and has no attribute of its own, and
people who are members of `registry_app` alone. Only the fixture itself is a superuser.
"""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Engine, event

from tenantctl.adapters.postgres.billing import PostgresBilling
from tenantctl.adapters.postgres.decisions import PostgresDecisions
from tenantctl.adapters.postgres.migrations import grant_app, upgrade
from tenantctl.adapters.postgres.registry import PostgresRegistry
from tenantctl.adapters.postgres.registry_engine import registry_engine
from tenantctl.localcloud.clusters import Cluster, ServerSetup
from tenantctl.localcloud.template import ADMIN_DATABASE, ADMIN_ROLE, SUPERUSER_ROLE, ensure_template
from tenantctl.pgbin import cache_folder, server_account, server_programs
from tests.contracts.registry_samples import Office

MIGRATOR = "migrator@example.com"
ALICE, BOB = "alice@example.com", "bob@example.com"
OUTSIDER = "mallory@example.com"  # may log in, and was granted nothing
TEMPLATE = "registry_template"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class PostgresCluster:
    """One running cluster."""

    cluster: Cluster

    def connect(self, login: str, database: str, *, autocommit: bool = False) -> psycopg.Connection[Any]:
        """A session of a login."""
        return psycopg.connect(
            host=str(self.cluster.setup.sockets),
            port=self.cluster.port,
            user=login,
            dbname=database,
            autocommit=autocommit,
        )

    def superuser(self, database: str = ADMIN_DATABASE) -> psycopg.Connection[Any]:
        """A session of the bootstrap superuser, each statement its own transaction."""
        return self.connect(ADMIN_ROLE, database, autocommit=True)

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """A database as the Admin API makes it: owned by the administrators' role."""
        with self.superuser() as session:
            session.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(template), sql.Identifier(SUPERUSER_ROLE)
                )
            )

    @contextmanager
    def registry_database(self) -> Iterator["RegistryDatabase"]:
        """A migrated registry of one's own, dropped in the end."""
        database = RegistryDatabase(self, f"registry_{uuid.uuid4().hex[:12]}")
        self.create_database(database.name, template=TEMPLATE)
        try:
            yield database
        finally:
            database.close()
            with self.superuser() as session:
                session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))


@dataclass
class RegistryDatabase:
    """One registry in a cluster, and a clock that tests move.

    The offset is set on each connection as it is taken from its pool. PostgreSQL takes the same setting from its
    configuration in a local cloud, where it comes to all sessions, but at a time of its own.
    """

    cluster: PostgresCluster
    name: str
    offset: timedelta = timedelta(0)
    _engines: list[Engine] = field(default_factory=list)

    def engine(self, login: str) -> Engine:
        """An engine whose sessions are this login's."""
        engine = registry_engine(lambda: self.cluster.connect(login, self.name))
        event.listen(engine, "checkout", self._set_clock)
        self._engines.append(engine)
        return engine

    def registry(self, login: str) -> PostgresRegistry:
        """The registry as this login reaches it."""
        return PostgresRegistry(self.engine(login))

    def office(self, advance: Callable[[timedelta], None] = lambda _: None) -> Office:
        """The registry and its decisions as two people reach them."""
        decisions, colleagues = (PostgresDecisions(self.engine(login)) for login in (ALICE, BOB))
        billing = PostgresBilling(self.engine(ALICE))
        return Office(self.registry(ALICE), self.registry(BOB), advance, decisions, colleagues, billing)

    def session(self, login: str) -> psycopg.Connection[Any]:
        """A bare session of a login, each statement its own transaction."""
        session = self.cluster.connect(login, self.name, autocommit=True)
        session.execute("SET search_path = registry, pg_temp")
        return session

    def superuser_session(self) -> psycopg.Connection[Any]:
        """A bare session of the bootstrap superuser, each statement its own transaction."""
        return self.session(ADMIN_ROLE)

    def close(self) -> None:
        """Closes every engine."""
        for engine in self._engines:
            engine.dispose()

    def _set_clock(self, connection: psycopg.Connection[Any], *_: object) -> None:
        seconds = f"{self.offset.total_seconds():.6f} seconds"
        connection.execute("SELECT set_config('tenantctl.clock_offset', %s, false)", [seconds])
        connection.commit()


@contextmanager
def postgres_cluster(
    *, logins: Sequence[str] = (MIGRATOR, ALICE, BOB, OUTSIDER), members: Sequence[str] = (ALICE, BOB)
) -> Iterator[PostgresCluster]:
    """A cluster with its logins and the template; stopped and removed in the end."""
    account = server_account()
    template = ensure_template(server_programs(), account, cache_folder())
    folder = Path(tempfile.mkdtemp(prefix="tctl-", dir="/tmp"))
    folder.chmod(0o755)
    account.take_over(folder)
    setup = ServerSetup(server_programs(), account, template, folder)
    cluster = Cluster("registry", folder / "cluster", 5432, setup)
    try:
        asyncio.run(_start(cluster))
        running = PostgresCluster(cluster)
        with running.superuser() as session:
            for login in logins:
                roles = [SUPERUSER_ROLE, "cloudsqliamuser"] if login == MIGRATOR else ["cloudsqliamuser"]
                names = sql.SQL(", ").join(map(sql.Identifier, roles))
                session.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(sql.Identifier(login), names))
        running.create_database(TEMPLATE)
        migrating = registry_engine(lambda: running.connect(MIGRATOR, TEMPLATE))
        upgrade(migrating)
        for member in members:
            grant_app(migrating, member)
        migrating.dispose()
        yield running
    finally:
        asyncio.run(cluster.remove())
        shutil.rmtree(folder, ignore_errors=True)


async def _start(cluster: Cluster) -> None:
    await cluster.create()
    await cluster.start(timedelta(0), FAST)
