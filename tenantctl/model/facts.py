"""What was seen of one tenant at one moment: the facts that planning is given."""

from collections.abc import Mapping
from dataclasses import dataclass

from tenantctl.model.anchor import RegistrySeen
from tenantctl.model.backup import Backup, BackupState, Residue
from tenantctl.model.billing import SubscriptionSeen
from tenantctl.model.decisions import Standing
from tenantctl.model.move import Move
from tenantctl.model.region import Placement
from tenantctl.model.remembered import remembered
from tenantctl.model.replication import ReplicationSeen
from tenantctl.model.sighting import Sighting, Unreachable
from tenantctl.model.tenant import Hosting, Tenant, marked_tenant


@dataclass(frozen=True)
class DatabaseSeen:
    """A database as its instance shows it; `marker` is its comment."""

    marker: str
    size: int  # bytes


@dataclass(frozen=True)
class DatabaseMarked:
    """A database that an instance shows with some tenant's marker."""

    name: str
    uid: str
    generation: int


@dataclass(frozen=True)
class Census:
    """Everything on an instance by name: each database with its comment, blank if none; each tenant's role.

    Of a role it says whether it can log in. Roles that are not named as tenants' are not in it.
    """

    databases: Mapping[str, str]
    roles: Mapping[str, bool]

    @property
    def marked(self) -> tuple[DatabaseMarked, ...]:
        """The databases that bear a tenant's marker, by name, whoever the tenant is."""
        found = ((name, marked_tenant(marker)) for name, marker in sorted(self.databases.items()))
        return tuple(DatabaseMarked(name, *whose) for name, whose in found if whose is not None)


@dataclass(frozen=True)
class LoginsSeen:
    """A tenant's login as its instance shows it."""

    can_log_in: bool
    sessions: int


NOT_LOOKED = Unreachable("not looked at")


@dataclass(frozen=True)
class FormerSeen:
    """A database that the tenant had before it was restored elsewhere, as its instance shows it, if it answers.

    `residue_id` is its line in the inventory.
    """

    residue_id: str
    hosting: Hosting
    database: Sighting[DatabaseSeen]
    logins: Sighting[LoginsSeen]


@dataclass(frozen=True)
class WaitingSeen:
    """Where a tenant stands among those that wait for room.

    `position` is 1 for the first of `length`. `placement` is where there is room
    for it now, after all who come before it; None while there is none, for this `reason`.
    """

    position: int
    length: int
    placement: Placement | None
    reason: str


@dataclass(frozen=True)
class Facts:
    """A tenant, what the registry knows of its bytes, and what its instance shows.

    Backups stand oldest first. `residues` are the lines of the inventory that have not lapsed: nothing that is planned
    depends on the others.
    The sightings are `NOT_LOOKED` in states whose plans do not depend on them.
    """

    tenant: Tenant
    backups: tuple[Backup, ...] = ()
    residues: tuple[Residue, ...] = ()
    database: Sighting[DatabaseSeen] = NOT_LOOKED
    roles: Sighting[tuple[str, ...]] = NOT_LOOKED
    logins: Sighting[LoginsSeen] = NOT_LOOKED
    prepared: bool = False  # of a database that is to be filled from a backup: whether it is ready for that
    formers: tuple[FormerSeen, ...] = ()
    moves: tuple[Move, ...] = ()
    closed_regions: frozenset[str] = frozenset()  # no new byte goes to these: the tenant has left their jurisdiction
    replication: Sighting[ReplicationSeen] = NOT_LOOKED  # of a move that has not ended
    registry: RegistrySeen | Unreachable = NOT_LOOKED
    waiting: WaitingSeen | None = None  # of one that waits for room
    adopts: str = ""  # of one that is requested: the name of the living database that it is to be
    subscription: Sighting[SubscriptionSeen] = NOT_LOOKED  # of one that may be destroyed next
    standing: Standing | None = None  # nobody asked: what rests on it does not happen

    @remembered
    def unsettled(self) -> tuple[Backup, ...]:
        """The backups of which anything is left to look at, to make again or to shred; few of a long life's many."""
        return tuple([backup for backup in self.backups if not backup.is_settled])

    @remembered
    def newest_complete(self) -> Backup | None:
        """The complete backup that was begun last."""
        return next((backup for backup in reversed(self.backups) if backup.state is BackupState.COMPLETE), None)
