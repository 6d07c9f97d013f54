"""Moves carried out by workers of one duty each, as in production: none of them is handed round for ever."""

from datetime import timedelta
from typing import Any

import pytest

from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Tenant
from tenantctl.relocation.request import request_move, request_undo
from tests.rooms.company import PARTNER, Company
from tests.rooms.test_relocation import a_company, assert_nothing_left, backed_up
from tests.rooms.test_review_engine import run_duties


def works(company: Company, tenant: Tenant) -> Tenant:
    """Each duty works until it finds nothing due, several times over some minutes."""
    for _ in range(4):
        assert [turn.trouble for turn in run_duties(company) if turn.trouble] == []
        company.advance(minutes=2)
    return company.registry.tenant(tenant.uid)


@pytest.mark.parametrize("large_objects", [0, 3], ids=["by replication", "by a dump"])
def test_a_move_comes_to_its_end_from_duty_to_duty(large_objects: int) -> None:
    """The one that carries it, the one that opens the login in the new place, and in the end the one that destroys."""
    company = a_company()
    tenant = backed_up(company)
    company.replication.large_objects = large_objects
    asked: dict[str, Any] = {"cause": "closer", "instructing_party": "customer", "accepted": timedelta(hours=1)}
    move, _ = request_move(company.world, company.registry.tenant(tenant.uid), PARTNER, **asked)
    moved = works(company, tenant)
    assert (moved.state, moved.hosting) == (State.ACTIVE, move.target)
    assert company.alarms(tenant) == set()
    company.advance(days=8)
    works(company, tenant)
    company.advance(days=1)
    works(company, tenant)
    assert not company.has_database(tenant)
    assert company.alarms(tenant) == set()


def test_a_move_is_undone_from_duty_to_duty() -> None:
    """Also with its customer outside, whom another duty lets in first."""
    company = a_company()
    tenant = backed_up(company)
    now = company.registry.tenant(tenant.uid)
    later = company.clock() + timedelta(days=1)
    move, _ = request_move(company.world, now, PARTNER, cause="closer", instructing_party="customer", not_before=later)
    works(company, tenant)
    assert company.replication.running
    company.servers[tenant.hosting.instance].roles[tenant.hosting.login].can_log_in = False
    request_undo(company.world, company.registry.tenant(tenant.uid), because="the customer asked")
    back = works(company, tenant)
    assert (back.state, back.hosting) == (State.ACTIVE, tenant.hosting)
    assert company.can_log_in(tenant.hosting)
    assert_nothing_left(company, move)
    assert company.alarms(tenant) == set()
