"""The book of anchors: which the registry has made, which heads they hold, and when it was compared with the world."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Protocol

from tenantctl.model.anchor import Anchor, AnchorOnRecord, Reconciliation
from tenantctl.model.errors import Transient
from tenantctl.model.journal import Head


class NumberTaken(Transient):
    """Another worker is making an anchor at this moment."""


class AnchorBook(Protocol):
    """What the registry knows of its anchors; part of every registry.

    1. `heads` are those of one moment, in the order of the bytes of their uids, and are not all in memory at once.
    2. Of two that record an anchor of one number, one is told NumberTaken; the same anchor again is a no-op.
    3. What is on record stays as it is; an anchor is sealed once.
    4. `anchored_head` is a head that stands in a sealed anchor, never one of an anchor that may not exist.
    5. Time and actor of a reconciliation are the registry's own word.
    """

    def identity(self) -> str:
        """What this registry calls itself: another after it was brought back elsewhere, or from its log."""

    def heads(self) -> Iterator[Head]:
        """The newest link of every chain."""

    def link_hashes(self, links: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        """(uid, sequence) → the hash of that entry, of those of `links` that are in the journal."""

    def record_anchor(self, anchor: Anchor, *, adopted: bool = False) -> None:
        """Writes an anchor down, before it is in any vault; `adopted` if it was found in one.

        Raises:
            NumberTaken: another anchor of this number is on record.
        """

    def record_sealed(self, digest: str, heads: Sequence[Head]) -> None:
        """Records that two regions hold an anchor, and that these heads stand in it.

        Raises:
            NotFound: no such anchor is on record.
        """

    def newest_anchor(self, *, whole: bool = False) -> AnchorOnRecord | None:
        """The anchor with the greatest number of those sealed or adopted; with `whole`, of those of all chains."""

    def last_anchor_number(self) -> int:
        """The greatest number on record, sealed or not; 0 if there is none."""

    def anchors_since(self, day: date | None) -> Sequence[AnchorOnRecord]:
        """The anchors made on `day` (UTC) or later, sealed or not, in the order of their numbers; None: all."""

    def anchored_head(self, uid: str) -> Head | None:
        """The newest head of a tenant that was recorded to stand in a sealed anchor."""

    def record_reconciliation(self, anchor: str, findings: str, content: str) -> Reconciliation:
        """Records that this registry was reconciled.

        Args:
            anchor: the digest of the newest anchor; blank if there is none.
            findings: the digest of what was found.
            content: what was found, as a JSON object.
        """

    def newest_reconciliation(self) -> Reconciliation | None:
        """The one that was recorded last."""
