"""The contract of `Databases`, held to by the fake and by PostgreSQL through the real connector."""

from collections.abc import Callable, Iterator

import pytest

from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.facts import DatabaseMarked
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Hosting
from tenantctl.ports.databases import Databases, DatabaseSeen, LoginsSeen
from tests.contracts.databases_places import PASSWORD, PLACES, Place, given, place_named


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with place_named(request.param, request) as found:
        yield found


def _enter_dump(databases: Databases, hosting: Hosting) -> None:
    with databases.dump(hosting) as dump:
        assert dump.tables is not None


CHANGES: dict[str, Callable[[Databases, Hosting], object]] = {
    "create_database": lambda databases, hosting: databases.create_database(hosting),
    "prepare": lambda databases, hosting: databases.prepare(hosting, extensions=()),
    "open_logins": lambda databases, hosting: databases.open_logins(hosting),
    "close_logins": lambda databases, hosting: databases.close_logins(hosting),
    "set_password": lambda databases, hosting: databases.set_password(hosting, "another"),
    "set_forced_row_security": lambda databases, hosting: databases.set_forced_row_security(
        hosting, ["public.orders"], forced=True
    ),
    "drop_database": lambda databases, hosting: databases.drop_database(hosting),
}
READS: dict[str, Callable[[Databases, Hosting], object]] = {
    "forced_row_security": lambda databases, hosting: databases.forced_row_security(hosting),
    "dump": _enter_dump,
}
OTHERS: dict[str, Callable[[Databases, Hosting], object]] = {
    "create_roles": lambda databases, hosting: databases.create_roles(hosting, connection_limit=5),
    "drop_roles": lambda databases, hosting: databases.drop_roles(hosting),
    "look_prepared": lambda databases, hosting: databases.look_prepared(hosting, extensions=()),
}


def test_a_tenants_database_comes_and_goes(place: Place) -> None:
    """Each step shows, and none has to be guessed."""
    databases, hosting = place.databases, place.hosting()
    assert databases.look(hosting) == databases.look_at_roles(hosting) == databases.look_at_logins(hosting) == Gone()
    databases.create_roles(hosting, connection_limit=5)
    assert databases.look_at_roles(hosting) == Present((hosting.login, hosting.owner))
    assert databases.look_at_logins(hosting) == Present(LoginsSeen(can_log_in=False, sessions=0))
    databases.create_database(hosting)
    seen = databases.look(hosting)
    assert isinstance(seen, Present)
    assert seen.value.marker == hosting.marker
    assert not databases.look_prepared(hosting, extensions=("citext",))
    databases.prepare(hosting, extensions=("citext",))
    assert databases.look_prepared(hosting, extensions=("citext",))
    assert not databases.look_prepared(hosting, extensions=("citext", "pg_trgm"))
    databases.drop_database(hosting)
    assert databases.look(hosting) == Gone()
    databases.drop_roles(hosting)
    assert databases.look_at_roles(hosting) == databases.look_at_logins(hosting) == Gone()
    assert not databases.look_prepared(hosting, extensions=())


def test_a_census_names_every_database_and_the_tenants_roles(place: Place) -> None:
    """Whatever a database is called, its comment says whose it is; what bears no tenant's marker is nobody's."""
    databases, one, other = place.databases, given(place), given(place)
    place.mark(other, f"tenantctl tenant {one.uid} generation 7")
    databases.open_logins(one)
    sight = databases.census(one.instance)
    assert isinstance(sight, Present)
    mine = {seen for seen in sight.value.marked if seen.name in {one.database, other.database}}
    assert mine == {DatabaseMarked(one.database, one.uid, 1), DatabaseMarked(other.database, one.uid, 7)}
    roles = {name: can for name, can in sight.value.roles.items() if one.uid in name}
    assert roles == {one.owner: False, one.login: True}
    place.mark(other, "somebody else's")
    sight = databases.census(one.instance)
    assert isinstance(sight, Present)
    assert sight.value.databases[other.database] == "somebody else's"
    assert other.database not in {seen.name for seen in sight.value.marked}
    place.mark(other, other.marker)
    with place.silent() as (silent, _):
        assert isinstance(silent.census(one.instance), Unreachable)


def test_doing_again_what_is_done_changes_nothing(place: Place) -> None:
    """Contract 1."""
    databases, hosting = place.databases, given(place)
    place.fill(hosting, "orders", ["one"])
    databases.create_roles(hosting, connection_limit=5)
    databases.create_database(hosting)
    databases.prepare(hosting, extensions=())
    databases.open_logins(hosting)
    with databases.dump(hosting) as dump:
        assert dump.tables["public.orders"].rows == 1
    for _ in range(2):
        databases.close_logins(hosting)
        assert databases.look_at_logins(hosting) == Present(LoginsSeen(can_log_in=False, sessions=0))
    for _ in range(2):
        databases.drop_database(hosting)
    for _ in range(2):
        databases.drop_roles(hosting)
    databases.close_logins(hosting)
    assert databases.look_at_roles(hosting) == Gone()


def test_only_an_instance_that_answers_says_gone(place: Place) -> None:
    """Contract 2."""
    hosting = given(place)
    with place.silent() as (databases, _):
        for look in (databases.look, databases.look_at_roles, databases.look_at_logins):
            seen = look(hosting)
            assert isinstance(seen, Unreachable)
            assert seen.reason.endswith(".")


def test_anothers_database_is_refused(place: Place) -> None:
    """Contract 3: the marker decides, and the name alone nothing."""
    databases, hosting = place.databases, given(place)
    place.fill(hosting, "orders", ["one"])
    place.log_in(hosting)
    place.mark(hosting, "tenantctl tenant somebodyelse generation 1")
    for call in (CHANGES | READS).values():
        with pytest.raises(Refused, match="is not tenant"):
            call(databases, hosting)
        assert databases.look_at_logins(hosting) == Present(LoginsSeen(can_log_in=True, sessions=1))
    assert not databases.look_prepared(hosting, extensions=())
    place.mark(hosting, hosting.marker)
    assert databases.forced_row_security(hosting) == ()
    with databases.dump(hosting) as dump:
        assert dump.tables["public.orders"].rows == 1


def test_a_database_without_a_marker_is_nobodys(place: Place) -> None:
    """Contract 3: also where it is empty, for every call but the one that makes it."""
    databases, hosting = place.databases, given(place)
    place.mark(hosting, None)
    for name, call in (CHANGES | READS).items():
        if name != "create_database":
            with pytest.raises(Refused, match="is not tenant"):
                call(databases, hosting)
            assert isinstance(databases.look(hosting), Present)
    assert not databases.look_prepared(hosting, extensions=())


def test_a_crash_between_making_and_marking_is_mended(place: Place) -> None:
    """A database of exactly our name that is ours, has no marker and is empty, can only be our own unfinished work."""
    databases, hosting = place.databases, given(place)
    place.mark(hosting, None)
    databases.create_database(hosting)
    seen = databases.look(hosting)
    assert isinstance(seen, Present)
    assert seen.value.marker == hosting.marker


def test_a_database_without_a_marker_that_is_not_empty_is_not_adopted(place: Place) -> None:
    """Somebody's rows are in it: whose, nobody can tell."""
    databases, hosting = place.databases, given(place)
    place.fill(hosting, "orders", ["one"])
    place.mark(hosting, None)
    with pytest.raises(Refused, match="is not tenant"):
        databases.create_database(hosting)
    assert databases.look(hosting) != Present(DatabaseSeen(hosting.marker, 0))


@pytest.mark.parametrize("name", [*CHANGES, *READS, *OTHERS])
def test_an_instance_that_does_not_answer_is_weather(place: Place, name: str) -> None:
    """Contract 4."""
    hosting = place.hosting()
    with place.silent() as (databases, _), pytest.raises(Transient):
        (CHANGES | READS | OTHERS)[name](databases, hosting)


def test_a_database_that_is_gone_is_not_changed(place: Place) -> None:
    """What is to be gone is; what needs it says that there is none."""
    databases, hosting = place.databases, place.hosting()
    with pytest.raises(NotFound, match="no role"):
        databases.create_database(hosting)
    databases.create_roles(hosting, connection_limit=5)
    for name, call in (CHANGES | READS).items():
        if name in ("close_logins", "drop_database"):
            call(databases, hosting)
        elif name != "create_database":
            with pytest.raises(NotFound):
                call(databases, hosting)
        assert databases.look(hosting) == Gone()


def test_a_customer_gets_in_only_while_logins_are_open(place: Place) -> None:
    """Closing ends the sessions that there are; opening again needs no new password."""
    databases, hosting = place.databases, given(place)
    place.log_in(hosting)
    assert databases.look_at_logins(hosting) == Present(LoginsSeen(can_log_in=True, sessions=1))
    databases.close_logins(hosting)
    assert databases.look_at_logins(hosting) == Present(LoginsSeen(can_log_in=False, sessions=0))
    with pytest.raises(Refused):
        place.log_in(hosting)
    databases.open_logins(hosting)
    place.log_in(hosting, PASSWORD)
    assert databases.look_at_logins(hosting) == Present(LoginsSeen(can_log_in=True, sessions=1))


def test_a_new_password_replaces_the_old_one(place: Place) -> None:
    """The old one opens nothing any more."""
    hosting = given(place)
    place.databases.set_password(hosting, "a new one")
    with pytest.raises(Refused):
        place.log_in(hosting, PASSWORD)
    place.log_in(hosting, "a new one")


def test_a_customer_has_no_more_sessions_than_its_limit(place: Place) -> None:
    """Neighbours on the instance keep theirs; a new limit holds at once."""
    hosting = given(place, connection_limit=1)
    place.log_in(hosting)
    with pytest.raises((Refused, Transient)):
        place.log_in(hosting)
    place.databases.create_roles(hosting, connection_limit=2)
    place.log_in(hosting)


def test_an_unknown_extension_is_refused(place: Place) -> None:
    """It is an answer, which asking again does not change."""
    hosting = given(place)
    with pytest.raises(Refused):
        place.databases.prepare(hosting, extensions=("no_such_extension",))


def test_a_dump_has_the_digests_of_its_tables(place: Place) -> None:
    """Rows are counted; the checksum depends on them, and not on their order."""
    hosting = given(place)
    place.fill(hosting, "orders", ["one", "two", "zwölf ' \\ \t"])
    place.fill(hosting, "Odd.Name", [])
    place.fill(hosting, "reversed", ["zwölf ' \\ \t", "two", "one"])
    place.fill(hosting, "altered", ["one", "two", "zwölf ' \\ \n"])
    with place.databases.dump(hosting) as dump:
        assert b"".join(dump.chunks())
        tables = dump.tables
        assert dump.server_version.split(".")[0].isdigit()
    assert [tables[name].rows for name in ("public.orders", "public.reversed", "public.altered")] == [3, 3, 3]
    assert tables["public.orders"] == tables["public.reversed"] != tables["public.altered"]
    assert sorted(digest.rows for digest in tables.values()) == [0, 3, 3, 3]


def test_a_dump_is_of_one_moment(place: Place) -> None:
    """What comes in while it is being read is in the next one."""
    hosting = given(place)
    place.fill(hosting, "orders", ["one"])
    with place.databases.dump(hosting) as dump:
        place.fill(hosting, "orders", ["two"])
        assert b"".join(dump.chunks())
        assert dump.tables["public.orders"].rows == 1
    with place.databases.dump(hosting) as dump:
        assert dump.tables["public.orders"].rows == 2


def test_a_dump_that_breaks_off_does_not_end_normally(place: Place) -> None:
    """Half a dump must never pass for a whole one."""
    hosting = given(place)
    place.fill(hosting, "orders", [f"{number:0200d}" for number in range(150_000)])
    with place.databases.dump(hosting) as dump:
        chunks = dump.chunks()
        assert next(chunks)
        place.break_dump(hosting)
        with pytest.raises(Transient, match="failed"):
            for _ in chunks:
                pass


def test_a_dump_that_is_left_early_leaves_nothing_behind(place: Place) -> None:
    """The database can be dropped at once: nobody is in it any more."""
    hosting = given(place)
    place.fill(hosting, "orders", [f"{number:0200d}" for number in range(50_000)])
    with place.databases.dump(hosting) as dump:
        assert next(dump.chunks())
    place.databases.drop_database(hosting)
    assert place.databases.look(hosting) == Gone()


def test_forced_row_security_is_lifted_and_set_again(place: Place) -> None:
    """It breaks dumps, is listed, and tables that are no more are passed over."""
    databases, hosting = place.databases, given(place)
    place.fill(hosting, "orders", ["one"])
    place.fill(hosting, "open", ["one"])
    assert databases.forced_row_security(hosting) == ()
    place.force_row_security(hosting, "orders")
    assert databases.forced_row_security(hosting) == ("public.orders",)
    with databases.dump(hosting) as dump, pytest.raises(Transient, match="row"):
        b"".join(dump.chunks())
    for _ in range(2):
        databases.set_forced_row_security(hosting, ["public.orders", "public.gone", "no.such"], forced=False)
    assert databases.forced_row_security(hosting) == ()
    with databases.dump(hosting) as dump:
        assert b"".join(dump.chunks())
        assert dump.tables["public.orders"].rows == 1
    databases.set_forced_row_security(hosting, ["public.orders", "public.gone"], forced=True)
    assert databases.forced_row_security(hosting) == ("public.orders",)


def test_roles_stay_as_long_as_their_database(place: Place) -> None:
    """Otherwise nobody could say whose it is."""
    hosting = given(place)
    with pytest.raises(Refused, match="still there"):
        place.databases.drop_roles(hosting)
    assert place.databases.look_at_roles(hosting) == Present((hosting.login, hosting.owner))


def test_dropping_one_tenant_leaves_its_neighbour(place: Place) -> None:
    """Also while its customer is connected."""
    leaving, staying = given(place), given(place)
    place.fill(staying, "orders", ["one"])
    place.log_in(leaving)
    place.log_in(staying)
    place.databases.drop_database(leaving)
    place.databases.drop_roles(leaving)
    assert place.databases.look_at_logins(staying) == Present(LoginsSeen(can_log_in=True, sessions=1))
    with place.databases.dump(staying) as dump:
        assert dump.tables["public.orders"].rows == 1
