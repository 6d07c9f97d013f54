"""Decisions: freezes, holds and approvals as the registry keeps them, and the outbox of notices.

Who decided and when is the registry's own word; nothing on record is ever taken
back, only ended, by somebody who says why.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from tenantctl.model.decisions import Act, CapCount, Freeze, Hold, NewProposal, Notice, Proposal, Standing


class Decisions(Protocol):
    """What people decided, and what they are asked.

    1. Actor and time of each are those of the registry.
    2. A freeze or a hold that was placed is seen by every transaction that begins afterwards; the work that it
       concerns loses its lease at the next renewal.
    3. A person's second yes to the same digest is Refused: two approvals are two people's.
    4. A proposal is spent once.
    """

    def standing(self, uid: str, region: str, act: Act | None) -> Standing:
        """What all decisions mean for one tenant, read at one moment; with the cap of `act`, if it falls under one."""

    # Freezes

    def freeze(self, scope: str, reason: str) -> Freeze:
        """Stops deactivation and destruction in a region, or in `all`; the open one if there is one already."""

    def unfreeze(self, scope: str, because: str) -> Freeze:
        """Ends the freeze of this very scope.

        Raises:
            NotFound: there is none.
        """

    def freezes(self, region: str | None = None) -> Sequence[Freeze]:
        """The open freezes, oldest first: all of them, or those that cover a region."""

    # Holds

    def place_hold(self, uid: str, case_reference: str, review_by: datetime) -> Hold:
        """Puts a tenant under a hold; the open one if it is under one for this case. Journalled without the case.

        Raises:
            NotFound: there is no such tenant.
        """

    def release_hold(self, uid: str, case_reference: str, because: str) -> Hold:
        """Ends a hold. Journalled without the case.

        Raises:
            NotFound: the tenant is under no hold for this case.
        """

    def review_hold(self, uid: str, case_reference: str, review_by: datetime, because: str) -> Hold:
        """Ends a hold and places it anew with another date of review, so that there is no moment without one.

        Journalled without the case.

        Raises:
            NotFound: the tenant is under no hold for this case.
        """

    def holds(self, uid: str | None = None) -> Sequence[Hold]:
        """The open holds, oldest first, of one tenant or of all."""

    # What takes two people

    def propose(self, new: NewProposal) -> Proposal:
        """Writes a proposal; the same again is the one that is there."""

    def propose_batch(self, act: Act, region: str) -> Proposal:
        """The open batch of a region, or a new one of all tenants that are due for `act` there now."""

    def approve(self, digest: str) -> Proposal:
        """Says yes to what has this digest.

        Raises:
            NotFound: nothing has it.
            Refused: it is no longer open, or this person has said yes already.
        """

    def proposal(self, digest: str) -> Proposal:
        """The proposal of this digest.

        Raises:
            NotFound: there is none.
        """

    def proposals(self, uid: str | None = None) -> Sequence[Proposal]:
        """The open proposals, oldest first: all of them, or those about one tenant."""

    def batch(self, act: Act, region: str) -> Proposal | None:
        """The open batch of an act in a region."""

    def cap_count(self, act: Act, region: str) -> CapCount:
        """What the cap of an act is held against, as it stands now."""

    # Notices

    def notices(self, uid: str) -> Sequence[Notice]:
        """All notices of a tenant, oldest first."""

    def undelivered(self) -> Sequence[Notice]:
        """The notices of all tenants that nobody has reported as delivered, oldest first."""

    def report_delivered(self, notice_id: int) -> Notice:
        """Records that a customer has been told; again is a no-op. Journalled.

        Raises:
            NotFound: there is no such notice.
        """

    def report_failed(self, notice_id: int, failure: str) -> Notice:
        """Records what the last try to deliver met.

        Raises:
            NotFound: there is no such notice.
        """
