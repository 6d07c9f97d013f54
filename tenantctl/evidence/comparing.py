"""The registry's chains held against the anchors: what was edited, cut off or made anew since somebody else has it.

An edit whose chain and head were computed anew breaks no link; but the entry that an anchor names has another hash
then, or is not there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from tenantctl.evidence.anchoring import buckets, listed_anchors
from tenantctl.evidence.lists import read_anchor, read_heads
from tenantctl.model.anchor import Anchor, AnchorName
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.journal import Head
from tenantctl.model.sighting import Present, Unreachable
from tenantctl.ports.registry import Registry
from tenantctl.ports.world import World

LINKS_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class Difference:
    """Where a chain is not as an anchor says.

    Attributes:
        tenant_uid: whose chain it is.
        sentence: what is wrong with it.
        anchored: the entry that stands in the anchor.
        has: how many entries the registry has; 0 where it has no such chain.
        anchor: the anchor's digest.
    """

    tenant_uid: str
    sentence: str
    anchored: int
    has: int
    anchor: str


@dataclass
class Comparison:
    """What came of it.

    Attributes:
        anchors: the anchors that were compared, oldest first.
        differences: where the registry has something else, or less.
        accepted: the same, where a reconciliation has accepted it: the anchor was found by one.
        faults: anchors that are not what they say.
        unread: what could not be looked at: nothing is known of it.
        newest: uid → the newest head of that chain in any anchor.
    """

    anchors: list[Anchor] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    accepted: list[Difference] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    newest: dict[str, Head] = field(default_factory=dict)


def compare_with_anchors(world: World, *, uid: str | None = None) -> Comparison:
    """Holds every anchor that any region shows against the journal, of one tenant or of all.

    Raises:
        Transient: the registry does not answer; a vault that does not is part of what comes of it.
    """
    found = Comparison()
    adopted = {one.anchor.digest for one in world.registry.anchors_since(None) if one.adopted}
    for name in _names(world, found):
        read = read_anchor(world, name)
        if read.anchor is None:
            found.unread.append(f"anchor {name.number} of {name.day}: {read.trouble}")
            continue
        found.anchors.append(read.anchor)
        try:
            differences = _compared(world, read.anchor, uid, found)
        except Transient as trouble:
            found.unread.append(trouble.sentence)
        except Refused as fault:
            found.faults.append(fault.sentence)
        else:
            (found.accepted if read.name.digest in adopted else found.differences).extend(differences)
    found.faults += _missing_links(world, found)
    return found


def _compared(world: World, anchor: Anchor, uid: str | None, found: Comparison) -> Sequence[Difference]:
    """Holds one anchor against the journal; what it says counts only once its whole list has proved to be its own."""
    fresh: dict[str, Head] = {}
    differences: list[Difference] = []
    waiting: list[Head] = []
    for head in read_heads(world, anchor):
        if uid in {None, head.tenant_uid} and found.newest.get(head.tenant_uid) != head:
            fresh[head.tenant_uid] = head
            waiting.append(head)
        if len(waiting) >= LINKS_AT_ONCE:
            differences += _differences(world.registry, anchor, waiting)
            waiting = []
    differences += _differences(world.registry, anchor, waiting)
    found.newest.update(fresh)
    return differences


def _names(world: World, found: Comparison) -> list[AnchorName]:
    names: set[AnchorName] = set()
    for region, bucket in buckets(world).items():
        match listed_anchors(world, bucket, None, today=world.registry.now().date()):
            case Present(listed):
                names |= set(listed)
            case Unreachable(reason):
                found.unread.append(f"the anchors in {region}: {reason}")
            case _:
                found.unread.append(f"the anchors in {region}: their bucket does not exist")
    return sorted(names, key=lambda name: (name.number, name.day, name.digest))


def _differences(registry: Registry, anchor: Anchor, heads: Sequence[Head]) -> Iterator[Difference]:
    hashes = registry.link_hashes([(head.tenant_uid, head.sequence) for head in heads])
    for head in heads:
        known = hashes.get((head.tenant_uid, head.sequence))
        if known == head.hash:
            continue
        now = registry.head(head.tenant_uid)
        has = now.sequence if now else 0
        where = f"tenant {head.tenant_uid}, entry {head.sequence}"
        if known is not None:
            sentence = f"{where}: is not the one in {anchor.sentence}: the chain was made anew"
        elif now is None:
            sentence = f"{where}: stands in {anchor.sentence}, and there is no such chain"
        else:
            sentence = f"{where}: stands in {anchor.sentence}, and the chain ends at entry {has}"
        yield Difference(head.tenant_uid, sentence, head.sequence, has, anchor.digest)


def _missing_links(world: World, found: Comparison) -> Iterator[str]:
    """Each anchor names the one before it: one that no region has, though its term is not over, was lost."""
    if found.unread:
        return  # it may be in what could not be looked at
    there = {anchor.digest for anchor in found.anchors}
    since = world.registry.now() - timedelta(days=world.policies.anchors.lock_days)
    on_record = {one.anchor.digest: one.anchor for one in world.registry.anchors_since(None)}
    for anchor in found.anchors[1:]:
        before = on_record.get(anchor.previous)
        if anchor.previous and anchor.previous not in there and (before is None or before.made_at >= since):
            yield f"{anchor.sentence}: the one that it was made after is in no region"
