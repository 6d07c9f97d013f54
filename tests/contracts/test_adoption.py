"""A living database on a real server becomes a tenant's: every object is, and not one byte of its data is another."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from tenantctl.adapters.postgres.digests import digest, list_tables
from tenantctl.model.adoption import OwnerSeen
from tenantctl.model.errors import Refused
from tenantctl.model.sighting import Gone, Present
from tenantctl.model.tenant import Hosting, new_uid
from tests.contracts.databases_places import PASSWORD, PostgresPlace, place_named

CONTENTS = """
    CREATE SCHEMA sales;
    CREATE TYPE sales.grade AS ENUM ('good', 'better');
    CREATE TABLE public.orders (id serial PRIMARY KEY, says text, grade sales.grade DEFAULT 'good');
    CREATE TABLE sales.lines (id bigint GENERATED ALWAYS AS IDENTITY, of int REFERENCES public.orders);
    INSERT INTO public.orders (says) SELECT 'order ' || n FROM generate_series(1, 50) n;
    INSERT INTO sales.lines (of) SELECT id FROM public.orders;
    CREATE VIEW sales.told AS SELECT says FROM public.orders;
    CREATE FUNCTION sales.twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
    SELECT lo_from_bytea(0, 'large');
"""


@dataclass
class Shop:
    """A customer's database as an older fleet had it: a role that owns it and logs in, open to everybody."""

    place: PostgresPlace
    name: str

    @property
    def role(self) -> str:
        return f"{self.name}_app"

    def run(self, statement: str, database: str = "") -> None:
        """As the role that owns it."""
        with self.place.control.inside("one", database or self.name, search_path="public") as session:
            session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self.role)))
            session.execute(statement.encode())


@pytest.fixture
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    with place_named("local", request) as place:
        assert isinstance(place, PostgresPlace)
        made = Shop(place, f"shop_{new_uid()}")
        name, role = sql.Identifier(made.name), sql.Identifier(made.role)
        with place.control.on("one") as session:
            session.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            session.execute(sql.SQL("GRANT {} TO cloudsqlsuperuser WITH INHERIT TRUE, SET TRUE").format(role))
            session.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(name, role))
        made.run(CONTENTS)
        yield made
        with place.control.on("one") as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        for hosting in place.made:
            place.databases.drop_database(hosting)
        with place.control.on("one") as session, suppress(psycopg.errors.DependentObjectsStillExist):
            session.execute(sql.SQL("DROP ROLE {}").format(role))


def adopted(shop: Shop) -> Hosting:
    """The tenant's, with its roles made beforehand as its plan has it."""
    hosting = shop.place.hosting()
    shop.place.databases.create_roles(hosting, connection_limit=5)
    assert not shop.place.databases.look_adopted(hosting)
    shop.place.databases.adopt(hosting, shop.name)
    assert shop.place.databases.look_adopted(hosting)
    return hosting


def test_it_is_seen_as_it_is(shop: Shop) -> None:
    """Who owns what, what it has that a tenant's may not, and whether its owner owns anything beside it."""
    databases = shop.place.databases
    sight = databases.inspect_foreign("one", shop.name)
    assert isinstance(sight, Present)
    seen = sight.value
    assert (seen.marker, seen.server_major, seen.encoding, seen.extensions) == ("", 18, "UTF8", ("plpgsql",))
    assert seen.owners == (OwnerSeen(shop.role, is_ours=True),)
    assert seen.strange == ()
    assert seen.size > 0
    hosting = shop.place.hosting()
    databases.create_roles(hosting, connection_limit=5)
    databases.create_database(hosting)
    with shop.place.ours(hosting) as session:
        session.execute(sql.SQL("CREATE SCHEMA elsewhere AUTHORIZATION {}").format(sql.Identifier(shop.role)))
    with shop.place.control.inside("one", shop.name) as session:
        session.execute(b"CREATE PUBLICATION told")
    sight = databases.inspect_foreign("one", shop.name)
    assert isinstance(sight, Present)
    assert [owner.elsewhere for owner in sight.value.owners if owner.name == shop.role] == [(hosting.database,)]
    assert sight.value.strange == ("the publication told",)
    assert databases.inspect_foreign("one", "nothing") == Gone()


def test_everything_is_the_tenants_and_nothing_is_another(shop: Shop) -> None:
    """Rows and checksums before and after, its owner's rights, the old role's end, and a way in for the customer."""
    place = shop.place
    with place.control.inside("one", shop.name) as session:
        before = digest(session, list_tables(session))
    hosting = adopted(shop)
    assert place.databases.digests(hosting) == before
    place.databases.adopt(hosting, shop.name)  # again is a no-op
    place.databases.prepare(hosting, extensions=())
    assert place.databases.look_prepared(hosting, extensions=())
    place.databases.set_password(hosting, PASSWORD)
    place.databases.open_logins(hosting)
    customer = place.customer(hosting)
    assert customer.execute("SELECT count(*), sales.twice(4) FROM sales.told").fetchone() == (50, 8)
    customer.execute("ALTER TABLE sales.lines ADD COLUMN more text")
    customer.execute("INSERT INTO public.orders (says) VALUES ('one more')")
    with place.control.on("one") as session:
        asked = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
        assert session.execute(asked, [shop.role, hosting.database]).fetchone() == (False,)
    with place.databases.dump(hosting) as dump:
        assert dump.tables["public.orders"].rows == 51


@pytest.mark.parametrize("done", ["marked", "renamed"])
def test_it_goes_on_from_wherever_a_crash_left_it(shop: Shop, done: str) -> None:
    """The marker comes first: from then on the database is found, whatever it is called."""
    hosting = shop.place.hosting()
    shop.place.databases.create_roles(hosting, connection_limit=5)
    with shop.place.control.on("one") as session:
        name, ours = sql.Identifier(shop.name), sql.Identifier(hosting.database)
        session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(hosting.marker)))
        if done == "renamed":
            session.execute(sql.SQL("ALTER DATABASE {} OWNER TO cloudsqlsuperuser").format(name))
            session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(name, ours))
            session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(ours))
    assert not shop.place.databases.look_adopted(hosting)
    shop.place.databases.adopt(hosting, shop.name)
    assert shop.place.databases.look_adopted(hosting)


def test_what_is_anothers_is_left_alone(shop: Shop) -> None:
    """A comment that is not the tenant's, and a database that is gone."""
    hosting = shop.place.hosting()
    shop.place.databases.create_roles(hosting, connection_limit=5)
    with shop.place.control.on("one") as session:
        comment = "COMMENT ON DATABASE {} IS 'the crm'"
        session.execute(sql.SQL(comment).format(sql.Identifier(shop.name)))
    with pytest.raises(Refused, match="is somebody's: it has the comment 'the crm'"):
        shop.place.databases.adopt(hosting, shop.name)
    with pytest.raises(Refused, match="has no database nothing any more"):
        shop.place.databases.adopt(hosting, "nothing")
