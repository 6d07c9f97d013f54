"""The refusals of the object store, each with the status, reason and JSON shape that Cloud Storage gives it.

Rules raise a `Refusal`; the middleware turns it into an answer. Clients tell refusals apart by status and reason, never
by message, so the two are fixed here, once. Where Google's documentation and its service differ, this is the service:
a held object is refused as `forbidden` (documented: `objectUnderActiveHold`), and so is a shortened locked policy.
"""

import json
from datetime import datetime
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler


class Refusal(Exception):
    """A request that is answered with an error.

    Attributes:
        status: The HTTP status.
        reason: Google's word for it, such as `conditionNotMet`.
        message: One sentence.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = headers or {}

    def document(self) -> dict[str, Any]:
        """Return the answer's body."""
        detail: dict[str, Any] = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.reason == "conditionNotMet":
            detail |= {"locationType": "header", "location": "If-Match"}
        return {"error": {"code": self.status, "message": self.message, "errors": [detail]}}


def invalid(message: str) -> Refusal:
    """The request makes no sense as it stands: 400 `invalid`."""
    return Refusal(400, "invalid", message)


def required(parameter: str) -> Refusal:
    """A parameter that must be there is missing: 400 `required`."""
    return Refusal(400, "required", f"Required parameter: {parameter}")


def not_emulated(what: str) -> Refusal:
    """The real service can do it and the local cloud cannot: 501, never a silent yes."""
    return Refusal(501, "notImplemented", f"The local cloud does not emulate {what}.")


def no_such_bucket() -> Refusal:
    """The bucket does not exist: 404 `notFound`."""
    return Refusal(404, "notFound", "The specified bucket does not exist.")


def no_such_object(bucket: str, name: str) -> Refusal:
    """The object, or the version asked for, does not exist: 404 `notFound`."""
    return Refusal(404, "notFound", f"No such object: {bucket}/{name}")


def condition_not_met() -> Refusal:
    """A precondition does not hold: 412 `conditionNotMet`."""
    return Refusal(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


def not_modified() -> Refusal:
    """A read asked for anything but what there is: 304, without a body."""
    return Refusal(304, "notModified", "Not Modified")


def retained(bucket: str, name: str, until: datetime) -> Refusal:
    """A retention policy or configuration keeps the object: 403 `retentionPolicyNotMet`."""
    return Refusal(
        403,
        "retentionPolicyNotMet",
        f"Object '{bucket}/{name}' is subject to bucket's retention policy or object retention "
        f"and cannot be deleted or overwritten until {until.isoformat()}",
    )


def held(bucket: str, name: str, kind: str) -> Refusal:
    """A hold keeps the object: 403 `forbidden`."""
    return forbidden(
        f"Object '{bucket}/{name}' is under active {kind} hold and cannot be deleted, overwritten or archived "
        "until hold is removed."
    )


def forbidden(message: str) -> Refusal:
    """The object or bucket is protected against this change: 403 `forbidden`."""
    return Refusal(403, "forbidden", message)


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals, and what aiohttp itself refuses, into Google's JSON errors; a client that is gone gets none."""
    try:
        return await handler(request)
    except Refusal as refusal:
        if refusal.status == 304:
            return web.Response(status=304, headers=refusal.headers)
        return web.json_response(refusal.document(), status=refusal.status, headers=refusal.headers)
    except web.HTTPError as error:
        document = _of_framework(request, error).document()
        return web.json_response(document, status=document["error"]["code"])
    except ConnectionError:
        return web.Response(status=499)  # goes nowhere
    except json.JSONDecodeError as error:
        return web.json_response(Refusal(400, "parseError", f"Parse Error: {error}").document(), status=400)


def _of_framework(request: web.Request, error: web.HTTPError) -> Refusal:
    if error.status in (404, 405):
        return not_emulated(f"{request.method} {request.path}")
    return Refusal(error.status, "badRequest", error.reason)
