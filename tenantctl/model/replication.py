"""What a database and its copy in another instance show of each other while the one is replicated into the other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Inspection:
    """What a database consists of, as far as it matters to who would carry it elsewhere.

    `size` is in bytes; tables are named as they are quoted. `without_identity` are those whose rows nothing tells
    apart, each with its size in bytes; `beyond_matching` are those of them whose rows cannot even be compared as a
    whole, or whose owner has forbidden it. `without_keys` is the size in bytes of all tables of which no key names a
    changed row: they are compared as a whole. `unlogged` have rows and stand in no log; `forced` force row security on
    their owner; `of_strangers` are owned by neither of the tenant's roles. `locale` names encoding, provider, locale.
    """

    server_major: int
    size: int
    tables: int
    without_identity: tuple[tuple[str, int], ...]
    beyond_matching: tuple[str, ...]
    without_keys: int
    large_objects: int
    unlogged: tuple[str, ...]
    forced: tuple[str, ...]
    of_strangers: tuple[str, ...]
    sequences: int
    extensions: tuple[str, ...]
    locale: str


@dataclass(frozen=True)
class Readiness:
    """What an instance offers to who comes or goes: its version, its extensions, and room for replication.

    `logical` says whether its log can be decoded; `slots_free` how many more may read it.
    """

    server_major: int
    extensions: frozenset[str]
    locale: str
    logical: bool
    slots_free: int


@dataclass(frozen=True)
class ReplicationSeen:
    """How far a replication is, as both instances show it.

    `digest` is the schema's when the tables were published, None if they are not; `slot` says whether the source keeps
    its log for the target, and `lost` whether it has given that up. Of `tables` that are subscribed to, `ready` are in
    step; `lag` is in bytes of the source's log, None while nobody reads it.
    """

    digest: str | None
    slot: bool
    lost: bool
    subscribed: bool
    tables: int
    ready: int
    lag: int | None

    @property
    def is_nothing(self) -> bool:
        """Whether nothing of a replication is on either side."""
        return self.digest is None and not self.slot and not self.subscribed

    def in_step(self, lag_max: int) -> bool:
        """Whether every table was copied, and no more than so many bytes of the log are to be read."""
        return self.subscribed and self.ready == self.tables and self.lag is not None and self.lag <= lag_max
