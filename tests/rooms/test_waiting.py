"""Room: a full region falls to the next, or a tenant waits for its turn; and nobody overtakes those who wait."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tenantctl.adapters.memory.registry import MemoryRegistry
from tenantctl.entrypoints.cli.main import run
from tenantctl.model.errors import ExitCode, NoRoom, Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Instance, InstanceRole, InstanceState, Tenant
from tenantctl.ports.registry import NewTenant
from tenantctl.sweeps.report import explain
from tests.rooms.company import HOME, PARTNER, TENANTS_INSTANCE, Company

ELSEWHERE = "tenants-2"


@pytest.fixture
def company() -> Company:
    """One whose only instance for tenants takes one."""
    made = Company()
    limit(made, 1)
    return made


@pytest.fixture
def at_a_shell(company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    """The same, for the command line."""

    @contextmanager
    def opened_world(*, looks_only: bool = False) -> Iterator[Any]:
        yield company.world

    def add_instance(world: Any, instance: Instance) -> None:
        world.registry.add_instance(instance)

    monkeypatch.setattr("tenantctl.bootstrap.opened_world", opened_world)
    monkeypatch.setattr("tenantctl.bootstrap.estate.add_instance", add_instance)
    return company


def limit(
    company: Company, databases_max: int, name: str = TENANTS_INSTANCE, region: str = HOME, **limits: Any
) -> None:
    company.registry.add_instance(Instance(name, region, InstanceRole.TENANTS, databases_max, **limits))
    company.admin_api.add(name, region)


def now_is(company: Company, tenant: Tenant) -> Tenant:
    return company.registry.tenant(tenant.uid)


def waiting(company: Company, *names: str) -> list[Tenant]:
    """Tenants that are asked for one after the other while there is no room."""
    asked = []
    for name in names:
        asked.append(company.request(name, wait_for_room=True))
        company.advance(seconds=1)
    return asked


def test_a_full_region_falls_to_the_next(company: Company) -> None:
    """And says so; where there is none, it refuses with what was considered, and with the way to wait."""
    limit(company, 1, ELSEWHERE, PARTNER)
    assert [company.request(name).hosting.region for name in ("a", "b")] == [HOME, PARTNER]
    with pytest.raises(NoRoom, match="No region can take a tenant") as refused:
        company.request("c")
    assert f"full: no room on its instances: {HOME} (36 km), {PARTNER}" in refused.value.hint
    assert f"until {HOME} has room: tenantctl tenant create --wait-for-room" in refused.value.hint
    assert len(company.registry.tenants()) == 2


def test_a_draining_region_is_full(company: Company) -> None:
    """Its tenants live on."""
    tenant = company.create("a")
    company.registry.set_instance_state(TENANTS_INSTANCE, InstanceState.DRAINING)
    limit(company, 9)
    with pytest.raises(NoRoom):
        company.request("b")
    company.advance(days=1)
    company.run()
    assert now_is(company, tenant).state is State.ACTIVE
    assert company.registry.backups(tenant.uid)


def test_who_waits_is_placed_in_the_order_of_requests(company: Company) -> None:
    """Not before there is room, and the second not before the first, whichever a worker comes to first."""
    company.create("a")
    first, second, third = waiting(company, "b", "c", "d")
    company.run()
    assert {now_is(company, one).is_placed for one in (first, second, third)} == {False}
    limit(company, 3)
    company.registry.make_due(third.uid)
    company.run()
    assert not now_is(company, third).is_placed
    company.advance(minutes=11)
    company.run()
    assert [now_is(company, one).state for one in (first, second, third)] == [
        State.ACTIVE,
        State.ACTIVE,
        State.REQUESTED,
    ]
    assert company.events(first)[:2] == ["requested", "placed"]
    assert company.has_database(now_is(company, first))
    assert company.registry.explanation(first.uid)["region"] == HOME


def test_a_destroyed_tenant_makes_room(company: Company) -> None:
    """The whole way: cancelled, grace, gone; and then whoever waits comes."""
    leaving = company.deactivated("a")
    (waits,) = waiting(company, "b")
    for _ in range(30):
        company.advance(days=1)
        company.run()
    assert now_is(company, leaving).state is State.DESTROYED
    assert now_is(company, waits).state is State.ACTIVE


def test_nobody_overtakes_those_who_wait(company: Company) -> None:
    """Room that opens is theirs: a newcomer waits behind them, or goes to where none of them may be."""
    company.create("a")
    (first,) = waiting(company, "b")
    limit(company, 2)
    with pytest.raises(NoRoom):
        company.request("c")
    limit(company, 3)
    assert company.request("c").hosting.instance == TENANTS_INSTANCE
    company.advance(minutes=11)
    company.run()
    assert now_is(company, first).state is State.ACTIVE


def test_who_waits_takes_another_region_that_gets_room(company: Company) -> None:
    """The closest that may take it when its turn comes, and the explanation says why it is not the closest of all."""
    company.create("a")
    (waits,) = waiting(company, "b")
    assert waits.hosting.region == HOME
    limit(company, 5, ELSEWHERE, PARTNER)
    company.advance(minutes=11)
    company.run()
    placed = now_is(company, waits)
    assert (placed.hosting.region, placed.hosting.instance, placed.state) == (PARTNER, ELSEWHERE, State.ACTIVE)
    assert f"{HOME} (36 km): full" in company.registry.explanation(waits.uid)["deviation"]


def test_residency_holds_while_waiting(company: Company) -> None:
    """Room elsewhere is none for a tenant that stays in the EU."""
    limit(company, 0, "eu-1", "europe-west1")
    tenant = company.request("a", keep_in="EU", wait_for_room=True)
    assert (tenant.kept_in, tenant.hosting.region, tenant.is_placed) == ("EU", "europe-west1", False)
    company.run()
    assert not now_is(company, tenant).is_placed
    limit(company, 1, "eu-1", "europe-west1")
    company.advance(minutes=11)
    company.run()
    assert now_is(company, tenant).hosting.region == "europe-west1"


def test_what_no_room_would_mend_does_not_wait(company: Company) -> None:
    """A jurisdiction whose regions are all closed takes nobody, however long one waits."""
    with pytest.raises(Refused, match="No region can take") as refused:
        company.request("a", keep_in="UK", wait_for_room=True)
    assert not isinstance(refused.value, NoRoom)
    assert "--wait-for-room" not in refused.value.hint


def test_one_that_is_cancelled_while_it_waits_is_forgotten(company: Company) -> None:
    """At once, with nothing left; and those behind it move up."""
    company.create("a")
    first, second = waiting(company, "b", "c")
    company.cancel(first)
    limit(company, 2)
    company.advance(minutes=11)
    company.run()
    gone = now_is(company, first)
    assert (gone.state, gone.name, list(company.registry.residues(first.uid))) == (State.FORGOTTEN, None, [])
    assert now_is(company, second).state is State.ACTIVE


def test_explain_says_the_place_in_the_queue(company: Company) -> None:
    """Which one it is, of how many, and what would come next."""
    company.create("a")
    _, second = waiting(company, "b", "c")
    told = " ".join(explain(company.world, second).next)
    assert f"it is number 2 of 2 that wait for room, first of all in {HOME}" in told
    limit(company, 2)
    assert "number 2 of 2" in " ".join(explain(company.world, second).next)
    limit(company, 3)
    assert f"place: {HOME} has room for it by now" in explain(company.world, second).next


def test_a_crash_at_any_call_places_once() -> None:
    """One residue, one entry, one database, whenever the worker dies."""
    touches, killed = 0, True
    while killed:
        company = Company()
        limit(company, 1)
        company.request("a")
        (waits,) = waiting(company, "b")
        limit(company, 2)
        killed = company.run_until_killed(touches)
        company.advance(minutes=11)
        company.run()
        assert now_is(company, waits).state is State.ACTIVE
        assert company.events(waits).count("placed") == 1
        assert len([one for one in company.registry.residues(waits.uid) if one.kind == "database"]) == 1
        touches += 3
    assert touches > 60


def test_whoever_is_faster_takes_the_last_room_and_the_other_goes_on(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the plan and the write a region fills up: the next one is taken, with its own explanation."""
    limit(company, 1, ELSEWHERE, PARTNER)
    plain = MemoryRegistry.request_tenant
    faster = iter(["rival"])

    def raced(registry: MemoryRegistry, new: NewTenant) -> Tenant:
        for name in faster:
            plain(registry, replace(new, uid="abcdefghijkl", name=name))
        return plain(registry, new)

    monkeypatch.setattr(MemoryRegistry, "request_tenant", raced)
    tenant = company.request("a")
    assert tenant.hosting.region == PARTNER
    assert company.registry.explanation(tenant.uid)["region"] == PARTNER


def test_two_hundred_at_once_fill_what_there_is_and_the_rest_waits(company: Company) -> None:
    """Through the whole request, with its plan: 100 places are filled to the last, 100 tenants wait."""
    limit(company, 60, bytes_max=10**12)
    limit(company, 90, ELSEWHERE, PARTNER, connections_max=40 * 20)
    start = threading.Barrier(200)

    def ask(number: int) -> str:
        start.wait()
        return company.request(f"t{number}", wait_for_room=True).hosting.instance or "waits"

    with ThreadPoolExecutor(200) as pool:
        answers = Counter(pool.map(ask, range(200)))
    assert answers == {TENANTS_INSTANCE: 60, ELSEWHERE: 40, "waits": 100}
    assert len(company.registry.waiting()) == 100


def test_sizes_are_those_that_a_worker_saw(company: Company) -> None:
    """At arrival, and with each backup; by them the headroom is kept."""
    tenant = company.create("a")
    limit(company, 9, bytes_max=1000)
    company.database(tenant).tables["public.orders"] = ["x" * 100 for _ in range(9)]
    company.advance(days=1)
    company.run()
    size = now_is(company, tenant).size
    assert size == company.registry.instances()[0].bytes_seen > 800
    with pytest.raises(NoRoom):
        company.request("b")
    limit(company, 9, bytes_max=size * 2)
    assert company.request("b").is_placed


# At a shell


def test_the_command_line_waits_and_says_so(at_a_shell: Company, capsys: pytest.CaptureFixture[str]) -> None:
    """From the refusal to the place in the queue, and on to the room that is made."""
    create = ["tenant", "create", "--based-in", "Southlake, TX, US"]
    assert run([*create, "a"]) == ExitCode.OK
    assert run([*create, "b"]) == ExitCode.REFUSED
    assert "--wait-for-room" in capsys.readouterr().err
    assert run([*create, "b", "--wait-for-room"]) == ExitCode.OK
    assert f"waits for room: first of all in {HOME}" in capsys.readouterr().out
    at_a_shell.advance(seconds=1)
    assert run([*create, "c", "--wait-for-room", "--wait"]) == ExitCode.WAITING
    assert "number 2 of 2" in capsys.readouterr().err
    assert run(["tenant", "explain", "b"]) == ExitCode.OK
    assert "number 1 of 2" in capsys.readouterr().out
    for command in (["tenant", "list"], ["tenant", "show", "b"]):
        assert run(command) == ExitCode.OK
        assert "aits for room" in capsys.readouterr().out
    assert run(["tenant", "connect-info", "b"]) == ExitCode.REFUSED
    assert run(["residue", "b"]) == ExitCode.OK
    assert run(["plan"]) == ExitCode.OK
    assert run(["instance", "add", TENANTS_INSTANCE, "--region", HOME, "--databases-max", "3"]) == ExitCode.OK
    assert run(["run"]) == ExitCode.OK
    assert {one.state for one in at_a_shell.registry.tenants()} == {State.ACTIVE}


def test_instances_are_listed_with_their_shares(at_a_shell: Company, capsys: pytest.CaptureFixture[str]) -> None:
    """Percent of each limit; a dash where there is none; draining; and what the Admin API says."""
    limits = ["--databases-max", "4", "--connections-max", "80", "--bytes-max", "1000000"]
    assert run(["instance", "add", TENANTS_INSTANCE, "--region", HOME, *limits]) == ExitCode.OK
    at_a_shell.create("a")
    assert run(["instance", "drain", TENANTS_INSTANCE, "--newcomers-only"]) == ExitCode.OK
    assert "takes no more tenants" in capsys.readouterr().out
    assert run(["instance", "list"]) == ExitCode.OK
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(TENANTS_INSTANCE))
    assert row.split()[3:6] == ["1", "25%", "25%"]
    assert "draining" in row
    assert run(["instance", "list", "-o", "json"]) == ExitCode.OK
    assert '"connections": 20' in capsys.readouterr().out
    assert run(["instance", "drain", TENANTS_INSTANCE, "--undo"]) == ExitCode.OK
    assert run(["instance", "drain", "nowhere"]) == ExitCode.NOT_FOUND
    assert run(["instance", "add", "x", "--region", HOME, "--bytes-max", "0"]) == ExitCode.USAGE


def test_a_waiting_tenant_is_not_looked_for_early(company: Company) -> None:
    """Ten minutes between two looks, however many sweeps there are."""
    company.create("a")
    (waits,) = waiting(company, "b")
    company.run()
    assert now_is(company, waits).due_at - company.moment == timedelta(minutes=10)
