"""Plans of tenants that wait for room: no turn yet, its turn, and given up."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from tenantctl.bootstrap import catalogue
from tenantctl.model.facts import Facts, WaitingSeen
from tenantctl.model.lifecycle import State
from tenantctl.placement.geocode import geocode
from tenantctl.placement.planning import plan_placement
from tests.rooms.rule_facts import CANCELLED, CREATED, HOSTING, POLICIES, leaving, standing, tenant

NOWHERE_YET: Final = replace(HOSTING, instance="")
ROOM: Final = plan_placement(geocode("Southlake, TX, US"), catalogue(), POLICIES.regions, None)

CASES_OF_WAITING: Final[Mapping[str, tuple[Facts, datetime]]] = {
    "requested-waiting": (
        Facts(
            tenant(State.REQUESTED, hosting=NOWHERE_YET),
            waiting=WaitingSeen(3, 7, None, "No region can take a tenant based in Southlake, TX, US."),
            standing=standing(),
        ),
        CREATED,
    ),
    "requested-its-turn": (
        Facts(
            tenant(State.REQUESTED, hosting=NOWHERE_YET),
            waiting=WaitingSeen(1, 7, ROOM, "it waited for room in us-south1"),
            standing=standing(),
        ),
        CREATED,
    ),
    "requested-waiting-cancelled": (
        Facts(leaving(State.REQUESTED, hosting=NOWHERE_YET, logins_closed_at=None, destroy_after=None)),
        CANCELLED,
    ),
}
