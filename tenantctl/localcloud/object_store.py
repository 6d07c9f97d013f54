"""The object store of the local cloud: Cloud Storage's JSON API, with retention that is really enforced.

The unmodified client works against it, on any host and port. What is acknowledged survives kill -9; memory stays flat
whatever the size of an object. Times are those of the local cloud's clock. Lifecycle rules act only when
`run_lifecycle` is called, and late, as in the real service. What the local cloud does not emulate is refused with 501,
never accepted in silence.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.faults import Faults, fault_middleware
from tenantctl.localcloud.object_actions import lose_versions, purge_soft_deleted, sweep_lifecycle
from tenantctl.localcloud.object_buckets import (
    change_bucket,
    delete_bucket,
    get_bucket,
    insert_bucket,
    list_buckets,
    lock_retention_policy,
    test_permissions,
)
from tenantctl.localcloud.object_context import STORE, StoreContext
from tenantctl.localcloud.object_listing import list_objects
from tenantctl.localcloud.object_objects import (
    change_metadata,
    compose,
    copy,
    get_object,
    remove_object,
    restore,
    rewrite,
)
from tenantctl.localcloud.object_refusals import answer_refusals, not_emulated
from tenantctl.localcloud.object_resumable import begin_upload, cancel_upload, feed_upload
from tenantctl.localcloud.object_uploads import upload_at_once
from tenantctl.localcloud.permissions import Permissions, permission_middleware

LIFECYCLE_LAG: Final = timedelta(hours=36)
_LARGEST_DOCUMENT_BYTES: Final = 4 << 20
_BUCKET: Final = "/storage/v1/b/{bucket}"
_OBJECT: Final = _BUCKET + "/o/{object:[^/]+}"
_TARGET: Final = "/b/{target_bucket}/o/{target_object:[^/]+}"
_UPLOAD: Final = "/upload" + _BUCKET + "/o"


def object_store(
    root: Path,
    clock: LocalClock,
    faults: Faults,
    *,
    lifecycle_lag: timedelta = LIFECYCLE_LAG,
    permissions: Permissions | None = None,
) -> web.Application:
    """Make the application that serves the buckets kept in a folder.

    Args:
        root: The folder, made if need be; one application at a time works on it.
        clock: Where all times come from.
        faults: The faults that strike its requests.
        lifecycle_lag: How late lifecycle rules act.
        permissions: Who may do what; by default everybody everything.
    """
    asked = permission_middleware(permissions or Permissions(), "storage")
    app = web.Application(
        middlewares=[fault_middleware(faults, "storage"), asked, answer_refusals],
        client_max_size=_LARGEST_DOCUMENT_BYTES,
    )

    store = app[STORE] = StoreContext.open(root, clock, lifecycle_lag)

    async def keep_open(_: web.Application) -> AsyncIterator[None]:
        store.bytes.sweep(await store.metadata.run(lambda rows: rows.files()))
        yield
        store.metadata.close()

    app.cleanup_ctx.append(keep_open)
    app.router.add_routes(
        [
            web.get("/storage/v1/b", list_buckets),
            web.post("/storage/v1/b", insert_bucket),
            web.get(_BUCKET, get_bucket),
            web.patch(_BUCKET, change_bucket),
            web.put(_BUCKET, change_bucket),
            web.delete(_BUCKET, delete_bucket),
            web.post(_BUCKET + "/lockRetentionPolicy", lock_retention_policy),
            web.get(_BUCKET + "/iam/testPermissions", test_permissions),
            web.get(_BUCKET + "/o", list_objects),
            web.get(_OBJECT, get_object),
            web.patch(_OBJECT, change_metadata),
            web.put(_OBJECT, change_metadata),
            web.delete(_OBJECT, remove_object),
            web.post(_OBJECT + "/restore", restore),
            web.post(_OBJECT + "/compose", compose),
            web.post(_OBJECT + "/rewriteTo" + _TARGET, rewrite),
            web.post(_OBJECT + "/copyTo" + _TARGET, copy),
            web.get("/download" + _OBJECT, get_object),
            web.post(_UPLOAD, _upload),
            web.put(_UPLOAD, feed_upload),
            web.delete(_UPLOAD, cancel_upload),
        ]
    )
    return app


async def run_lifecycle(app: web.Application) -> int:
    """Do what the buckets' lifecycle rules say is due, and purge what was soft-deleted long enough ago.

    Each bucket is one transaction, so that requests get their turn in between.

    Returns:
        How many versions were deleted or purged.
    """
    store = app[STORE]
    buckets = await store.metadata.run(lambda rows: [bucket["name"] for bucket in rows.buckets()])
    gone = 0
    for name in buckets:
        gone += await store.run(partial(sweep_lifecycle, bucket_name=name, lag=store.lifecycle_lag))
    return gone + await store.run(purge_soft_deleted)


async def lose_object(app: web.Application, bucket: str, name: str) -> bool:
    """Lose an object in spite of all retention, as a disaster would; no request of the API can do this.

    Returns:
        Whether there was anything to lose.
    """
    return await app[STORE].metadata.run(lambda rows: lose_versions(rows, bucket, name))


async def _upload(request: web.Request) -> web.StreamResponse:
    kind = request.query.get("uploadType")
    if kind == "resumable":
        return await begin_upload(request)
    if kind in ("media", "multipart"):
        return await upload_at_once(request)
    raise not_emulated(f"the uploadType {kind!r}")
