"""The Merkle tree: the roots of RFC 6962, and proofs that prove what is in it and nothing else."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.model.merkle import GrowingTree, inclusion_proof, leaf_hash, node_hash, proved_root, root_of

# The eight inputs and the roots of their first n, as the test vectors of Certificate Transparency have them.
INPUTS = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
INPUTS.append(bytes.fromhex("606162636465666768696a6b6c6d6e6f"))
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def defined_root(contents: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1, word for word."""
    if not contents:
        return hashlib.sha256(b"").digest()
    if len(contents) == 1:
        return leaf_hash(contents[0])
    split = 1
    while split * 2 < len(contents):
        split *= 2
    return node_hash(defined_root(contents[:split]), defined_root(contents[split:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_those_of_the_published_vectors(size: int) -> None:
    assert root_of(INPUTS[:size]).hex() == ROOTS[size - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert root_of([]) == hashlib.sha256(b"").digest()


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_a_growing_tree_has_the_root_of_the_definition(contents: list[bytes]) -> None:
    """At each size on the way."""
    tree = GrowingTree()
    for size, content in enumerate(contents, 1):
        tree.add(content)
        assert tree.root() == defined_root(contents[:size])
    assert tree.size == len(contents)


@given(LEAVES, st.data())
@settings(deadline=None)
def test_whatever_is_changed_changes_the_root(contents: list[bytes], data: st.DataObject) -> None:
    """An item edited, cut out, doubled or moved."""
    place = data.draw(st.integers(0, len(contents) - 1))
    other = data.draw(st.integers(0, len(contents) - 1))
    swapped = list(contents)
    swapped[place], swapped[other] = swapped[other], swapped[place]
    edited = [*contents[:place], contents[place] + b"x", *contents[place + 1 :]]
    cut = contents[:place] + contents[place + 1 :]
    doubled = [*contents[: place + 1], *contents[place:]]
    for changed in (edited, cut, doubled, swapped):
        if changed != contents:
            assert root_of(changed) != root_of(contents)


@given(LEAVES, st.data())
@settings(deadline=None)
def test_a_proof_leads_to_the_root(contents: list[bytes], data: st.DataObject) -> None:
    """From every leaf, and its length is what the tree's height allows."""
    index = data.draw(st.integers(0, len(contents) - 1))
    leaves = [leaf_hash(content) for content in contents]
    proof = inclusion_proof(leaves, index)
    assert proved_root(leaves[index], index, len(leaves), proof) == root_of(contents)
    assert len(proof) <= (len(leaves) - 1).bit_length()


@given(LEAVES, st.data())
@settings(deadline=None)
def test_a_proof_of_anything_else_does_not(contents: list[bytes], data: st.DataObject) -> None:
    """Another leaf, a changed or missing or superfluous hash, a place beyond the tree."""
    index = data.draw(st.integers(0, len(contents) - 1))
    leaves = [leaf_hash(content) for content in contents]
    root, proof = root_of(contents), inclusion_proof(leaves, index)
    size = len(leaves)
    assert proved_root(leaf_hash(b"no such item among them"), index, size, proof) != root
    assert proved_root(leaves[index], index, size, (*proof, leaves[0])) != root
    assert proved_root(leaves[index], size, size, proof) is None
    if proof:
        assert proved_root(leaves[index], index, size, proof[:-1]) != root
        flipped = (bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:])
        assert proved_root(leaves[index], index, size, flipped) != root


def test_a_place_beyond_the_tree_has_no_proof() -> None:
    with pytest.raises(ValueError, match="no leaf 2"):
        inclusion_proof([leaf_hash(b"a"), leaf_hash(b"b")], 2)
