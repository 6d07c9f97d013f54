"""Anchors and their lists of heads, read back out of the vaults: whichever region still has them whole."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import zstandard

from tenantctl.evidence.anchoring import buckets
from tenantctl.model.anchor import Anchor, AnchorName, head_of_line, leaf_of
from tenantctl.model.errors import Refused, TenantctlError, Transient
from tenantctl.model.journal import Head
from tenantctl.model.merkle import GrowingTree
from tenantctl.ports.world import World

LINE_MAX = 4096  # bytes; a head takes about ninety


@dataclass(frozen=True)
class AnchorRead:
    """An anchor as a region has it, or why no region gives it."""

    name: AnchorName
    anchor: Anchor | None
    trouble: str = ""


def read_anchor(world: World, name: AnchorName) -> AnchorRead:
    """The anchor of this name, from the first region whose bytes have its digest."""
    troubles = []
    for bucket in buckets(world).values():
        try:
            content = b"".join(world.vault.read(bucket, name.object_name))
            if hashlib.sha256(content).hexdigest() == name.digest:
                return AnchorRead(name, Anchor.from_bytes(content))
            troubles.append(f"in {bucket} its bytes are others than its name says")
        except TenantctlError as error:
            troubles.append(error.sentence)
    return AnchorRead(name, None, " ".join(troubles))


def read_heads(world: World, anchor: Anchor) -> Iterator[Head]:
    """The heads that an anchor's root stands for, in their order: memory stays flat.

    That they are, is known when the last has come: what was given before is worth nothing if an error ends it.

    Raises:
        Refused: the list is not the one that was anchored.
        Transient: no region gives it.
    """
    troubles = []
    for bucket in buckets(world).values():
        try:
            chunks = world.vault.read(bucket, anchor.heads_name)
        except TenantctlError as error:
            troubles.append(error.sentence)
            continue
        yield from _checked(chunks, anchor)
        return
    raise Transient(f"No region gives the heads of {anchor.sentence}. {' '.join(troubles)}")


def _checked(chunks: Iterator[bytes], anchor: Anchor) -> Iterator[Head]:
    digest, tree, entries = hashlib.sha256(), GrowingTree(), 0
    decompressor, rest = zstandard.ZstdDecompressor().decompressobj(), b""
    try:
        for chunk in chunks:
            digest.update(chunk)
            *lines, rest = (rest + decompressor.decompress(chunk)).split(b"\n")
            if len(rest) > LINE_MAX:
                raise Refused(f"The heads of {anchor.sentence} are no list of heads.")
            for line in lines:
                head = head_of_line(line)
                tree.add(leaf_of(head))
                entries += head.sequence
                yield head
    except zstandard.ZstdError as error:
        raise Refused(f"The heads of {anchor.sentence} are damaged: {error}.") from error
    said = (digest.hexdigest(), tree.root().hex(), tree.size, entries, rest)
    if said != (anchor.heads_sha256, anchor.root, anchor.chains, anchor.entries, b""):
        raise Refused(f"The heads of {anchor.sentence} are not those that were anchored.")
