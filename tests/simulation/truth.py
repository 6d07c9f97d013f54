"""What really happened to each tenant, as a witness saw it who stands beside the fakes and believes no registry.

`Truth` is filled by the witnessed fakes and by the acts of the world, with times. The invariants are asked of it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tenantctl.model.backup import RetentionClass
from tenantctl.model.lifecycle import State


@dataclass
class SealedCopy:
    """One object of a backup, from its sealing to its end."""

    bucket: str
    name: str
    region: str
    sealed_at: datetime
    content: bytes
    term_ends: datetime
    gone_at: datetime | None = None
    vanished: bool = False  # gone, or made unreadable, by an accident: nobody can have known at once

    def there_since(self, moment: datetime) -> bool:
        """Whether it was there at some time after `moment`."""
        return self.gone_at is None or self.gone_at >= moment


@dataclass
class MadeBackup:
    """One backup as the vaults and key stores have it."""

    id: str
    uid: str
    begun_at: datetime
    retention_class: RetentionClass
    archive: bytes | None = None
    copies: dict[str, SealedCopy] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)  # in key buckets, by region
    keys_gone_at: datetime | None = None
    restored_at: datetime | None = None


@dataclass
class Life:
    """One tenant's life as it was.

    `closed_since` is None while somebody can log in or has a session. `promised` is the latest end of grace that was
    on record in this closing.
    """

    uid: str
    place: tuple[str, str]
    closed_since: datetime | None
    created_at: datetime
    state: State = State.REQUESTED
    came_at: datetime | None = None
    promised: datetime | None = None
    grace_ended_at: datetime | None = None
    dropped_at: datetime | None = None
    blanked_at: datetime | None = None
    forgotten_at: datetime | None = None
    backups: dict[str, MadeBackup] = field(default_factory=dict)
    archive: bytes | None = None  # of the newest dump
    entries: int = 0
    head: str = ""
    held: dict[str, datetime] = field(default_factory=dict)  # since when, by case
    was_held: bool = False
    released_at: datetime | None = None
    erasure_approved_at: datetime | None = None  # by the second person
    let_through_at: dict[str, datetime] = field(
        default_factory=dict
    )  # when two people approved a batch with it, by act


@dataclass(frozen=True)
class Happening:
    """Something that the invariants are asked about: what, when, to whom, and what was found there and then."""

    kind: str
    at: datetime
    uid: str
    found: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Truth:
    """Everything a witness knows.

    `owners` says whose each database really is, whatever its name and its comment say. `promises` are the moments at
    which each backup must be unreadable, soonest first.
    """

    lives: dict[str, Life] = field(default_factory=dict)
    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    promises: deque[tuple[datetime, str, str]] = field(default_factory=deque)
    turn: str | None = None  # whose turn it is for the worker that acts
    renewed_at: datetime | None = (
        None  # when that worker was last told that its lease is its own, and nothing newer wanted
    )
    frozen: dict[str, datetime] = field(default_factory=dict)  # since when, by scope
    yes: dict[str, set[str]] = field(default_factory=dict)  # who approved what, by digest
    departures: list[tuple[str, datetime]] = field(default_factory=list)  # what the caps count, and when
    violations: list[str] = field(default_factory=list)
    checks: int = 0

    def life_of_name(self, name: str) -> tuple[Life, str] | None:
        """The life, and the id of the backup, that an object's or key's name belongs to."""
        uid, _, rest = name.partition("/")
        life = self.lives.get(uid)
        return None if life is None else (life, rest.partition("/")[0].removesuffix(".key"))
