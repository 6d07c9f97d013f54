"""What the endpoints of the object store share: the clock, the metadata, the bytes, and how resources are shown."""

import asyncio
import base64
import contextvars
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from aiohttp import web

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.object_actions import Address
from tenantctl.localcloud.object_bytes import ByteStore, RunningDigest
from tenantctl.localcloud.object_conditions import whole_number
from tenantctl.localcloud.object_metadata import Metadata, Transaction, Version
from tenantctl.localcloud.object_refusals import invalid
from tenantctl.localcloud.object_rules import Document, expiration_shown, format_time

Result = TypeVar("Result")


@dataclass
class StoreContext:
    """The open store of one application.

    Attributes:
        clock: The local cloud's clock.
        lifecycle_lag: How late lifecycle rules act.
        bytes: The files.
        metadata: The rows.
        digests: The running digest of each upload under way that this process has seen; a lost one is read anew.
        writers: The request that writes each upload under way.
    """

    clock: LocalClock
    lifecycle_lag: timedelta
    bytes: ByteStore
    metadata: Metadata
    digests: dict[str, RunningDigest] = field(default_factory=dict)
    writers: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, root: Path, clock: LocalClock, lifecycle_lag: timedelta) -> "StoreContext":
        """Open the store in a folder, which is made if need be."""
        root.mkdir(parents=True, exist_ok=True)
        files = ByteStore(root / "bytes")
        return cls(clock, lifecycle_lag, files, Metadata(root / "metadata.sqlite3", files.discard))

    async def run(self, work: Callable[[Transaction, datetime], Result]) -> Result:
        """Carry out one piece of work as one durable transaction, at the clock's time of its turn."""
        caller = contextvars.copy_context()  # the work is done on the metadata's own thread
        return await self.metadata.run(lambda rows: caller.run(work, rows, self.clock.now()))


STORE: Final = web.AppKey("object_store", StoreContext)


def address_of(request: web.Request) -> Address:
    """Return the object that a request's path and generation name.

    Raises:
        Refusal: 400, the generation is not a number.
    """
    generation = request.query.get("generation")
    number = None if generation is None else whole_number(generation, "generation")
    return Address(request.match_info["bucket"], request.match_info["object"], number)


def flag(request: web.Request, name: str) -> bool:
    """Read a boolean of the query; clients write it as `true` and as `True`."""
    return request.query.get(name, "").lower() == "true"


async def json_body(request: web.Request) -> dict[str, Any]:
    """Read the JSON object of a request's body; none is an empty one.

    Raises:
        Refusal: 400, the body is something else.
    """
    try:
        text = (await request.read()).decode()
    except UnicodeDecodeError as error:
        raise invalid("The request's body is not UTF-8.") from error
    document = json.loads(text) if text.strip() else {}
    if not isinstance(document, dict):
        raise invalid("The request's body is not a JSON object.")
    return document


def object_resource(request: web.Request, version: Version, bucket: Mapping[str, Any]) -> Document:
    """Return an object as the API shows it, with its links under the host that was asked."""
    path = f"b/{version.bucket}/o/{quote(version.name, safe='')}"
    shown = {key: value for key, value in version.document.items() if not key.startswith("_")}
    expiration = expiration_shown(version.document, bucket)
    if expiration is not None:
        shown["retentionExpirationTime"] = format_time(expiration)
    return {
        "kind": "storage#object",
        "id": f"{version.bucket}/{version.name}/{version.generation}",
        "selfLink": f"{origin(request)}/storage/v1/{path}",
        "mediaLink": f"{origin(request)}/download/storage/v1/{path}?generation={version.generation}&alt=media",
        **shown,
        "generation": str(version.generation),
        "etag": etag(version.generation, version.metageneration),
    }


def bucket_resource(request: web.Request, document: Document) -> Document:
    """Return a bucket as the API shows it."""
    return {
        "kind": "storage#bucket",
        "id": document["name"],
        "selfLink": f"{origin(request)}/storage/v1/b/{document['name']}",
        "projectNumber": "0",
        **{key: value for key, value in document.items() if not key.startswith("_")},
        "etag": etag(0, int(document["metageneration"])),
    }


def etag(generation: int, metageneration: int) -> str:
    """Return an entity tag, which changes with content and metadata."""
    return base64.b64encode(f"{generation}/{metageneration}".encode()).decode()


def origin(request: web.Request) -> str:
    """Return the scheme and host under which the client reached the store."""
    return f"{request.scheme}://{request.host}"
