"""A relocation on record: from where, to where, and what was decided of it.

How far it is stands here only where no instance can show it: since when the customer is out for a dump, the digest of
the schema that was copied, the cut-over, and the end. Everything else is asked of the two instances.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenantctl.model.tenant import Hosting


@dataclass(frozen=True)
class Move:
    """One move of one tenant, named by the generation that its database has in the new place.

    `verifier` is the SCRAM verifier of the password that the new login gets, blanked at the end; `not_before` the
    earliest moment of the cut-over; `schema_digest` what the target's schema was copied from; `undo_because` why it is
    to be undone. It ends when it was undone, or when nothing replicates any more after the cut-over.

    By replication the customer works on until the cut-over. `dumped_because` says why a database goes by dump and
    restore instead, for which the customer is out from `fenced_at` on: `expected_seconds` as it was told beforehand,
    and never longer than the `accepted_seconds` that it agreed to, unless the copy is there by then.
    """

    tenant_uid: str
    generation: int
    region: str
    instance: str
    source_region: str
    source_instance: str
    source_generation: int
    cause: str
    instructing_party: str
    requested_at: datetime
    not_before: datetime | None = None
    verifier: str | None = None
    schema_digest: str | None = None
    undo_because: str | None = None
    cut_over_at: datetime | None = None
    ended_at: datetime | None = None
    dumped_because: str | None = None
    expected_seconds: int | None = None
    accepted_seconds: int | None = None
    fenced_at: datetime | None = None

    @property
    def dumped_by(self) -> datetime | None:
        """Until when a dump and its restore must be over; None while no customer is out for them."""
        if self.fenced_at is None or self.accepted_seconds is None:
            return None
        return self.fenced_at + timedelta(seconds=self.accepted_seconds)

    @property
    def source(self) -> Hosting:
        """Where the database is, or was, before the cut-over."""
        return Hosting(self.tenant_uid, self.source_instance, self.source_region, self.source_generation)

    @property
    def target(self) -> Hosting:
        """Where it goes."""
        return Hosting(self.tenant_uid, self.instance, self.region, self.generation)


def open_move(moves: Iterable[Move]) -> Move | None:
    """The one that has not ended; there is never more than one."""
    return next((move for move in moves if move.ended_at is None), None)


def closed_regions(moves: Iterable[Move], home: str, jurisdictions: Mapping[str, str]) -> frozenset[str]:
    """The regions to which no new byte of a tenant goes: those of every jurisdiction that it has moved out of.

    What it left there lapses in its own time. A jurisdiction that it has moved back to is closed no more.

    Args:
        moves: the tenant's.
        home: the region that it lives in.
        jurisdictions: region → jurisdiction.
    """
    left = {jurisdictions.get(move.source_region) for move in moves if move.cut_over_at is not None}
    left -= {None, jurisdictions.get(home)}
    return frozenset(region for region, jurisdiction in jurisdictions.items() if jurisdiction in left)
