"""The book of anchors in memory, as a part of the registry in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from tenantctl.adapters.anchor_rules import number_taken, unknown_anchor
from tenantctl.adapters.memory.registry_books import Shelf
from tenantctl.model.anchor import Anchor, AnchorOnRecord, Reconciliation
from tenantctl.model.journal import Head


@dataclass
class AnchorShelf:
    """What is kept; whoever plays a restored registry puts another in its place.

    Attributes:
        identity: what the registry calls itself.
    """

    identity: str = "memory"
    anchors: dict[str, AnchorOnRecord] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    reconciliations: list[Reconciliation] = field(default_factory=list)

    def copied(self) -> "AnchorShelf":
        """As it is now, whatever is written to this one later."""
        return AnchorShelf(self.identity, dict(self.anchors), dict(self.heads), list(self.reconciliations))


class MemoryAnchorBook:
    """The port `AnchorBook` over the books of a shelf.

    Args:
        shelf: where the tenants' books stand.
        actor: who all requests and entries are by.
    """

    def __init__(self, shelf: Shelf, actor: str) -> None:
        self._shelf = shelf
        self._actor = actor
        self.anchor_shelf = AnchorShelf()

    def now(self) -> datetime:
        """The registry's time, UTC."""
        return self._shelf.clock()

    def actor(self) -> str:
        """Who was named when this was made."""
        return self._actor

    def identity(self) -> str:
        """What this registry calls itself."""
        return self.anchor_shelf.identity

    def heads(self) -> Iterator[Head]:
        """The newest link of every chain, by uid."""
        with self._shelf.lock:
            books = list(self._shelf.books.values())
        found = (book.head for book in books)
        yield from sorted((head for head in found if head is not None), key=lambda head: head.tenant_uid)

    def link_hashes(self, links: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        """The hashes of those entries that are there."""
        with self._shelf.lock:
            books = dict(self._shelf.books)
        found = {}
        for uid, sequence in links:
            entries = books[uid].entries if uid in books else ()
            if 1 <= sequence <= len(entries):
                found[uid, sequence] = entries[sequence - 1].hash
        return found

    def record_anchor(self, anchor: Anchor, *, adopted: bool = False) -> None:
        """Writes an anchor down."""
        with self._shelf.lock:
            known = self.anchor_shelf.anchors
            if anchor.digest in known:
                return
            if not adopted and any(one.anchor.number == anchor.number for one in known.values()):
                raise number_taken(anchor.number)
            known[anchor.digest] = AnchorOnRecord(anchor, None, adopted)

    def record_sealed(self, digest: str, heads: Sequence[Head]) -> None:
        """Records that two regions hold it, and what of it is asked for."""
        with self._shelf.lock:
            known = self.anchor_shelf.anchors.get(digest)
            if known is None:
                raise unknown_anchor(digest)
            if known.sealed_at is None:
                self.anchor_shelf.anchors[digest] = replace(known, sealed_at=self.now())
            self.anchor_shelf.heads.update({head.tenant_uid: head for head in heads})

    def newest_anchor(self, *, whole: bool = False) -> AnchorOnRecord | None:
        """The newest that is sealed or adopted."""
        with self._shelf.lock:
            known = [one for one in self.anchor_shelf.anchors.values() if one.anchor.whole or not whole]
        held = [one for one in known if one.sealed_at is not None or one.adopted]
        return max(held, key=lambda one: one.anchor.number, default=None)

    def last_anchor_number(self) -> int:
        """The greatest number on record."""
        with self._shelf.lock:
            return max((one.anchor.number for one in self.anchor_shelf.anchors.values()), default=0)

    def anchors_since(self, day: date | None) -> Sequence[AnchorOnRecord]:
        """The anchors of that day or later."""
        with self._shelf.lock:
            known = list(self.anchor_shelf.anchors.values())
        found = [one for one in known if day is None or one.anchor.made_at.astimezone(UTC).date() >= day]
        return sorted(found, key=lambda one: (one.anchor.number, one.anchor.digest))

    def anchored_head(self, uid: str) -> Head | None:
        """The head that was recorded."""
        with self._shelf.lock:
            return self.anchor_shelf.heads.get(uid)

    def record_reconciliation(self, anchor: str, findings: str, content: str) -> Reconciliation:
        """Records it; what was found is nobody's to read here."""
        with self._shelf.lock:
            done = Reconciliation(self.now(), self.actor(), self.identity(), anchor, findings)
            self.anchor_shelf.reconciliations.append(done)
            return done

    def newest_reconciliation(self) -> Reconciliation | None:
        """The one recorded last."""
        with self._shelf.lock:
            return self.anchor_shelf.reconciliations[-1] if self.anchor_shelf.reconciliations else None
