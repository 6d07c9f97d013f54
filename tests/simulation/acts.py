"""What people do to tenants: each act is one small function in a table, by the word that stands for it in a script.

An act is data. What it draws at random depends on the script's seed and on its own number alone, so that leaving other
acts out of a script does not change it. One that cannot be done just then does nothing, as a request that is refused.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from random import Random
from typing import Final

from tenantctl.adapters.memory.databases import MemoryDatabase
from tenantctl.bootstrap import catalogue
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Tenant
from tenantctl.offboarding.request import request_cancellation, request_reinstatement
from tenantctl.onboarding.request import request_tenant
from tests.simulation.town import Town

PLACES: Final = (
    "Southlake, TX, US",
    "Tokyo, JP",
    "Honolulu, HI, US",
    "Sydney, AU",
    "New York, NY, US",
    "Denver, CO, US",
)
NAMES: Final = tuple(f"{word}-{number}" for word in ("acme", "globex", "initech") for number in range(12))


@dataclass(frozen=True)
class Act:
    """One line of a script: when (hours from the start), what, and to the tenant that which act asked for."""

    id: int
    at: float
    word: str
    household: int

    def line(self) -> str:
        """As it stands in a script."""
        return json.dumps(asdict(self))


Doing = Callable[[Town, Act, Random], None]
ACTS: dict[str, Doing] = {}


def act(word: str) -> Callable[[Doing], Doing]:
    """Enters a function into the table."""

    def enter(function: Doing) -> Doing:
        assert word not in ACTS, f"{word} means something already"
        ACTS[word] = function
        return function

    return enter


def perform(town: Town, one: Act) -> None:
    """Does what one line of a script says."""
    town.chance.begin(town.seed, one.id)
    ACTS[one.word](town, one, Random(f"{town.seed}/{one.id}/{one.word}"))


@act("sign-up")
def sign_up(town: Town, one: Act, chance: Random) -> None:
    """Somebody becomes a customer; the name may be taken."""

    def request() -> None:
        tenant, _ = request_tenant(
            town.world,
            catalogue(),
            name=chance.choice(NAMES),
            based_in=chance.choice(PLACES),
            keep_in="US" if chance.random() < 0.5 else None,
            connection_limit=None,
            extensions=("citext",) if chance.random() < 0.3 else (),
            cause="simulated",
            instructing_party="customer",
        )
        town.households[one.id] = tenant.uid

    town.asked(request)


@act("cancel")
def cancel(town: Town, one: Act, chance: Random) -> None:
    """A cancellation with effect at once; one in ten arrives twice."""
    if (tenant := town.tenant_of(one.household)) is not None:
        cancelled(town, tenant)
        if chance.random() < 0.1:
            cancelled(town, tenant)


@act("cancel-later")
def cancel_later(town: Town, one: Act, chance: Random) -> None:
    """A cancellation for a day to come, or for one that has passed already."""
    if (tenant := town.tenant_of(one.household)) is not None:
        cancelled(town, tenant, after=timedelta(hours=chance.uniform(-10, 24 * 30)))


@act("reinstate")
def reinstate(town: Town, one: Act, chance: Random) -> None:
    """The customer wants to come back, whether it ever left or not."""
    if (tenant := town.tenant_of(one.household)) is not None:
        reinstated(town, tenant)


@act("stale-request")
def stale_request(town: Town, one: Act, chance: Random) -> None:
    """Two requests that read the tenant at the same moment: the second one must be told to look again."""
    if (tenant := town.tenant_of(one.household)) is None:
        return
    for request in chance.sample((reinstated, cancelled), 2):
        request(town, tenant)


@act("work-in-database")
def work_in_database(town: Town, one: Act, chance: Random) -> None:
    """The customer changes rows, if it can log in at all."""
    if (database := open_database(town, one)) is not None:
        rows = database.tables.setdefault(f"public.t{chance.randrange(3)}", [])
        rows.append(f"{one.id}-{chance.randrange(1000)}")


@act("log-in")
def log_in(town: Town, one: Act, chance: Random) -> None:
    """The customer leaves a session open."""
    if open_database(town, one) is not None and (tenant := town.tenant_of(one.household)) is not None:
        town.servers[tenant.hosting.instance].roles[tenant.hosting.login].sessions += 1


@act("force-row-security")
def force_row_security(town: Town, one: Act, chance: Random) -> None:
    """The customer forces row security on a table of its own, or no longer; no nightly backup can be made of it.

    Who was told of it takes it off some day or week later, mostly.
    """
    if (database := open_database(town, one)) is not None and database.tables:
        table = chance.choice(sorted(database.tables))
        database.forced ^= {table}
        if chance.random() < 0.9:
            town.later(timedelta(days=2 ** chance.uniform(-1, 5)), lambda: database.forced.discard(table))


@act("open-behind-our-back")
def open_behind_our_back(town: Town, one: Act, chance: Random) -> None:
    """Somebody with rights of their own opens a closed login, and leaves it open."""
    tenant = town.tenant_of(one.household)
    if tenant is None or tenant.state not in {State.DEACTIVATING, State.DEACTIVATED}:
        return
    role = town.servers[tenant.hosting.instance].roles.get(tenant.hosting.login)
    if role is not None:
        role.can_log_in = True
        role.sessions += chance.randrange(2)
        town.truth.lives[tenant.uid].closed_since = None


@act("put-anothers-database-there")
def put_anothers_database_there(town: Town, one: Act, chance: Random) -> None:
    """Another's database lies under the tenant's name for some days, as after a restore that went wrong."""
    tenant = town.tenant_of(one.household)
    if tenant is None or tenant.state is State.REQUESTED:
        return
    place = (tenant.hosting.instance, tenant.hosting.database)
    server = town.servers[place[0]]
    if place[1] not in server.databases or town.truth.owners.get(place) != tenant.uid:
        return
    kept, other = server.databases[place[1]], "somebody-else"
    marker = f"tenantctl tenant {other} generation 1" if chance.random() < 0.7 else ""
    server.databases[place[1]] = MemoryDatabase(marker=marker, tables={"public.t": ["theirs"]}, public=False)
    town.truth.owners[place] = other

    def put_back() -> None:
        if town.truth.owners.get(place) == other:
            server.databases[place[1]] = kept
            town.truth.owners[place] = tenant.uid

    town.later(timedelta(hours=chance.uniform(2, 72)), put_back)


def cancelled(town: Town, tenant: Tenant, *, after: timedelta | None = None) -> None:
    """Cancels a tenant as it was read."""
    effective_at = None if after is None else town.moment + after
    town.asked(
        lambda: request_cancellation(
            town.world, tenant, cause="simulated", instructing_party="billing", effective_at=effective_at
        )
    )


def reinstated(town: Town, tenant: Tenant) -> None:
    """Asks for a tenant, as it was read, to come back."""
    town.asked(lambda: request_reinstatement(town.world, tenant, cause="simulated", instructing_party="customer"))


def open_database(town: Town, one: Act) -> MemoryDatabase | None:
    """The tenant's database, if its customer can really log in to it now."""
    tenant = town.tenant_of(one.household)
    if tenant is None:
        return None
    server = town.servers[tenant.hosting.instance]
    role = server.roles.get(tenant.hosting.login)
    if role is None or not role.can_log_in or not server.reachable:
        return None
    if town.truth.owners.get((tenant.hosting.instance, tenant.hosting.database)) != tenant.uid:
        return None
    return server.databases.get(tenant.hosting.database)
