"""Only what may go through later is tried again, and never for longer than patience lasts."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType

import pytest

from tenantctl.adapters.memory.fuse import Crash, Fuse, fused
from tenantctl.adapters.memory.instances import MemoryInstances
from tenantctl.adapters.memory.vault import MemoryVault
from tenantctl.adapters.read_only import (
    DATABASES_LOOKS,
    SCRATCH_LOOKS,
    read_only,
    read_only_instances,
    read_only_vault,
)
from tenantctl.adapters.retry import LOOKS_MAX, Patience, RetryingInstances, RetryingVault, retrying
from tenantctl.model.errors import NotFound, Refused, Transient, TurnedAway
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.databases import Databases, Scratch
from tenantctl.ports.instances import Instances
from tenantctl.ports.vault import BucketSeen, Upload, Vault

TERMS = BucketSeen(region="r", locked=True, lock_days=1, age_days=2, soft_delete_seconds=0, versioning=False)


@dataclass
class Waits:
    """Takes the place of sleeping, and remembers for how long."""

    seconds: list[float] = field(default_factory=list)
    then: Callable[[], None] = lambda: None

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.then()


class Weather:
    """Fails a number of times with an error, then answers."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times, self.calls = error, times, 0

    def call(self, word: str = "", *, loud: bool = False) -> str:
        """Answer the word."""
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return word.upper() if loud else word


def memory_vault() -> MemoryVault:
    vault = MemoryVault(lambda: datetime(2026, 11, 23, tzinfo=UTC))
    vault.make_bucket("b", TERMS)
    return vault


def test_transient_is_tried_again_and_arguments_arrive() -> None:
    waits, weather = Waits(), Weather(Transient("rain"), times=3)
    port = retrying(weather, ["call"], Patience(sleep=waits))
    assert port.call("sun", loud=True) == "SUN"
    assert (weather.calls, len(waits.seconds)) == (4, 3)
    assert port.calls == 4


@pytest.mark.parametrize("error", [Refused("no"), NotFound("nothing"), ValueError("a bug"), OSError("another")])
def test_nothing_else_is_tried_again(error: Exception) -> None:
    """An answer stays an answer, and a bug stays a bug."""
    waits, weather = Waits(), Weather(error, times=1)
    with pytest.raises(type(error)):
        retrying(weather, ["call"], Patience(sleep=waits)).call()
    assert (weather.calls, waits.seconds) == (1, [])


def test_patience_ends_and_the_last_error_is_raised() -> None:
    waits, error = Waits(), Transient("rain for ever")
    weather = Weather(error, times=10_000)
    with pytest.raises(Transient) as caught:
        retrying(weather, ["call"], Patience(seconds=20, first_seconds=0.5, most_seconds=4, sleep=waits)).call()
    assert caught.value is error
    assert sum(waits.seconds) < 20
    assert max(waits.seconds) <= 4
    assert weather.calls == len(waits.seconds) + 1 > 4


def test_waits_are_drawn_at_random_below_a_growing_bound() -> None:
    """Many workers that failed together do not come back together."""
    runs = []
    for _ in range(20):
        waits = Waits()
        patience = Patience(seconds=60, first_seconds=1, most_seconds=8, sleep=waits)
        with pytest.raises(Transient):
            patience.call(Weather(Transient("rain"), times=10_000).call)
        assert all(0 <= wait <= min(8, 2**place) for place, wait in enumerate(waits.seconds))
        runs.append(tuple(waits.seconds))
    assert len(set(runs)) == len(runs)


def test_a_method_that_is_not_named_is_not_tried_again() -> None:
    weather = Weather(Transient("rain"), times=1)
    with pytest.raises(Transient):
        retrying(weather, []).call()
    with pytest.raises(AttributeError):
        retrying(weather, ["cal"])


def test_a_look_is_tried_a_few_times_and_then_believed() -> None:
    """A region that is down must not hold up the sweep over all tenants."""
    vault, waits = memory_vault(), Waits()
    vault.put("b", "o", b"1")
    port: Vault = RetryingVault(vault, Patience(sleep=waits))
    vault.unreachable.add("r")
    assert isinstance(port.look("b", "o"), Unreachable)
    assert len(waits.seconds) == LOOKS_MAX - 1
    waits.then = vault.unreachable.clear
    assert isinstance(port.look("b", "o"), Present)
    assert port.look("b", "never") == Gone()
    assert port.look_at_bucket("b") == Present(TERMS)
    assert port.names("b", "") == Present(("o",))
    assert len(waits.seconds) == LOOKS_MAX


def test_a_vault_that_comes_back() -> None:
    """Small writes and the opening of streams wait for it."""
    vault = memory_vault()
    port: Vault = RetryingVault(vault, Patience(sleep=Waits(then=vault.unreachable.clear)))
    vault.unreachable.add("r")
    port.put("b", "small", b"1")
    vault.unreachable.add("r")
    with port.upload("b", "big") as upload:
        upload.write(b"22")
        upload.seal()
    vault.unreachable.add("r")
    assert b"".join(port.read("b", "big")) == b"22"


def test_a_stream_that_broke_is_not_begun_again() -> None:
    """What has been written cannot be written once more behind the writer's back."""
    vault, waits = memory_vault(), Waits()
    port: Vault = RetryingVault(vault, Patience(sleep=waits))
    with pytest.raises(Transient), port.upload("b", "o") as upload:  # noqa: PT012 - the block is what ends
        vault.unreachable.add("r")
        upload.write(b"1")
    assert waits.seconds == []
    vault.unreachable.clear()
    assert vault.look("b", "o") == Gone()


def test_the_inner_stream_is_left_with_the_error() -> None:
    """The decorated block ends as the inner one does: an error in it reaches the inner one."""
    seen: list[type[BaseException] | None] = []

    class Watched(MemoryVault):
        def upload(self, bucket: str, name: str) -> AbstractContextManager[Upload]:
            inner = super().upload(bucket, name)

            class Block(AbstractContextManager[Upload]):
                def __enter__(self) -> Upload:
                    return inner.__enter__()

                def __exit__(
                    self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                ) -> bool | None:
                    seen.append(kind)
                    return inner.__exit__(kind, error, trace)

            return Block()

    vault = Watched(lambda: datetime(2026, 11, 23, tzinfo=UTC))
    vault.make_bucket("b", TERMS)
    with pytest.raises(KeyError), RetryingVault(vault).upload("b", "o"):
        raise KeyError
    with RetryingVault(vault).upload("b", "o") as upload:
        upload.seal()
    assert seen == [KeyError, None]


def test_instances_are_asked_again_but_not_made_again() -> None:
    """A creation whose answer was lost may have begun: only the caller's next look can tell."""
    inner, waits = MemoryInstances(), Waits()
    port: Instances = RetryingInstances(inner, Patience(sleep=waits))
    inner.unreachable = True
    with pytest.raises(Transient):
        port.create("one", "r")
    assert waits.seconds == []
    assert isinstance(port.look("one"), Unreachable)
    assert isinstance(port.all(), Unreachable)
    turned_away = Weather(TurnedAway("too many"), times=2)
    assert Patience(sleep=waits).call_if_turned_away(turned_away.call, "made") == "made"
    assert turned_away.calls == 3

    def come_back() -> None:
        inner.unreachable = False
        inner.busy.clear()

    waits.then = come_back
    inner.add("one", "r")
    inner.busy.add("one")
    operation = port.add_login("one", "someone@local.example", roles=("cloudsqlsuperuser",))
    while port.operation(operation.name).status != "DONE":
        pass
    assert inner.logins("one") == {"someone@local.example": frozenset({"cloudsqlsuperuser"})}


# Looking only


def test_a_vault_that_only_looks() -> None:
    vault = memory_vault()
    vault.put("b", "o", b"1")
    port = read_only_vault(vault)
    assert isinstance(port.look("b", "o"), Present)
    assert b"".join(port.read("b", "o")) == b"1"
    with pytest.raises(Refused, match="only looks"):
        port.put("b", "p", b"")
    with pytest.raises(Refused), port.upload("b", "p"):
        pass
    assert vault.names("b", "") == Present(("o",))


def test_instances_that_are_only_looked_at() -> None:
    inner = MemoryInstances()
    port = read_only_instances(inner)
    assert port.all() == Present(())
    with pytest.raises(Refused):
        port.create("one", "r")
    with pytest.raises(Refused):
        port.add_login("one", "a@b.c", roles=())
    assert inner.all() == Present(())


@pytest.mark.parametrize(("port", "looks"), [(Databases, DATABASES_LOOKS), (Scratch, SCRATCH_LOOKS)])
def test_every_effect_of_the_databases_is_refused(port: type, looks: tuple[str, ...]) -> None:
    """Each method of the port either looks, by name, or is refused; a new one is refused until somebody decides."""
    methods = [name for name in vars(port) if not name.startswith("_")]
    calls: list[str] = []
    inner = type("Everything", (), {name: lambda *_, name=name: calls.append(name) for name in methods})()
    decorated = read_only(inner, looks)
    for name in methods:
        if name in looks:
            getattr(decorated, name)()
        else:
            with pytest.raises(Refused):
                getattr(decorated, name)()
    assert sorted(calls) == sorted(looks)
    assert all(
        name.startswith(("look", "names", "digests", "forced", "read_through", "census", "inspect")) for name in looks
    )


# The fuse


def backup(vault: Vault) -> None:
    """Some work on a vault that can be done again: a streamed object, and a small one beside it."""
    if vault.look("b", "dump") == Gone():
        with vault.upload("b", "dump") as upload:
            upload.write(b"12")
            upload.write(b"34")
            upload.seal()
    assert b"".join(vault.read("b", "dump")) == b"1234"
    vault.put("b", "manifest", b"{}")


def touches_of_a_backup() -> range:
    fuse = Fuse()
    backup(fused(memory_vault(), fuse))
    assert not fuse.blown
    return range(fuse.count)


@pytest.mark.parametrize("touches", touches_of_a_backup())
def test_work_survives_a_crash_at_every_touch(touches: int) -> None:
    """Wherever the process dies, running again completes the work."""
    vault, fuse = memory_vault(), Fuse(touches)
    with pytest.raises(Crash):
        backup(fused(vault, fuse))
    assert fuse.blown
    backup(vault)
    assert vault.names("b", "") == Present(("dump", "manifest"))


def test_the_fuse_blows_before_and_after_each_call() -> None:
    """The two deaths of a call: the work was not done, and it was done and never learnt of."""
    states = []
    for touches in range(2):
        vault = memory_vault()
        with pytest.raises(Crash):
            fused(vault, Fuse(touches)).put("b", "o", b"1")
        states.append(vault.names("b", ""))
    assert states == [Present(()), Present(("o",))]
    assert len(touches_of_a_backup()) == 2 + (1 + 1 + 2 * 3 + 2) + (2 + 1) + 2


def test_a_dead_process_does_nothing_more() -> None:
    vault, fuse = memory_vault(), Fuse(0)
    port = fused(vault, fuse)
    with pytest.raises(Crash):
        port.put("b", "o", b"1")
    with pytest.raises(Crash):
        port.put("b", "o", b"1")
    assert vault.names("b", "") == Present(())


def test_an_unsealed_stream_of_a_dead_process_is_nothing() -> None:
    vault = memory_vault()
    with pytest.raises(Crash), fused(vault, Fuse(3)).upload("b", "o") as upload:  # noqa: PT012 - the block is what ends
        upload.write(b"1")
        upload.write(b"2")
    assert vault.look("b", "o") == Gone()
