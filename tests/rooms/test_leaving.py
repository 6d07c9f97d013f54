"""Instances and regions left by all their tenants, in a company in memory; and where each would go, by the rule."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest

from tenantctl.adapters.memory.fuse import Crash, Fuse
from tenantctl.bootstrap import catalogue, jurisdictions, policies
from tenantctl.entrypoints.cli.main import run
from tenantctl.model.capacity import Room
from tenantctl.model.errors import ExitCode, Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.move import open_move
from tenantctl.model.tenant import Instance, InstanceRole, InstanceState, Tenant
from tenantctl.relocation.leaving import Goes, Leaver, Leaving, Way, plan_leaving
from tenantctl.relocation.request import request_move
from tenantctl.sweeps.fleet_move import Asked, instances_of, move_fleet, plan_to_leave
from tests.rooms.company import HOME, PARTNER, TENANTS_INSTANCE, Company, company_at_a_shell, fused_world

BESIDE, ELSEWHERE = "tenants-2", "elsewhere-1"
BY = Asked("the machine is old", "operator", limit=1)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenantctl.engine.fleet.PAUSE_SECONDS", 0)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Company:
    return company_at_a_shell(monkeypatch)


def give_room(company: Company, name: str, region: str, databases_max: int) -> None:
    company.registry.add_instance(Instance(name, region, InstanceRole.TENANTS, databases_max))
    company.admin_api.add(name, region)


def fleet(company: Company, count: int) -> list[Tenant]:
    """Tenants that are backed up, and have nothing else to do today."""
    made = [company.create(f"t{number}", rows=(f"row of t{number}",)) for number in range(count)]
    company.advance(days=1)
    company.run()
    return [company.registry.tenant(tenant.uid) for tenant in made]


def test_an_instance_is_left_for_another_of_its_region_first(
    shell: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then for the closest region; who finds no room is refused and stays, and moves once there is some."""
    tenants = fleet(shell, 3)
    leaving = shell.create("leaving")
    shell.cancel(leaving)
    shell.run()
    give_room(shell, BESIDE, HOME, 1)
    give_room(shell, ELSEWHERE, PARTNER, 1)
    capsys.readouterr()

    assert run(["instance", "drain", TENANTS_INSTANCE, "--dry-run", "-o", "json"]) == ExitCode.FINDINGS
    looked = {one["name"]: one for one in json.loads(capsys.readouterr().out)["tenants"]}
    assert [(looked[name]["outcome"], looked[name]["region"]) for name in ("t0", "t1", "t2", "leaving")] == [
        ("moves", HOME),
        ("moves", PARTNER),
        ("refused", None),
        ("stays", None),
    ]
    assert "its instances have no room" in looked["t2"]["reason"]
    assert shell.registry.instances()[0].state is InstanceState.SERVING
    assert [shell.registry.tenant(tenant.uid) for tenant in tenants] == tenants

    assert run(["instance", "drain", TENANTS_INSTANCE, "--limit", "2", "-o", "json"]) == ExitCode.FINDINGS
    told = capsys.readouterr()
    ended = {one["name"]: one for one in json.loads(told.out)["tenants"]}
    assert [ended[name]["outcome"] for name in ("t0", "t1", "t2", "leaving")] == ["moved", "moved", "refused", "stays"]
    assert "t0 moved to tenants-2 in us-south1" in told.err
    assert ended["t0"]["password"]
    places = [shell.registry.tenant(tenant.uid).hosting for tenant in tenants]
    assert [place.instance for place in places] == [BESIDE, ELSEWHERE, TENANTS_INSTANCE]
    assert places[0].login == ended["t0"]["login"]
    assert shell.registry.explanation(tenants[0].uid)["region"] == HOME
    assert shell.can_log_in(places[2])
    assert shell.registry.tenant(leaving.uid).state is State.DEACTIVATED

    give_room(shell, "elsewhere-2", PARTNER, 5)
    assert run(["instance", "drain", TENANTS_INSTANCE]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "From its cut-over on, t2 has database" in out
    assert [line.split()[:3] for line in out.splitlines() if line.startswith(("t", "leaving"))] == [
        ["leaving", TENANTS_INSTANCE, "stays"],
        ["t2", TENANTS_INSTANCE, "moved"],
    ]
    assert run(["instance", "drain", TENANTS_INSTANCE, "--undo"]) == ExitCode.OK
    assert shell.registry.instances()[0].state is InstanceState.SERVING


def test_who_must_be_dumped_is_asked_for_alone(shell: Company, capsys: pytest.CaptureFixture[str]) -> None:
    """Its customer has to agree to be out; then it too goes to another instance of its region."""
    (tenant,) = fleet(shell, 1)
    give_room(shell, BESIDE, HOME, 5)
    shell.replication.large_objects = 3
    for options in (["--dry-run"], []):
        assert run(["instance", "drain", TENANTS_INSTANCE, *options]) == ExitCode.FINDINGS
        assert "--accept-downtime" in capsys.readouterr().out or not options
    agreed = ["--accept-downtime", "1h", "--wait"]
    assert run(["tenant", "move", "t0", "--to", HOME, *agreed]) == ExitCode.OK
    assert shell.registry.tenant(tenant.uid).hosting.instance == BESIDE
    assert run(["tenant", "move", "t0", "--to", HOME, *agreed]) == ExitCode.REFUSED


def test_a_region_is_left_and_killed_at_any_call_gone_on_with(shell: Company) -> None:
    """Whoever was asked is carried on, nobody moves twice, and nothing that replicates is left."""
    for touches in range(60, 700, 71):
        company = Company()
        tenants = fleet(company, 2)
        give_room(company, ELSEWHERE, PARTNER, 50)
        ways = plan_to_leave(company.world, catalogue(), instances_of(company.world, HOME), PARTNER)
        fuse = Fuse(touches)
        with suppress(Crash):
            move_fleet(fused_world(company.bare_world, fuse), ways, BY)
        company.advance(minutes=10)
        ways = plan_to_leave(company.world, catalogue(), instances_of(company.world, HOME), PARTNER)
        ended = move_fleet(company.world, ways, BY)
        assert {one.outcome for one in ended} <= {"moved"}, touches
        company.run()
        for tenant in tenants:
            now = company.registry.tenant(tenant.uid)
            assert (now.state, now.hosting.instance, now.hosting.generation) == (State.ACTIVE, ELSEWHERE, 2), touches
            assert open_move(company.registry.moves(tenant.uid)) is None, touches
        assert company.replication.running == {}, touches


def test_what_is_refused_leaves_the_region_as_it_is(shell: Company, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown, itself, without an instance, or silent: one sentence each, and its instances take tenants as before."""
    fleet(shell, 1)
    for command, code, words in (
        (["atlantis-1"], ExitCode.REFUSED, "does not name region"),
        ([HOME, "--to", HOME], ExitCode.REFUSED, "is to be left"),
        ([PARTNER], ExitCode.NOT_FOUND, "no instance for tenants"),
        ([HOME, "--to", "atlantis-1"], ExitCode.REFUSED, "does not name region"),
    ):
        assert run(["region", "evacuate", *command]) == code
        assert words in capsys.readouterr().err
    shell.servers[TENANTS_INSTANCE].reachable = False
    assert run(["region", "evacuate", HOME]) == ExitCode.REFUSED
    assert "tenantctl backup restore --fleet" in capsys.readouterr().err
    assert shell.registry.instances()[0].state is InstanceState.SERVING


def test_nobody_crosses_a_border_unasked_nor_leaves_where_its_data_is_kept() -> None:
    """The closest region of the same jurisdiction, full or not; never one that its residency forbids."""
    company = Company()
    company.registry.add_instance(Instance("dallas", HOME, InstanceRole.TENANTS, 9))
    company.registry.add_instance(Instance("paris", "europe-west9", InstanceRole.TENANTS, 9))
    at_home = company.create("texan")
    in_paris = company.request("parisian", based_in="Paris, FR")
    company.run()

    def way(tenant: Tenant, *room: Instance, to: str = "nearest") -> Way:
        now = company.registry.tenant(tenant.uid)
        leaver = Leaver(now, None, company.registry.explanation(now.uid))
        left, policy = frozenset({now.hosting.instance}), policies().regions
        return plan_leaving([leaver], Leaving(left, to, Room(room), catalogue(), policy, jurisdictions(policy)))[0]

    def has(region: str, databases: int = 0) -> Instance:
        return replace(Instance(f"in-{region}", region, InstanceRole.TENANTS, 9), databases=databases)

    berlin, iowa, full_iowa = has("europe-west10"), has(PARTNER), has(PARTNER, 9)
    assert way(in_paris, iowa, berlin).region == "europe-west10"
    assert way(in_paris, iowa).goes is Goes.REFUSED
    assert "outside EU" in way(in_paris, iowa, to=PARTNER).reason
    assert way(at_home, iowa, berlin).region == PARTNER
    refused = way(at_home, full_iowa, berlin)
    assert (refused.goes, "outside US" in refused.reason) == (Goes.REFUSED, True)
    assert way(at_home, has(HOME), iowa).reason == "another instance of its region has room"


def test_who_is_on_its_way_in_is_told_and_left_alone() -> None:
    """Its move is not turned round; it is refused until somebody undoes it."""
    company = Company()
    (tenant,) = fleet(company, 1)
    give_room(company, ELSEWHERE, PARTNER, 5)
    request_move(company.world, tenant, PARTNER, cause="c", instructing_party="p")
    (way,) = plan_to_leave(company.world, catalogue(), instances_of(company.world, PARTNER), "nearest")
    assert (way.goes, "on its way here" in way.reason) == (Goes.REFUSED, True)
    with pytest.raises(Refused, match="does not name"):
        plan_to_leave(company.world, catalogue(), instances_of(company.world, PARTNER), "atlantis-1")
