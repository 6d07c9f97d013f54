"""What every keeper of decisions answers and journals alike: its refusals, and the events of its entries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from tenantctl.model.calendar import rfc3339
from tenantctl.model.decisions import PROPOSED_FOR, Act, NewProposal, Proposal, ProposalKind
from tenantctl.model.errors import NotFound, Refused

HOLD_PLACED: Final = "hold-placed"
HOLD_RELEASED: Final = "hold-released"
HOLD_REVIEWED: Final = "hold-reviewed"
PROPOSED: Final = "proposed"
APPROVED: Final = "approved"
NOTICE_WRITTEN: Final = "notice-written"
NOTICE_DELIVERED: Final = "notice-delivered"


def new_batch(act: Act, region: str, members: Sequence[str], *, now: datetime) -> NewProposal:
    """The proposal to let all these tenants through at once."""
    content = {"act": act.value, "region": region, "members": sorted(members)}
    return NewProposal(ProposalKind.BATCH, None, content, now + PROPOSED_FOR)


def check_approvable(proposal: Proposal, actor: str, *, now: datetime) -> None:
    """Whether this person may still say yes.

    Raises:
        Refused: no.
    """
    if proposal.spent_at is not None:
        raise Refused(f"{proposal.digest} was made use of at {rfc3339(proposal.spent_at)}: it counts once.")
    if not proposal.is_open(now=now):
        raise Refused(
            f"{proposal.digest} lapsed: it was proposed at {rfc3339(proposal.made_at)} for the situation of then.",
            hint="See what waits for approval now: tenantctl approval list",
        )
    if any(approval.actor == actor for approval in proposal.approvals):
        raise Refused(
            f"{actor} has approved {proposal.digest} already: two approvals are two people's.",
            hint="Have somebody else run the same command, logged in as himself.",
        )


def check_spendable(proposal: Proposal, *, now: datetime) -> None:
    """Whether two people's approval stands.

    Raises:
        Refused: no.
    """
    if not proposal.is_approved(now=now):
        raise Refused(f"{proposal.digest} is not approved by two people, or is no longer, or was made use of before.")


def unknown_proposal(digest: str, open_ones: Sequence[Proposal]) -> NotFound:
    """Nothing that was proposed has this digest."""
    waiting = ", ".join(f"{one.digest} ({one.kind})" for one in open_ones) or "nothing"
    return NotFound(f"Nothing that was proposed has the digest {digest!r}.", hint=f"Waiting for approval: {waiting}")


def no_freeze(scope: str) -> NotFound:
    """There is no open freeze of this scope."""
    return NotFound(f"There is no freeze of {scope}.", hint="See: tenantctl freeze")


def no_hold(uid: str, case_reference: str) -> NotFound:
    """The tenant is under no such hold."""
    return NotFound(f"Tenant {uid} is under no hold for case {case_reference!r}.", hint="See: tenantctl hold list")


def no_notice(notice_id: int) -> NotFound:
    """There is no such notice."""
    return NotFound(f"There is no notice {notice_id}.", hint="See: tenantctl notice list")


def let_through_before(uid: str, batch: str) -> Refused:
    """A batch lets each of its members through once."""
    return Refused(f"Batch {batch} has let tenant {uid} through already: it does so once.")
