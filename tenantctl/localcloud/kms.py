"""Cloud KMS on loopback, as far as a client needs it that wraps keys or signs: keys, their versions, and their end.

Encryption is real (AES-256-GCM), bound to the key and to the additional authenticated data, and so are signatures
(Ed25519), with the checksums that Cloud KMS takes and gives. Times are the local clock's: rotation and scheduled
destruction happen when they are due. What the local cloud does not emulate is refused with 501, never accepted in
silence. Whoever can reach the port may use every key, unless a table of permissions says who may wrap and who unwrap.
"""

import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.faults import Faults, fault_middleware
from tenantctl.localcloud.kms_keys import (
    change_key,
    change_version,
    create_key,
    create_ring,
    create_version,
    destroy_version,
    get_key,
    get_ring,
    get_version,
    list_keys,
    list_rings,
    list_versions,
    restore_version,
    update_primary,
)
from tenantctl.localcloud.kms_records import KmsRecords
from tenantctl.localcloud.kms_refusals import KmsRefusal, invalid, not_emulated
from tenantctl.localcloud.kms_sealing import decrypt, encrypt
from tenantctl.localcloud.kms_signing import asymmetric_sign, get_public_key
from tenantctl.localcloud.loopback import loopback_middleware
from tenantctl.localcloud.permissions import Permissions, permission_middleware

_LARGEST_REQUEST: Final = 1 << 20
_LOG: Final = logging.getLogger("tenantctl.localcloud.kms")
_PART: Final = "[a-zA-Z0-9_-]{1,63}"
_RINGS: Final = f"(?P<location>projects/[^/]+/locations/{_PART})/keyRings"
_RING: Final = f"(?P<ring>projects/[^/]+/locations/{_PART}/keyRings/{_PART})"
_KEY: Final = f"(?P<key>projects/[^/]+/locations/{_PART}/keyRings/{_PART}/cryptoKeys/{_PART})"
_VERSION: Final = f"{_KEY}/cryptoKeyVersions/(?P<number>[0-9]{{1,9}})"

Call: TypeAlias = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class _Route:
    verb: str
    path: re.Pattern[str]
    call: Call


def _route(verb: str, path: str, call: Call) -> _Route:
    return _Route(verb, re.compile(f"/v1/{path}"), call)


_ROUTES: Final = (
    _route("POST", _RINGS, create_ring),
    _route("GET", _RINGS, list_rings),
    _route("GET", _RING, get_ring),
    _route("POST", f"{_RING}/cryptoKeys", create_key),
    _route("GET", f"{_RING}/cryptoKeys", list_keys),
    _route("GET", _KEY, get_key),
    _route("PATCH", _KEY, change_key),
    _route("POST", f"{_KEY}:updatePrimaryVersion", update_primary),
    _route("POST", f"{_KEY}:encrypt", encrypt),
    _route("POST", f"{_VERSION}:encrypt", encrypt),
    _route("POST", f"{_KEY}:decrypt", decrypt),
    _route("POST", f"{_KEY}/cryptoKeyVersions", create_version),
    _route("GET", f"{_KEY}/cryptoKeyVersions", list_versions),
    _route("GET", _VERSION, get_version),
    _route("PATCH", _VERSION, change_version),
    _route("GET", f"{_VERSION}/publicKey", get_public_key),
    _route("POST", f"{_VERSION}:asymmetricSign", asymmetric_sign),
    _route("POST", f"{_VERSION}:destroy", destroy_version),
    _route("POST", f"{_VERSION}:restore", restore_version),
)


def kms(root: Path, clock: LocalClock, faults: Faults, *, permissions: Permissions | None = None) -> web.Application:
    """Make the application that serves the keys kept in a folder.

    Args:
        root: the folder, made if need be and closed to others; one application at a time works on it.
        clock: where all times come from.
        faults: those with the api `kms` strike its requests.
        permissions: who may do what; by default everybody everything.
    """
    asked = permission_middleware(permissions or Permissions(), "kms")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    service = _Kms(KmsRecords(root / "kms.sqlite3"), clock.now)
    app = web.Application(
        middlewares=[loopback_middleware(), fault_middleware(faults, "kms"), asked, _answer_refusals],
        client_max_size=_LARGEST_REQUEST,
    )

    async def keep_open(_: web.Application) -> AsyncIterator[None]:
        yield
        service.records.close()

    app.cleanup_ctx.append(keep_open)
    app.router.add_route("*", "/{path:.*}", service.answer)
    return app


class _Kms:
    def __init__(self, records: KmsRecords, now: Callable[[], datetime]) -> None:
        self.records = records
        self._now = now

    async def answer(self, request: web.Request) -> web.Response:
        """Serve one request."""
        text = await request.read()
        for route in _ROUTES:
            found = route.path.fullmatch(request.path) if route.verb == request.method else None
            if found is not None:
                break
        else:
            raise not_emulated(f"{request.method} {request.path}")
        body = json.loads(text) if text.strip() else {}
        if not isinstance(body, dict):
            raise invalid("The request's body is not a JSON object.")
        now = self._now()
        self.records.pass_time(now)
        options = {name: value for name, value in request.query.items() if name not in ("$alt", "alt", "prettyPrint")}
        answer = route.call(self.records, now, body=body, options=options, **found.groupdict())
        return web.json_response(answer)


@web.middleware
async def _answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except KmsRefusal as refusal:
        _LOG.info("%s %s: %s %s", request.method, request.path, refusal.status, refusal.message)
        return web.json_response(refusal.document(), status=refusal.status)
    except web.HTTPRequestEntityTooLarge:
        return web.json_response(invalid("The request is too large.").document(), status=400)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return web.json_response(invalid(f"Invalid JSON payload received: {error}").document(), status=400)
