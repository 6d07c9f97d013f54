"""Downloads: the bytes of an object, whole or one range of them, streamed with the checksums of the whole."""

import re
from typing import BinaryIO, Final

from aiohttp import web

from tenantctl.localcloud.faults import outgoing_chunks
from tenantctl.localcloud.object_bytes import pieces_of
from tenantctl.localcloud.object_context import STORE, etag
from tenantctl.localcloud.object_metadata import Version
from tenantctl.localcloud.object_refusals import Refusal, no_such_object

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def send_bytes(request: web.Request, version: Version) -> web.StreamResponse:
    """Answer with an object's bytes.

    Raises:
        Refusal: 416, the range begins after the end; 404, the object was deleted since it was found.
    """
    try:
        opened = await request.app[STORE].bytes.open(version.file)
    except FileNotFoundError as error:
        raise no_such_object(version.bucket, version.name) from error
    with opened:
        return await _send(request, version, opened)


async def _send(request: web.Request, version: Version, opened: BinaryIO) -> web.StreamResponse:
    start, length = wanted_range(request.headers.get("Range"), version.size)
    partial = "Range" in request.headers and _RANGE.fullmatch(request.headers["Range"]) is not None
    response = web.StreamResponse(status=206 if partial else 200, headers=_headers(version))
    response.content_length = length
    if partial:
        response.headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{version.size}"
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in outgoing_chunks(request, pieces_of(opened, start, length)):
            await response.write(chunk)
    await response.write_eof()
    return response


def wanted_range(text: str | None, size: int) -> tuple[int, int]:
    """Return the offset and the length that a Range header asks for; one that cannot be read asks for everything.

    Raises:
        Refusal: 416, the range begins after the end.
    """
    found = _RANGE.fullmatch(text) if text is not None else None
    if found is None or found.groups() == ("", ""):
        return 0, size
    first, last = found.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= size or end <= start:
        message = f"The requested range cannot be satisfied: the object has {size} bytes."
        raise Refusal(416, "requestedRangeNotSatisfiable", message, {"Content-Range": f"bytes */{size}"})
    return start, end - start


def _headers(version: Version) -> dict[str, str]:
    document = version.document
    hashes = [("crc32c", document.get("crc32c")), ("md5", document.get("md5Hash"))]
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Type": document.get("contentType", "application/octet-stream"),
        "ETag": f'"{etag(version.generation, version.metageneration)}"',
        "X-Goog-Generation": str(version.generation),
        "X-Goog-Hash": ",".join(f"{kind}={value}" for kind, value in hashes if value),
        "X-Goog-Metageneration": str(version.metageneration),
        "X-Goog-Storage-Class": document["storageClass"],
        "X-Goog-Stored-Content-Encoding": document.get("contentEncoding", "identity"),
        "X-Goog-Stored-Content-Length": str(version.size),
    }
    for name in ("cacheControl", "contentDisposition", "contentEncoding", "contentLanguage"):
        if document.get(name):
            headers[re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).title()] = document[name]
    return headers
