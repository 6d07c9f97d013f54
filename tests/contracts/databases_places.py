"""Databases to hold to the ports' contracts: in memory, on the local cloud, and in a real project if one is named.

The real one needs `TENANTCTL_TEST_PROJECT`, `TENANTCTL_TEST_INSTANCE` and `TENANTCTL_TEST_LOGIN` (`pytest -m live`),
with the caller's own credentials: an instance that may be used for throw-away tenants, and an IAM login on it that is
a member of `cloudsqlsuperuser`. Whatever a test makes is dropped at its end.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from psycopg import sql

from tenantctl.adapters.google.credentials import local_credentials, production_credentials
from tenantctl.adapters.google.sessions import Sessions, refusal_to_connect
from tenantctl.adapters.memory.databases import MemoryDatabases, MemoryInstances, MemoryScratch
from tenantctl.adapters.postgres.control import ControlSessions
from tenantctl.adapters.postgres.databases import PostgresDatabases
from tenantctl.adapters.postgres.scratch import PostgresScratch
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.tenant import Hosting, new_uid
from tenantctl.pgbin import find_programs
from tenantctl.ports.databases import Databases, Scratch
from tests.contracts.peers import nobody
from tests.localcloud.clouds import SERVICE_ACCOUNT

PASSWORD = "correct horse, Straße 9"
PROJECT = os.environ.get("TENANTCTL_TEST_PROJECT")
INSTANCE = os.environ.get("TENANTCTL_TEST_INSTANCE")
LIVE_LOGIN = os.environ.get("TENANTCTL_TEST_LOGIN")
LOGIN = SERVICE_ACCOUNT.removesuffix(".gserviceaccount.com")
PLACES = (
    "memory",
    "local",
    pytest.param(
        "live",
        marks=[
            pytest.mark.live,
            pytest.mark.skipif(not (PROJECT and INSTANCE and LIVE_LOGIN), reason="names no Cloud SQL instance"),
        ],
    ),
)


class Place(Protocol):
    """Where the ports are tried, and what else has to happen there."""

    @property
    def databases(self) -> Databases: ...

    @property
    def scratch(self) -> Scratch: ...

    def hosting(self) -> Hosting: ...

    def fill(self, hosting: Hosting, table: str, rows: Sequence[str]) -> None:
        """Make a table of one text column in the schema public, if it is not there, and add rows."""

    def force_row_security(self, hosting: Hosting, table: str) -> None: ...

    def mark(self, hosting: Hosting, marker: str | None) -> None:
        """Write another comment, or none."""

    def log_in(self, hosting: Hosting, password: str = PASSWORD) -> None:
        """Begin a customer's session, which lasts until it is ended by force.

        Raises:
            Refused: the instance does not let it in.
        """

    def break_dump(self, hosting: Hosting) -> None:
        """Have the dump that is being read break off."""

    def silent(self) -> contextlib.AbstractContextManager[tuple[Databases, Scratch]]:
        """The same ports, on instances that do not answer."""


@dataclass
class MemoryPlace:
    """The fakes."""

    instances: MemoryInstances = field(default_factory=MemoryInstances)

    def __post_init__(self) -> None:
        self.databases, self.scratch = MemoryDatabases(self.instances), MemoryScratch(self.instances)

    def hosting(self) -> Hosting:
        return Hosting(new_uid(), "one", "us-central1", 1)

    def fill(self, hosting: Hosting, table: str, rows: Sequence[str]) -> None:
        tables = self.instances[hosting.instance].databases[hosting.database].tables
        tables.setdefault(f"public.{table}", []).extend(rows)

    def force_row_security(self, hosting: Hosting, table: str) -> None:
        self.instances[hosting.instance].databases[hosting.database].forced.add(f"public.{table}")

    def mark(self, hosting: Hosting, marker: str | None) -> None:
        self.instances[hosting.instance].databases[hosting.database].marker = marker or ""

    def log_in(self, hosting: Hosting, password: str = PASSWORD) -> None:
        self.instances.connect(hosting, password)

    def break_dump(self, hosting: Hosting) -> None:
        self.instances.dump_breaks_after = 1

    @contextlib.contextmanager
    def silent(self) -> Iterator[tuple[Databases, Scratch]]:
        for name in ("one", "two"):
            self.instances[name].reachable = False
        yield self.databases, self.scratch


@dataclass
class PostgresPlace:
    """The adapters, on real PostgreSQL through the real connector."""

    sessions: Sessions
    tenants: str = "one"
    region: str = "us-central1"
    made: list[Hosting] = field(default_factory=list)
    customers: list[psycopg.Connection[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.databases, self.scratch = PostgresDatabases(self.sessions), PostgresScratch(self.sessions)
        self.control = ControlSessions(self.sessions)

    def hosting(self) -> Hosting:
        self.made.append(Hosting(new_uid(), self.tenants, self.region, 1))
        return self.made[-1]

    def fill(self, hosting: Hosting, table: str, rows: Sequence[str]) -> None:
        name = sql.Identifier("public", table)
        with self.ours(hosting) as session:
            session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(hosting.owner)))
            session.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} (value text)").format(name))
            session.execute(sql.SQL("INSERT INTO {} SELECT unnest(%s::text[])").format(name), [list(rows)])

    def force_row_security(self, hosting: Hosting, table: str) -> None:
        with self.ours(hosting) as session:
            for word in ("ENABLE", "FORCE"):
                statement = f"ALTER TABLE {{}} {word} ROW LEVEL SECURITY"
                session.execute(sql.SQL(statement).format(sql.Identifier("public", table)))

    def mark(self, hosting: Hosting, marker: str | None) -> None:
        statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
        with self.control.on(hosting.instance) as session:
            session.execute(statement.format(sql.Identifier(hosting.database), sql.Literal(marker)))

    def log_in(self, hosting: Hosting, password: str = PASSWORD) -> None:
        self.customer(hosting, password)

    def customer(self, hosting: Hosting, password: str = PASSWORD, database: str = "") -> psycopg.Connection[Any]:
        """A session of the customer's, with its password over a certificate that vouches for nobody."""
        database = database or hosting.database
        proxy = self.sessions.socket(hosting.instance, with_token=False)
        proxy.__enter__()
        try:
            session = psycopg.connect(
                host=str(proxy.folder),
                user=hosting.login,
                password=password,
                dbname=database,
                sslmode="disable",
                autocommit=True,
            )
        except psycopg.OperationalError as error:
            proxy.__exit__(None, None, None)
            raise refusal_to_connect(error, hosting.instance, database) from error
        self.customers.append(session)
        self.proxies.callback(proxy.__exit__, None, None, None)
        return session

    def break_dump(self, hosting: Hosting) -> None:
        with self.control.on(hosting.instance) as session:
            ended = session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND query LIKE 'COPY %%' AND state = 'active'",
                [hosting.database],
            ).fetchall()
            assert ended, "the dump had ended before it could break"

    @contextlib.contextmanager
    def silent(self) -> Iterator[tuple[Databases, Scratch]]:
        with nobody() as endpoint, contextlib.closing(local_sessions("nowhere", endpoint)) as sessions:
            yield PostgresDatabases(sessions), PostgresScratch(sessions)

    @contextlib.contextmanager
    def ours(self, hosting: Hosting) -> Iterator[psycopg.Connection[Any]]:
        """A session of our own in the tenant's database."""
        with self.control.inside(hosting.instance, hosting.database) as session:
            yield session

    proxies: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def clean_up(self) -> None:
        """Drop whatever was made, whatever became of it."""
        for session in self.customers:
            session.close()
        self.proxies.close()
        for hosting in self.made:
            self.mark_if_there(hosting)
            self.databases.drop_database(hosting)
            self.databases.drop_roles(hosting)
        for closing in (self.databases, self.scratch, self.control, self.sessions):
            closing.close()

    def mark_if_there(self, hosting: Hosting) -> None:
        """Make a database the tenant's again."""
        with self.control.on(hosting.instance) as session:
            found = session.execute("SELECT FROM pg_database WHERE datname = %s", [hosting.database]).fetchall()
        if found:
            self.mark(hosting, hosting.marker)


def local_sessions(project: str, endpoint: str, **options: Any) -> Sessions:
    """Sessions on a local cloud as the tests' service account."""
    return Sessions(project, endpoint, local_credentials(SERVICE_ACCOUNT), SERVICE_ACCOUNT, **options)


@contextlib.contextmanager
def local_place(cloud: LocalCloud) -> Iterator[PostgresPlace]:
    """The real adapters on a local cloud."""
    place = PostgresPlace(local_sessions(cloud.project, cloud.endpoints["sqladmin"]))
    try:
        yield place
    finally:
        place.clean_up()


@contextlib.contextmanager
def live_place() -> Iterator[PostgresPlace]:
    """The real adapters in the project that the environment names."""
    assert PROJECT is not None
    assert INSTANCE is not None
    place = PostgresPlace(Sessions(PROJECT, None, production_credentials(), LIVE_LOGIN), tenants=INSTANCE)
    try:
        yield place
    finally:
        place.clean_up()


@contextlib.contextmanager
def place_named(name: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    """One of `PLACES`; the local cloud is started only for its own."""
    with contextlib.ExitStack() as stack:
        if name == "memory":
            yield MemoryPlace()
        elif name == "local":
            yield stack.enter_context(local_place(request.getfixturevalue("local_cloud")))
        else:
            yield stack.enter_context(live_place())


def given(place: Place, *, connection_limit: int = 5, extensions: Sequence[str] = ()) -> Hosting:
    """A tenant's database, prepared, its customer let in with `PASSWORD`."""
    hosting = place.hosting()
    place.databases.create_roles(hosting, connection_limit=connection_limit)
    place.databases.create_database(hosting)
    place.databases.prepare(hosting, extensions=extensions)
    place.databases.set_password(hosting, PASSWORD)
    place.databases.open_logins(hosting)
    return hosting


def psql(folder: Path, command: str, login: str = LOGIN) -> "subprocess.CompletedProcess[str]":
    """Run a command in psql, on the database `postgres` behind a local socket."""
    return subprocess.run(
        [str(find_programs().path("psql")), "-X", "-A", "-t", "-c", command],
        env={"PGHOST": str(folder), "PGUSER": login, "PGDATABASE": "postgres", "PGSSLMODE": "disable"},
        capture_output=True,
        text=True,
        check=False,
    )
