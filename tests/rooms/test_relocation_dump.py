"""Moves by dump and restore on a company in memory: what no replication carries, its time, a death at every call."""

from datetime import timedelta

import pytest

from tenantctl.adapters.memory.fuse import Fuse
from tenantctl.model.errors import NoRoom, Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move, open_move
from tenantctl.model.tenant import Hosting, Instance, InstanceRole, Tenant
from tenantctl.relocation.request import check_move, request_move, request_undo
from tests.rooms.company import PARTNER, Company
from tests.rooms.test_relocation import NEW_PLACE, a_company, assert_nothing_left, backed_up, works

HOUR = timedelta(hours=1)


def with_large_objects() -> tuple[Company, Tenant]:
    company = a_company()
    tenant = backed_up(company)
    company.replication.large_objects = 3
    return company, tenant


def ask(company: Company, tenant: Tenant, **options) -> Move:
    now = company.registry.tenant(tenant.uid)
    asked = {"cause": "closer", "instructing_party": "customer", "accepted": HOUR, **options}
    return request_move(company.world, now, PARTNER, **asked)[0]


def can_log_in(company: Company, tenant: Tenant) -> bool:
    return company.can_log_in(tenant.hosting)


def test_what_no_replication_carries_is_dumped_for_a_downtime_that_was_agreed_to() -> None:
    """Why, and for how long, is on record; the customer is out from the fence on, and all of it arrives."""
    company, tenant = with_large_objects()
    move = ask(company, tenant)
    assert (move.dumped_because, move.accepted_seconds) == ("large objects", 3600)
    assert move.expected_seconds is not None
    assert 0 < move.expected_seconds < 3600
    moved = works(company, tenant)
    assert (moved.state, moved.hosting) == (State.ACTIVE, move.target)
    assert company.database(moved).tables["public.orders"] == ["one", "two"]
    assert (company.can_log_in(move.target), company.can_log_in(move.source)) == (True, False)
    assert company.alarms(tenant) == set()
    said = [one for one in company.events(tenant) if one in {"move-requested", "cut-over", "move-ended"}]
    assert said == ["move-requested", "cut-over", "move-ended"]


def test_nobody_is_out_for_longer_than_was_agreed_to() -> None:
    """Asked without an agreement, or with too short a one, the move is refused with the time that it takes."""
    company, tenant = with_large_objects()
    before = company.events(tenant)
    with pytest.raises(Refused, match=r"3 large objects .* its customer out for about \d+s") as refused:
        ask(company, tenant, accepted=None)
    assert "--accept-downtime" in (refused.value.hint or "")
    with pytest.raises(Refused, match="accepted are 5s"):
        ask(company, tenant, accepted=timedelta(seconds=5))
    assert company.events(tenant) == before
    assert can_log_in(company, tenant)
    checked = check_move(company.world, company.registry.tenant(tenant.uid), PARTNER, accepted=HOUR)
    assert (checked.obstacles, [one.kind for one in checked.dumped_because]) == ((), ["large objects"])


def test_before_the_moment_nobody_is_sent_away() -> None:
    """The plan says when, why and for how long; backups go on."""
    company, tenant = with_large_objects()
    move = ask(company, tenant, not_before=company.clock().replace(day=26))
    works(company, tenant)
    assert can_log_in(company, tenant)
    company.advance(days=2)
    moved = works(company, tenant)
    assert (moved.hosting, can_log_in(company, tenant)) == (move.target, False)


def test_a_dump_that_takes_too_long_is_undone() -> None:
    """The old place works again, and a person is told."""
    company, tenant = with_large_objects()
    move = ask(company, tenant)
    company.servers.dump_breaks_after = 1
    works(company, tenant)
    assert not can_log_in(company, tenant)  # it is tried again for as long as there is time
    company.advance(hours=1)
    stays = works(company, tenant)
    assert (stays.state, stays.hosting) == (State.ACTIVE, move.source)
    assert can_log_in(company, tenant)
    assert_nothing_left(company, move)
    assert company.alarms(tenant) == {"not-moved"}
    assert "longer than the 60m" in (company.registry.moves(tenant.uid)[-1].undo_because or "")


def test_a_dump_that_does_not_restore_is_undone_at_once() -> None:
    """Nobody waits outside for what will not come."""
    company, tenant = with_large_objects()
    move = ask(company, tenant)
    genuine = company.databases.restore

    def refusing(hosting, chunks, *, source):
        genuine(hosting, chunks, source=source)
        raise Refused("The archive does not restore: a check fails.")

    company.databases.restore = refusing  # type: ignore[method-assign]
    stays = works(company, tenant)
    assert (stays.state, stays.hosting, can_log_in(company, tenant)) == (State.ACTIVE, move.source, True)
    assert_nothing_left(company, move)
    assert company.alarms(tenant) == {"not-moved"}


@pytest.mark.parametrize("silent", ["tenants-1", NEW_PLACE])
def test_an_instance_that_goes_away_is_waited_for_and_then_the_move_is_undone(silent: str) -> None:
    """Whatever answers first: after the time that was agreed to the customer works where it was."""
    company, tenant = with_large_objects()
    move = ask(company, tenant)
    genuine = company.databases.restore

    def losing(hosting, chunks, *, source):
        company.servers[silent].reachable = False
        return genuine(hosting, chunks, source=source)

    company.databases.restore = losing  # type: ignore[method-assign]
    works(company, tenant, sweeps=2)
    company.databases.restore = genuine  # type: ignore[method-assign]
    assert company.registry.tenant(tenant.uid).state is State.MOVING
    company.advance(hours=1)
    works(company, tenant)
    if silent == NEW_PLACE:
        assert can_log_in(company, tenant)  # the old place answers, so its customer works there
    company.servers[silent].reachable = True
    company.advance(hours=1)
    stays = works(company, tenant)
    assert (stays.state, stays.hosting, can_log_in(company, tenant)) == (State.ACTIVE, move.source, True)
    assert_nothing_left(company, move)


def test_whoever_finds_the_login_open_begins_anew() -> None:
    """What was dumped before is a copy of nothing any more: the rows that were written since arrive too."""
    company, tenant = with_large_objects()
    ask(company, tenant)
    genuine, tried = company.databases.digests, list[Hosting]()

    def silent_once(hosting):
        if not tried:
            tried.append(hosting)
            company.databases.open_logins(tenant.hosting)  # as a colleague might by hand
            company.database(tenant).tables["public.orders"].append("three")
            company.servers[NEW_PLACE].reachable = False
        return genuine(hosting)

    company.databases.digests = silent_once  # type: ignore[method-assign]
    works(company, tenant, sweeps=2)
    company.servers[NEW_PLACE].reachable = True
    company.advance(minutes=10)
    moved = works(company, tenant)
    assert moved.hosting.instance == NEW_PLACE
    assert company.database(moved).tables["public.orders"] == ["one", "two", "three"]
    assert company.alarms(tenant) == set()


def test_undone_while_the_customer_is_out_it_is_let_in() -> None:
    """Asked for by a person before the cut-over."""
    company, tenant = with_large_objects()
    move = ask(company, tenant)
    company.servers.dump_breaks_after = 1
    works(company, tenant, sweeps=1)
    assert not can_log_in(company, tenant)
    company.servers.dump_breaks_after = None
    request_undo(company.world, company.registry.tenant(tenant.uid), because="changed its mind")
    stays = works(company, tenant)
    assert (stays.state, stays.hosting, can_log_in(company, tenant)) == (State.ACTIVE, move.source, True)
    assert_nothing_left(company, move)
    assert company.alarms(tenant) == set()


def test_nobody_is_sent_away_for_rows_that_could_not_be_read() -> None:
    """Row security that was forced since the move was asked for: a person is told, and the customer works on."""
    company, tenant = with_large_objects()
    ask(company, tenant)
    company.database(tenant).forced.add("public.orders")
    works(company, tenant)
    assert can_log_in(company, tenant)
    assert company.alarms(tenant) == {"blocked/forced-row-security"}
    company.database(tenant).forced.clear()
    assert works(company, tenant, sweeps=6).hosting.instance == NEW_PLACE


def test_an_instance_without_the_bytes_takes_nobody() -> None:
    """As large as the database is now, and not as it was when it was last backed up."""
    company = a_company()
    tenant = backed_up(company)
    company.database(tenant).tables["public.orders"].append("x" * 1000)
    company.registry.add_instance(Instance("small", "us-west1", InstanceRole.TENANTS, 400, bytes_max=1000))
    now = company.registry.tenant(tenant.uid)
    with pytest.raises(NoRoom, match=r"No instance in us-west1 has room for another 1,006 bytes"):
        check_move(company.world, now, "us-west1")


def test_killed_at_every_call_it_ends_in_the_new_place() -> None:
    """Every effect once, the old place closed, and nothing but whole tables in the new one."""
    company, tenant = with_large_objects()
    ask(company, tenant)
    fuse = Fuse()
    company.run(fuse=fuse)
    assert fuse.count > 100
    for touches in range(fuse.count):
        company, tenant = with_large_objects()
        move = ask(company, tenant)
        company.run_until_killed(touches)
        company.advance(minutes=10)
        moved = works(company, tenant)
        assert (moved.state, moved.hosting) == (State.ACTIVE, move.target), touches
        assert company.database(moved).tables["public.orders"] == ["one", "two"], touches
        assert (company.can_log_in(move.target), company.can_log_in(move.source)) == (True, False), touches
        assert open_move(company.registry.moves(tenant.uid)) is None, touches
        assert company.alarms(tenant) == set(), touches
        assert company.events(tenant).count("cut-over") == 1, touches


def test_killed_at_every_call_and_found_too_late_it_stays_or_has_moved() -> None:
    """A worker that nobody replaces in time: the customer is never left outside, wherever that was."""
    company, tenant = with_large_objects()
    ask(company, tenant)
    fuse = Fuse()
    company.run(fuse=fuse)
    ends = set[bool]()
    for touches in range(0, fuse.count, 5):
        company, tenant = with_large_objects()
        move = ask(company, tenant)
        company.run_until_killed(touches)
        company.advance(hours=3)
        there = works(company, tenant)
        has_moved = there.hosting == move.target
        ends.add(has_moved)
        assert there.state is State.ACTIVE, touches
        assert can_log_in(company, there), touches
        assert company.can_log_in(move.source) is not has_moved, touches
        assert company.database(there).tables["public.orders"] == ["one", "two"], touches
        if not has_moved:
            assert_nothing_left(company, move)
    assert ends == {True, False}
