"""Faults that the local cloud commits on request, so that a test can show what the program does about them.

A fault names the interface that it strikes, the requests (method and a pattern of the path), how often, and its kind:

- `status`: the request is refused with that status in Google's error shape, before anything looks at it.
- `delay`: everything waits `seconds` of real time before the request is looked at; with `after_bytes` the answer is
  held up after that many bytes of its body instead.
- `drop`: the connection is torn down. With `after_bytes` 0 that happens before the request is looked at. Otherwise, in
  an upload, it happens once that many of the object's bytes have come in. Any other request, and an upload with fewer
  bytes, is carried out in full: then a download breaks off after that many bytes, at the last one at the latest, and
  any other answer is never sent. So a large `after_bytes` means: the work is done, and the client does not learn of it.
- `truncate`: the answer's body ends after `after_bytes` bytes, although Content-Length promised more.
- `corrupt`: one bit of the byte at offset `after_bytes` is wrong. In an upload it is the object's byte on its way into
  the store, otherwise the answer's. Checksums must catch it. A body that is shorter has its last byte harmed, where the
  length is known, and is otherwise left whole.

The middleware does all of this for answers held in memory. A streaming endpoint passes its chunks through
`incoming_chunks` and `outgoing_chunks`, which do the same without holding a body. Faults live in memory: a restart
forgets them, and that is meant.
"""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import unquote_plus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Api: TypeAlias = Literal["storage", "sqladmin", "kms"]
Kind: TypeAlias = Literal["status", "drop", "delay", "truncate", "corrupt"]

_REASONS: Final = {
    400: "badRequest",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    408: "requestTimeout",
    409: "conflict",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "internalError",
    502: "badGateway",
    503: "backendError",
    504: "gatewayTimeout",
}
_REASONS_OF_API: Final = {("sqladmin", 409): "operationInProgress"}  # one operation at a time on an instance


@dataclass(frozen=True)
class Fault:
    """One way to fail, and whom it strikes; the module says what each kind does.

    Attributes:
        api: The interface: `storage`, `sqladmin` or `kms`.
        kind: What goes wrong.
        method: The HTTP method, in capitals; None strikes all.
        path: A regular expression searched for in the decoded path, which ends with `?` and the query if there is one.
        times: How many requests are struck; None strikes until the fault is cleared.
        status: The HTTP status of kind `status`, 400 to 599.
        seconds: The length of a `delay`, in real seconds.
        after_bytes: Where in a body the fault strikes.
        id: Its name; the registry gives one if it is blank.
    """

    api: Api
    kind: Kind
    method: str | None = None
    path: str = ".*"
    times: int | None = None
    status: int = 503
    seconds: float = 0.0
    after_bytes: int = 0
    id: str = ""

    def __post_init__(self) -> None:
        """Refuse what would silently never strike.

        Raises:
            ValueError: A value is outside its range; the message names it.
        """
        if self.api not in get_args(Api):
            raise ValueError(f"A fault's api is one of {', '.join(get_args(Api))}, not {self.api!r}.")
        if self.kind not in get_args(Kind):
            raise ValueError(f"A fault's kind is one of {', '.join(get_args(Kind))}, not {self.kind!r}.")
        if self.method is not None and self.method != self.method.upper():
            raise ValueError(f"A fault's method is written in capitals, not {self.method!r}.")
        if self.times is not None and self.times < 1:
            raise ValueError(f"A fault strikes at least once, not {self.times} times.")
        if not 400 <= self.status <= 599:
            raise ValueError(f"A fault's status lies between 400 and 599, not at {self.status}.")
        if self.seconds < 0 or self.after_bytes < 0:
            raise ValueError("A fault's seconds and after_bytes are not negative.")
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"A fault's path is a regular expression; {self.path!r} is none: {error}.") from error

    def strikes(self, api: str, method: str, path: str) -> bool:
        """Say whether this request is one of those meant."""
        return self.api == api and self.method in (None, method) and re.search(self.path, path) is not None

    def to_json(self) -> dict[str, Any]:
        """Return the fault as plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Fault":
        """Read a fault from plain data.

        Raises:
            ValueError: A key is unknown or missing, or a value has the wrong type or range.
        """
        unknown = set(document) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"A fault has no {', '.join(sorted(unknown))}.")
        if not {"api", "kind"} <= set(document):
            raise ValueError("A fault needs at least its api and its kind.")
        try:
            return cls(**document)
        except TypeError as error:
            raise ValueError(f"A fault's value has the wrong type: {error}.") from error


class Faults:
    """The faults that are waiting to strike, in the order in which they were added."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults: dict[str, Fault] = {}
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> str:
        """Take up a fault and return its id; an id that is already known is replaced."""
        identifier = fault.id or f"fault-{secrets.token_hex(4)}"
        self._faults[identifier] = replace(fault, id=identifier)
        return identifier

    def clear(self, identifier: str | None = None) -> int:
        """Forget one fault, or all without an id; return how many were forgotten."""
        if identifier is None:
            cleared, self._faults = len(self._faults), {}
            return cleared
        return 0 if self._faults.pop(identifier, None) is None else 1

    def list(self) -> tuple[Fault, ...]:
        """The faults still waiting, each with the times that it will still strike."""
        return tuple(self._faults.values())

    def take(self, api: str, method: str, path: str) -> Fault | None:
        """Return the first fault that strikes this request, and count it down."""
        for fault in self._faults.values():
            if not fault.strikes(api, method, path):
                continue
            if fault.times is not None:
                if fault.times == 1:
                    del self._faults[fault.id]
                else:
                    self._faults[fault.id] = replace(fault, times=fault.times - 1)
            return fault
        return None

    def to_json(self) -> str:
        """Write the waiting faults as a JSON list."""
        return json.dumps([fault.to_json() for fault in self.list()])

    @classmethod
    def from_json(cls, text: str) -> "Faults":
        """Read what `to_json` wrote.

        Raises:
            ValueError: The text is not a JSON list of faults.
        """
        documents = json.loads(text)
        if not isinstance(documents, list) or not all(isinstance(document, dict) for document in documents):
            raise ValueError("Faults are written as a JSON list of objects.")
        return cls(Fault.from_json(document) for document in documents)


class _ConnectionEnded(Exception):
    """The fault has ended the connection: nothing more can be read from it or said on it."""


class _Strike:
    """A fault at work on one request, with the bytes of the object that have come in so far."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.incoming = 0
        self.applied = False


_STRIKE: Final = web.RequestKey("tenantctl_fault", _Strike)


def fault_middleware(faults: Faults, api: Api) -> Middleware:
    """Make the middleware that lets the faults of one interface strike its requests; it stands before all others."""

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        subject = request.path + (f"?{unquote_plus(request.query_string)}" if request.query_string else "")
        fault = faults.take(api, request.method, subject)
        if fault is None:
            return await handler(request)
        if fault.kind == "status":
            return _refusal(fault)
        if fault.kind == "delay" and not fault.after_bytes:
            await asyncio.sleep(fault.seconds)
            return await handler(request)
        request[_STRIKE] = _Strike(fault)
        try:
            if fault.kind == "drop" and not fault.after_bytes:
                _tear_down(request)
            response = await handler(request)
            if isinstance(response, web.Response) and not response.prepared:
                return await _send_struck(request, response)
        except _ConnectionEnded:
            return web.Response(status=500)  # goes nowhere: the server notices that the connection has ended
        return response

    return strike


async def incoming_chunks(request: web.Request, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass the chunks of an upload's object on into the store, with the request's fault, if it strikes uploads."""
    strike = request.get(_STRIKE)
    async for chunk in chunks:
        if strike is None or strike.fault.kind not in ("drop", "corrupt"):
            yield chunk
            continue
        before, strike.incoming = strike.incoming, strike.incoming + len(chunk)
        if strike.fault.kind == "drop" and strike.incoming >= strike.fault.after_bytes:
            yield chunk[: strike.fault.after_bytes - before]
            _tear_down(request)
        if strike.fault.kind == "corrupt" and not strike.applied and strike.incoming > strike.fault.after_bytes:
            strike.applied = True
            yield _harmed(chunk, strike.fault.after_bytes - before)
            continue
        yield chunk


async def outgoing_chunks(request: web.Request, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass the chunks of an answer's body on to the client, with the request's fault, if it strikes answers."""
    strike = request.get(_STRIKE)
    fault = None if strike is None else strike.fault
    withheld, sent = b"", 0
    async for fresh in chunks:
        chunk = fresh
        if strike is None or fault is None or strike.applied:
            yield chunk
            continue
        if fault.kind == "drop":  # the last byte never goes out, so that no client takes the answer for complete
            chunk, withheld = (withheld + chunk)[:-1], chunk[-1:]
        limit = max(0, fault.after_bytes - strike.incoming) - sent
        sent += len(chunk)
        if len(chunk) <= limit:
            yield chunk
        elif fault.kind == "corrupt":
            strike.applied = True
            yield _harmed(chunk, limit)
        else:
            yield chunk[:limit]
            if fault.kind != "delay":
                _end(request, fault)
            strike.applied = True
            await asyncio.sleep(fault.seconds)
            yield chunk[limit:]
    if fault is not None and fault.kind == "drop":
        _tear_down(request)


async def _send_struck(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send an answer that lies in memory the way a streamed one goes out, so that one rule serves both."""
    strike = request[_STRIKE]
    if strike.fault.kind == "drop":
        _tear_down(request)
    body = response.body if isinstance(response.body, bytes) else b""
    if not body:
        return response
    if strike.fault.kind == "corrupt":
        response.body = body if strike.applied else _harmed(body, min(strike.fault.after_bytes, len(body) - 1))
        return response
    streamed = web.StreamResponse(status=response.status, reason=response.reason, headers=response.headers)
    streamed.content_length = len(body)
    await streamed.prepare(request)

    async def whole() -> AsyncIterator[bytes]:
        yield body

    async for chunk in outgoing_chunks(request, whole()):
        await streamed.write(chunk)
    await streamed.write_eof()
    return streamed


def _end(request: web.Request, fault: Fault) -> None:
    """End the connection after what has been written: torn down by `drop`, closed in good order by `truncate`."""
    if fault.kind == "drop":
        _tear_down(request)
    if request.transport is not None:
        request.transport.close()
    raise _ConnectionEnded


def _tear_down(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
    raise _ConnectionEnded


def _harmed(chunk: bytes, position: int) -> bytes:
    return chunk[:position] + bytes([chunk[position] ^ 0x01]) + chunk[position + 1 :]


def _refusal(fault: Fault) -> web.Response:
    usual = _REASONS.get(fault.status, "backendError" if fault.status >= 500 else "badRequest")
    reason = _REASONS_OF_API.get((fault.api, fault.status), usual)
    message = f"The local cloud answers {fault.status} because it was asked to ({fault.id})."
    detail = {"message": message, "domain": "global", "reason": reason}
    document = {"error": {"code": fault.status, "message": message, "errors": [detail]}}
    return web.json_response(document, status=fault.status)
