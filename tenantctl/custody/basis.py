"""The reasons for which a backup may be opened. Pure rules.

Backups are used for nothing but their own integrity, unless the customer or the
law requires it, or an incident has to be mended; what a customer has deleted
since is in them too.
"""

from dataclasses import dataclass
from enum import StrEnum

from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import LIVING
from tenantctl.model.tenant import Tenant


class Ground(StrEnum):
    """Why a backup is opened."""

    CUSTOMER_REQUEST = "customer-request"
    LEGAL_ORDER = "legal-order"
    INCIDENT = "incident"


@dataclass(frozen=True)
class Basis:
    """A reason, and what it refers to: a ticket, a file number."""

    ground: Ground
    reference: str


def check_basis(basis: Basis, tenant: Tenant) -> None:
    """Whether a backup of the tenant may be opened for this reason.

    Raises:
        Refused: it refers to nothing, or the tenant is destroyed: its copies open for two people only.
    """
    if not basis.reference.strip():
        raise Refused("A basis refers to something: a ticket or a file number.", hint="--reference SUPPORT-1234")
    if tenant.state not in LIVING:
        raise Refused(
            f"Tenant {tenant.label} is {tenant.state}: its backups open for two people together only.",
            hint="That takes an approval, which this version does not have yet; nothing was opened.",
        )
