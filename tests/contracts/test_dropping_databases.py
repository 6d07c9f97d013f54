"""What is left elsewhere, or stands in the way, when a tenant's database and roles are dropped."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psycopg
import pytest

from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.sighting import Gone, Present
from tenantctl.model.tenant import Hosting
from tests.contracts.databases_places import PostgresPlace, given, local_place


@pytest.fixture
def place(local_cloud: LocalCloud) -> Iterator[PostgresPlace]:
    with local_place(local_cloud) as made:
        yield made


@pytest.fixture
def hosting(place: PostgresPlace) -> Hosting:
    return given(place)


def test_a_neighbours_grants_do_not_hold_up_a_destruction(place: PostgresPlace, hosting: Hosting) -> None:
    """Whoever grants something to a neighbour's role makes PostgreSQL refuse to drop it."""
    leaving = given(place)
    session = place.customer(hosting)
    session.execute("CREATE TABLE orders (id int)")
    for statement in (
        "GRANT ALL ON orders TO {role}",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}",
        "CREATE POLICY mine ON orders TO {role}",
        "GRANT USAGE ON SCHEMA public TO {role}",
    ):
        for role in (leaving.owner, leaving.login):
            session.execute(statement.format(role=role).replace("mine", f"mine_{role}").encode())
    place.databases.drop_database(leaving)
    place.databases.drop_roles(leaving)
    assert place.databases.look_at_roles(leaving) == Gone()
    assert session.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    assert place.databases.look_prepared(hosting, extensions=())


def test_a_role_that_owns_something_elsewhere_is_left(place: PostgresPlace, hosting: Hosting) -> None:
    """It can only be a mistake of ours, and dropping it would destroy rows in a neighbour's database."""
    leaving = given(place)
    with place.ours(hosting) as ours:
        ours.execute(f"CREATE SCHEMA lost AUTHORIZATION {leaving.owner}".encode())
    place.databases.drop_database(leaving)
    with pytest.raises(Refused, match=hosting.database):
        place.databases.drop_roles(leaving)
    assert isinstance(place.databases.look_at_roles(leaving), Present)
    with place.ours(hosting) as ours:
        assert ours.execute("SELECT FROM pg_namespace WHERE nspname = 'lost'").fetchall()
        ours.execute("DROP SCHEMA lost")


def test_what_a_customer_leaves_in_a_template_goes_with_it(place: PostgresPlace, hosting: Hosting) -> None:
    """PostgreSQL lets everybody into template1: bytes left there neither stay, nor come into anybody's new database."""
    session = place.customer(hosting, database="template1")
    session.execute("SELECT lo_from_bytea(815, 'a customer''s bytes')")
    newcomer = given(place)  # while the customer is in template1
    assert _tables(place, newcomer) == {}
    session.close()
    place.databases.drop_database(hosting)
    place.databases.drop_roles(hosting)
    with place.control.inside(hosting.instance, "template1") as ours:
        assert ours.execute("SELECT FROM pg_largeobject_metadata").fetchall() == []


def test_the_services_own_session_is_waited_for(
    place: PostgresPlace, hosting: Hosting, local_cloud: LocalCloud
) -> None:
    """Cloud SQL looks into databases as a superuser, whom nobody of us may send away."""
    sockets = Path(local_cloud.file.sockets or "")
    with ExitStack() as stack:
        for port in (path.name.rsplit(".", 1)[1] for path in sockets.glob(".s.PGSQL.*[0-9]")):
            with suppress(psycopg.OperationalError):  # it is on one of the instances
                service = psycopg.connect(
                    host=str(sockets), port=int(port), user="cloudsqladmin", dbname=hosting.database
                )
                stack.enter_context(closing(service))
        place.log_in(hosting)
        with pytest.raises(Transient, match="being accessed by other users"):
            place.databases.drop_database(hosting)
        assert isinstance(place.databases.look(hosting), Present)
    place.databases.drop_database(hosting)
    assert place.databases.look(hosting) == Gone()


def _tables(place: PostgresPlace, hosting: Hosting) -> dict[str, int]:
    with place.databases.dump(hosting) as dump:
        return {name: digest.rows for name, digest in dump.tables.items()}
