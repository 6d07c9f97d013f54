"""The contract of `Databases.restore`, held to by the fake and by PostgreSQL through the real connector."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting
from tenantctl.ports.databases import LoginsSeen
from tests.contracts.databases_places import PASSWORD, PLACES, Place, PostgresPlace, given, local_place, place_named


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with place_named(request.param, request) as found:
        yield found


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[PostgresPlace]:
    """Real PostgreSQL alone, for what only it has."""
    with local_place(request.getfixturevalue("local_cloud")) as found:
        yield found


def prepared(place: Place, *, connection_limit: int = 1) -> Hosting:
    """A tenant's empty database, nobody let in yet."""
    hosting = place.hosting()
    place.databases.create_roles(hosting, connection_limit=connection_limit)
    place.databases.create_database(hosting)
    place.databases.prepare(hosting, extensions=())
    return hosting


def archive_of(place: Place, hosting: Hosting) -> list[bytes]:
    with place.databases.dump(hosting) as dump:
        return list(dump.chunks())


def test_5_what_was_dumped_is_there_again(place: Place) -> None:
    """In the other database, with rows and checksums of the dump, its login closed as it was."""
    source, target = given(place), prepared(place)
    place.fill(source, "orders", [f"{number} zwölf '\\ \t\n" for number in range(2_000)])
    place.fill(source, "empty", [])
    with place.databases.dump(source) as dump:
        archive, tables = list(dump.chunks()), dict(dump.tables)
    assert place.databases.look_empty(target)
    assert place.databases.restore(target, iter(archive), source=source) == ()
    assert place.databases.digests(target) == tables
    assert not place.databases.look_empty(target)
    assert place.databases.look_at_logins(target) == Present(LoginsSeen(can_log_in=False, sessions=0))


def test_5_only_into_an_empty_database(place: Place) -> None:
    """Never over anything that is there, were it an empty table; and nothing of it is changed."""
    source, target = given(place), given(place)
    place.fill(source, "orders", ["one"])
    place.fill(target, "mine", [])
    archive = archive_of(place, source)
    before = place.databases.digests(target)
    with pytest.raises(Refused, match="not empty"):
        place.databases.restore(target, iter(archive), source=source)
    assert place.databases.digests(target) == before
    assert place.databases.look_at_logins(target) == Present(LoginsSeen(can_log_in=True, sessions=0))


def test_3_only_into_the_tenants_own(place: Place) -> None:
    """A database with another marker is nobody's to fill, and one that is not there neither."""
    source, target = given(place), prepared(place)
    archive = archive_of(place, source)
    place.mark(target, "somebody else's")
    with pytest.raises(Refused, match="not tenant"):
        place.databases.restore(target, iter(archive), source=source)
    absent = replace(target, generation=7)
    with pytest.raises(NotFound):
        place.databases.restore(absent, iter(archive), source=source)
    with pytest.raises(NotFound):
        place.databases.look_empty(absent)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.95])
def test_5_a_restore_that_breaks_off_leaves_the_login_closed(place: Place, kept: float) -> None:
    """What came so far is not taken for all; dropped and made anew, the database can be filled."""
    source, target = given(place), prepared(place)
    place.fill(source, "orders", [f"{number:0200d}" for number in range(20_000)])
    whole = b"".join(archive_of(place, source))
    with pytest.raises(Refused, match="archive"):
        place.databases.restore(target, iter([whole[: int(len(whole) * kept)]]), source=source)
    assert place.databases.look_at_logins(target) == Present(LoginsSeen(can_log_in=False, sessions=0))
    place.databases.drop_database(target)
    place.databases.create_database(target)
    place.databases.prepare(target, extensions=())
    place.databases.restore(target, iter([whole]), source=source)
    assert place.databases.digests(target) == place.databases.digests(source)


def test_5_whoever_gives_the_chunks_may_end_it(place: Place) -> None:
    """What it raises is what the caller sees."""
    source, target = given(place), prepared(place)
    place.fill(source, "orders", [f"{number:0200d}" for number in range(5_000)])
    whole = b"".join(archive_of(place, source))

    def breaking() -> Iterator[bytes]:
        yield whole[: len(whole) // 2]
        raise Transient("The vault went away.")

    with pytest.raises(Transient, match="vault went away"):
        place.databases.restore(target, breaking(), source=source)
    assert place.databases.look_at_logins(target) == Present(LoginsSeen(can_log_in=False, sessions=0))


def test_5_an_instance_that_does_not_answer_is_transient(place: Place) -> None:
    hosting = Hosting("nobody", "one", "us-central1", 1)
    with place.silent() as (databases, _):
        for call in (
            lambda: databases.restore(hosting, iter([b"memory archive\n"]), source=hosting),
            lambda: databases.look_empty(hosting),
            lambda: databases.digests(hosting),
        ):
            with pytest.raises((Transient, Refused)):
                call()


SCHEMA = """
    CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
    CREATE SCHEMA "odd Schema" AUTHORIZATION {owner};
    SET ROLE {owner};
    CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
    CREATE TABLE "odd Schema".notes (id int PRIMARY KEY, owner text DEFAULT current_user, body public.citext);
    CREATE TABLE public.parts (id public.positive, made date) PARTITION BY RANGE (made);
    CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO "odd Schema".notes (id, body) VALUES (1, 'One'), (2, 'Two');
    INSERT INTO public.parts VALUES (1, '2026-05-05');
    CREATE MATERIALIZED VIEW public.counted AS SELECT count(*) AS notes FROM "odd Schema".notes;
    COMMENT ON TABLE "odd Schema".notes IS 'kept';
    ALTER TABLE "odd Schema".notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY of_the_owner ON "odd Schema".notes TO {owner} USING (pg_has_role('{login}', '{owner}', 'MEMBER'));
    GRANT SELECT ON "odd Schema".notes TO {login};
    GRANT SELECT ON public.parts TO PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {login};
    SELECT lo_from_bytea(4711, 'large');
    RESET ROLE;
"""


def test_grants_policies_and_views_are_those_of_the_new_roles(server: PostgresPlace) -> None:
    """Everything that a customer has comes again, naming its own roles and no others."""
    source, target = given(server), prepared(server)
    with server.ours(source) as session:
        session.execute(SCHEMA.format(owner=source.owner, login=source.login).encode())
    with server.databases.dump(source) as dump:
        archive, tables = list(dump.chunks()), dict(dump.tables)
    assert server.databases.restore(target, iter(archive), source=source) == ()
    assert server.databases.digests(target) == tables
    server.databases.set_password(target, PASSWORD)
    server.databases.open_logins(target)
    with contextlib.closing(server.customer(target)) as customer:
        assert customer.execute("SELECT notes FROM counted").fetchone() == (2,)
        found = customer.execute("SELECT policyname, roles::text[], qual FROM pg_policies").fetchall()
        assert [(name, named) for name, named, _ in found] == [("of_the_owner", [target.owner])]
        assert target.login in found[0][2]
        assert target.owner in found[0][2]
        privileges = customer.execute(
            "SELECT relname, coalesce(relacl::text, '') || (SELECT string_agg(defaclacl::text, '') FROM pg_default_acl)"
            " FROM pg_class WHERE relname IN ('notes', 'parts') ORDER BY 1"
        ).fetchall()
        owners = customer.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'odd Schema')"
        ).fetchall()
        comment = customer.execute("SELECT obj_description('\"odd Schema\".notes'::regclass)").fetchone()
        extension = customer.execute(
            "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'citext'"
        )
        assert extension.fetchone() == ("public",)
    assert owners == [(target.owner,)]
    assert comment == ("kept",)
    assert all(f"{target.login}=r" in text for _, text in privileges)
    assert not any(source.uid in text for _, text in privileges)
    assert "=r/" in privileges[1][1]


UNLUCKY = """
    SET ROLE {owner};
    CREATE FUNCTION public.once() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
        RETURN (SELECT 1 / count(*) FROM pg_roles
            WHERE rolname = '{owner}' AND pg_has_role(current_user, oid, 'MEMBER'));
    END $$;
    CREATE MATERIALIZED VIEW public.unlucky AS SELECT public.once() AS one;
    RESET ROLE;
    CREATE PUBLICATION beyond FOR TABLE public.orders;
"""


def test_what_cannot_be_made_again_is_named_and_nothing_else_suffers(server: PostgresPlace) -> None:
    """A view whose content can no longer be computed, a publication that no customer may make: rows come first."""
    source, target = given(server), prepared(server)
    server.fill(source, "orders", ["one"])
    with server.ours(source) as session:
        session.execute(UNLUCKY.format(owner=source.owner).encode())
    left_out = server.databases.restore(target, iter(archive_of(server, source)), source=source)
    assert [" ".join(what.split()[:-1]) for what in left_out] == [
        "MATERIALIZED VIEW DATA public unlucky",
        "PUBLICATION - beyond",
        "PUBLICATION TABLE public beyond orders",
    ]
    assert server.databases.digests(target)["public.orders"].rows == 1


PRYING = """
    SET ROLE {owner};
    CREATE FUNCTION public.pry(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
        IF current_database() <> '{database}' THEN
            PERFORM set_config('role', 'none', false);
            IF session_user !~ '^l_' OR current_setting('is_superuser') = 'on'
                OR has_database_privilege(current_database(), 'CREATE')
                OR pg_has_role(session_user, 'cloudsqlsuperuser', 'MEMBER') THEN
                RAISE 'restored by % with rights to take', session_user;
            END IF;
        END IF;
        RETURN true;
    END $$;
    CREATE TABLE public.checked (id int CHECK (public.pry(id)));
    INSERT INTO public.checked VALUES (1);
    RESET ROLE;
"""


def test_an_archive_gains_no_right_that_its_customer_has_not(server: PostgresPlace) -> None:
    """Its functions run while it is restored, as the customer and in its own database alone."""
    source, target = given(server), prepared(server)
    with server.ours(source) as session:
        session.execute(PRYING.format(owner=source.owner, database=source.database).encode())
    server.databases.restore(target, iter(archive_of(server, source)), source=source)
    assert server.databases.digests(target)["public.checked"].rows == 1


def test_the_password_of_the_moment_is_nobodys(server: PostgresPlace) -> None:
    """After the restore the login is closed, and what was its password before lets nobody in once it is opened."""
    source, target = given(server), prepared(server)
    server.databases.set_password(target, PASSWORD)
    server.databases.restore(target, iter(archive_of(server, source)), source=source)
    with pytest.raises(Refused):
        server.customer(target)
    server.databases.open_logins(target)
    with pytest.raises(Refused):
        server.customer(target)
