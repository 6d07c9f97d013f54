"""Who may do what on a local cloud: nobody asks until a table is laid down, and from then on every call is asked for.

The table is data: identity → its grants, each some permissions on some resources. A caller is whom its token names; one
that the table does not know may do nothing, and a call that needs a permission nobody documents is refused to all. The
refusals are Google's, each API's in its own form. An upload's session is its own key, as with Cloud Storage.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tenantctl.localcloud.object_refusals import Refusal
from tenantctl.localcloud.permission_calls import ANYWHERE, needed
from tenantctl.localcloud.sqladmin_calls import identity_of, login_of

OVERWRITE: Final = "storage.objects.delete"  # what the place of a live object can only be taken with
LOGIN: Final = "cloudsql.instances.login"

_may_overwrite: ContextVar[bool] = ContextVar("may_overwrite", default=True)


@dataclass(frozen=True)
class Grant:
    """Permissions on resources; both may have wildcards, and `*` alone is everything."""

    permissions: tuple[str, ...]
    resources: tuple[str, ...]

    def gives(self, permission: str, resource: str) -> bool:
        """Whether it gives this permission on that resource."""
        there = resource == ANYWHERE or any(fnmatch.fnmatchcase(resource, one) for one in self.resources)
        return there and any(fnmatch.fnmatchcase(permission, one) for one in self.permissions)


Table: TypeAlias = Mapping[str, Sequence[Grant]]


class Permissions:
    """The table in force, shared by all interfaces; None while everybody may do everything."""

    def __init__(self) -> None:
        self.table: Table | None = None

    def lay_down(self, document: Mapping[str, Any] | None) -> None:
        """Take a table as JSON has it: identity → list of `{"permissions": [...], "resources": [...]}`.

        Raises:
            KeyError: a grant lacks one of the two.
        """
        self.table = document and {
            email: tuple(Grant(tuple(one["permissions"]), tuple(one["resources"])) for one in grants)
            for email, grants in document.items()
        }

    def allows(self, email: str | None, permission: str, resource: str) -> bool:
        """Whether an identity may."""
        if self.table is None:
            return True
        return any(grant.gives(permission, resource) for grant in self.table.get(email or "", ()))

    def allows_login(self, login: str, instance: str) -> bool:
        """Whether the identity that a database login is of may log in; a service account's login is shortened."""
        if self.table is None:
            return True
        known = [email for email in self.table if login_of(email) == login]
        return any(self.allows(email, LOGIN, f"instances/{instance}") for email in known)


def permission_middleware(permissions: Permissions, api: str) -> Middleware:
    """Make the middleware that asks for each call of one interface whether its caller may."""

    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        if permissions.table is None:
            return await handler(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        email = identity_of(token) if scheme == "Bearer" else None
        if api == "storage" and "upload_id" in request.query:
            wanted: list[tuple[str, str]] = []
        else:
            wanted = list(needed(api, request.method, request.rel_url.raw_path, request.query))
            if not wanted:
                return _refused(api, email, "an unknown permission", request.path)
        for permission, resource in wanted:
            if not permissions.allows(email, permission, resource):
                return _refused(api, email, permission, resource)
        bucket = request.match_info.get("target_bucket") or request.match_info.get("bucket")
        before = _may_overwrite.set(permissions.allows(email, OVERWRITE, f"buckets/{bucket}"))
        try:
            return await handler(request)
        finally:
            _may_overwrite.reset(before)

    return ask


def refuse_overwriting(bucket: str) -> None:
    """Return if the caller of this request may take the place of a live object.

    Raises:
        Refusal: 403, it may only make new ones.
    """
    if not _may_overwrite.get():
        raise Refusal(403, "forbidden", f"Permission '{OVERWRITE}' denied on resource '{bucket}'.")


def _refused(api: str, email: str | None, permission: str, resource: str) -> web.Response:
    denied = f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
    error: dict[str, Any] = {"code": 403, "message": f"{email or 'Anonymous caller'}: {denied}"}
    if api == "kms":
        error["status"] = "PERMISSION_DENIED"
    else:
        reason = "forbidden" if api == "storage" else "notAuthorized"
        error["errors"] = [{"message": error["message"], "domain": "global", "reason": reason}]
    return web.json_response({"error": error}, status=403)
