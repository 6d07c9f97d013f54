"""The application: routes, each with its role; what they do is done by the rooms below.

Everything that is not let in is counted and logged without its token; everything that billing sends is recorded or
kept before it is answered. An answer of the 2xx family is final, 4xx is for Pub/Sub's dead letters, and 503 says that
the same again may go through.
"""

import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from tenantctl import __version__
from tenantctl.adapters.json_log import TRACE, failure, say, trace_of
from tenantctl.billing.request import keep, receive
from tenantctl.billing.standing import standing_of
from tenantctl.entrypoints.service.envelopes import event_of, unwrapped
from tenantctl.entrypoints.service.identity import Denied, Gate, Role
from tenantctl.entrypoints.service.wire import (
    CloudEvent,
    CountsAnswer,
    HealthAnswer,
    NoticeAnswer,
    Problem,
    Push,
    ReceiptAnswer,
    SubscriptionAnswer,
    TenantAnswer,
    schema_of_events,
)
from tenantctl.model.billing import Fault, Receipt, Undeliverable
from tenantctl.model.errors import NotFound, TenantctlError, Transient
from tenantctl.ports.billing import Billing
from tenantctl.ports.decisions import Decisions
from tenantctl.ports.registry import Registry

BODY_BYTES_MAX: Final = 64 * 1024
RETRY_AFTER_SECONDS: Final = "10"
STATUS_OF: Final = {
    Fault.MALFORMED: 400,
    Fault.TOO_LARGE: 413,
    Fault.UNKNOWN_TENANT: 404,
    Fault.CONFLICT: 409,
    Fault.UNKNOWN_TYPE: 422,
    Fault.CARD_DATA: 422,
}
assert set(STATUS_OF) == set(Fault), "each fault has its answer"

log = logging.getLogger("tenantctl.service")
_bearer = HTTPBearer(auto_error=False, description="An OIDC token of a service account on the list.")


@dataclass(frozen=True)
class Desk:
    """What the routes work with."""

    registry: Registry
    decisions: Decisions
    billing: Billing


def create_app(desk: Desk, gate: Gate) -> FastAPI:
    """The service on a desk, behind a gate."""
    app = FastAPI(
        title="tenantctl",
        version=__version__,
        summary="What billing tells of subscriptions, and asks of tenants.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Traced)
    outcomes = _Outcomes()
    _add_answers(app)
    _add_billing(app, desk, gate, outcomes)
    _add_questions(app, desk, gate, outcomes)
    document = app.openapi

    def complete() -> dict[str, Any]:
        """The document with the models of bodies that are read by hand, so that a dead letter can be kept."""
        said = document()
        for model in (CloudEvent, Push):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            said["components"]["schemas"].update({**schema.pop("$defs", {}), model.__name__: schema})
        return said

    app.openapi = complete  # type: ignore[method-assign]
    return app


class Traced:
    """Has whatever is logged of a request name the trace that its caller began."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or whatever else the server speaks of."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        before = TRACE.set(trace_of(headers))
        try:
            await self._app(scope, receive, send)
        finally:
            TRACE.reset(before)


class _Outcomes:
    """What became of events, counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: Counter[str] = Counter()

    def add(self, outcome: str) -> None:
        with self._lock:
            self._counted[outcome] += 1

    def read(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counted)


def admitted_by(gate: Gate, *roles: Role) -> Callable[..., Awaitable[str]]:
    """A dependency that lets in callers with one of these roles, and gives their name."""

    async def admit(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> str:
        return await run_in_threadpool(gate.admit, request.headers.get("Authorization"), *roles)

    return admit


def _add_billing(app: FastAPI, desk: Desk, gate: Gate, outcomes: _Outcomes) -> None:
    @app.post(
        "/v1/billing/events",
        response_model=ReceiptAnswer,
        responses=_problems(400, 401, 403, 404, 409, 413, 422, 503),
        openapi_extra={"requestBody": schema_of_events()},
        dependencies=[Depends(_bearer)],
    )
    async def receive_event(request: Request) -> Response:
        """Record what happened to a subscription; safe to call twice, late, and in the wrong order."""
        body, headers = await _body_of(request), dict(request.headers)

        def admitted_and_received() -> Receipt:  # one thread for both: this route is called far more than all others
            gate.admit(headers.get("authorization"), Role.BILLING)
            return _received(desk.billing, body, headers, outcomes)

        receipt = await run_in_threadpool(admitted_and_received)
        said = {"outcome": receipt.outcome.value, "reason": receipt.reason}
        return JSONResponse({**said, "tenant": receipt.tenant_uid, "missing": receipt.missing})


def _received(billing: Billing, body: bytes, headers: dict[str, str], outcomes: _Outcomes) -> Receipt:
    try:
        if len(body) > BODY_BYTES_MAX:
            refusal = Undeliverable(Fault.TOO_LARGE, f"It is longer than {BODY_BYTES_MAX} bytes.")
            keep(billing, refusal, body.decode("utf-8", errors="replace"))
            raise refusal
        receipt = receive(billing, unwrapped(body, headers), event_of)
    except Undeliverable as refusal:
        outcomes.add(refusal.fault)
        say(log, logging.WARNING, "an event was not understood, and is kept", fault=refusal.fault.value)
        raise
    outcomes.add(receipt.outcome)
    return receipt


def _add_questions(app: FastAPI, desk: Desk, gate: Gate, outcomes: _Outcomes) -> None:
    @app.get(
        "/v1/tenants/{uid}",
        response_model=TenantAnswer,
        responses=_problems(401, 403, 404, 503),
        dependencies=[Depends(admitted_by(gate, Role.BILLING, Role.READER))],
    )
    def tenant(uid: Annotated[str, Path(description="The tenant's uid; names are not taken.")]) -> TenantAnswer:
        """Say how a tenant stands."""
        if not (uid.isascii() and uid.isalnum()):
            raise NotFound("There is no such tenant.")
        standing = standing_of(desk.registry, desk.billing, uid)
        subscriptions = [
            SubscriptionAnswer(
                subscription=head.subscription,
                sequence=head.sequence,
                kind=head.kind,
                leaves_at=head.leaves_at,
                missing=head.missing,
            )
            for head in standing.subscriptions
        ]
        return TenantAnswer(**{**vars(standing), "subscriptions": subscriptions})

    @app.post(
        "/v1/notices/{notice_id}/delivered",
        response_model=NoticeAnswer,
        responses=_problems(401, 403, 404, 503),
        dependencies=[Depends(admitted_by(gate, Role.NOTICES))],
    )
    def delivered(notice_id: Annotated[str, Path(description="The notice's number.")]) -> NoticeAnswer:
        """Record that a customer has been given a notice; again changes nothing."""
        if not (notice_id.isascii() and notice_id.isdigit() and len(notice_id) <= 18):
            raise NotFound("There is no such notice.")
        told = desk.decisions.report_delivered(int(notice_id))
        assert told.delivered_at is not None, "it was just reported"
        return NoticeAnswer(id=told.id, tenant=told.tenant_uid, kind=told.kind, delivered_at=told.delivered_at)

    @app.get(
        "/v1/counts",
        response_model=CountsAnswer,
        responses=_problems(401, 403, 503),
        dependencies=[Depends(admitted_by(gate, Role.READER))],
    )
    def counts() -> CountsAnswer:
        """Say what this process has counted: denied calls by reason, events by outcome."""
        return CountsAnswer(denied=dict(gate.denied), events=outcomes.read())

    @app.get("/health", response_model=HealthAnswer)
    async def health() -> HealthAnswer:
        """Say that the process answers."""
        return HealthAnswer(status="ok")

    @app.get("/ready", response_model=HealthAnswer, responses=_problems(503))
    def ready() -> HealthAnswer:
        """Say whether the registry answers too."""
        desk.registry.now()
        return HealthAnswer(status="ok")


def _add_answers(app: FastAPI) -> None:
    """What each expected failure is answered with."""

    @app.exception_handler(Denied)
    async def denied(request: Request, denial: Denied) -> Response:
        say(log, logging.WARNING, "a call was denied", reason=denial.reason, method=request.method)
        headers = {"WWW-Authenticate": "Bearer"} if denial.status == 401 else None
        return _problem(denial.status, "denied", denial.reason, headers)

    @app.exception_handler(TenantctlError)
    async def failed(_: Request, error: TenantctlError) -> Response:
        match error:
            case Undeliverable():
                return _problem(STATUS_OF[error.fault], error.fault.value, error.sentence)
            case NotFound():
                return _problem(404, "not-found", error.sentence)
        if not isinstance(error, Transient):
            say(log, logging.ERROR, "the registry refuses", **failure(type(error), error.__traceback__))
        return _problem(503, "try-again", "Nothing was recorded.", {"Retry-After": RETRY_AFTER_SECONDS})

    @app.exception_handler(HTTPException)
    async def no_route(_: Request, error: HTTPException) -> Response:
        return _problem(error.status_code, "not-found", str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, __: RequestValidationError) -> Response:
        return _problem(422, Fault.MALFORMED.value, "The request is not as the document says.")


async def _body_of(request: Request) -> bytes:
    """The body, or just more of it than is allowed."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > BODY_BYTES_MAX:
            return bytes(read[: BODY_BYTES_MAX + 1])
    return bytes(read)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    words = {400: "Malformed.", 401: "Not let in.", 403: "Not on the list, or without this role.", 404: "Unknown."}
    words |= {409: "Another event is on record.", 413: "Too large.", 422: "Not taken.", 503: "Try again."}
    return {status: {"model": Problem, "description": words[status]} for status in statuses}


def _problem(status: int, fault: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"fault": fault, "detail": detail}, status_code=status, headers=headers)
