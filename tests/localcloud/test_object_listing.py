"""Listing against a plain model of it: every page size, prefix, delimiter and offset."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.localcloud.object_listing import Listing, Page, name_after_all, read_page
from tenantctl.localcloud.object_metadata import Metadata, Transaction, Version
from tests.localcloud.object_service import serving

rules = settings(deadline=None)  # a busy machine is no failure
NAMES = st.text(alphabet="ab/é\ud7ff\ue000\U0010ffff", min_size=1, max_size=5)


@contextmanager
def metadata_of(names: set[str], folder: Path) -> Iterator[Metadata]:
    metadata = Metadata(folder / "metadata.sqlite3", lambda file: None)

    def fill(rows: Transaction) -> None:
        for version in rows.versions("vault"):
            rows.drop_version(version)
        for number, name in enumerate(names):
            document = {"timeCreated": datetime.now(UTC).isoformat(), "metageneration": "1", "size": "0"}
            rows.save_version(Version("vault", name, number, "live", "", document))

    asyncio.run(metadata.run(fill))
    try:
        yield metadata
    finally:
        metadata.close()


def modelled(names: set[str], listing: Listing) -> tuple[list[str], list[str]]:
    items, prefixes = [], set()
    for name in sorted(names):
        if not name.startswith(listing.prefix) or name < listing.start or (listing.end and name >= listing.end):
            continue
        rest = name[len(listing.prefix) :]
        if listing.delimiter and listing.delimiter in rest:
            prefixes.add(listing.prefix + rest.split(listing.delimiter)[0] + listing.delimiter)
        else:
            items.append(name)
    return items, sorted(prefixes)


def read(metadata: Metadata, listing: Listing, after: tuple[str, int] | None) -> Page:
    return asyncio.run(metadata.run(lambda rows: read_page(rows, listing, after)))


LISTINGS = st.builds(
    Listing,
    bucket=st.just("vault"),
    states=st.just(("live",)),
    prefix=st.text(alphabet="ab/\ud7ff\U0010ffff", max_size=2),
    delimiter=st.sampled_from(["", "/", "b"]),
    start=st.text(alphabet="ab/", max_size=2),
    end=st.one_of(st.none(), st.text(alphabet="ab/é", min_size=1, max_size=2)),
    limit=st.integers(1, 7),
)


@settings(rules, max_examples=60)
@given(names=st.sets(NAMES, max_size=25), listing=LISTINGS)
def test_pages_together_are_the_listing(tmp_path_factory, names, listing):
    """In order, nothing twice, nothing missed, and no page is larger than asked for."""
    items: list[str] = []
    prefixes: list[str] = []
    with metadata_of(names, tmp_path_factory.mktemp("listing")) as metadata:
        page = read(metadata, listing, None)
        while True:
            assert len(page.versions) + len(page.prefixes) <= listing.limit
            items += [version.name for version in page.versions]
            prefixes += page.prefixes
            if page.next_after is None:
                break
            page = read(metadata, listing, page.next_after)
    assert (items, prefixes) == modelled(names, listing)


@rules
@given(NAMES, NAMES)
def test_the_name_after_all_is_the_next_one(prefix, name):
    """Everything with the prefix is before it, everything else after the prefix is not."""
    beyond = name_after_all(prefix)
    if beyond is None:
        assert set(prefix) == {"\U0010ffff"}
    else:
        assert prefix + name < beyond
        assert name.startswith(prefix) or (name < beyond) == (name < prefix)


def test_ten_thousand_objects_are_listed_in_pages(tmp_path):
    """A long listing comes in pages of a thousand; collected prefixes are skipped in one step."""
    names = {f"tenant-{number % 3}/{number:05}" for number in range(10_000)}
    listing = Listing("vault", ("live",), "", "", "", None, 1000)
    with metadata_of(names, tmp_path) as metadata:
        page, pages = read(metadata, listing, None), 1
        while page.next_after is not None:
            page, pages = read(metadata, listing, page.next_after), pages + 1
        collected = read(metadata, Listing("vault", ("live",), "", "/", "", None, 1000), None)
    assert pages == 10
    assert collected.prefixes == ("tenant-0/", "tenant-1/", "tenant-2/")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("pageToken=nonsense", 400),
        ("pageToken=WzFd", 400),
        ("maxResults=many", 400),
        ("softDeleted=true&versions=true", 400),
        ("matchGlob=**", 501),
    ],
)
def test_a_listing_that_cannot_be_is_refused(tmp_path, query, status):
    """Never answered with an empty list, which a caller would believe."""
    with serving(tmp_path) as service:
        service.client().create_bucket("vault")
        answer = service.api("GET", f"/storage/v1/b/vault/o?{query}")
        assert answer.status_code == status
        assert json.loads(answer.content)["error"]["code"] == status
