"""Listing a bucket: prefix, delimiter, offsets, versions, soft-deleted ones, page by page, in the order of UTF-8.

A page is read row by row from where the last one ended; names that a delimiter collects are skipped in one step, so
that a folder of ten thousand objects costs as much as one.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from tenantctl.localcloud.object_conditions import whole_number
from tenantctl.localcloud.object_context import STORE, flag, object_resource
from tenantctl.localcloud.object_metadata import State, Transaction, Version
from tenantctl.localcloud.object_refusals import invalid, not_emulated
from tenantctl.localcloud.object_rules import Document

_LARGEST_PAGE: Final = 1000
_ROWS_BEFORE_A_SKIP: Final = 50
_FIRST: Final = -1
_LAST_CHARACTER: Final = "\U0010ffff"
_BEFORE_SURROGATES, _AFTER_SURROGATES = "\ud7ff", "\ue000"


@dataclass(frozen=True)
class Listing:
    """What is to be listed.

    Attributes:
        bucket: The bucket's name.
        states: The states of the versions wanted.
        prefix: What the names begin with.
        delimiter: What ends a collected prefix; empty collects nothing.
        start: The first name.
        end: The name before which the list ends.
        limit: The greatest number of objects and prefixes in a page.
    """

    bucket: str
    states: tuple[State, ...]
    prefix: str
    delimiter: str
    start: str
    end: str | None
    limit: int

    @classmethod
    def of_request(cls, request: web.Request) -> "Listing":
        """Read a request's query.

        Raises:
            Refusal: 400 for a value that cannot be, 501 for a filter that the local cloud does not know.
        """
        query = request.query
        for unknown in ("matchGlob", "filter", "includeTrailingDelimiter"):
            if query.get(unknown):
                raise not_emulated(f"listing with {unknown}")
        states: tuple[State, ...] = ("live",)
        if flag(request, "softDeleted"):
            states = ("deleted",)
            if flag(request, "versions"):
                raise invalid("softDeleted and versions exclude each other.")
        elif flag(request, "versions"):
            states = ("live", "noncurrent")
        limit = whole_number(query.get("maxResults", str(_LARGEST_PAGE)), "maxResults")
        return cls(
            bucket=request.match_info["bucket"],
            states=states,
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            start=query.get("startOffset", ""),
            end=query.get("endOffset") or None,
            limit=min(limit, _LARGEST_PAGE) or _LARGEST_PAGE,
        )


@dataclass(frozen=True)
class Page:
    """One page: the versions, the collected prefixes, and where to go on, if there is more."""

    versions: tuple[Version, ...]
    prefixes: tuple[str, ...]
    next_after: tuple[str, int] | None


async def list_objects(request: web.Request) -> web.Response:
    """List a bucket's objects."""
    listing = Listing.of_request(request)
    token = request.query.get("pageToken")
    after = _read_token(token) if token else None

    def read(rows: Transaction) -> tuple[Document, Page]:
        return rows.bucket(listing.bucket), read_page(rows, listing, after)

    bucket, page = await request.app[STORE].metadata.run(read)
    answer: Document = {"kind": "storage#objects"}
    if page.versions:
        answer["items"] = [object_resource(request, version, bucket) for version in page.versions]
    if page.prefixes:
        answer["prefixes"] = list(page.prefixes)
    if page.next_after is not None:
        answer["nextPageToken"] = _write_token(page.next_after)
    return web.json_response(answer)


def read_page(rows: Transaction, listing: Listing, after: tuple[str, int] | None) -> Page:
    """Read one page.

    Args:
        rows: The transaction.
        listing: What is to be listed.
        after: Where the page before ended; None for the first.
    """
    position = max(after or ("", _FIRST), (max(listing.prefix, listing.start), _FIRST))
    end = min((end for end in (listing.end, name_after_all(listing.prefix)) if end is not None), default=None)
    rows_at_once = _ROWS_BEFORE_A_SKIP if listing.delimiter else listing.limit + 1
    versions: list[Version] = []
    prefixes: list[str] = []
    while True:
        chunk = rows.page(listing.bucket, listing.states, position, end, rows_at_once)
        skipped = False
        for version in chunk:
            if len(versions) + len(prefixes) == listing.limit:
                return Page(tuple(versions), tuple(prefixes), position)
            collected = _collected(version.name, listing)
            if collected is None:
                versions.append(version)
                position = (version.name, version.generation)
                continue
            prefixes.append(collected)
            beyond = name_after_all(collected)
            if beyond is None:
                return Page(tuple(versions), tuple(prefixes), None)
            position, skipped = (beyond, _FIRST), True
            break
        if not skipped and len(chunk) < rows_at_once:
            return Page(tuple(versions), tuple(prefixes), None)


def name_after_all(prefix: str) -> str | None:
    """Return the first name, in the order of UTF-8, after all that begin with a prefix; None if there is none."""
    stripped = prefix.rstrip(_LAST_CHARACTER)
    if not stripped:
        return None
    last = stripped[-1]
    return stripped[:-1] + (_AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1))


def _collected(name: str, listing: Listing) -> str | None:
    if not listing.delimiter:
        return None
    found = name.find(listing.delimiter, len(listing.prefix))
    return None if found < 0 else name[: found + len(listing.delimiter)]


def _write_token(after: tuple[str, int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(after).encode()).decode()


def _read_token(token: str) -> tuple[str, int]:
    try:
        name, generation = json.loads(base64.urlsafe_b64decode(token))
        return str(name), int(generation)
    except (binascii.Error, TypeError, ValueError) as error:
        raise invalid(f"Invalid pageToken: {token!r}") from error
