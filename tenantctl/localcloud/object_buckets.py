"""The endpoints of buckets: insert, get, list, patch, update, delete, and the lock that nothing undoes."""

from collections.abc import Mapping
from datetime import datetime

from aiohttp import web

from tenantctl.localcloud.object_bucket_rules import changed_bucket, locked_bucket, new_bucket
from tenantctl.localcloud.object_conditions import Preconditions, whole_number
from tenantctl.localcloud.object_context import STORE, bucket_resource, flag, json_body
from tenantctl.localcloud.object_metadata import Transaction
from tenantctl.localcloud.object_refusals import Refusal, required
from tenantctl.localcloud.object_rules import Document

_LARGEST_PAGE = 1000


async def insert_bucket(request: web.Request) -> web.Response:
    """Make a bucket; names are unique in the whole local cloud."""
    project = request.query.get("project")
    if not project:
        raise required("project")
    asked, object_retention = await json_body(request), flag(request, "enableObjectRetention")

    def insert(rows: Transaction, now: datetime) -> Document:
        document = new_bucket(asked, now, object_retention=object_retention)
        if rows.find_bucket(document["name"]) is not None:
            raise Refusal(409, "conflict", "The requested bucket name is not available: it is in use.")
        document["generation"] = str(rows.next_generation(now))
        rows.add_bucket(project, document)
        return document

    return web.json_response(bucket_resource(request, await request.app[STORE].run(insert)))


async def get_bucket(request: web.Request) -> web.Response:
    """Show a bucket."""
    conditions = Preconditions.from_query(request.query)
    document = await request.app[STORE].run(lambda rows, _: rows.bucket(request.match_info["bucket"]))
    conditions.check_read(int(document["generation"]), int(document["metageneration"]))
    return web.json_response(bucket_resource(request, document))


async def list_buckets(request: web.Request) -> web.Response:
    """List the buckets of a project, page by page."""
    project, prefix = request.query.get("project"), request.query.get("prefix", "")
    if not project:
        raise required("project")
    after = request.query.get("pageToken", "")
    limit = whole_number(request.query.get("maxResults", str(_LARGEST_PAGE)), "maxResults") or _LARGEST_PAGE
    if flag(request, "softDeleted"):
        return web.json_response({"kind": "storage#buckets"})
    found = await request.app[STORE].run(lambda rows, _: rows.buckets(project=project, prefix=prefix))
    rest = [document for document in found if document["name"] > after]
    page = rest[: min(limit, _LARGEST_PAGE)]
    answer: Document = {"kind": "storage#buckets"}
    if page:
        answer["items"] = [bucket_resource(request, document) for document in page]
    if len(page) < len(rest):
        answer["nextPageToken"] = page[-1]["name"]
    return web.json_response(answer)


async def change_bucket(request: web.Request) -> web.Response:
    """Patch or update a bucket's settings."""
    change, replace = await json_body(request), request.method == "PUT"

    def apply(rows: Transaction, now: datetime) -> Document:
        document = changed_bucket(_checked_bucket(rows, request), change, now, replace=replace)
        rows.save_bucket(document)
        return document

    return web.json_response(bucket_resource(request, await request.app[STORE].run(apply)))


async def delete_bucket(request: web.Request) -> web.Response:
    """Delete an empty bucket.

    The real service keeps the bucket and what was soft-deleted in it for the rest of the soft delete duration; here
    both go at once.
    """

    def delete(rows: Transaction, _: datetime) -> None:
        document = _checked_bucket(rows, request)
        if not rows.is_empty(document["name"]):
            raise Refusal(409, "conflict", "The bucket you tried to delete is not empty.")
        rows.drop_bucket(document["name"])

    await request.app[STORE].run(delete)
    return web.Response(status=204)


async def lock_retention_policy(request: web.Request) -> web.Response:
    """Lock a bucket's retention policy for good; the caller must name the metageneration that it has seen."""
    if "ifMetagenerationMatch" not in request.query:
        raise required("ifMetagenerationMatch")

    def lock(rows: Transaction, now: datetime) -> Document:
        document = locked_bucket(_checked_bucket(rows, request), now)
        rows.save_bucket(document)
        return document

    return web.json_response(bucket_resource(request, await request.app[STORE].run(lock)))


async def test_permissions(request: web.Request) -> web.Response:
    """Say that the caller may do everything: the local cloud knows no permissions."""
    await request.app[STORE].run(lambda rows, _: rows.bucket(request.match_info["bucket"]))
    permissions = request.query.getall("permissions", [])
    return web.json_response({"kind": "storage#testIamPermissionsResponse", "permissions": permissions})


def _checked_bucket(rows: Transaction, request: web.Request) -> Document:
    query: Mapping[str, str] = request.query
    document = rows.bucket(request.match_info["bucket"])
    Preconditions.from_query(query).check(int(document["generation"]), int(document["metageneration"]))
    return document
