"""What a look at many tenants together is shown of each: what an active tenant's plan can ask, and no long life's rest.

Of most of a tenant's backups a plan asks nothing but when the first of them has to be looked at again. So those are
summed up where they lie, and the few others are read. What destroys sees everything, and so does every turn.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tenantctl.model.backup import Backup, BackupState, Residue, ResidueKind, VerificationLevel
from tenantctl.model.decisions import Standing
from tenantctl.model.move import Move
from tenantctl.model.tenant import Tenant

# Longer than from one night to the next, whatever becomes of the clocks: what was begun since serves the newest slot.
RECENTLY: Final = timedelta(days=2)
# Of a copy's and of a key's place nothing is planned, unless the copy is lost.
NOT_SHOWN: Final = frozenset({ResidueKind.COPY, ResidueKind.KEY})


@dataclass(frozen=True)
class AtRest:
    """Of the backups at rest that are left out, what their next moments follow from: of each kind the earliest."""

    seen_at: datetime  # of the copy that was looked at longest ago
    read_at: datetime  # of the one that was read back, or else written, longest ago
    lapses_at: datetime  # of the one that reaches its age first
    key_lapses_at: datetime | None  # of the key that is to be shredded first; None if none of them has one


@dataclass(frozen=True)
class Known:
    """What the registry by itself knows of a tenant that lives: all that planning needs as long as nothing happens.

    As in `Facts`, but of the backups and the inventory what a look is shown; `standing` has no cap.
    """

    tenant: Tenant
    backups: tuple[Backup, ...]
    at_rest: AtRest | None
    residues: tuple[Residue, ...]
    moves: tuple[Move, ...]
    standing: Standing


def for_a_look(backups: Sequence[Backup], *, now: datetime) -> tuple[tuple[Backup, ...], AtRest | None]:
    """Those of an active tenant's backups that a look is shown, and the sum of those at rest that it is not.

    Shown are those of which anything is to be done or anything may be wrong, the recent ones, and however old they are
    the newest complete one, the newest that was restored and the newest that failed its proof.
    """
    complete = max((one.begun_at for one in backups if one.state is BackupState.COMPLETE), default=None)
    restored, failed = (
        max((one.verified_at for one in proved if one.verified_at is not None), default=None)
        for proved in (
            [one for one in backups if one.verified_level is VerificationLevel.RESTORED],
            [one for one in backups if one.state is BackupState.FAILED],
        )
    )
    shown, left_out = [], []
    for one in backups:
        is_asked = (
            one.begun_at > now - RECENTLY
            or (one.state is BackupState.COMPLETE and one.begun_at == complete)
            or (one.verified_level is VerificationLevel.RESTORED and one.verified_at == restored is not None)
            or (one.state is BackupState.FAILED and one.verified_at == failed is not None)
        )
        if is_asked or not (one.is_settled or one.is_at_rest):
            shown.append(one)
        elif not one.is_settled:
            left_out.append(one)
    return tuple(shown), _sum_of(left_out)


def residues_for_a_look(residues: Iterable[Residue]) -> tuple[Residue, ...]:
    """Those of the open places that a look is shown."""
    return tuple(one for one in residues if one.kind not in NOT_SHOWN)


def _sum_of(backups: Sequence[Backup]) -> AtRest | None:
    copies = [copy for backup in backups for copy in backup.copies if not copy.is_settled]
    if not copies:
        return None
    keyed = [max(copy.lapses_at for copy in one.copies if not copy.is_settled) for one in backups if one.has_key]
    return AtRest(
        seen_at=min(copy.seen_at for copy in copies if copy.seen_at is not None),
        read_at=min(copy.read_at for copy in copies),
        lapses_at=min(copy.lapses_at for copy in copies),
        key_lapses_at=min(keyed, default=None),
    )
