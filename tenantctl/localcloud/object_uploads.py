"""Uploads in one request, and what all uploads end with: checked bytes become an object.

Bytes are checked against every checksum that the client gave (in the metadata, in `x-goog-hash`, in `Content-MD5`)
before they count, and are on the disk before the answer goes out.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import BodyPartReader, MultipartReader, web

from tenantctl.localcloud.faults import incoming_chunks
from tenantctl.localcloud.object_actions import Address, Content, check_name, place_object
from tenantctl.localcloud.object_bytes import PIECE_BYTES, Digest, Intake, RunningDigest
from tenantctl.localcloud.object_conditions import Preconditions
from tenantctl.localcloud.object_context import STORE, object_resource
from tenantctl.localcloud.object_metadata import Transaction
from tenantctl.localcloud.object_refusals import invalid, required
from tenantctl.localcloud.object_rules import Document

_DEFAULT_TYPE: Final = "application/octet-stream"


async def upload_at_once(request: web.Request) -> web.Response:
    """Make an object of one request's body: `uploadType` media, or multipart with the metadata in front."""
    request.content.set_read_chunk_size(PIECE_BYTES)
    if request.query.get("uploadType") == "media":
        metadata: dict[str, Any] = {"contentType": request.headers.get("Content-Type", _DEFAULT_TYPE)}
        chunks: AsyncIterator[bytes] = request.content.iter_any()
    else:
        metadata, chunks = await _open_multipart(request)
    name = named_object(request, metadata)
    store = request.app[STORE]
    await store.run(lambda rows, _: rows.bucket(request.match_info["bucket"]))
    file, running = store.bytes.new_file(), RunningDigest()
    try:
        with store.bytes.open_to_extend(file, 0) as opened:
            await Intake(opened, running).take(incoming_chunks(request, chunks))
        resource = await become_object(request, name, file, running.digest(), metadata)
    except BaseException:
        await store.metadata.run(lambda rows: rows.release(file))
        raise
    return web.json_response(resource)


def named_object(request: web.Request, metadata: Mapping[str, Any]) -> str:
    """Return the name of the object that an upload is to make, from its query or its metadata.

    Raises:
        Refusal: 400, there is no name, or none that an object can have.
    """
    name = request.query.get("name") or metadata.get("name")
    if not isinstance(name, str):
        raise required("name")
    check_name(name)
    return name


async def become_object(
    request: web.Request,
    name: str,
    file: str,
    digest: Digest,
    metadata: Mapping[str, Any],
    *,
    upload: tuple[str, Document] | None = None,
) -> Document:
    """Let the bytes of an upload become an object, and return its resource.

    Args:
        request: The request that brings the last byte.
        name: The object's name.
        file: The file with all its bytes.
        digest: Their digest.
        metadata: The metadata that the client gave.
        upload: The id and the document of the resumable upload that ends with this, in the same transaction.

    Raises:
        Refusal: 400, a checksum does not match; otherwise as `place_object`.
    """
    store = request.app[STORE]
    check_digest(digest, metadata, request.headers)
    await asyncio.to_thread(store.bytes.sync, file)
    query = upload[1]["query"] if upload else request.query
    conditions = Preconditions.from_query(query)
    address = Address(request.match_info["bucket"], name)

    def place(rows: Transaction, now: datetime) -> Document:
        content = Content.of_digest(file, digest)
        version = place_object(rows, address, content, metadata, conditions=conditions, now=now)
        resource = object_resource(request, version, rows.bucket(address.bucket))
        if upload:
            rows.save_upload(upload[0], {**upload[1], "state": "done", "resource": resource}, now)
        return resource

    return await store.run(place)


def check_digest(digest: Digest, metadata: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Check the bytes against all checksums that the client gave.

    Raises:
        Refusal: 400, one does not match.
    """
    given: list[list[Any]] = [["crc32c", metadata.get("crc32c")], ["md5", metadata.get("md5Hash")]]
    given.append(["md5", headers.get("Content-MD5")])
    given += [part.strip().split("=", 1) for part in headers.get("X-Goog-Hash", "").split(",") if "=" in part]
    calculated = {"crc32c": digest.crc32c, "md5": digest.md5}
    for kind, value in given:
        if value and kind in calculated and value != calculated[kind]:
            raise invalid(
                f'Provided {kind.upper()} "{value}" doesn\'t match calculated {kind.upper()} "{calculated[kind]}".'
            )


async def _open_multipart(request: web.Request) -> tuple[dict[str, Any], AsyncIterator[bytes]]:
    """Read the metadata in front of a multipart body, and return it with the chunks of the object behind it."""
    if not request.content_type.startswith("multipart/"):
        raise invalid("A multipart upload needs a multipart/related body.")
    try:
        reader = MultipartReader(request.headers, request.content)
        first = await reader.next()
        metadata = json.loads(await first.read()) if isinstance(first, BodyPartReader) else None
        media = await reader.next()
    except ValueError as error:
        raise invalid(f"The multipart body cannot be read: {error}") from error
    if not isinstance(metadata, dict) or not isinstance(media, BodyPartReader):
        raise invalid("A multipart upload has two parts: a JSON object and the object's bytes.")
    metadata.setdefault("contentType", media.headers.get("Content-Type", _DEFAULT_TYPE))
    return metadata, _chunks_of(media)


async def _chunks_of(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(PIECE_BYTES):
        yield bytes(chunk)
