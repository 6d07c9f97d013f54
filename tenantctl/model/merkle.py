"""A Merkle tree as RFC 6962 defines it: one hash that stands for a list, and short proofs that an item is in it.

Leaves and nodes are hashed with different prefixes, so that no node can pass for a leaf. The root is made from a
stream: what is kept in memory is one hash for each level.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

LEAF: Final = b"\x00"
NODE: Final = b"\x01"


def leaf_hash(content: bytes) -> bytes:
    """The hash of one item, 32 bytes."""
    return hashlib.sha256(LEAF + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbours, 32 bytes."""
    return hashlib.sha256(NODE + left + right).digest()


class GrowingTree:
    """The root of leaves that come one after the other; each level's waiting hash is all that is kept.

    Attributes:
        size: how many leaves came.
    """

    def __init__(self) -> None:
        self.size = 0
        self._waiting: list[bytes] = []  # whole subtrees, the largest first; their sizes are the bits of `size`

    def add(self, content: bytes) -> None:
        """Adds an item at the end."""
        whole, bits = leaf_hash(content), self.size
        while bits & 1:
            whole = node_hash(self._waiting.pop(), whole)
            bits >>= 1
        self._waiting.append(whole)
        self.size += 1

    def root(self) -> bytes:
        """The root of the leaves so far; of none, the hash of nothing."""
        if not self._waiting:
            return hashlib.sha256(b"").digest()
        root = self._waiting[-1]
        for larger in reversed(self._waiting[:-1]):
            root = node_hash(larger, root)
        return root


def root_of(contents: Iterable[bytes]) -> bytes:
    """The root of these items, in this order."""
    tree = GrowingTree()
    for content in contents:
        tree.add(content)
    return tree.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The hashes that lead from a leaf to the root, the nearest first.

    Args:
        leaves: the hash of every leaf, as `leaf_hash` gives it.
        index: which of them, from 0.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"there is no leaf {index} among {len(leaves)}")
    if len(leaves) == 1:
        return ()
    split = _largest_power_below(len(leaves))
    if index < split:
        return (*inclusion_proof(leaves[:split], index), _root_of_hashes(leaves[split:]))
    return (*inclusion_proof(leaves[split:], index - split), _root_of_hashes(leaves[:split]))


def proved_root(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that a proof leads to; None where it cannot be the proof of this place in a tree of this size.

    Args:
        leaf: the leaf's hash.
        index: its place, from 0.
        size: how many leaves the tree has.
        proof: as `inclusion_proof` gives it.
    """
    if not 0 <= index < size:
        return None
    root, place, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            return None
        if place & 1 or place == last:
            root = node_hash(sibling, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        place, last = place >> 1, last >> 1
    return root if last == 0 else None


def _root_of_hashes(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = _largest_power_below(len(leaves))
    return node_hash(_root_of_hashes(leaves[:split]), _root_of_hashes(leaves[split:]))


def _largest_power_below(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)
