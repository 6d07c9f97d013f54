"""A tenant, where it is hosted, and what is wanted of it.

`wanted` is intent and `state` is fact: requests write the one, confirmed steps
the other, and the sweep moves the world until they agree.
"""

import base64
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State

NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
NAME_LENGTH_MAX: Final = 40


_MARKER: Final = re.compile(r"tenantctl tenant ([a-z0-9]+) generation (\d+)")
_ROLE: Final = re.compile(r"[lo]_([a-z0-9]+)_(\d+)")


class Wanted(StrEnum):
    """What the newest request asks for."""

    LIVING = "living"
    LEAVING = "leaving"
    ERASED = "erased"  # by an approved erasure; nothing newer can be wanted


class IntentKind(StrEnum):
    """The requests that change what is wanted of a tenant."""

    CREATE = "create"
    CANCEL = "cancel"
    REINSTATE = "reinstate"
    TRIAL = "trial"  # a plan with an end: from then on it is leaving, unless it is converted
    CONVERT = "convert"


@dataclass(frozen=True)
class Hosting:
    """Where a tenant's database lies, and the names of its roles there.

    Neighbours on an instance can read the names of databases and roles: they
    carry the uid and the generation only, and a generation is never used again.
    """

    uid: str
    instance: str
    region: str
    generation: int

    @property
    def database(self) -> str:
        """The name of the database."""
        return f"t_{self.uid}_{self.generation}"

    @property
    def owner(self) -> str:
        """The role that owns the tenant's schemas and objects; it cannot log in."""
        return f"o_{self.uid}_{self.generation}"

    @property
    def login(self) -> str:
        """The role that the customer logs in as."""
        return f"l_{self.uid}_{self.generation}"

    @property
    def marker(self) -> str:
        """What stands in the database's comment; the name alone never identifies a tenant."""
        return f"tenantctl tenant {self.uid} generation {self.generation}"


@dataclass(frozen=True)
class Origin:
    """What a tenant's database is restored from: a backup, and whose backup that is."""

    backup_id: str
    tenant_uid: str


@dataclass(frozen=True)
class Tenant:
    """One customer's row in the registry, as read at one moment."""

    uid: str
    name: str | None  # blanked when forgotten
    state: State
    wanted: Wanted
    intent_id: int  # the newest intent; a request compares and sets it
    intent_effective_at: datetime
    time_zone: str  # where the customer is based
    hosting: Hosting
    connection_limit: int
    extensions: tuple[str, ...]
    created_at: datetime
    due_at: datetime
    logins_closed_at: datetime | None = None
    destroy_after: datetime | None = None
    destroyed_at: datetime | None = None
    restored_from: Origin | None = None  # of this generation of the database; None if it began empty
    restored_at: datetime | None = None  # when that was seen to be whole
    kept_in: str | None = None  # the jurisdiction that its data and its backups do not leave
    size: int = 0  # bytes of its database, as last seen; those of its origin before it was seen

    @property
    def is_placed(self) -> bool:
        """Whether an instance was chosen for it; one that waits for room has only a region that it hopes for."""
        return bool(self.hosting.instance)

    @property
    def awaits_data(self) -> bool:
        """Whether its database is to be filled from a backup, and has not been yet."""
        return self.restored_from is not None and self.restored_at is None

    @property
    def label(self) -> str:
        """What to call this tenant in a sentence: its name while it has one, else its uid."""
        return self.name or self.uid


@dataclass(frozen=True)
class Intent:
    """A request on record: what was asked, by whom, why, and from when it counts."""

    id: int
    tenant_uid: str
    kind: IntentKind
    cause: str
    instructing_party: str
    effective_at: datetime
    requested_at: datetime
    actor: str


class InstanceRole(StrEnum):
    """What an instance is for."""

    TENANTS = "tenants"
    VERIFY = "verify"


class InstanceState(StrEnum):
    """Whether an instance takes tenants."""

    SERVING = "serving"
    DRAINING = "draining"  # it takes no more, and keeps those that it has until they are moved


@dataclass(frozen=True)
class Instance:
    """A Cloud SQL instance that hosts tenants, or that serves restores for verification.

    Args:
        databases_max: how many tenants it may host.
        databases: how many it hosts.
        connections_max: how many connections its tenants may be promised together; None sets no limit.
        bytes_max: how many bytes their databases may have together; None sets no limit.
        connections: how many they are promised.
        bytes_seen: how many they have, each as last seen.
        state: whether it takes more.
    """

    name: str
    region: str
    role: InstanceRole
    databases_max: int
    databases: int = 0
    connections_max: int | None = None
    bytes_max: int | None = None
    connections: int = 0
    bytes_seen: int = 0
    state: InstanceState = InstanceState.SERVING


def marked_tenant(marker: str) -> tuple[str, int] | None:
    """The uid and the generation that a database's comment says; None if it is no marker."""
    match = _MARKER.fullmatch(marker)
    return None if match is None else (match[1], int(match[2]))


def tenants_role(name: str) -> tuple[str, int] | None:
    """The uid and the generation of the tenant that a role of this name is of; None if it is named otherwise."""
    match = _ROLE.fullmatch(name)
    return None if match is None else (match[1], int(match[2]))


def new_uid() -> str:
    """A fresh uid: 60 random bits as 12 letters and digits, which can stand in a role's or database's name."""
    return base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]


def check_name(name: str) -> str:
    """The name, if a tenant may bear it.

    Raises:
        Refused: it is too long, or has other characters than the pattern allows.
    """
    if len(name) > NAME_LENGTH_MAX or not NAME_PATTERN.fullmatch(name):
        raise Refused(
            f"{name!r} cannot be a tenant's name.",
            hint=f"Use at most {NAME_LENGTH_MAX} lower-case letters, digits and single dashes, a letter first: acme-eu",
        )
    return name
