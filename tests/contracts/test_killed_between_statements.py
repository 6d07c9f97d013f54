"""A worker killed before any statement that it sends to an instance: whoever is next finishes the same step.

A step is done when the world shows it, and is not begun again then. So no effect that a step is to have may come after
what shows it as done.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import Transient
from tenantctl.model.facts import LoginsSeen
from tenantctl.model.sighting import Gone, Present
from tenantctl.model.tenant import Hosting, new_uid
from tenantctl.ports.databases import Databases
from tests.contracts.databases_places import local_place

STATEMENTS_MAX = 100


class Killed(BaseException):
    """The worker is no more, and its connection is cut."""


def die(session: psycopg.Connection[Any]) -> None:
    session.close()
    raise Killed


@dataclass
class Fuse:
    """Lets so many statements through before something happens; None lets all."""

    left: int | None = None
    happening: Callable[[psycopg.Connection[Any]], object] = die

    @contextmanager
    def armed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Counts the statements of a block."""
        execute = psycopg.Connection.execute

        def counted(session: psycopg.Connection[Any], *arguments: Any, **options: Any) -> Any:
            if self.left == 0:
                self.left = None
                self.happening(session)
            self.left = None if self.left is None else self.left - 1
            return execute(session, *arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(psycopg.Connection, "execute", counted)
            yield


@dataclass(frozen=True)
class Did:
    """A step as its room has it: whether the world shows it, and how it is done."""

    shown: Callable[[Databases, Hosting], bool]
    act: Callable[[Databases, Hosting], object]


def is_marked(databases: Databases, hosting: Hosting) -> bool:
    seen = databases.look(hosting)
    return isinstance(seen, Present) and seen.value.marker == hosting.marker


def can_log_in(databases: Databases, hosting: Hosting) -> bool:
    return databases.look_at_logins(hosting) == Present(LoginsSeen(can_log_in=True, sessions=0))


ARRIVAL = (
    Did(
        lambda databases, hosting: databases.look_at_roles(hosting) == Present((hosting.login, hosting.owner)),
        lambda databases, hosting: databases.create_roles(hosting, connection_limit=5),
    ),
    Did(is_marked, lambda databases, hosting: databases.create_database(hosting)),
    Did(
        lambda databases, hosting: databases.look_prepared(hosting, extensions=("citext",)),
        lambda databases, hosting: databases.prepare(hosting, extensions=("citext",)),
    ),
    Did(can_log_in, lambda databases, hosting: databases.open_logins(hosting)),
)
LEAVING = (
    Did(
        lambda databases, hosting: not can_log_in(databases, hosting),
        lambda databases, hosting: databases.close_logins(hosting),
    ),
    Did(
        lambda databases, hosting: databases.look(hosting) == Gone(),
        lambda databases, hosting: databases.drop_database(hosting),
    ),
    Did(
        lambda databases, hosting: databases.look_at_roles(hosting) == Gone(),
        lambda databases, hosting: databases.drop_roles(hosting),
    ),
)


@pytest.mark.parametrize("phase", [ARRIVAL, LEAVING], ids=["arrival", "leaving"])
def test_whoever_is_next_finishes_the_step(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, phase: tuple[Did, ...]
) -> None:
    """As the engine does it: look, act unless it shows, look again."""
    with local_place(local_cloud) as place:
        databases = place.databases

        def work(hosting: Hosting, steps: tuple[Did, ...], fuse: Fuse) -> None:
            for step in steps:
                if not step.shown(databases, hosting):
                    with fuse.armed(monkeypatch):
                        step.act(databases, hosting)
                    assert step.shown(databases, hosting)

        for statements in range(STATEMENTS_MAX):
            hosting, fuse = place.hosting(), Fuse(statements)
            if phase is LEAVING:
                work(hosting, ARRIVAL, Fuse())
            try:
                work(hosting, phase, fuse)
            except Killed:
                work(hosting, phase, Fuse())
                continue
            assert statements > len(phase), "each step sends something"
            break
        else:
            pytest.fail("it never came to its end")


def test_a_scratch_database_that_another_worker_takes_away_is_weather(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was paused wakes up, and sweeps what its successor is just making."""
    with local_place(local_cloud) as place, local_place(local_cloud) as sleeper:
        name = f"s_{new_uid()}"
        troubles: list[str] = []
        for statements in range(STATEMENTS_MAX):
            fuse = Fuse(statements, lambda _: sleeper.scratch.drop(place.tenants, name))
            with fuse.armed(monkeypatch):
                try:
                    place.scratch.create(place.tenants, name)
                except Transient as weather:
                    troubles.append(weather.sentence)
            place.scratch.create(place.tenants, name)
            place.scratch.drop(place.tenants, name)
            if fuse.left is not None:
                break
        assert any("does not exist" in one for one in troubles), troubles
