"""Adoption in memory: a database that a test put on an instance under a name of its own becomes a tenant's."""

from typing import TYPE_CHECKING

from tenantctl.model.adoption import ForeignSeen, OwnerSeen
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.tenant import Hosting

if TYPE_CHECKING:
    from tenantctl.adapters.memory.databases import MemoryDatabase, MemoryInstance

SERVER_MAJOR = 18


def seen_of(database: "MemoryDatabase") -> ForeignSeen:
    """What is in it."""
    return ForeignSeen(
        marker=database.marker,
        size=sum(len(row) for rows in database.tables.values() for row in rows),
        server_major=SERVER_MAJOR,
        encoding="UTF8",
        extensions=tuple(sorted(database.extensions)),
        owners=tuple(OwnerSeen(name, is_ours=True) for name in sorted(database.owners)),
    )


def adopt(instance: "MemoryInstance", hosting: Hosting, name: str) -> None:
    """Gives it the tenant's marker, then its name, then its owner; what is done already is passed over."""
    if hosting.owner not in instance.roles:
        raise NotFound(f"The instance {hosting.instance} has no role {hosting.owner}.")
    if hosting.database not in instance.databases:
        database = instance.databases.get(name)
        if database is None:
            raise Refused(f"The instance {hosting.instance} has no database {name} any more.")
        if database.marker not in {"", hosting.marker}:
            raise Refused(f"The database {name} on {hosting.instance} is somebody's: it has {database.marker!r}.")
        database.marker = hosting.marker
        instance.databases[hosting.database] = instance.databases.pop(name)
    database = instance.databases[hosting.database]
    if database.marker != hosting.marker:
        raise Refused(f"The database {hosting.database} on {hosting.instance} is not tenant {hosting.uid}'s.")
    database.public, database.owners = False, {hosting.owner}


def is_adopted(instance: "MemoryInstance", hosting: Hosting) -> bool:
    """Whether nothing in it is anybody else's, and nobody else may enter it."""
    database = instance.databases.get(hosting.database)
    if database is None:
        return False
    if database.marker != hosting.marker:
        raise Refused(f"The database {hosting.database} on {hosting.instance} is not tenant {hosting.uid}'s.")
    return not database.public and database.owners <= {hosting.owner}
