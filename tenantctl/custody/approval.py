"""Saying yes to what takes two people; what has lapsed is refused with what became of it."""

from tenantctl.model.decisions import Proposal, ProposalKind
from tenantctl.model.errors import Refused
from tenantctl.ports.world import World


def approve_proposal(world: World, digest: str) -> Proposal:
    """Approves, as whoever the registry says we are.

    Raises:
        NotFound: nothing has this digest.
        Refused: it lapsed, was made use of, or this person has approved it already; of a batch that lapsed, with
            what differs from the one that is open now.
    """
    proposal = world.decisions.proposal(digest)
    now = world.registry.now()
    if proposal.kind is ProposalKind.BATCH and proposal.spent_at is None and not proposal.is_open(now=now):
        for current in world.decisions.proposals():
            same = ("act", "region")
            if all(current.content.get(key) == proposal.content[key] for key in same):
                raise Refused(
                    f"Batch {digest} is stale: {_difference(proposal, current)}.",
                    hint=f"Look at the one of now: tenantctl approval show {current.digest}",
                )
    return world.decisions.approve(digest)


def _difference(stale: Proposal, current: Proposal) -> str:
    before, after = set(stale.content["members"]), set(current.content["members"])
    parts = [
        f"{len(uids)} {word} ({', '.join(sorted(uids)[:5])}{', …' if len(uids) > 5 else ''})"
        for word, uids in (("joined", after - before), ("left", before - after))
        if uids
    ]
    return f"since then {' and '.join(parts) or 'nothing changed but its time'}, and batch {current.digest} is open now"
