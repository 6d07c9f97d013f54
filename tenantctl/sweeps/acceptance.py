"""Two people accept what a reconciliation found, and the registry is trusted again."""

from tenantctl.model.anchor import Reconciliation
from tenantctl.model.decisions import PROPOSED_FOR, NewProposal, Proposal, ProposalKind
from tenantctl.model.errors import Refused
from tenantctl.ports.world import World
from tenantctl.sweeps.reconcile import Comparison


def accept(world: World, compared: Comparison, digest: str) -> Reconciliation | Proposal:
    """One person's yes to the findings of this digest; with the second one's, the reconciliation is on record.

    Args:
        world: where the registry is.
        compared: what was found, just now.
        digest: what the person was shown and accepts.

    Returns:
        The reconciliation, or the proposal that still wants another person.

    Raises:
        Refused: something could not be looked at, the findings are others by now, there is nothing to reconcile, or
            this person has said yes already.
    """
    if compared.unseen:
        raise Refused(
            f"What could not be looked at cannot be accepted: {'; '.join(compared.unseen)}.",
            hint="Mend it, then look again: tenantctl registry reconcile",
        )
    if digest != compared.digest:
        raise Refused(
            f"The findings are not those of {digest!r} any more: now they are {compared.digest}.",
            hint="Read them again before you accept them: tenantctl registry reconcile",
        )
    if compared.restored is None and not any(finding.code == "anchor-missing" for finding in compared.findings):
        raise Refused("This registry knows every anchor there is: there is nothing to reconcile.")
    now = world.registry.now()
    proposal = next((one for one in world.decisions.proposals() if _is_for(one, digest)), None)
    if proposal is None:
        content = {"findings": digest, "newest_anchor": compared.newest, "registry": compared.registry}
        new = NewProposal(ProposalKind.RECONCILIATION, None, content, now + PROPOSED_FOR)
        proposal = world.decisions.propose(new)
    if not proposal.is_approved(now=now):
        proposal = world.decisions.approve(proposal.digest)
    if not proposal.is_approved(now=now):
        return proposal
    done = world.registry.record_reconciliation(compared.newest, digest, compared.text)
    # The newest comes last: whatever breaks off before it leaves the registry frozen, and the same can be done again.
    on_record = {one.anchor.digest for one in world.registry.anchors_since(None)}
    for anchor in compared.anchors:
        if anchor.digest not in on_record:
            world.registry.record_anchor(anchor, adopted=True)
    return done


def _is_for(proposal: Proposal, digest: str) -> bool:
    return proposal.kind is ProposalKind.RECONCILIATION and proposal.content.get("findings") == digest
