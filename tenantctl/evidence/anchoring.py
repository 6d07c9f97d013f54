"""Anchors are looked for by name, and written: on record first, then locked in every region, then recorded as sealed.

Whatever crash comes between leaves a number that no act rests on. An anchor counts once two regions hold it.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import IO, Final

import zstandard

from tenantctl.backups.terms import bucket_faults
from tenantctl.evidence.restored import registry_blockers
from tenantctl.model.anchor import (
    ANCHORS,
    Anchor,
    AnchorName,
    RegistrySeen,
    anchor_bucket_name,
    leaf_of,
    line_of,
    prefix_of,
)
from tenantctl.model.errors import Refused, TenantctlError, Transient
from tenantctl.model.journal import Head
from tenantctl.model.merkle import GrowingTree
from tenantctl.model.policy import ANCHOR_REGIONS_MIN
from tenantctl.model.sighting import Present, Sighting, Unreachable
from tenantctl.ports.world import World

DAYS_ASKED_ONE_BY_ONE: Final = 7  # beyond that, one long listing is cheaper than many short ones
AT_ONCE_MAX: Final = 4 * 1024 * 1024  # bytes of a list of heads that are put at once; more are streamed
COMPRESSION_LEVEL: Final = 3
LINES_AT_ONCE: Final = 2000


@dataclass(frozen=True)
class Packed:
    """A list of heads as it is stored, and what an anchor says of it; `file` is the caller's to close."""

    file: IO[bytes]
    size: int
    sha256: str
    root: str
    chains: int
    entries: int


def buckets(world: World) -> dict[str, str]:
    """Region → the bucket of its anchors."""
    policy = world.policies.anchors
    return {region: anchor_bucket_name(world.bucket_prefix, region, policy.age_days) for region in policy.regions}


def registry_seen(world: World, uid: str | None = None) -> RegistrySeen:
    """The registry's record beside what the vaults show; with `uid`, also how far that tenant's chain is anchored.

    Raises:
        Transient: the registry does not answer; a vault that does not is a fact.
    """
    registry = world.registry
    newest = registry.newest_anchor()
    since = None if newest is None else newest.anchor.made_at.astimezone(UTC).date()
    # Listed before the record is read: what another worker makes meanwhile is on record, though not on the list.
    listed = {
        region: listed_anchors(world, bucket, since, today=registry.now().date())
        for region, bucket in buckets(world).items()
    }
    return RegistrySeen(
        identity=registry.identity(),
        newest=newest,
        known=frozenset(one.anchor.digest for one in registry.anchors_since(since)),
        reconciled=registry.newest_reconciliation(),
        listed=listed,
        head=registry.head(uid) if uid else None,
        anchored=registry.anchored_head(uid) if uid else None,
    )


def listed_anchors(world: World, bucket: str, since: date | None, *, today: date) -> Sighting[tuple[AnchorName, ...]]:
    """The anchors in a bucket from a day on, by their names alone."""
    prefixes = [ANCHORS]
    if since is not None and (today - since).days < DAYS_ASKED_ONE_BY_ONE:
        days = range(max((today - since).days, 0) + 2)  # and tomorrow: whoever made one may have had a later clock
        prefixes = [prefix_of(since + timedelta(days=number)) for number in days]
    found: list[AnchorName] = []
    for prefix in prefixes:
        match world.vault.names(bucket, prefix):
            case Present(names):
                for name in names:
                    parsed = AnchorName.parse(name)
                    if parsed is None:
                        return Unreachable(f"{bucket} has {name}, which is no anchor's name")
                    found.append(parsed)
            case Unreachable(reason):
                return Unreachable(reason)
            case _:
                return Unreachable(f"{bucket} does not exist")
    return Present(tuple(sorted(name for name in found if since is None or name.day >= since)))


def anchor_journal(world: World) -> Anchor:
    """Makes an anchor of all chains.

    Raises:
        Refused: the registry is older than an anchor, or has less than one says; or no two buckets are as they must be.
        Transient: something does not answer, or another worker is as fast; what was begun is harmless.
    """
    with closing(_spool()) as file:
        now = world.registry.now()
        packed = pack(world.registry.heads(), file)
        before, done = world.registry.newest_anchor(whole=True), world.registry.newest_reconciliation()
        if before is not None and done is not None and done.at >= before.anchor.made_at:
            before = None  # what is missing since is known, and was accepted
        if before is not None and (packed.chains < before.anchor.chains or packed.entries < before.anchor.entries):
            raise Refused(
                f"The registry has {packed.chains} chains of {packed.entries} entries, and {before.anchor.sentence} "
                f"has {before.anchor.chains} of {before.anchor.entries}: some were cut off.",
                hint="Treat this as an incident. See: tenantctl journal verify",
            )
        return _written(world, packed, now, whole=True, cover=())


def anchor_tenants(world: World, uids: Iterable[str]) -> Anchor:
    """Makes a small anchor of the chains of some tenants, before an act that cannot be undone.

    Raises:
        Refused: as `anchor_journal`; Transient likewise.
    """
    with closing(_spool()) as file:
        now = world.registry.now()
        found = (world.registry.head(uid) for uid in sorted(set(uids)))
        heads = [head for head in found if head is not None]
        return _written(world, pack(heads, file), now, whole=False, cover=heads)


def pack(heads: Iterable[Head], file: IO[bytes]) -> Packed:
    """Compresses a list of heads into a file as they come, and makes their root: memory stays flat."""
    tree, digest, entries = GrowingTree(), hashlib.sha256(), 0
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).chunker(chunk_size=256 * 1024)
    lines: list[bytes] = []
    for head in heads:
        tree.add(leaf_of(head))
        entries += head.sequence
        lines.append(line_of(head))
        if len(lines) >= LINES_AT_ONCE:
            _put_down(compressor.compress(b"".join(lines)), file, digest.update)
            lines = []
    _put_down(compressor.compress(b"".join(lines)), file, digest.update)
    _put_down(compressor.finish(), file, digest.update)
    return Packed(file, file.tell(), digest.hexdigest(), tree.root().hex(), tree.size, entries)


def _put_down(chunks: Iterable[bytes], file: IO[bytes], update: Callable[[bytes], None]) -> None:
    for chunk in chunks:
        file.write(chunk)
        update(chunk)


def _written(world: World, packed: Packed, made_at: datetime, *, whole: bool, cover: Sequence[Head]) -> Anchor:
    """The anchor, on record, in two regions at least, and recorded as sealed."""
    registry, seen = world.registry, registry_seen(world)
    for blocker in registry_blockers(seen, world.policies.anchors, now=made_at):
        raise Refused(f"No anchor can be made: {blocker.reason}.", hint="See: tenantctl registry reconcile")
    anchor = Anchor(
        number=registry.last_anchor_number() + 1,
        made_at=made_at,
        registry=seen.identity,
        root=packed.root,
        chains=packed.chains,
        entries=packed.entries,
        whole=whole,
        heads_sha256=packed.sha256,
        previous=seen.newest.anchor.digest if seen.newest else "",
    )
    registry.record_anchor(anchor)
    troubles: list[TenantctlError] = []
    for region, bucket in buckets(world).items():
        try:
            _lock_away(world, region, bucket, anchor, packed)
        except (Refused, Transient) as trouble:
            troubles.append(trouble)
    if len(world.policies.anchors.regions) - len(troubles) < ANCHOR_REGIONS_MIN:
        reasons = " ".join(trouble.sentence for trouble in troubles)
        family = Refused if all(isinstance(trouble, Refused) for trouble in troubles) else Transient
        raise family(f"Two regions must hold an anchor, and not so many took it. {reasons}")
    registry.record_sealed(anchor.digest, cover)
    return anchor


def _lock_away(world: World, region: str, bucket: str, anchor: Anchor, packed: Packed) -> None:
    """The list of heads, and then the anchor, in one region's bucket, if it locks them as it must."""
    match world.vault.look_at_bucket(bucket):
        case Present(terms) if faults := tuple(bucket_faults(terms, region, world.policies.anchors.term)):
            raise Refused(f"Bucket {bucket} {' and '.join(faults)}.")
        case Present(_):
            pass
        case Unreachable(reason):
            raise Transient(f"Bucket {bucket} could not be looked at: {reason}")
        case _:
            raise Refused(f"Bucket {bucket} does not exist.", hint="Make it with Terraform: terraform apply")
    packed.file.seek(0)
    if packed.size <= AT_ONCE_MAX:
        world.vault.put(bucket, anchor.heads_name, packed.file.read())
    else:
        with world.vault.upload(bucket, anchor.heads_name) as upload:
            while chunk := packed.file.read(AT_ONCE_MAX):
                upload.write(chunk)
            upload.seal()
    world.vault.put(bucket, anchor.name.object_name, anchor.to_bytes())


def anchor_due(world: World) -> bool:
    """Whether the newest anchor of all chains is older than the policy says, or there is none."""
    newest = world.registry.newest_anchor(whole=True)
    every = timedelta(hours=world.policies.anchors.every_hours)
    return newest is None or world.registry.now() - newest.anchor.made_at >= every


def _spool() -> IO[bytes]:
    return tempfile.TemporaryFile()
