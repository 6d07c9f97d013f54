"""What was seen of one tenant at one moment: the facts that planning is given."""

from dataclasses import dataclass

from tenantctl.model.backup import Backup, Residue
from tenantctl.model.sighting import Sighting, Unreachable
from tenantctl.model.tenant import Tenant


@dataclass(frozen=True)
class DatabaseSeen:
    """A database as its instance shows it; `marker` is its comment."""

    marker: str
    size: int  # bytes


@dataclass(frozen=True)
class LoginsSeen:
    """A tenant's login as its instance shows it."""

    can_log_in: bool
    sessions: int


NOT_LOOKED = Unreachable("not looked at")


@dataclass(frozen=True)
class Facts:
    """A tenant, what the registry knows of its bytes, and what its instance shows.

    The sightings are `NOT_LOOKED` in states whose plans do not depend on them.
    """

    tenant: Tenant
    backups: tuple[Backup, ...] = ()
    residues: tuple[Residue, ...] = ()
    database: Sighting[DatabaseSeen] = NOT_LOOKED
    roles: Sighting[tuple[str, ...]] = NOT_LOOKED
    logins: Sighting[LoginsSeen] = NOT_LOOKED
