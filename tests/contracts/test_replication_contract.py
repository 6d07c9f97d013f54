"""The contract of `Replication`, held to by the fake and by PostgreSQL on two clusters."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from tenantctl.adapters.memory.replication import MemoryReplication
from tenantctl.adapters.postgres.replication import PostgresReplication
from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient
from tenantctl.model.replication import ReplicationSeen
from tenantctl.model.row_sets import ALL_ROWS, NO_ROWS
from tenantctl.model.sighting import Present, Unreachable
from tenantctl.model.tenant import Hosting
from tenantctl.ports.replication import Replication
from tenantctl.relocation.request import scram_verifier
from tests.contracts.databases_places import MemoryPlace, Place, PostgresPlace, given, place_named

PATIENCE_SECONDS = 120.0
LAG_MAX = 64_000
NAMES = ("memory", "local")


@dataclass
class Moving:
    """A source with a table, an empty target on the other instance, and what replicates between them."""

    place: Place
    replication: Replication
    source: Hosting
    target: Hosting

    @property
    def ways(self) -> tuple[Hosting, Hosting]:
        return self.source, self.target

    def seen(self) -> ReplicationSeen:
        sight = self.replication.look(*self.ways)
        assert isinstance(sight, Present), sight
        return sight.value

    def begin(self) -> str:
        digest = self.replication.schema_digest(self.source)
        assert self.replication.copy_schema(*self.ways) == ()
        self.replication.publish(self.source, digest)
        self.replication.subscribe(*self.ways)
        return digest

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.seen()
            time.sleep(0.05)

    def is_in_step(self) -> bool:
        return self.seen().in_step(LAG_MAX)

    def silent(self, which: str) -> contextlib.AbstractContextManager[tuple[Hosting, Hosting]]:
        """The two hostings, one of which lies on an instance that does not answer."""
        return _silent(self, which)


@contextlib.contextmanager
def _silent(moving: Moving, which: str) -> Iterator[tuple[Hosting, Hosting]]:
    source, target = moving.ways
    instance = (source if which == "source" else target).instance
    if isinstance(moving.place, MemoryPlace):
        moving.place.instances[instance].reachable = False
        yield source, target
        moving.place.instances[instance].reachable = True
    else:
        far = {which: replace(getattr(moving, which), instance="nowhere")}
        yield far.get("source", source), far.get("target", target)


@pytest.fixture(params=NAMES)
def moving(request: pytest.FixtureRequest) -> Iterator[Moving]:
    with place_named(request.param, request) as place, contextlib.ExitStack() as stack:
        source = given(place)
        target = replace(source, instance="two", region="europe-west1", generation=2)
        replication: Replication
        if isinstance(place, MemoryPlace):
            replication = MemoryReplication(place.instances)
        else:
            assert isinstance(place, PostgresPlace)
            place.made.append(target)
            replication = stack.enter_context(contextlib.closing(PostgresReplication(place.sessions)))
        place.databases.create_roles(target, connection_limit=5)
        place.databases.create_database(target)
        place.databases.prepare(target, extensions=())
        place.fill(source, "orders", ["one", "two"])
        stack.callback(replication.remove, source, target)
        yield Moving(place, replication, source, target)


def test_rows_follow_until_the_fence_and_both_sides_are_the_same(moving: Moving) -> None:
    """Those that were there, and those that come meanwhile; a position that was confirmed is behind all of them."""
    digest = moving.begin()
    moving.wait_until(moving.is_in_step)
    moving.place.fill(moving.source, "orders", ["three"])
    moving.replication.settle(*moving.ways)
    moving.place.databases.close_logins(moving.source)
    position = moving.replication.mark(moving.source)
    moving.wait_until(lambda: moving.replication.has_reached(moving.source, position))
    assert moving.replication.schema_digest(moving.source) == moving.seen().digest == digest
    moving.replication.copy_sequences(*moving.ways)
    there = moving.place.databases.digests(moving.target)
    assert there == moving.place.databases.digests(moving.source)
    assert there["public.orders"].rows == 3
    logins = moving.place.databases.look_at_logins(moving.target)
    assert isinstance(logins, Present)
    assert not logins.value.can_log_in  # nobody was let in on the way
    moving.replication.remove(*moving.ways)
    assert moving.seen().is_nothing
    moving.place.fill(moving.source, "orders", ["four"])
    assert moving.place.databases.digests(moving.target) == there


def test_what_changes_is_told_once_and_a_snapshot_stays_what_it_is(moving: Moving) -> None:
    """Everything that was committed before a call, by that call or an earlier one; and both sides by the same sums."""
    with pytest.raises(NotFound), moving.replication.changes(moving.source):
        pass
    moving.begin()
    moving.wait_until(moving.is_in_step)
    with moving.replication.changes(moving.source) as log:
        assert "public.orders" in log.shapes
        assert not any(log.read().values())
        moving.place.fill(moving.source, "orders", ["three"])
        with moving.replication.frozen(moving.source) as here:
            assert here.shapes == log.shapes
            moving.place.fill(moving.source, "orders", ["four"])
            seen = here.sums({"public.orders": ALL_ROWS, "public.nowhere": ALL_ROWS})
        assert {table: digest.rows for table, digest in seen.items()} == {"public.orders": 3}
        told = log.read()["public.orders"]
        assert ("three",) in told
        assert ("four",) in told
        assert not any(log.read().values())
    position = moving.replication.mark(moving.source)
    moving.wait_until(lambda: moving.replication.has_reached(moving.source, position))
    for hosting in moving.ways:
        with moving.replication.frozen(hosting) as side:
            assert side.sums({"public.orders": ALL_ROWS}) == moving.place.databases.digests(moving.source)
            assert side.sums({"public.orders": NO_ROWS})["public.orders"].rows == 0


def test_1_every_call_may_be_repeated(moving: Moving) -> None:
    """The second time changes nothing, and `remove` of what is gone neither."""
    digest = moving.replication.schema_digest(moving.source)
    moving.replication.copy_schema(*moving.ways)
    for _ in range(2):
        moving.replication.publish(moving.source, digest)
        assert moving.replication.schema_digest(moving.source) == digest
    assert (moving.seen().digest, moving.seen().subscribed) == (digest, False)
    for _ in range(2):
        moving.replication.subscribe(*moving.ways)
    moving.wait_until(moving.is_in_step)
    for _ in range(2):
        moving.replication.copy_sequences(*moving.ways)
        moving.replication.settle(*moving.ways)
    for _ in range(2):
        moving.replication.remove(*moving.ways)
    assert moving.seen().is_nothing


def test_the_schema_goes_into_an_empty_database_alone(moving: Moving) -> None:
    """What is there already is another's, or of an earlier try; and a change of the source's is seen."""
    digest = moving.replication.schema_digest(moving.source)
    moving.replication.copy_schema(*moving.ways)
    with pytest.raises(Refused, match="not empty"):
        moving.replication.copy_schema(*moving.ways)
    moving.place.fill(moving.source, "invoices", ["first"])
    assert moving.replication.schema_digest(moving.source) != digest


@pytest.mark.parametrize("which", ["source", "target"])
def test_2_a_silent_instance_is_not_nothing(moving: Moving, which: str) -> None:
    """Neither side's silence says that there is no replication."""
    assert moving.seen().is_nothing
    with moving.silent(which) as ways:
        assert isinstance(moving.replication.look(*ways), Unreachable)


def test_3_another_tenants_database_is_left_alone(moving: Moving) -> None:
    """Neither published nor copied from; and nothing of a replication came to be."""
    moving.place.mark(moving.source, "somebody else's")
    for call in (
        lambda: moving.replication.publish(moving.source, "digest"),
        lambda: moving.replication.copy_schema(*moving.ways),
        lambda: moving.replication.schema_digest(moving.source),
        lambda: moving.replication.inspect(moving.source),
    ):
        with pytest.raises(Refused):
            call()
    moving.place.mark(moving.source, moving.source.marker)
    assert moving.seen().is_nothing


def test_4_a_silent_target_does_not_keep_the_sources_log(moving: Moving) -> None:
    """What would fill the source's disk is taken away; that the target was silent is told, and it is cleared later."""
    moving.begin()
    with moving.silent("target") as ways, pytest.raises(TenantctlError):
        moving.replication.remove(*ways)
    assert (moving.seen().digest, moving.seen().slot) == (None, False)
    moving.replication.remove(*moving.ways)
    assert moving.seen().is_nothing


def test_5_what_does_not_answer_is_transient(moving: Moving) -> None:
    """And nobody waits for a position that no slot reads to."""
    with pytest.raises(NotFound):
        moving.replication.has_reached(moving.source, "0/1")
    with moving.silent("source") as (source, target):
        with pytest.raises((Transient, NotFound)):
            moving.replication.copy_schema(source, target)
        with pytest.raises((Transient, NotFound)), moving.replication.changes(source):
            pass
        with pytest.raises((Transient, NotFound)), moving.replication.frozen(source):
            pass


def test_what_is_there_is_told(moving: Moving) -> None:
    """Of a database its tables and its size; of an instance what it offers to who comes."""
    moving.place.force_row_security(moving.source, "orders")
    found, there = moving.replication.inspect(moving.source), moving.replication.readiness("two")
    assert (found.tables, found.large_objects, found.unlogged, found.of_strangers) == (1, 0, (), ())
    assert found.forced == ("public.orders",)
    assert found.size > 0
    assert (there.locale, there.server_major) == (found.locale, found.server_major)
    assert there.logical
    assert there.slots_free > 0


def test_a_password_is_set_by_its_verifier_alone(moving: Moving) -> None:
    """Anything else is no verifier, and would be a password that somebody has seen."""
    moving.replication.set_verifier(moving.target, scram_verifier("moved"))
    with pytest.raises(Refused, match="no SCRAM verifier"):
        moving.replication.set_verifier(moving.target, "moved")
