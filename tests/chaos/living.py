"""A company lives through a storm: tenants come and some of them go, while workers are killed and clouds fail."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final

from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Tenant
from tenantctl.offboarding.request import request_cancellation
from tests.asking import ask_for_tenant
from tests.chaos.storm import Storm
from tests.chaos.truth import faults, is_settled
from tests.localcloud.company import HOME, TENANTS_INSTANCE, Company, throw_away_company

LEAVING_SHARE: Final = 10  # one of so many is cancelled in the middle: fewer than a cap lets through
PAUSE_SECONDS: Final = (0.3, 2.5)
ROUNDS_MAX: Final = 40  # of calm, until everybody is where it is wanted


def live_through(
    *, tenants: int, workers: int, seconds: float, chance: random.Random
) -> tuple[Counter[str], Sequence[str]]:
    """What happened how often, and whatever is not as it must be afterwards."""
    with throw_away_company() as company:
        room = ("--region", HOME, "--databases-max", str(min(2 * tenants, 500)))  # some of it stays free, by policy
        company.do("instance", "add", TENANTS_INSTANCE, *room)
        settings = replace(load_settings(company.environment()), login="alice@example.com")
        with closing(CloudWorld(settings)) as world:
            asked = [ask_for_tenant(world, f"tenant-{number}") for number in range(tenants)]
            storm = Storm(company, workers, chance)
            began = time.monotonic()
            leaving = asked[::LEAVING_SHARE]
            while time.monotonic() - began < seconds:
                storm.befall()
                if leaving and time.monotonic() - began > seconds / 3:
                    leaving = [one for one in leaving if not _cancelled(world, one)]
                time.sleep(chance.uniform(*PAUSE_SECONDS))
            storm.end()
            for one in leaving:
                assert _cancelled(world, one) or world.registry.tenant(one.uid).state is State.REQUESTED
            _calm(company, world, asked)
            return storm.counts, list(faults(world.registry, asked))


def _cancelled(world: CloudWorld, tenant: Tenant) -> bool:
    """Cancels a tenant once it lives; whether it is cancelled."""
    now = world.registry.tenant(tenant.uid)
    if now.state is not State.ACTIVE:
        return False
    request_cancellation(world, now, cause="chaos", instructing_party="customer", effective_at=None)
    return True


def _calm(company: Company, world: CloudWorld, tenants: Sequence[Tenant]) -> None:
    """Runs, and lets time pass, until everybody is where it is wanted, or that has taken too long."""
    for _ in range(ROUNDS_MAX):
        _, said = company.start("run", "--at-once", "4", "--json-lines").communicate(timeout=1800)
        assert "Traceback" not in said, said
        if all(is_settled(world.registry, world.registry.tenant(one.uid)) for one in tenants):
            return
        company.do("local", "advance", "1h")
