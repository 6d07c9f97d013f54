"""What a customer's login may not do, tried as such a login on real PostgreSQL through the unmodified connector.

None of this rests on the customer's goodwill: each attempt is refused by the database itself.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest
from google.cloud.sql.connector import Connector

from tenantctl.adapters.postgres import roles
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import Refused
from tenantctl.model.sighting import Gone, Present
from tenantctl.model.tenant import Hosting
from tenantctl.ports.databases import LoginsSeen
from tests.contracts.databases_places import PASSWORD, PostgresPlace, given, local_place
from tests.localcloud.clouds import connection_name, connector

LogIn = Callable[..., psycopg.Connection[Any]]


@pytest.fixture
def place(local_cloud: LocalCloud) -> Iterator[PostgresPlace]:
    with local_place(local_cloud) as made:
        yield made


@pytest.fixture
def hosting(place: PostgresPlace) -> Hosting:
    return given(place, connection_limit=3)


@pytest.fixture
def neighbour(place: PostgresPlace) -> Hosting:
    made = given(place)
    place.fill(made, "secrets", ["the neighbour's row"])
    return made


@pytest.fixture
def log_in(local_cloud: LocalCloud) -> Iterator[LogIn]:
    """Log in as the customer does: with its password, through Google's connector, with the driver psycopg."""
    with ExitStack() as stack:
        line: Connector = stack.enter_context(connector(local_cloud))

        def log_in(hosting: Hosting, *, database: str = "", user: str = "", password: str = PASSWORD) -> Any:
            session = line.connect(
                connection_name(local_cloud, hosting.instance),
                "psycopg",
                user=user or hosting.login,
                password=password,
                db=database or hosting.database,
                autocommit=True,
            )
            return stack.enter_context(closing(session))

        yield log_in


ATTEMPTS = {
    "drop its database": "DROP DATABASE {database}",
    "drop it from elsewhere": "DROP DATABASE {database} WITH (FORCE)",
    "rename it": "ALTER DATABASE {database} RENAME TO mine",
    "write another marker": "COMMENT ON DATABASE {database} IS 'tenantctl tenant neighbour generation 1'",
    "remove the marker": "COMMENT ON DATABASE {database} IS NULL",
    "own it": "ALTER DATABASE {database} OWNER TO {owner}",
    "close it to us": "ALTER DATABASE {database} ALLOW_CONNECTIONS false",
    "open it": "ALTER DATABASE {database} ALLOW_CONNECTIONS true",
    "make it a template": "ALTER DATABASE {database} IS_TEMPLATE true",
    "change its settings": "ALTER DATABASE {database} SET search_path = evil",
    "lift its own limit": "ALTER ROLE {login} CONNECTION LIMIT 1000",
    "let itself log in": "ALTER ROLE {login} LOGIN",
    "let its owner log in": "ALTER ROLE {owner} LOGIN",
    "give itself for ever": "ALTER ROLE {login} VALID UNTIL 'infinity'",
    "become a maker of roles": "ALTER ROLE {login} CREATEROLE",
    "read past row security": "ALTER ROLE {login} BYPASSRLS",
    "make a database": "CREATE DATABASE mine",
    "make a role": "CREATE ROLE mine LOGIN",
    "make an extension": "CREATE EXTENSION hstore",
    "make a schema": "CREATE SCHEMA mine",
    "make an event trigger": "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION nothing()",
    "become us": "SET ROLE cloudsqlsuperuser",
    "become the service": "SET ROLE cloudsqladmin",
    "become another session": "SET SESSION AUTHORIZATION cloudsqlsuperuser",
    "become the neighbour": "SET ROLE {neighbour_owner}",
    "join us": "GRANT cloudsqlsuperuser TO {login}",
    "join the neighbour": "GRANT {neighbour_owner} TO {login}",
    "share itself": "GRANT {owner} TO {neighbour_login}",
    "throw us out": "REVOKE {owner} FROM cloudsqlsuperuser",
    "drop its own login": "DROP ROLE {login}",
    "end our sessions": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'worker%'",
    "read files": "SELECT pg_read_file('/etc/passwd')",
    "run programs": "COPY (SELECT 1) TO PROGRAM 'true'",
    "read password verifiers": "SELECT rolpassword FROM pg_authid",
    "read the server's settings": "SELECT * FROM pg_hba_file_rules",
    "set our settings": "ALTER SYSTEM SET archive_mode = off",
    "replicate": "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
    "subscribe": "CREATE SUBSCRIPTION mine CONNECTION 'dbname=x' PUBLICATION y WITH (connect = false)",
}


@pytest.mark.parametrize("acting_as", ["its owner", "itself"])
def test_a_customer_is_refused_what_is_not_its_own(
    place: PostgresPlace, hosting: Hosting, neighbour: Hosting, log_in: LogIn, acting_as: str
) -> None:
    """As its owner, which it is by default, and as its own login, which it can become again."""
    names = {
        "database": hosting.database,
        "owner": hosting.owner,
        "login": hosting.login,
        "neighbour_owner": neighbour.owner,
        "neighbour_login": neighbour.login,
    }
    session = log_in(hosting)
    if acting_as == "itself":
        session.execute("SET ROLE NONE")
    allowed = []
    with closing(place.sessions.connect(hosting.instance, hosting.database)) as ours:
        for attempt, statement in ATTEMPTS.items():
            try:
                session.execute(statement.format(**names).encode())
                allowed.append(attempt)
            except psycopg.errors.InsufficientPrivilege:
                pass
        assert allowed == []
        # This one PostgreSQL answers with a warning, and does nothing.
        session.execute(f"GRANT CONNECT ON DATABASE {hosting.database} TO {neighbour.login}".encode())
        still = ours.execute("SELECT has_database_privilege(%s, %s, 'CONNECT')", [neighbour.login, hosting.database])
        assert still.fetchone() == (False,)
    assert place.databases.look_prepared(hosting, extensions=())


def test_a_customer_works_freely_in_its_own_schema(hosting: Hosting, log_in: LogIn) -> None:
    """The refusals are not simply those of a login that may nothing."""
    session = log_in(hosting)
    for statement in (
        "CREATE TABLE orders (id serial PRIMARY KEY, note text)",
        "INSERT INTO orders (note) SELECT 'x' FROM generate_series(1, 10)",
        "CREATE TEMPORARY TABLE passing AS SELECT * FROM orders",
        "CREATE VIEW short AS SELECT id FROM orders",
        "CREATE FUNCTION double(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2 * n; END'",
        "ALTER TABLE orders ADD COLUMN twice int GENERATED ALWAYS AS (2 * id) STORED",
        "DROP TABLE passing",
    ):
        session.execute(statement.encode())
    found = session.execute("SELECT session_user, current_user, sum(twice) FROM orders").fetchone()
    assert found == (hosting.login, hosting.owner, 110)


def test_a_customer_sees_no_rows_of_another(
    place: PostgresPlace, hosting: Hosting, neighbour: Hosting, log_in: LogIn
) -> None:
    """It gets into no other database: not the neighbour's, nor those that PostgreSQL leaves open to everybody."""
    for database in (neighbour.database, "postgres", "cloudsqladmin"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            log_in(hosting, database=database)
    assert place.databases.look_at_logins(neighbour) == Present(LoginsSeen(can_log_in=True, sessions=0))


def test_a_customer_sees_no_name_of_another(hosting: Hosting, neighbour: Hosting, log_in: LogIn) -> None:
    """What it can see of its neighbours carries uid and generation, and nothing else."""
    session = log_in(hosting)
    seen = session.execute(
        "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
        [neighbour.database],
    ).fetchone()
    assert seen == (f"t_{neighbour.uid}_1", f"tenantctl tenant {neighbour.uid} generation 1")
    roles = {
        name
        for (name,) in session.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE '%%' || %s || '%%'", [neighbour.uid]
        )
    }
    assert roles == {f"o_{neighbour.uid}_1", f"l_{neighbour.uid}_1"}
    comments = session.execute(
        "SELECT description FROM pg_shdescription WHERE description LIKE %s AND classoid <> 'pg_database'::regclass",
        [f"%{neighbour.uid}%"],
    ).fetchall()
    assert comments == []


def test_a_closed_customer_does_not_get_in(place: PostgresPlace, hosting: Hosting, log_in: LogIn) -> None:
    """Not with its password, not as its owner, not into another database, not with another password of its making."""
    session = log_in(hosting)
    session.execute("CREATE TABLE orders (id int)")
    session.execute("SET ROLE NONE")
    session.execute(f"ALTER ROLE {hosting.login} PASSWORD 'of its own making'".encode())
    session.execute(f"ALTER ROLE {hosting.login} RESET role".encode())
    place.databases.close_logins(hosting)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    attempts: list[dict[str, str]] = [
        {},
        {"password": "of its own making"},
        {"user": hosting.owner},
        {"user": hosting.owner, "password": ""},
        {"database": "postgres"},
        {"database": "template1"},
    ]
    for attempt in attempts:
        with pytest.raises(psycopg.OperationalError):
            log_in(hosting, **attempt)
    assert place.databases.look_at_logins(hosting) == Present(LoginsSeen(can_log_in=False, sessions=0))
    place.databases.open_logins(hosting)
    assert log_in(hosting, password="of its own making").execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_a_customer_that_keeps_coming_back_is_kept_out(place: PostgresPlace, hosting: Hosting, log_in: LogIn) -> None:
    """Sessions at work, and one that is in the middle of a statement, are ended too; none is seen afterwards."""
    sessions = [log_in(hosting) for _ in range(3)]
    sessions[0].execute("CREATE TABLE orders (id int)")
    sessions[1].autocommit = False
    sessions[1].execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
    sessions[2].execute("SET statement_timeout = 0")
    sessions[2].pgconn.send_query(b"SELECT pg_sleep(3600)")
    place.databases.close_logins(hosting)
    assert place.databases.look_at_logins(hosting) == Present(LoginsSeen(can_log_in=False, sessions=0))
    with place.databases.dump(hosting) as dump:
        assert b"".join(dump.chunks())
        assert dump.tables["public.orders"].rows == 0


def test_two_who_close_an_instance_to_the_public_at_once_wait_for_each_other(place: PostgresPlace) -> None:
    """A new instance is open to everybody, and the first tenants that are placed there come at the same time."""
    hosting = place.hosting()
    with place.control.on(hosting.instance) as first, ThreadPoolExecutor(1) as second:
        first.execute("GRANT CONNECT ON DATABASE template1 TO PUBLIC")
        with first.transaction():
            roles.close_to_the_public(first)
            made = second.submit(place.databases.create_roles, hosting, connection_limit=3)
            while not first.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() and not made.done():
                time.sleep(0.01)
        made.result()
    assert place.databases.look_at_roles(hosting) == Present((hosting.login, hosting.owner))


def test_a_customer_cannot_log_in_as_a_colleague_of_ours(hosting: Hosting, place: PostgresPlace) -> None:
    """Its certificate vouches for nobody, so the data plane wants a password, which our logins do not have."""
    with place.sessions.socket(hosting.instance, with_token=False) as proxy, pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            host=str(proxy.folder), user=place.sessions.login, password=PASSWORD, dbname="postgres", sslmode="disable"
        )


def test_the_server_never_sees_the_password(place: PostgresPlace, hosting: Hosting) -> None:
    """What it gets is the verifier that it stores; who reads its log learns nothing that opens a session."""
    place.databases.set_password(hosting, "not to be seen")
    with place.control.on(hosting.instance) as session:
        statements = session.execute(
            "SELECT query FROM pg_stat_activity WHERE query LIKE '%not to be seen%'"
        ).fetchall()
    assert [query for (query,) in statements if "pg_stat_activity" not in query] == []
    with pytest.raises(Refused):
        place.log_in(hosting, PASSWORD)
    place.log_in(hosting, "not to be seen")


def test_a_customer_that_drops_its_schema_gets_it_back(place: PostgresPlace, hosting: Hosting, log_in: LogIn) -> None:
    """It may, and then cannot make it anew; preparing again does."""
    log_in(hosting).execute("DROP SCHEMA public CASCADE")
    assert not place.databases.look_prepared(hosting, extensions=())
    place.databases.prepare(hosting, extensions=())
    assert place.databases.look_prepared(hosting, extensions=())
    log_in(hosting).execute("CREATE TABLE orders (id int)")
    place.databases.drop_database(hosting)
    assert place.databases.look(hosting) == Gone()
