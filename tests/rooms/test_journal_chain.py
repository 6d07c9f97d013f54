"""The journal's chain: what its hash covers, and that whatever is done to it afterwards is found."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tenantctl.model.journal import FIRST_LINK, Entry, Head, broken_links

BEGINNING = datetime(2026, 11, 23, 2, 53, 59, 12, tzinfo=UTC)


def chain(length: int = 4, uid: str = "acme") -> list[Entry]:
    """An unbroken chain."""
    entries: list[Entry] = []
    for number in range(1, length + 1):
        entry = Entry(
            tenant_uid=uid,
            sequence=number,
            at=BEGINNING + timedelta(seconds=number),
            actor="alice@example.com",
            event="step-done",
            plan_digest="0123456789abcdef",
            body=f'{{"number":{number}}}',
            previous=entries[-1].hash if entries else FIRST_LINK,
            hash="",
        )
        entries.append(replace(entry, hash=entry.expected_hash()))
    return entries


def head_of(entries: list[Entry]) -> Head:
    return Head(entries[-1].tenant_uid, entries[-1].sequence, entries[-1].hash)


def test_the_hash_is_the_one_that_the_database_computes() -> None:
    """The bytes that are hashed, written out: the migration builds the same."""
    entry = chain(1)[0]
    content = "\x1f".join(
        [
            "0" * 64,
            "acme",
            "1",
            "2026-11-23T02:54:00.000012Z",
            "alice@example.com",
            "step-done",
            "0123456789abcdef",
            '{"number":1}',
        ]
    )
    assert entry.hash == hashlib.sha256(content.encode()).hexdigest()


def test_the_time_zone_of_the_reader_does_not_matter() -> None:
    """A moment is a moment."""
    entry = chain(1)[0]
    elsewhere = replace(entry, at=entry.at.astimezone(timezone(timedelta(hours=9))))
    assert elsewhere.expected_hash() == entry.hash


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_chain_that_nobody_touched_holds(length: int) -> None:
    entries = chain(length)
    assert list(broken_links(entries, head_of(entries))) == []


def test_no_journal_is_no_fault() -> None:
    assert list(broken_links([], None)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"at": BEGINNING},
        {"actor": "bob@example.com"},
        {"event": "step-begun"},
        {"plan_digest": ""},
        {"body": "{}"},
        {"tenant_uid": "other"},
        {"previous": "f" * 64},
        {"hash": "f" * 64},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_edited_entry_is_found_at_its_place(place: int, changes: dict[str, object]) -> None:
    """Whichever field was edited, and wherever it stands."""
    entries = chain()
    head = head_of(entries)
    entries[place] = replace(entries[place], **changes)  # type: ignore[arg-type]
    sentences = list(broken_links(entries, head))
    assert sentences
    assert f"entry {place + 1}" in sentences[0]


@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_edit_that_seals_itself_anew_is_found_too(place: int) -> None:
    """Whoever can compute the hash still cannot make the next entry, or the head, agree."""
    entries = chain()
    head = head_of(entries)
    edited = replace(entries[place], body='{"number":99}')
    entries[place] = replace(edited, hash=edited.expected_hash())
    assert len(list(broken_links(entries, head))) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda entries: entries[1:],
        lambda entries: entries[:1] + entries[2:],
        lambda entries: entries[:-1],
        lambda entries: [],
        lambda entries: [entries[0], entries[2], entries[1], entries[3]],
        lambda entries: [*entries, entries[-1]],
        lambda entries: chain(4, "other"),
        lambda entries: chain(5),
    ],
    ids=["first cut", "middle cut", "last cut", "all cut", "swapped", "doubled", "another's", "longer than its head"],
)
def test_cut_moved_and_foreign_entries_are_found(damage: Callable[[list[Entry]], list[Entry]]) -> None:
    entries = chain()
    assert list(broken_links(damage(entries), head_of(entries)))


def test_a_missing_head_is_found() -> None:
    assert list(broken_links(chain(), None)) == ["tenant acme: the head of its chain is missing"]
