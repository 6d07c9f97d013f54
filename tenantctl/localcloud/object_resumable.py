"""Resumable uploads: begun with a request, fed with others, resumed after whatever came between.

A 308 answer names the bytes that the store has and will still have after kill -9. When a connection breaks, what came
in is kept down to a multiple of 256 KiB, as the real service does. Bytes that are sent again are skipped. The
conditions on the object, its retention and its checksums are looked at when the last byte has come in; a refusal then
leaves the upload open, and the same request gets the same answer again. An upload that is not ended within a week is
forgotten.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from tenantctl.localcloud.faults import incoming_chunks
from tenantctl.localcloud.object_bytes import PIECE_BYTES, RESUMABLE_UNIT_BYTES, Intake, RunningDigest
from tenantctl.localcloud.object_conditions import PARAMETERS, Preconditions, whole_number
from tenantctl.localcloud.object_context import STORE, StoreContext, json_body, origin
from tenantctl.localcloud.object_metadata import Transaction
from tenantctl.localcloud.object_refusals import Refusal, invalid
from tenantctl.localcloud.object_rules import Document
from tenantctl.localcloud.object_uploads import become_object, named_object

UPLOAD_LIFETIME: Final = timedelta(days=7)
_RANGE: Final = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")
_DEFAULT_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True)
class Announced:
    """What a request says about the bytes that it brings.

    Attributes:
        first: The offset of its first byte; None for a question about what is there.
        after_last: The offset after its last byte.
        total: The length of the whole object, if the client knows it by now.
    """

    first: int | None
    after_last: int
    total: int | None

    @classmethod
    def of_request(cls, request: web.Request) -> "Announced":
        """Read the headers of a request; without Content-Range it brings the whole object.

        Raises:
            Refusal: 400, the header cannot be read, or its numbers contradict each other; 411, the body has no length.
        """
        text = request.headers.get("Content-Range")
        if text is None:
            length = _body_length(request)
            return cls(0, length, length)
        found = _RANGE.fullmatch(text.strip())
        if found is None:
            raise invalid(f"Failed to parse Content-Range header: {text!r}")
        first, last, total = found.groups()
        whole = None if total == "*" else int(total)
        if first is None:
            return cls(None, 0, whole)
        after_last = int(last) + 1
        if int(first) >= after_last or (whole is not None and after_last > whole):
            raise invalid(f"Invalid Content-Range header: {text!r}")
        if after_last != whole and (after_last - int(first)) % RESUMABLE_UNIT_BYTES:
            raise invalid("All but the last part of an upload are multiples of 262144 bytes.")
        if _body_length(request) != after_last - int(first):
            raise invalid(f"The body has {request.content_length} bytes, and Content-Range says {text!r}.")
        return cls(int(first), after_last, whole)


async def begin_upload(request: web.Request) -> web.Response:
    """Begin a resumable upload; the answer's Location, under the host that was asked, takes the bytes."""
    metadata = await json_body(request)
    given_type = request.headers.get("X-Upload-Content-Type", _DEFAULT_TYPE)
    metadata.setdefault("contentType", given_type)
    name = named_object(request, metadata)
    query = {key: request.query[key] for key in PARAMETERS if key in request.query}
    Preconditions.from_query(query)
    announced = request.headers.get("X-Upload-Content-Length")
    store, bucket = request.app[STORE], request.match_info["bucket"]
    identifier = secrets.token_urlsafe(24)
    document: Document = {
        "state": "open",
        "bucket": bucket,
        "name": name,
        "metadata": metadata,
        "query": query,
        "total": None if announced is None else whole_number(announced, "X-Upload-Content-Length"),
        "file": store.bytes.new_file(),
    }

    def begin(rows: Transaction, now: datetime) -> None:
        rows.bucket(bucket)
        rows.drop_uploads(now - UPLOAD_LIFETIME)
        store.bytes.open_to_extend(document["file"], 0).close()
        rows.save_upload(identifier, document, now)

    await store.run(begin)
    parameters = urlencode({"uploadType": "resumable", "name": name, "upload_id": identifier})
    location = f"{origin(request)}/upload/storage/v1/b/{bucket}/o?{parameters}"
    return web.Response(headers={"Location": location, "X-GUploader-UploadID": identifier})


async def feed_upload(request: web.Request) -> web.StreamResponse:
    """Take bytes of an upload, or the question how many are there; the last byte makes the object."""
    identifier = request.query.get("upload_id", "")
    store = request.app[STORE]
    announced = Announced.of_request(request)
    async with _alone(store, identifier):
        document = await _find(store, identifier)
        if document["state"] == "done":
            return web.json_response(document["resource"])
        file, total = document["file"], _agreed_total(document["total"], announced.total)
        received = store.bytes.received(file)
        if announced.first is not None:
            if announced.first > received:
                raise Refusal(503, "backendError", f"The upload goes on at byte {received}.")
            received = await _receive(request, identifier, file, announced, received)
        if total is None or received < total:
            return _incomplete(received)
        digest = (await _digest(store, identifier, file)).digest()
        ending = (identifier, document)
        resource = await become_object(request, document["name"], file, digest, document["metadata"], upload=ending)
        store.digests.pop(identifier, None)
        return web.json_response(resource)


async def cancel_upload(request: web.Request) -> web.Response:
    """Cancel an upload: 499, as the real service answers, and its bytes go."""
    identifier = request.query.get("upload_id", "")
    store = request.app[STORE]
    async with _alone(store, identifier):
        document = await _find(store, identifier)
        if document["state"] == "open":

            def cancel(rows: Transaction, now: datetime) -> None:
                rows.save_upload(identifier, {**document, "state": "cancelled"}, now)
                rows.release(document["file"])

            await store.run(cancel)
            store.digests.pop(identifier, None)
    return web.Response(status=499, reason="Client Closed Request")


@asynccontextmanager
async def _alone(store: StoreContext, identifier: str) -> AsyncIterator[None]:
    """Be the one request that works on an upload; one that still waits for bytes of a lost client is ended."""
    task = asyncio.current_task()
    assert task is not None, "a request is answered within a task"
    while (writer := store.writers.get(identifier)) is not None:
        writer.cancel()
        await asyncio.wait([writer])
        if store.writers.get(identifier) is writer:
            del store.writers[identifier]
    store.writers[identifier] = task
    try:
        yield
    finally:
        if store.writers.get(identifier) is task:
            del store.writers[identifier]


async def _find(store: StoreContext, identifier: str) -> Document:
    def find(rows: Transaction, now: datetime) -> Document | None:
        rows.drop_uploads(now - UPLOAD_LIFETIME)
        return rows.upload(identifier)

    document = await store.run(find)
    if document is None:
        raise Refusal(404, "notFound", "There is no such upload: it was never begun, or is older than a week.")
    if document["state"] == "cancelled":
        raise Refusal(499, "clientClosedRequest", "The upload was cancelled.")
    return document


async def _receive(request: web.Request, identifier: str, file: str, announced: Announced, received: int) -> int:
    """Write the bytes that a request brings after those already there, and return how many there are then."""
    store = request.app[STORE]
    request.content.set_read_chunk_size(PIECE_BYTES)
    running = await _digest(store, identifier, file)
    chunks = _after(incoming_chunks(request, request.content.iter_any()), received - (announced.first or 0))
    try:
        with store.bytes.open_to_extend(file, received) as opened:
            await Intake(opened, running).take(chunks)
    except BaseException:
        _keep_whole_units(store, identifier, file)
        raise
    received = store.bytes.received(file)
    if announced.total is None or announced.after_last < announced.total:
        return _keep_whole_units(store, identifier, file)
    return received


def _keep_whole_units(store: StoreContext, identifier: str, file: str) -> int:
    received = store.bytes.received(file)
    kept = received - received % RESUMABLE_UNIT_BYTES
    if kept < received:
        store.digests.pop(identifier, None)
        store.bytes.open_to_extend(file, kept).close()
    return kept


async def _digest(store: StoreContext, identifier: str, file: str) -> RunningDigest:
    """Return the running digest of an upload's bytes; after a restart it is made anew from the file."""
    running = store.digests.get(identifier)
    if running is None or running.size != store.bytes.received(file):
        running = await asyncio.to_thread(store.bytes.digest, file)
        store.digests[identifier] = running
    return running


async def _after(chunks: AsyncIterator[bytes], skipped: int) -> AsyncIterator[bytes]:
    """Pass on what comes after the bytes that are already there."""
    async for chunk in chunks:
        if skipped >= len(chunk):
            skipped -= len(chunk)
            continue
        yield chunk[skipped:]
        skipped = 0


def _agreed_total(begun_with: int | None, announced: int | None) -> int | None:
    if begun_with is not None and announced is not None and begun_with != announced:
        raise invalid(f"The upload was begun with {begun_with} bytes, and now has {announced}.")
    return begun_with if announced is None else announced


def _incomplete(received: int) -> web.Response:
    headers = {"Range": f"bytes=0-{received - 1}"} if received else {}
    return web.Response(status=308, reason="Resume Incomplete", headers=headers)


def _body_length(request: web.Request) -> int:
    if request.content_length is None:
        raise Refusal(411, "lengthRequired", "A part of an upload comes with its Content-Length.")
    return request.content_length
