"""Moves that are refused, on a company in memory: one clear sentence each, and nothing changed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.model.errors import NoRoom, Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.replication import Inspection, Readiness
from tenantctl.model.tenant import Instance, InstanceRole, InstanceState, Tenant
from tenantctl.relocation.prechecks import expected_seconds, obstacles, reasons_to_dump
from tenantctl.relocation.request import request_move, request_undo
from tests.rooms.company import HOME, PARTNER, Company
from tests.rooms.test_relocation import NEW_PLACE, a_company, backed_up, works

MOVES = Company().policies.lifecycle.moves
PLAIN = Inspection(
    server_major=18,
    size=1_000_000_000,
    tables=3,
    without_identity=(("public.small", 1_000),),
    beyond_matching=(),
    without_keys=99_000_000,
    large_objects=0,
    unlogged=(),
    forced=(),
    of_strangers=(),
    sequences=2,
    extensions=("citext",),
    locale="UTF8 c C",
)
OFFERS = Readiness(18, frozenset({"citext", "hstore"}), "UTF8 c C", logical=True, slots_free=3)
ALLOWED = frozenset({"citext"})


def _full(company: Company, tenant: Tenant) -> None:
    company.registry.add_instance(Instance("full-1", "us-west1", InstanceRole.TENANTS, 0))


def _draining(company: Company, tenant: Tenant) -> None:
    company.registry.set_instance_state(NEW_PLACE, InstanceState.DRAINING)


def _nothing(company: Company, tenant: Tenant) -> None:
    """It is as it was."""


def _leaving(company: Company, tenant: Tenant) -> None:
    company.cancel(tenant)
    works(company, tenant)


def _moving(company: Company, tenant: Tenant) -> None:
    now = company.registry.tenant(tenant.uid)
    request_move(company.world, now, PARTNER, cause="closer", instructing_party="customer")


@pytest.mark.parametrize(
    ("before", "region", "words"),
    [
        (_nothing, HOME, "cannot move to us-south1: it is there already."),
        (_nothing, "africa-south1", "the region is closed: no second region in ZA for its backups"),
        (_nothing, "atlantis-1", "the policy does not name this region"),
        (_nothing, "us-west1", "There is no instance for tenants in us-west1."),
        (_draining, PARTNER, "There is no instance for tenants in us-central1."),
        (_full, "us-west1", "No instance in us-west1 has room for another 6 bytes: full-1 0 of 0."),
        (_leaving, PARTNER, "it is deactivated; it is leaving."),
        (_moving, PARTNER, "it is moving already."),
    ],
)
def test_one_clear_sentence_and_nothing_changed(
    before: Callable[[Company, Tenant], None], region: str, words: str
) -> None:
    """Whatever stands in the way is said, before anything is written."""
    company = a_company()
    tenant = backed_up(company)
    before(company, tenant)
    known = company.registry.tenant(tenant.uid)
    events, moves = company.events(tenant), company.registry.moves(tenant.uid)
    with pytest.raises((Refused, NoRoom)) as refused:
        request_move(company.world, known, region, cause="c", instructing_party="p")
    assert words in refused.value.sentence
    assert company.events(tenant) == events
    assert company.registry.moves(tenant.uid) == moves
    assert company.registry.tenant(tenant.uid) == known


def test_data_that_is_kept_somewhere_does_not_move_out_of_it() -> None:
    """By the tenant's own word; a moment that has passed is refused with it, in the same sentence."""
    company = a_company()
    company.registry.add_instance(Instance("eu-1", "europe-west3", InstanceRole.TENANTS, 400))
    tenant = company.create("kept", keep_in="US")
    late = company.clock() - timedelta(hours=1)
    with pytest.raises(Refused) as refused:
        request_move(company.world, tenant, "europe-west3", cause="c", instructing_party="p", not_before=late)
    assert "has passed; it lies outside US, where this tenant's data is kept." in refused.value.sentence
    assert company.registry.moves(tenant.uid) == []


def test_of_two_who_ask_at_once_one_is_refused() -> None:
    """The second hears that it is moving, or that somebody has it just now; there is one move."""
    company = a_company()
    tenant = backed_up(company)
    now = company.registry.tenant(tenant.uid)

    def ask(number: int) -> str:
        try:
            request_move(company.world, now, PARTNER, cause=str(number), instructing_party="p")
        except (Refused, Transient) as error:
            return error.sentence
        return "moves"

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(ask, range(4)))
    assert answers.count("moves") == 1
    assert all("moving" in one or "has tenant" in one or "changed" in one for one in answers if one != "moves"), answers
    assert len(company.registry.moves(tenant.uid)) == 1
    assert works(company, tenant).state is State.ACTIVE


def test_nothing_is_undone_that_is_not_moving() -> None:
    """Nor is anything written of it."""
    company = a_company()
    tenant = backed_up(company)
    with pytest.raises(Refused, match="Tenant acme is not moving"):
        request_undo(company.world, tenant, because="why not")


@pytest.mark.parametrize(
    ("found", "there", "words"),
    [
        (PLAIN, OFFERS, ""),
        (replace(PLAIN, server_major=19), OFFERS, "the target has PostgreSQL 18, older than 19"),
        (replace(PLAIN, locale="UTF8 i de"), OFFERS, "its locale is UTF8 i de, the target's UTF8 c C"),
        (replace(PLAIN, extensions=("ltree",)), OFFERS, "the target has no extension ltree"),
        (replace(PLAIN, extensions=("hstore",)), OFFERS, "the policy does not allow the extension hstore"),
        (replace(PLAIN, forced=("public.a",)), OFFERS, "public.a force row security on their owner"),
        (replace(PLAIN, of_strangers=("public.b",)), OFFERS, "public.b belong to neither of the tenant's roles"),
        (PLAIN, replace(OFFERS, slots_free=0), "the target has no room for another replication"),
    ],
)
def test_what_neither_way_carries_is_told(found: Inspection, there: Readiness, words: str) -> None:
    """Version, locale, extensions, row security, ownership; the room for a replication only where there is one."""
    told = "; ".join(obstacles(found, OFFERS, there, ALLOWED, dumped=False))
    assert words in told if words else not told
    if there.slots_free == 0:
        assert list(obstacles(found, OFFERS, there, ALLOWED, dumped=True)) == []
        full = replace(OFFERS, slots_free=1)  # one more is needed, to tell what changes while the copy is compared
        (told,) = obstacles(found, full, OFFERS, ALLOWED, dumped=False)
        assert told == "its instance has no room for another replication"
        assert list(obstacles(found, OFFERS, full, ALLOWED, dumped=False)) == []


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (PLAIN, []),
        (replace(PLAIN, without_identity=(("public.big", 65_000_000),)), ["large tables without a key"]),
        (replace(PLAIN, beyond_matching=("public.notes",)), ["rows that nothing tells apart"]),
        (replace(PLAIN, unlogged=("public.quick",)), ["unlogged tables"]),
        (replace(PLAIN, large_objects=1), ["large objects"]),
    ],
)
def test_what_no_replication_carries_is_dumped(found: Inspection, kinds: list[str]) -> None:
    """Each for a reason that names nothing of the customer's on record."""
    reasons = list(reasons_to_dump(found, OFFERS, MOVES))
    assert [one.kind for one in reasons] == kinds
    assert all("public." not in one.kind for one in reasons)
    undecoded = reasons_to_dump(PLAIN, replace(OFFERS, logical=False), MOVES)
    assert [one.kind for one in undecoded] == ["a log that is not decoded"]


def test_the_downtime_that_is_told_follows_from_the_size() -> None:
    """By the policy's rates: dumped and compared, or only what no key names compared, however large all the rest is."""
    rates = replace(MOVES, compare_megabytes_per_second=50, dump_megabytes_per_second=10)
    assert expected_seconds(PLAIN, rates, dumped=False) == 5 + 2
    assert expected_seconds(PLAIN, rates, dumped=True) == 5 + 30 + 100 + 20
