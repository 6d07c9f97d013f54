"""What people decide beside the requests: holds, freezes, approvals, erasures, and telling customers.

Who decides is somebody of a few; that two of them are needed is the program's affair. What really stands is put on the
witness's record by the acts, and not read from the registry.
"""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Final

from tenantctl.adapters.memory.decisions import MemoryDecisions
from tenantctl.model.caps import Cap
from tenantctl.model.decisions import EVERYWHERE, ProposalKind
from tenantctl.model.errors import TenantctlError
from tenantctl.offboarding.erasure import ErasureBasis, request_erasure
from tests.simulation.acts import Act, act
from tests.simulation.faults import Fault
from tests.simulation.town import HOME, Town
from tests.simulation.weather import arm

PEOPLE: Final = ("alice@example.com", "bob@example.com", "carol@example.com")
CASES: Final = ("AZ 12/26", "AZ 13/26")


def decisions_of(town: Town, person: str) -> MemoryDecisions:
    """The decisions as one person reaches them."""
    return MemoryDecisions(town.registry.as_actor(person))


@act("place-hold")
def place_hold(town: Town, one: Act, chance: Random) -> None:
    """A court wants a tenant's data kept, for weeks or months; one in three comes in the middle of a turn."""
    case, weeks = chance.choice(CASES), chance.uniform(0.5, 12)

    def place() -> None:
        if (tenant := town.tenant_of(one.household)) is None:
            return
        review_by = town.moment + timedelta(days=30)
        town.asked(lambda: decisions_of(town, PEOPLE[0]).place_hold(tenant.uid, case, review_by))
        if decisions_of(town, PEOPLE[0]).holds(tenant.uid):
            life = town.truth.lives[tenant.uid]
            life.held.setdefault(case, town.moment)
            life.was_held = True

    def release() -> None:
        if (tenant := town.tenant_of(one.household)) is not None:
            town.asked(lambda: decisions_of(town, PEOPLE[1]).release_hold(tenant.uid, case, "the case is closed"))
            town.truth.lives[tenant.uid].held.pop(case, None)
            town.truth.lives[tenant.uid].released_at = town.moment

    if chance.random() < 0.33:
        arm(town, one, Fault(int(2 ** chance.uniform(0, 7)), "act", act=place))
    else:
        place()
    town.later(timedelta(weeks=weeks), release)


@act("freeze")
def freeze(town: Town, one: Act, chance: Random) -> None:
    """Somebody stops all departures, in the region or everywhere, for hours or days."""
    scope = chance.choice((HOME, EVERYWHERE))
    town.asked(lambda: decisions_of(town, PEOPLE[0]).freeze(scope, "something looks odd"))
    town.truth.frozen.setdefault(scope, town.moment)

    def unfreeze() -> None:
        town.asked(lambda: decisions_of(town, PEOPLE[1]).unfreeze(scope, "it was nothing"))
        town.truth.frozen.pop(scope, None)

    town.later(timedelta(hours=2 ** chance.uniform(1, 7.5)), unfreeze)


@act("approve")
def approve(town: Town, one: Act, chance: Random) -> None:
    """People say yes to whatever waits for it: some of them twice, and some alone."""
    for proposal in town.decisions.proposals():
        for person in chance.choices(PEOPLE, k=chance.choice((1, 2, 2, 3))):
            say_yes(town, proposal.digest, person)


@act("erase")
def erase(town: Town, one: Act, chance: Random) -> None:
    """A customer, or a court, asks for erasure at once; mostly two people approve it, within the day."""
    if (tenant := town.tenant_of(one.household)) is None:
        return
    first, second = chance.sample(PEOPLE, 2)
    try:
        as_first = replace(town.world, decisions=decisions_of(town, first))
        proposal = request_erasure(as_first, tenant, chance.choice(tuple(ErasureBasis)), "SUPPORT-1")
    except TenantctlError:
        return
    town.truth.yes.setdefault(proposal.digest, set()).add(first)  # who asks has said yes
    if chance.random() < 0.2:
        second = first
    town.later(timedelta(hours=chance.uniform(0, 30)), lambda: say_yes(town, proposal.digest, second))


@act("tell-customers")
def tell_customers(town: Town, one: Act, chance: Random) -> None:
    """What delivers the notices reports back; of one in ten it reports a failure, and now and then it reports twice."""
    decisions = decisions_of(town, PEOPLE[2])
    for notice in decisions.undelivered():
        number = notice.id
        if chance.random() < 0.1:
            town.asked(lambda number=number: decisions.report_failed(number, "no such mailbox"))  # type: ignore[misc]
        for _ in range(chance.choice((1, 1, 2))):
            town.asked(lambda number=number: decisions.report_delivered(number))  # type: ignore[misc]


@act("new-caps")
def new_caps(town: Town, one: Act, chance: Random) -> None:
    """The company changes how many may leave in a day, and whether a customer must have been told."""
    lifecycle = town.policies.lifecycle
    cap = Cap(chance.choice((0, 1, 2, 20)), chance.choice((0, 5, 10, 50)))
    caps = replace(lifecycle.caps, deactivate=replace(cap, tenants_max=cap.tenants_max * 2), destroy=cap)
    notices = replace(lifecycle.notices, delivery_required=chance.random() < 0.5)
    changed = replace(lifecycle, caps=caps, notices=notices)
    assert not list(changed.faults()), "it would not have been loaded"
    town.policies = replace(town.policies, lifecycle=changed, digest=f"{one.id}")


def say_yes(town: Town, digest: str, person: str) -> None:
    """One person's approval, on the witness's record if it was accepted."""
    try:
        proposal = decisions_of(town, person).approve(digest)
    except TenantctlError:
        return
    yes = town.truth.yes.setdefault(digest, set())
    yes.add(person)
    if len(yes) < 2:
        return
    if proposal.kind is ProposalKind.ERASURE and proposal.tenant_uid is not None:
        town.truth.lives[proposal.tenant_uid].erasure_approved_at = town.moment
    if proposal.kind is ProposalKind.BATCH:
        for uid in proposal.content["members"]:
            town.truth.lives[uid].let_through_at[proposal.content["act"]] = town.moment
