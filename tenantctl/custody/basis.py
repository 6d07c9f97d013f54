"""The reasons for which a backup may be opened. Pure rules.

Backups are used for nothing but their own integrity, unless the customer or the
law requires it, or an incident has to be mended; what a customer has deleted
since is in them too.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from tenantctl.model.decisions import Proposal, ProposalKind
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import LIVING
from tenantctl.model.tenant import Tenant


class Ground(StrEnum):
    """Why a backup is opened."""

    CUSTOMER_REQUEST = "customer-request"
    LEGAL_ORDER = "legal-order"
    INCIDENT = "incident"


AFTER_DESTRUCTION: Final = frozenset({Ground.CUSTOMER_REQUEST, Ground.LEGAL_ORDER})


@dataclass(frozen=True)
class Basis:
    """A reason, and what it refers to: a ticket, a file number."""

    ground: Ground
    reference: str


def opening_of(backup_id: str, basis: Basis) -> dict[str, str]:
    """What two people agree to when they agree to an opening: this backup, and for this reason."""
    return {"backup": backup_id, "ground": basis.ground.value, "reference": basis.reference}


def permits(proposal: Proposal, backup_id: str, basis: Basis, *, now: datetime) -> bool:
    """Whether two people have agreed to open this backup for this very reason, and nobody has made use of it."""
    said = opening_of(backup_id, basis)
    meant = proposal.kind is ProposalKind.OPENING and said.items() <= dict(proposal.content).items()
    return meant and proposal.is_approved(now=now)


def takes_two(tenant: Tenant) -> bool:
    """Whether a backup of the tenant opens for two people only: it was destroyed, and nothing of it is to be read."""
    return tenant.state not in LIVING


def check_basis(basis: Basis, tenant: Tenant) -> None:
    """Whether a backup of the tenant may be opened for this reason; who must agree is another question.

    Raises:
        Refused: it refers to nothing, or the tenant is destroyed and the reason is none that opens what is left of it.
    """
    if not basis.reference.strip():
        raise Refused("A basis refers to something: a ticket or a file number.", hint="--reference SUPPORT-1234")
    if takes_two(tenant) and basis.ground not in AFTER_DESTRUCTION:
        raise Refused(
            f"Tenant {tenant.label} is {tenant.state}: its backups open for no {basis.ground}.",
            hint=f"They open for {' or '.join(sorted(AFTER_DESTRUCTION))} alone, and for two people together.",
        )
