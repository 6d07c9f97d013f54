"""The record of an opening: who opens which backup, and for what reason, is on record before anything is opened.

What is left of a destroyed tenant takes two people: the first asks, both say yes to the very backup and reason that
they were shown, and then it opens once.
"""

from typing import Any

from tenantctl.custody.basis import Basis, check_basis, opening_of, permits, takes_two
from tenantctl.engine.lease import leased
from tenantctl.model.backup import Backup
from tenantctl.model.decisions import PROPOSED_FOR, NewProposal, Proposal, ProposalKind
from tenantctl.model.errors import Refused
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World


def check_opening(world: World, tenant: Tenant, backup: Backup, basis: Basis) -> Proposal | None:
    """Whether the backup may be opened now; what two people agreed to, where it takes two.

    Raises:
        Refused: there is no basis for it, or two people have not agreed yet; what they may agree to is named then.
    """
    check_basis(basis, tenant)
    if not takes_two(tenant):
        return None
    now = world.registry.now()
    said = opening_of(backup.id, basis)
    known = world.decisions.proposals(tenant.uid)
    for proposal in known:
        if permits(proposal, backup.id, basis, now=now):
            return proposal
    alike = (one for one in known if one.kind is ProposalKind.OPENING and said.items() <= dict(one.content).items())
    waiting = next((one for one in alike if one.is_open(now=now)), None)
    if waiting is None:
        new = NewProposal(ProposalKind.OPENING, tenant.uid, said, now + PROPOSED_FOR)
        waiting = world.decisions.propose(new)
    raise Refused(
        f"Tenant {tenant.label} is {tenant.state}: its backups open for two people together only; nothing was opened.",
        hint=f"Two people approve {waiting.digest}, then ask again: tenantctl approve {waiting.digest}",
    )


def record_opening(world: World, tenant: Tenant, backup: Backup, basis: Basis, event: str, **body: Any) -> None:
    """Writes into the tenant's chain that its backup is opened; what two people agreed to is made use of by it.

    Raises:
        Refused: as `check_opening`.
        Transient: a worker has the tenant; nothing was written.
    """
    agreed = check_opening(world, tenant, backup, basis)
    content = {**opening_of(backup.id, basis), **body}
    if agreed is None:
        world.registry.append_entry(tenant.uid, event, content)
        return
    with leased(world, tenant) as heartbeat, world.registry.fenced(heartbeat.lease) as writes:
        writes.spend(agreed.digest)
        writes.journal(event, approved=agreed.digest, **content)
