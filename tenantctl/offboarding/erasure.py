"""What takes two people on a tenant's way out: an erasure before its time, and a destruction without a safeguard.

Who asks has said yes by asking; it happens once somebody else has too.
"""

from enum import StrEnum

from tenantctl.model.decisions import PROPOSED_FOR, NewProposal, Proposal, ProposalKind
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import LIVING, State
from tenantctl.model.tenant import Tenant
from tenantctl.offboarding.safeguards import WAIVABLE, is_overdue
from tenantctl.ports.world import World


class ErasureBasis(StrEnum):
    """Why a tenant's data is to be erased at once."""

    CUSTOMER = "customer"
    LAW = "law"


def request_erasure(world: World, tenant: Tenant, basis: ErasureBasis, reference: str) -> Proposal:
    """Proposes that a tenant be destroyed at once and its backups made unreadable, and approves it as the first.

    Raises:
        Refused: it refers to nothing, the tenant is under a legal hold, or there is nothing left to erase that way;
            or this person has asked for it already.
    """
    if not reference.strip():
        raise Refused("An erasure refers to something: a ticket or a file number.", hint="--reference SUPPORT-1234")
    if tenant.state is State.REQUESTED:
        raise Refused(
            f"Tenant {tenant.label} has no data yet that could be erased.",
            hint=f"Withdraw it: tenantctl tenant cancel {tenant.label}",
        )
    if tenant.state not in LIVING:
        raise Refused(
            f"Tenant {tenant.label} is {tenant.state}: there is no database left to erase.",
            hint=f"See what remains, and until when: tenantctl residue {tenant.label}",
        )
    if world.decisions.holds(tenant.uid):
        raise Refused(
            f"Tenant {tenant.label} is under a legal hold: nothing of it is erased while that stands.",
            hint="See: tenantctl hold list",
        )
    said = {"basis": basis.value, "reference": reference.strip()}
    return _propose(world, tenant, ProposalKind.ERASURE, said)


def request_waiver(world: World, tenant: Tenant, blocker: str, reason: str) -> Proposal:
    """Proposes that a destruction that is overdue go on without one safeguard, and approves it as the first.

    Raises:
        Refused: that safeguard is never waived, the destruction is not overdue, or no reason is given; or this
            person has asked for it already.
    """
    if blocker not in WAIVABLE:
        raise Refused(
            f"{blocker!r} is nothing that two people may waive.", hint=f"These are: {', '.join(sorted(WAIVABLE))}"
        )
    if not reason.strip():
        raise Refused("A waiver has a reason.", hint='--reason "the region is gone for good"')
    if tenant.state is not State.DEACTIVATED or not is_overdue(tenant, world.policies, now=world.registry.now()):
        raise Refused(
            f"The destruction of tenant {tenant.label} is not overdue: nothing is waived before it is.",
            hint=f"See: tenantctl tenant explain {tenant.label}",
        )
    return _propose(world, tenant, ProposalKind.WAIVER, {"blocker": blocker, "reason": reason.strip()})


def _propose(world: World, tenant: Tenant, kind: ProposalKind, said: dict[str, str]) -> Proposal:
    """The open proposal that says the same, or a new one, with our own approval."""
    now = world.registry.now()
    for known in world.decisions.proposals(tenant.uid):
        if known.kind is kind and said.items() <= dict(known.content).items():
            return world.decisions.approve(known.digest)
    made = world.decisions.propose(NewProposal(kind, tenant.uid, said, now + PROPOSED_FOR))
    return world.decisions.approve(made.digest)
