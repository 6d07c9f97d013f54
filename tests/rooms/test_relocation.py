"""Moves on a company in memory: the whole way, undone in each phase, killed at every call, and what is refused."""

from collections.abc import Callable

import pytest

from tenantctl.adapters.memory.fuse import Fuse
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move, open_move
from tenantctl.model.plan import Do
from tenantctl.model.tenant import Instance, InstanceRole, Tenant
from tenantctl.relocation.request import request_move, request_undo
from tests.rooms.company import PARTNER, Company

NEW_PLACE = "tenants-2"


def a_company() -> Company:
    company = Company()
    company.registry.add_instance(Instance(NEW_PLACE, PARTNER, InstanceRole.TENANTS, 400))
    company.admin_api.add(NEW_PLACE, PARTNER)
    return company


def backed_up(company: Company) -> Tenant:
    """A tenant with data that is backed up, and nothing else to do today."""
    tenant = company.create()
    company.advance(days=1)
    company.run()
    return company.registry.tenant(tenant.uid)


def ask(company: Company, tenant: Tenant, **options) -> Move:
    now = company.registry.tenant(tenant.uid)
    asked = {"cause": "closer", "instructing_party": "customer", **options}
    return request_move(company.world, now, PARTNER, **asked)[0]


def works(company: Company, tenant: Tenant, sweeps: int = 4) -> Tenant:
    for _ in range(sweeps):
        company.run()
        company.advance(minutes=2)
    return company.registry.tenant(tenant.uid)


def assert_nothing_left(company: Company, move: Move) -> None:
    assert company.replication.running == {}
    place = company.servers[move.instance]
    assert move.target.database not in place.databases
    assert not {move.target.owner, move.target.login} & place.roles.keys()


def test_a_tenant_moves_and_its_source_is_kept() -> None:
    """It lives in the new place with its rows and the new password; the old one is sealed, and on record."""
    company = a_company()
    tenant = backed_up(company)
    rows = dict(company.database(tenant).tables)
    now = company.registry.tenant(tenant.uid)
    move, password = request_move(company.world, now, PARTNER, cause="closer", instructing_party="customer")
    assert company.registry.tenant(tenant.uid).state is State.MOVING
    moved = works(company, tenant)
    assert (moved.state, moved.hosting) == (State.ACTIVE, move.target)
    assert company.database(moved).tables == rows
    login = company.servers[NEW_PLACE].roles[moved.hosting.login]
    assert login.can_log_in
    assert (login.password or "").startswith("SCRAM-SHA-256$4096:")
    assert password not in (login.password or "")
    assert company.has_database(tenant)
    assert not company.servers[tenant.hosting.instance].roles[tenant.hosting.login].can_log_in
    assert company.replication.running == {}
    assert company.alarms(tenant) == set()
    ended = company.registry.moves(tenant.uid)[-1]
    assert (ended.cut_over_at is not None, ended.ended_at is not None, ended.verifier) == (True, True, None)
    events = company.events(tenant)
    assert [one for one in events if one in {"move-requested", "cut-over", "move-ended", "replication-ended"}] == [
        "move-requested",
        "cut-over",
        "move-ended",
        "replication-ended",
    ]


def test_the_source_is_retired_only_after_its_days_and_a_verified_backup_elsewhere() -> None:
    """And its line in the inventory lapses when the instance itself shows it no more."""
    company = a_company()
    tenant = backed_up(company)
    ask(company, tenant)
    works(company, tenant)
    company.advance(days=6)
    company.run()
    assert company.has_database(tenant)
    company.advance(days=1, hours=12)
    for _ in range(3):
        company.run()
        company.advance(hours=2)
    assert not company.has_database(tenant)
    line = next(one for one in company.registry.residues(tenant.uid) if one.id == f"database/{tenant.uid}/1")
    assert line.lapsed_at is not None
    assert company.alarms(tenant) == set()
    assert company.registry.tenant(tenant.uid).state is State.ACTIVE


def test_a_held_tenant_moves_and_its_source_stays() -> None:
    """A hold keeps what there is, not where the customer works."""
    company = a_company()
    tenant = backed_up(company)
    company.decisions.place_hold(tenant.uid, case_reference="CASE-1", review_by=company.clock().replace(year=2030))
    ask(company, tenant)
    assert works(company, tenant).hosting.instance == NEW_PLACE
    company.advance(days=30)
    works(company, tenant)
    assert company.has_database(tenant)


def test_before_the_moment_the_copy_follows_and_the_customer_works() -> None:
    """Backups are made of the source meanwhile; the cut-over comes with its moment, and not before."""
    company = a_company()
    tenant = backed_up(company)
    ask(company, tenant, not_before=company.clock().replace(day=26))
    works(company, tenant)
    before = len(company.registry.backups(tenant.uid))
    company.advance(days=1)
    still = works(company, tenant)
    assert (still.state, still.hosting) == (State.MOVING, tenant.hosting)
    assert len(company.registry.backups(tenant.uid)) == before + 1
    company.database(tenant).tables["public.orders"].append("three")
    company.advance(days=1)
    moved = works(company, tenant)
    assert moved.hosting.instance == NEW_PLACE
    assert company.database(moved).tables["public.orders"] == ["one", "two", "three"]


def _asked(company: Company, tenant: Tenant) -> None:
    """Nothing was done yet."""


def _following(company: Company, tenant: Tenant) -> None:
    works(company, tenant)
    assert company.replication.running


def _fenced(company: Company, tenant: Tenant) -> None:
    works(company, tenant)
    company.databases.close_logins(tenant.hosting)


@pytest.mark.parametrize("phase", [_asked, _following, _fenced])
def test_undo_leaves_the_source_as_it_was(phase: Callable[[Company, Tenant], None]) -> None:
    """Its customer is let in, nothing is left on either side, and the next move has a generation of its own."""
    company = a_company()
    tenant = backed_up(company)
    move = ask(company, tenant, not_before=company.clock().replace(day=30))
    phase(company, tenant)
    request_undo(company.world, company.registry.tenant(tenant.uid), because="changed its mind")
    stays = works(company, tenant)
    assert (stays.state, stays.hosting) == (State.ACTIVE, tenant.hosting)
    assert company.servers[tenant.hosting.instance].roles[tenant.hosting.login].can_log_in
    assert company.database(tenant).tables["public.orders"] == ["one", "two"]
    assert_nothing_left(company, move)
    assert company.alarms(tenant) == set()
    line = next(one for one in company.registry.residues(tenant.uid) if one.id == f"database/{tenant.uid}/2")
    assert line.lapsed_at is not None
    assert ask(company, tenant).generation == 3


def test_a_cancellation_undoes_the_move_first() -> None:
    """Then the tenant leaves from where it was."""
    company = a_company()
    tenant = backed_up(company)
    move = ask(company, tenant, not_before=company.clock().replace(day=30))
    works(company, tenant)
    company.cancel(tenant)
    left = works(company, tenant)
    assert left.state is State.DEACTIVATED
    assert left.hosting == tenant.hosting
    assert_nothing_left(company, move)


def test_a_changed_schema_begins_the_copy_anew() -> None:
    """What was made since is in the new place too."""
    company = a_company()
    tenant = backed_up(company)
    ask(company, tenant, not_before=company.clock().replace(hour=23))
    works(company, tenant)
    company.database(tenant).tables["public.invoices"] = ["first"]
    company.advance(hours=12)
    for _ in range(4):
        moved = works(company, tenant)
        company.advance(minutes=10)
    assert moved.hosting.instance == NEW_PLACE
    assert company.database(moved).tables["public.invoices"] == ["first"]
    assert "move-begun-anew" in company.events(tenant)


@pytest.mark.parametrize("when", ["while the customer works", "behind the fence"])
def test_a_copy_that_differs_is_never_moved_to(when: str) -> None:
    """The customer is let in again where it was, the move is undone, and a person is told.

    What differs before the fence is found before anybody is sent away.
    """
    company = a_company()
    tenant = backed_up(company)
    move = ask(company, tenant)
    source, close, out = tenant.hosting, company.databases.close_logins, []

    def closing(hosting):
        if hosting == source:
            out.append(hosting)
            company.database(tenant).tables["public.orders"].append("the last one")
        close(hosting)

    company.databases.close_logins = closing  # type: ignore[method-assign]
    company.replication.loses.add("two" if when == "while the customer works" else "the last one")
    stays = works(company, tenant, sweeps=8)
    company.advance(hours=1)
    stays = works(company, tenant)
    assert (stays.state, stays.hosting) == (State.ACTIVE, source)
    assert company.servers[source.instance].roles[source.login].can_log_in
    assert out == ([] if when == "while the customer works" else [source])
    assert_nothing_left(company, move)
    assert "not-moved" in company.alarms(tenant)


@pytest.mark.parametrize("silent", ["tenants-1", NEW_PLACE])
def test_an_instance_that_goes_away_is_waited_for(silent: str) -> None:
    """Nothing is taken for gone; when it answers the move goes on."""
    company = a_company()
    tenant = backed_up(company)
    ask(company, tenant, not_before=company.clock().replace(hour=23))
    works(company, tenant)
    company.servers[silent].reachable = False
    works(company, tenant)
    assert "blocked/move-silent" in company.alarms(tenant)
    company.servers[silent].reachable = True
    company.advance(hours=12)
    moved = works(company, tenant, sweeps=6)
    assert (moved.state, moved.hosting.instance) == (State.ACTIVE, NEW_PLACE)
    assert company.alarms(tenant) == set()


def test_nobody_stands_outside_while_the_target_is_away() -> None:
    """A worker died behind the fence, and then the target did: the customer is let in where it was, and moves later."""
    company = a_company()
    tenant = backed_up(company)
    ask(company, tenant, not_before=company.clock().replace(hour=23))
    works(company, tenant)
    company.databases.close_logins(tenant.hosting)
    company.servers[NEW_PLACE].reachable = False
    works(company, tenant, sweeps=1)
    assert company.can_log_in(tenant.hosting)
    company.servers[NEW_PLACE].reachable = True
    company.advance(hours=12)
    assert works(company, tenant, sweeps=6).hosting.instance == NEW_PLACE


def test_what_is_refused_changes_nothing() -> None:
    """One clear sentence each."""
    company = a_company()
    tenant = backed_up(company)

    def refused(words: str, region: str = PARTNER) -> None:
        now = company.registry.tenant(tenant.uid)
        before = company.events(tenant)
        with pytest.raises(Refused, match=words):
            request_move(company.world, now, region, cause="c", instructing_party="p")
        assert company.events(tenant) == before

    refused("it is there already", tenant.hosting.region)
    refused("does not name this region", "atlantis-1")
    refused("the region is closed", "africa-south1")
    refused("no instance for tenants", "us-west1")
    company.replication.large_objects = 3
    refused("3 large objects")
    company.replication.large_objects = 0
    ask(company, tenant)
    refused("moving already")
    with pytest.raises(Refused, match="not moving"):
        request_undo(company.world, company.create("other"), because="why not")
    works(company, tenant)
    company.cancel(tenant)
    works(company, tenant)
    refused("it is deactivated; it is leaving", "us-south1")


def test_killed_at_every_call_it_ends_in_the_new_place() -> None:
    """Or, if nobody can know better, goes on from where it was: every effect once, and nothing left behind."""
    company = a_company()
    tenant = backed_up(company)
    ask(company, tenant)
    fuse = Fuse()
    company.run(fuse=fuse)
    assert fuse.count > 100
    for touches in range(fuse.count):
        company = a_company()
        tenant = backed_up(company)
        move = ask(company, tenant)
        company.run_until_killed(touches)
        company.advance(minutes=10)
        moved = works(company, tenant)
        assert (moved.state, moved.hosting) == (State.ACTIVE, move.target), touches
        assert company.replication.running == {}, touches
        assert company.database(moved).tables["public.orders"] == ["one", "two"], touches
        assert company.servers[NEW_PLACE].roles[moved.hosting.login].can_log_in, touches
        assert not company.servers["tenants-1"].roles[tenant.hosting.login].can_log_in, touches
        assert open_move(company.registry.moves(tenant.uid)) is None, touches
        assert company.alarms(tenant) == set(), touches
        assert company.events(tenant).count("cut-over") == 1, touches


def test_killed_at_every_call_of_an_undo_it_stays() -> None:
    """The customer works where it was, and the copy is gone."""

    def undoing() -> tuple[Company, Tenant, Move]:
        company = a_company()
        tenant = backed_up(company)
        move = ask(company, tenant, not_before=company.clock().replace(day=30))
        works(company, tenant, sweeps=1)
        request_undo(company.world, company.registry.tenant(tenant.uid), because="changed its mind")
        return company, tenant, move

    company, tenant, move = undoing()
    fuse = Fuse()
    company.run(fuse=fuse)
    assert fuse.count > 30
    for touches in range(fuse.count):
        company, tenant, move = undoing()
        company.run_until_killed(touches)
        company.advance(minutes=10)
        stays = works(company, tenant)
        assert (stays.state, stays.hosting) == (State.ACTIVE, tenant.hosting), touches
        assert company.servers["tenants-1"].roles[tenant.hosting.login].can_log_in, touches
        assert_nothing_left(company, move)
        assert company.events(tenant).count("move-ended") == 1, touches


def test_the_copy_of_a_move_is_dropped_only_while_nobody_lived_in_it() -> None:
    """The step that drops a copy refuses once the tenant was placed there."""
    company = a_company()
    tenant = backed_up(company)
    move = ask(company, tenant)
    works(company, tenant)
    assert company.registry.tenant(tenant.uid).hosting == move.target
    with pytest.raises(Refused, match="is not moving"):
        request_undo(company.world, company.registry.tenant(tenant.uid), because="too late")
    assert all(step.do is not Do.DROP_TARGET for turn in company.run() for step in turn.steps)
    assert move.target.database in company.servers[NEW_PLACE].databases
