"""The endpoints of single objects: get, patch, update, delete, copy, rewrite, compose and restore."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from tenantctl.localcloud.object_actions import (
    Address,
    Content,
    change_object,
    copy_object,
    delete_object,
    find_object,
    find_soft_deleted,
    place_object,
    restore_object,
)
from tenantctl.localcloud.object_conditions import Preconditions, whole_number
from tenantctl.localcloud.object_context import STORE, address_of, flag, json_body, object_resource
from tenantctl.localcloud.object_downloads import send_bytes
from tenantctl.localcloud.object_metadata import Transaction, Version
from tenantctl.localcloud.object_refusals import invalid, not_emulated
from tenantctl.localcloud.object_rules import Document

_MOST_COMPONENTS: Final = 32


async def get_object(request: web.Request) -> web.StreamResponse:
    """Show an object's metadata, or with `alt=media` send its bytes."""
    address, conditions = address_of(request), Preconditions.from_query(request.query)
    soft_deleted = flag(request, "softDeleted")

    def find(rows: Transaction, _: datetime) -> tuple[Version, Document]:
        found = find_soft_deleted(rows, address) if soft_deleted else find_object(rows, address)
        return found, rows.bucket(address.bucket)

    version, bucket = await request.app[STORE].run(find)
    conditions.check_read(version.generation, version.metageneration)
    if request.query.get("alt") != "media":
        return web.json_response(object_resource(request, version, bucket))
    if soft_deleted:
        raise invalid("A soft-deleted object is restored before it is read.")
    return await send_bytes(request, version)


async def change_metadata(request: web.Request) -> web.Response:
    """Patch or update an object's metadata."""
    address, conditions = address_of(request), Preconditions.from_query(request.query)
    change, replace_all = await json_body(request), request.method == "PUT"
    unlock = flag(request, "overrideUnlockedRetention")
    return await _answer(
        request,
        lambda rows, now: change_object(
            rows, address, change, conditions=conditions, now=now, replace_all=replace_all, unlock=unlock
        ),
    )


async def remove_object(request: web.Request) -> web.Response:
    """Delete an object."""
    address, conditions = address_of(request), Preconditions.from_query(request.query)
    await request.app[STORE].run(lambda rows, now: delete_object(rows, address, conditions=conditions, now=now))
    return web.Response(status=204)


async def restore(request: web.Request) -> web.Response:
    """Bring a soft-deleted object back, as a new one."""
    address, conditions = address_of(request), Preconditions.from_query(request.query)
    return await _answer(request, lambda rows, now: restore_object(rows, address, conditions=conditions, now=now))


async def copy(request: web.Request) -> web.Response:
    """Copy an object."""
    return await _answer(request, await _copying(request))


async def rewrite(request: web.Request) -> web.Response:
    """Copy an object, with the answer of a rewrite; it is always done in one step."""
    copied, resource = await _carried_out(request, await _copying(request))
    answer = {"kind": "storage#rewriteResponse", "done": True, "resource": resource}
    size = str(copied.size)
    return web.json_response({**answer, "objectSize": size, "totalBytesRewritten": size})


async def compose(request: web.Request) -> web.Response:
    """Make one object of the bytes of up to 32 others in the same bucket."""
    body, conditions = await json_body(request), Preconditions.from_query(request.query)
    if body.get("deleteSourceObjects"):
        raise not_emulated("compose with deleteSourceObjects")
    parts = body.get("sourceObjects") or []
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise invalid("The sourceObjects of a composition are a list of objects.")
    if not 0 < len(parts) <= _MOST_COMPONENTS:
        raise invalid(f"The number of source components lies between 1 and {_MOST_COMPONENTS}.")
    bucket, store = request.match_info["bucket"], request.app[STORE]
    address = Address(bucket, request.match_info["object"])
    sources = await store.run(lambda rows, _: [_component(rows, bucket, part) for part in parts])
    file = store.bytes.new_file()
    try:
        digest = await asyncio.to_thread(store.bytes.join, [source.file for source in sources], file)
        components = sum(source.document.get("componentCount", 1) for source in sources)
        content = Content.of_digest(file, digest, components=components)
        metadata = body.get("destination") or {}
        metadata.setdefault("contentType", sources[0].document.get("contentType"))
        return await _answer(
            request, lambda rows, now: place_object(rows, address, content, metadata, conditions=conditions, now=now)
        )
    except BaseException:
        await store.metadata.run(lambda rows: rows.release(file))
        raise


def _component(rows: Transaction, bucket: str, part: Mapping[str, Any]) -> Version:
    generation = part.get("generation")
    number = None if generation is None else whole_number(str(generation), "generation")
    version = find_object(rows, Address(bucket, str(part.get("name")), number))
    query = {key: str(value) for key, value in (part.get("objectPreconditions") or {}).items()}
    Preconditions.from_query(query).check(version.generation, version.metageneration)
    return version


async def _copying(request: web.Request) -> Any:
    """Read a request to copy, and return the piece of work that does it."""
    metadata, query = await json_body(request), request.query
    generation = query.get("sourceGeneration")
    number = None if generation is None else whole_number(generation, "sourceGeneration")
    source_address = Address(request.match_info["bucket"], request.match_info["object"], number)
    target = Address(request.match_info["target_bucket"], request.match_info["target_object"])
    conditions, source_conditions = Preconditions.from_query(query), Preconditions.from_query(query, source=True)

    def copying(rows: Transaction, now: datetime) -> Version:
        source = find_object(rows, source_address)
        source_conditions.check(source.generation, source.metageneration)
        return copy_object(rows, source, target, metadata, conditions=conditions, now=now)

    return copying


async def _carried_out(request: web.Request, work: Any) -> tuple[Version, Document]:
    def carry_out(rows: Transaction, now: datetime) -> tuple[Version, Document]:
        version: Version = work(rows, now)
        return version, object_resource(request, version, rows.bucket(version.bucket))

    return await request.app[STORE].run(carry_out)


async def _answer(request: web.Request, work: Any) -> web.Response:
    return web.json_response((await _carried_out(request, work))[1])
