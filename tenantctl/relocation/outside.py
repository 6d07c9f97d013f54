"""What a tenant that moved across a border has left outside: which places, until when, and on whose instruction. Pure.

Nothing there is taken back or shortened: copies are locked until their term. But nothing new goes there either
(`model/move.py:closed_regions`), so the list only gets shorter.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenantctl.model.backup import Residue, ResidueKind
from tenantctl.model.calendar import rfc3339
from tenantctl.model.move import Move, closed_regions
from tenantctl.model.policy import LifecyclePolicy
from tenantctl.model.tenant import Instance, Tenant


@dataclass(frozen=True)
class Place:
    """A line of the inventory, and where that is.

    `region` is None of what lies in no region of a tenant, such as the registry's own backups; `outside` says whether
    the tenant has moved out of its jurisdiction. A place without a date lasts until `not_before` at least, if anything
    is known of it.
    """

    residue: Residue
    region: str | None
    jurisdiction: str | None
    outside: bool
    not_before: datetime | None


def placed(
    tenant: Tenant,
    residues: Iterable[Residue],
    moves: Sequence[Move],
    *,
    instances: Iterable[Instance],
    jurisdictions: Mapping[str, str],
    policy: LifecyclePolicy,
) -> Iterator[Place]:
    """Where each line of the inventory is, and whether that is outside.

    Args:
        tenant: whose inventory it is.
        residues: its lines.
        moves: the tenant's moves.
        instances: those in service; what a move has left is known from it.
        jurisdictions: region → jurisdiction.
        policy: for how long what was left is kept.
    """
    left = closed_regions(moves, tenant.hosting.region, jurisdictions)
    regions = {one.instance: one.region for one in moves} | {one.source_instance: one.source_region for one in moves}
    regions |= {one.name: one.region for one in instances}
    for line in residues:
        region = _region(line, regions)
        outside = region in left and line.lapsed_at is None
        yield Place(line, region, jurisdictions.get(region or ""), outside, _not_before(line, moves, policy))


def told(
    tenant: Tenant, places: Iterable[Place], moves: Sequence[Move], jurisdictions: Mapping[str, str]
) -> str | None:
    """What is outside, until when and by whose instruction, in a sentence; None if nothing is."""
    outside = [one for one in places if one.outside]
    if not outside:
        return None
    here = jurisdictions.get(tenant.hosting.region)
    dated = [one.residue.unreadable_after for one in outside if one.residue.unreadable_after is not None]
    until = f"until {rfc3339(max(dated))}" if dated else "without a date yet"
    kept = [one.not_before for one in outside if one.not_before is not None]
    if kept:
        until += f", the database that was left until {rfc3339(max(kept))} at the earliest"
    there = ", ".join(sorted({str(one.jurisdiction) for one in outside}))
    return (
        f"Outside {here}: {len(outside)} places in {there}, {until}; nothing new goes there. "
        f"Moved {_instruction(moves, jurisdictions)}."
    )


def _region(line: Residue, regions: Mapping[str, str]) -> str | None:
    parts = line.id.split("/")
    match line.kind:
        case ResidueKind.COPY | ResidueKind.KEY | ResidueKind.EXPORT:
            return parts[2]
        case ResidueKind.DATABASE | ResidueKind.SCRATCH:
            return regions.get(line.place.partition("/")[0])
        case ResidueKind.INSTANCE_BACKUPS:
            return regions.get(parts[1])
        case _:
            return None


def _not_before(line: Residue, moves: Iterable[Move], policy: LifecyclePolicy) -> datetime | None:
    """Until when at least a database that was left is there, and what its instance's own backups hold of it."""
    if line.kind is not ResidueKind.DATABASE or line.unreadable_after is not None:
        return None
    days = timedelta(days=policy.moves.source_kept_days + policy.instance_backup_days)
    for move in moves:
        if line.id == f"database/{move.tenant_uid}/{move.source_generation}" and move.cut_over_at is not None:
            return move.cut_over_at + days
    return None


def _instruction(moves: Iterable[Move], jurisdictions: Mapping[str, str]) -> str:
    crossed = [
        f"from {jurisdictions.get(move.source_region)} to {jurisdictions.get(move.region)} {rfc3339(move.cut_over_at)} "
        f"on the instruction of {move.instructing_party} ({move.cause})"
        for move in moves
        if move.cut_over_at is not None and jurisdictions.get(move.source_region) != jurisdictions.get(move.region)
    ]
    return "; ".join(crossed)
