"""The book of anchors: its contract, as every registry must keep it."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from tenantctl.model.anchor import Anchor, leaf_of
from tenantctl.model.errors import NotFound
from tenantctl.model.journal import Head
from tenantctl.model.merkle import root_of
from tenantctl.ports.anchors import NumberTaken
from tests.contracts.registry_samples import Office

MADE = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)


def anchor(number: int, *, made_at: datetime = MADE, heads: tuple[Head, ...] = (), whole: bool = True) -> Anchor:
    """An anchor of these heads, which need not be anybody's."""
    return Anchor(
        number=number,
        made_at=made_at,
        registry="one",
        root=root_of(map(leaf_of, heads)).hex(),
        chains=len(heads),
        entries=sum(head.sequence for head in heads),
        whole=whole,
        heads_sha256=hashlib.sha256(f"{number}".encode()).hexdigest(),
        previous="",
    )


class AnchorsContract:
    """Numbered as in the port."""

    def test_1_heads_come_in_the_order_of_their_uids(self, office: Office) -> None:
        """Whatever order they were made in, and letters after digits as in their bytes."""
        for uid in ("b1", "a2", "a1", "1z"):
            office.tenant(f"name-{uid}", uid=uid)
        heads = list(office.registry.heads())
        assert [head.tenant_uid for head in heads] == ["1z", "a1", "a2", "b1"]
        assert heads == [office.registry.head(head.tenant_uid) for head in heads]

    def test_link_hashes_are_those_of_the_entries_that_are_there(self, office: Office) -> None:
        """What is not in the journal is left out."""
        tenant = office.tenant()
        office.registry.append_entry(tenant.uid, "seen", {})
        first, second = office.registry.entries(tenant.uid)
        asked = [(tenant.uid, 1), (tenant.uid, 2), (tenant.uid, 3), ("nobody", 1)]
        found = office.registry.link_hashes(asked)
        assert found == {(tenant.uid, 1): first.hash, (tenant.uid, 2): second.hash}
        assert office.registry.link_hashes([]) == {}

    def test_2_a_number_is_given_once(self, office: Office) -> None:
        """The same again is a no-op; another of its number comes too late."""
        office.registry.record_anchor(anchor(1))
        office.registry.record_anchor(anchor(1))
        with pytest.raises(NumberTaken, match="anchor 1"):
            office.colleague.record_anchor(anchor(1, made_at=MADE + timedelta(seconds=1)))
        assert [one.anchor for one in office.registry.anchors_since(None)] == [anchor(1)]

    def test_2_an_adopted_anchor_takes_nobodys_number(self, office: Office) -> None:
        """It was another registry's."""
        office.registry.record_anchor(anchor(1))
        other = anchor(1, made_at=MADE + timedelta(seconds=1))
        office.registry.record_anchor(other, adopted=True)
        assert {one.anchor.digest: one.adopted for one in office.registry.anchors_since(None)} == {
            anchor(1).digest: False,
            other.digest: True,
        }

    def test_3_only_what_is_sealed_or_adopted_counts_as_the_newest(self, office: Office) -> None:
        """What was only written down may not exist."""
        registry = office.registry
        assert registry.newest_anchor() is None
        assert registry.last_anchor_number() == 0
        registry.record_anchor(anchor(1))
        registry.record_anchor(anchor(2))
        assert registry.newest_anchor() is None
        assert registry.last_anchor_number() == 2
        registry.record_sealed(anchor(1).digest, [])
        newest = registry.newest_anchor()
        assert newest is not None
        assert (newest.anchor, newest.adopted) == (anchor(1), False)
        assert newest.sealed_at is not None
        registry.record_sealed(anchor(1).digest, [])
        assert registry.newest_anchor() == newest, "sealed once"
        registry.record_anchor(anchor(7, whole=False), adopted=True)
        adopted = registry.newest_anchor()
        assert adopted is not None
        assert (adopted.anchor.number, adopted.adopted) == (7, True)
        assert registry.newest_anchor(whole=True) == newest

    def test_anchors_are_found_by_their_day(self, office: Office) -> None:
        """From a day on, in the order of their numbers."""
        for number in (1, 2, 3):
            office.registry.record_anchor(anchor(number, made_at=MADE + timedelta(days=number)))
        found = office.registry.anchors_since((MADE + timedelta(days=2)).date())
        assert [one.anchor.number for one in found] == [2, 3]

    def test_4_a_head_is_anchored_when_its_anchor_is_sealed(self, office: Office) -> None:
        """And the newest is the one that is told."""
        tenant = office.tenant()
        registry, head = office.registry, office.registry.head(tenant.uid)
        assert head is not None
        assert registry.anchored_head(tenant.uid) is None
        registry.record_anchor(anchor(1, heads=(head,)))
        assert registry.anchored_head(tenant.uid) is None
        registry.record_sealed(anchor(1, heads=(head,)).digest, [head])
        assert registry.anchored_head(tenant.uid) == head
        registry.append_entry(tenant.uid, "seen", {})
        later = registry.head(tenant.uid)
        assert later is not None
        registry.record_anchor(anchor(2, heads=(later,)))
        registry.record_sealed(anchor(2, heads=(later,)).digest, [later])
        assert registry.anchored_head(tenant.uid) == later

    def test_4_nothing_stands_in_an_anchor_that_is_not_on_record(self, office: Office) -> None:
        with pytest.raises(NotFound):
            office.registry.record_sealed(anchor(1).digest, [])

    def test_5_a_reconciliation_says_who_and_when(self, office: Office) -> None:
        """The newest is the one that counts."""
        assert office.registry.newest_reconciliation() is None
        office.registry.record_reconciliation("", "f" * 64, "{}")
        before = office.registry.now()
        done = office.colleague.record_reconciliation("a" * 64, "b" * 64, '{"findings":[]}')
        assert office.registry.newest_reconciliation() == done
        assert (done.actor, done.registry) == ("bob@example.com", office.registry.identity())
        assert done.at >= before
        assert (done.anchor, done.findings) == ("a" * 64, "b" * 64)
