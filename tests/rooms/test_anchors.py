"""Anchors: made before what cannot be undone, in two regions or not at all, and whatever was tampered with is found."""

import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from tenantctl.adapters.memory.fuse import Crash, Fuse
from tenantctl.evidence import anchoring
from tenantctl.evidence.anchoring import anchor_due, anchor_journal, anchor_tenants, buckets
from tenantctl.evidence.comparing import compare_with_anchors
from tenantctl.evidence.lists import read_anchor, read_heads
from tenantctl.model.anchor import Anchor, AnchorName
from tenantctl.model.errors import Refused
from tenantctl.model.journal import FIRST_LINK, Entry, broken_links
from tenantctl.model.lifecycle import State
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Tenant
from tests.rooms.company import Company, fused_world
from tests.rooms.rule_facts import POLICIES

ONE, OTHER = POLICIES.anchors.regions


def names(company: Company, region: str) -> tuple[str, ...]:
    """The anchors in a region."""
    sight = company.vault.names(buckets(company.world)[region], "anchor/")
    assert isinstance(sight, Present)
    return sight.value


def differences(company: Company) -> list[str]:
    """What a comparison with all anchors finds."""
    compared = compare_with_anchors(company.world)
    assert not compared.unread
    return [difference.sentence for difference in compared.differences] + compared.faults


def rewrite(company: Company, tenant: Tenant, entries: list[Entry]) -> None:
    """What somebody with every right to the registry does: other entries, each hash and the head computed anew."""
    sealed: list[Entry] = []
    for number, entry in enumerate(entries, 1):
        previous = sealed[-1].hash if sealed else FIRST_LINK
        moved = replace(entry, sequence=number, previous=previous)
        sealed.append(replace(moved, hash=moved.expected_hash()))
    book = company.registry.shelf.book(tenant.uid)
    company.registry.shelf.replace(replace(book, entries=tuple(sealed)))
    assert list(broken_links(company.registry.entries(tenant.uid), company.registry.head(tenant.uid))) == []


def test_an_anchor_lies_in_two_regions_and_says_what_the_journal_was() -> None:
    """By its name it is found, by its digest it is known, and its list gives every head back."""
    company = Company()
    for name in ("acme", "beta", "gamma"):
        company.create(name)
    anchor = anchor_journal(company.world)
    assert names(company, ONE) == names(company, OTHER) == (anchor.name.object_name,)
    assert AnchorName.parse(anchor.name.object_name) == anchor.name
    assert read_anchor(company.world, anchor.name).anchor == anchor
    heads = list(read_heads(company.world, anchor))
    assert heads == list(company.registry.heads())
    assert (anchor.number, anchor.chains, anchor.whole) == (1, 3, True)
    assert anchor.entries == sum(head.sequence for head in heads)
    newest = company.registry.newest_anchor()
    assert newest is not None
    assert newest.anchor == anchor


def test_an_anchors_bytes_are_exact() -> None:
    """Written once, read back the same; anything else is refused."""
    company = Company()
    anchor = anchor_journal(company.world)
    content = anchor.to_bytes()
    assert Anchor.from_bytes(content) == anchor
    for wrong in (content[:-1], content + b" ", b"{}", b"[]", b"\xff", content.replace(b'"number":1', b'"number":"1"')):
        with pytest.raises(Refused, match="no anchor"):
            Anchor.from_bytes(wrong)


def test_a_day_is_long_enough_between_two_anchors_of_everything() -> None:
    company = Company()
    assert anchor_due(company.world)
    anchor_journal(company.world)
    assert not anchor_due(company.world)
    company.advance(hours=23, minutes=59)
    anchor_tenants(company.world, [company.create().uid])
    assert not anchor_due(company.world), "a small anchor is none of everything"
    company.advance(minutes=1)
    assert anchor_due(company.world)
    second = anchor_journal(company.world)
    assert second.number == 3
    assert second.previous == company.registry.anchors_since(None)[1].anchor.digest


def test_a_destruction_rests_on_an_anchor_of_its_own_newest_entry() -> None:
    """Made in the same run, just before; and the entry that follows it is the destruction's."""
    company = Company()
    tenant = company.deactivated()
    company.advance(days=24)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED
    anchored = company.registry.anchored_head(tenant.uid)
    assert anchored is not None
    entries = company.registry.entries(tenant.uid)
    assert entries[anchored.sequence - 1].hash == anchored.hash
    assert entries[anchored.sequence].event == "grace-ended"
    assert not company.registry.anchors_since(None)[-1].anchor.whole


@pytest.mark.parametrize("region", [ONE, OTHER])
def test_nothing_is_destroyed_that_two_regions_cannot_vouch_for(region: str) -> None:
    """A region that does not answer puts the destruction off; once it answers, it goes on."""
    company = Company()
    tenant = company.deactivated()
    company.advance(days=24)
    company.vault.unreachable.add(region)
    company.run()
    assert company.has_database(tenant)
    assert company.registry.tenant(tenant.uid).state is State.DEACTIVATED
    company.vault.unreachable.clear()
    company.advance(hours=7)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED


def test_with_no_region_to_look_at_nothing_irreversible_happens() -> None:
    """Could not look is not none: an alarm, and backups go on."""
    company = Company()
    tenant = company.deactivated()
    anchor_journal(company.world)
    company.advance(days=24)
    company.vault.unreachable |= {ONE, OTHER}
    company.run()
    assert company.has_database(tenant)
    assert "blocked/registry" in company.alarms(tenant)
    company.vault.unreachable.clear()
    company.advance(hours=2)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED
    assert company.alarms(tenant) == set()


def test_a_bucket_without_its_lock_takes_no_anchor() -> None:
    """Nor one with another term: two regions must hold it as the policy says."""
    company = Company()
    bucket = buckets(company.world)[ONE]
    seen = company.vault.look_at_bucket(bucket)
    assert isinstance(seen, Present)
    company.vault.make_bucket(bucket, replace(seen.value, locked=False))
    with pytest.raises(Refused, match=r"Two regions must hold an anchor.*no locked retention"):
        anchor_journal(company.world)
    assert company.registry.newest_anchor() is None
    company.vault.drop_bucket(bucket)
    with pytest.raises(Refused, match="There is no bucket"):
        anchor_journal(company.world)


def test_a_long_list_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And read back the same."""
    monkeypatch.setattr(anchoring, "AT_ONCE_MAX", 64)
    company = Company()
    for name in ("acme", "beta", "gamma"):
        company.create(name)
    anchor = anchor_journal(company.world)
    assert list(read_heads(company.world, anchor)) == list(company.registry.heads())


def test_a_crash_at_any_touch_leaves_nothing_that_is_in_the_way() -> None:
    """Whatever was begun, the next anchor is made, and the registry is not taken for a restored one."""
    touches = 0
    while True:
        company = Company()
        tenant = company.create()
        fuse = Fuse(touches)
        with suppress(Crash):
            anchor_tenants(fused_world(company.world, fuse), [tenant.uid])
        anchor = anchor_journal(company.world)
        assert company.registry.newest_anchor(whole=True) is not None
        assert differences(company) == []
        if not fuse.blown:
            break
        assert anchor.number in {1, 2}
        touches += 1
    assert touches > 20


TAMPERINGS: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "an entry edited": lambda entries: [replace(entries[0], body='{"another":1}'), *entries[1:]],
    "the newest edited": lambda entries: [*entries[:-1], replace(entries[-1], actor="mallory@example.com")],
    "the newest cut off": lambda entries: entries[:-1],
    "the oldest cut off": lambda entries: entries[1:],
    "one cut out": lambda entries: [*entries[:1], *entries[2:]],
    "two swapped": lambda entries: [entries[1], entries[0], *entries[2:]],
    "one put in": lambda entries: [entries[0], *entries],
    "all of it gone": lambda entries: [],
}


@pytest.mark.parametrize("what", sorted(TAMPERINGS))
def test_a_chain_that_was_made_anew_is_found(what: str) -> None:
    """Every link holds and the head agrees: only the anchor knows better."""
    company = Company()
    tenant, neighbour = company.create("acme"), company.create("beta")
    anchor_journal(company.world)
    assert differences(company) == []
    rewrite(company, tenant, TAMPERINGS[what](list(company.registry.entries(tenant.uid))))
    found = differences(company)
    assert found
    assert all(tenant.uid in sentence and neighbour.uid not in sentence for sentence in found)


def test_an_edit_that_was_anchored_again_is_found_by_an_older_anchor() -> None:
    """The newest anchor would vouch for the forgery."""
    company = Company()
    tenant = company.create()
    first = anchor_journal(company.world)
    entries = list(company.registry.entries(tenant.uid))
    rewrite(company, tenant, [*entries[:-1], replace(entries[-1], body="{}")])
    anchor_journal(company.world)
    (sentence,) = differences(company)
    assert f"the one in {first.sentence}" in sentence


def test_what_was_written_since_is_no_difference() -> None:
    """A chain goes on; what is newer than every anchor is not vouched for, and not accused."""
    company = Company()
    tenant = company.create()
    anchor_journal(company.world)
    company.registry.append_entry(tenant.uid, "seen", {})
    compared = compare_with_anchors(company.world)
    assert (compared.differences, compared.faults, compared.unread) == ([], [], [])
    head = company.registry.head(tenant.uid)
    assert head is not None
    assert compared.newest[tenant.uid].sequence == head.sequence - 1


def test_fewer_entries_than_before_are_not_anchored() -> None:
    """A cut is not to be sealed in."""
    company = Company()
    tenant = company.create()
    anchor_journal(company.world)
    rewrite(company, tenant, list(company.registry.entries(tenant.uid))[:-1])
    company.advance(days=1)
    with pytest.raises(Refused, match="some were cut off"):
        anchor_journal(company.world)


@pytest.mark.parametrize("region", [ONE, OTHER])
def test_one_region_is_enough_to_compare_with(region: str) -> None:
    """What the other shows; and that one was not looked at is said."""
    company = Company()
    company.create()
    anchor_journal(company.world)
    company.vault.unreachable.add(region)
    compared = compare_with_anchors(company.world)
    assert len(compared.anchors) == 1
    assert compared.differences == []
    assert [sentence for sentence in compared.unread if region in sentence]


def test_a_list_that_is_not_the_anchored_one_is_found() -> None:
    """Whatever somebody who holds the store puts in its place."""
    company = Company()
    company.create()
    anchor = anchor_journal(company.world)
    for bucket in buckets(company.world).values():
        company.vault.lose(bucket, anchor.heads_name)
        company.vault.put(bucket, anchor.heads_name, zlib.compress(b"x 1 y\n"))
    (fault,) = differences(company)
    assert "damaged" in fault


def test_an_anchor_that_is_lost_is_missed() -> None:
    """By the one that was made after it."""
    company = Company()
    company.create()
    first, second, third = (anchor_journal(company.world) for _ in range(3))
    assert (first.number, third.previous) == (1, second.digest)
    for bucket in buckets(company.world).values():
        company.vault.lose(bucket, second.name.object_name)
    (fault,) = differences(company)
    assert f"{third.sentence}: the one that it was made after is in no region" in fault
