"""The contract of `Scratch`, held to by the fake and by PostgreSQL through the real connector."""

import secrets
from collections.abc import Callable, Iterator

import pytest

from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Hosting
from tenantctl.ports.databases import Scratch
from tests.contracts.databases_places import PLACES, Place, given, place_named

CALLS: dict[str, Callable[[Scratch, str, str], object]] = {
    "create": lambda scratch, instance, name: scratch.create(instance, name),
    "restore": lambda scratch, instance, name: scratch.restore(instance, name, iter([b"PGDMP"])),
    "digests": lambda scratch, instance, name: scratch.digests(instance, name),
    "drop": lambda scratch, instance, name: scratch.drop(instance, name),
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with place_named(request.param, request) as found:
        yield found


@pytest.fixture
def hosting(place: Place) -> Hosting:
    return given(place)


@pytest.fixture
def name(place: Place, hosting: Hosting) -> Iterator[str]:
    """A scratch database's name; whatever is there at the end is dropped."""
    made = f"s_{secrets.token_hex(6)}"
    yield made
    place.scratch.drop(hosting.instance, made)


def _archive(place: Place, hosting: Hosting) -> list[bytes]:
    with place.databases.dump(hosting) as dump:
        return list(dump.chunks())


def _names(place: Place, instance: str) -> tuple[str, ...]:
    seen = place.scratch.names(instance)
    assert isinstance(seen, Present)
    return seen.value


def test_what_was_dumped_is_restored_whole(place: Place, hosting: Hosting, name: str) -> None:
    """Rows and checksums of every table are those of the dump's own snapshot."""
    place.fill(hosting, "orders", [f"{number} zwölf '\\ \t\n" for number in range(2_000)])
    place.fill(hosting, "Odd.Name", ["one"])
    place.fill(hosting, "empty", [])
    with place.databases.dump(hosting) as dump:
        archive = list(dump.chunks())
        tables = dict(dump.tables)
    place.scratch.create(hosting.instance, name)
    assert place.scratch.digests(hosting.instance, name) == {}
    place.scratch.restore(hosting.instance, name, iter(archive))
    assert place.scratch.digests(hosting.instance, name) == tables
    assert len(tables) == 3


def test_archives_come_in_pieces_of_any_size(place: Place, hosting: Hosting, name: str) -> None:
    """Their contents may end anywhere in a piece, or take several."""
    place.fill(hosting, "orders", [f"{number}" for number in range(500)])
    whole = b"".join(_archive(place, hosting))
    place.scratch.create(hosting.instance, name)
    place.scratch.restore(hosting.instance, name, (whole[at : at + 777] for at in range(0, len(whole), 777)))
    assert place.scratch.digests(hosting.instance, name)["public.orders"].rows == 500


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.95])
def test_an_archive_that_is_not_whole_is_refused(place: Place, hosting: Hosting, name: str, kept: float) -> None:
    """Wherever it breaks off."""
    place.fill(hosting, "orders", [f"{number:0200d}" for number in range(1_000)])
    whole = b"".join(_archive(place, hosting))
    place.scratch.create(hosting.instance, name)
    with pytest.raises(Refused, match="archive"):
        place.scratch.restore(hosting.instance, name, iter([whole[: int(len(whole) * kept)]]))


def test_something_else_than_an_archive_is_refused(place: Place, hosting: Hosting, name: str) -> None:
    """Also where it is long."""
    place.scratch.create(hosting.instance, name)
    with pytest.raises(Refused, match="archive"):
        place.scratch.restore(hosting.instance, name, iter([b"no archive, but prose.\n"] * 10_000))
    assert place.scratch.digests(hosting.instance, name) == {}


def test_an_archive_is_not_restored_twice(place: Place, hosting: Hosting, name: str) -> None:
    """Into a database that is not empty, nothing restores."""
    place.fill(hosting, "orders", ["one"])
    archive = _archive(place, hosting)
    place.scratch.create(hosting.instance, name)
    place.scratch.restore(hosting.instance, name, iter(archive))
    with pytest.raises(Refused, match="orders"):
        place.scratch.restore(hosting.instance, name, iter(archive))


def test_a_source_that_fails_fails_the_restore(place: Place, hosting: Hosting, name: str) -> None:
    """In its own words, and everything that was begun is ended."""
    place.fill(hosting, "orders", [f"{number:0200d}" for number in range(10_000)])
    archive = b"".join(_archive(place, hosting))

    def failing() -> Iterator[bytes]:
        yield archive[: len(archive) // 2]
        raise Transient("The vault is gone.")

    place.scratch.create(hosting.instance, name)
    with pytest.raises(Transient, match=r"The vault is gone\."):
        place.scratch.restore(hosting.instance, name, failing())
    place.scratch.drop(hosting.instance, name)
    assert name not in _names(place, hosting.instance)


def test_dropping_takes_the_role_along_and_may_be_repeated(place: Place, hosting: Hosting, name: str) -> None:
    """Contract 1; making it again is a no-op too."""
    assert name not in _names(place, hosting.instance)
    for _ in range(2):
        place.scratch.create(hosting.instance, name)
        assert name in _names(place, hosting.instance)
    for _ in range(2):
        place.scratch.drop(hosting.instance, name)
        assert name not in _names(place, hosting.instance)


def test_there_is_nothing_to_do_in_a_database_that_is_gone(place: Place, hosting: Hosting, name: str) -> None:
    """And it is not made by the way."""
    archive = _archive(place, hosting)
    with pytest.raises(NotFound):
        place.scratch.restore(hosting.instance, name, iter(archive))
    with pytest.raises(NotFound):
        place.scratch.digests(hosting.instance, name)
    assert name not in _names(place, hosting.instance)


@pytest.mark.parametrize("call", CALLS)
def test_a_tenants_database_is_never_taken_for_scratch(place: Place, hosting: Hosting, call: str) -> None:
    """Names that do not begin with s_ are refused, whatever is asked."""
    place.fill(hosting, "orders", ["one"])
    with pytest.raises(Refused, match="scratch"):
        CALLS[call](place.scratch, hosting.instance, hosting.database)
    assert hosting.database not in _names(place, hosting.instance)
    assert place.databases.look(hosting) != Gone()


@pytest.mark.parametrize("call", ["create", "digests", "drop"])
def test_an_instance_that_does_not_answer_is_weather(place: Place, call: str) -> None:
    """And is never one without scratch databases."""
    with place.silent() as (_, scratch):
        with pytest.raises(Transient):
            CALLS[call](scratch, "one", "s_any")
        assert isinstance(scratch.names("one"), Unreachable)
