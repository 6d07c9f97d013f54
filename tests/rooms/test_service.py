"""The service on a socket: who is let in, what each route answers, and that the document says all of it."""

import base64
import json
import logging
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tenantctl.adapters.json_log import CloudFormatter
from tenantctl.entrypoints.service.app import BODY_BYTES_MAX, Desk
from tenantctl.entrypoints.service.identity import Denied, Gate, IssuedKeys, KeyRing, Role
from tenantctl.entrypoints.service.settings import AUDIENCE as AUDIENCE_SETTING
from tenantctl.entrypoints.service.settings import CALLERS as CALLERS_SETTING
from tenantctl.entrypoints.service.settings import service_settings
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.tenant import Tenant, Wanted
from tests.rooms.callers import (
    AUDIENCE,
    BILLING,
    CALLERS,
    MAILER,
    READER,
    Service,
    cloud_event,
    issuer,
    serving,
)
from tests.rooms.company import Company

EVENTS = "/v1/billing/events"


@pytest.fixture(scope="module")
def company() -> Company:
    """One company for this file; each test has a tenant of its own."""
    return Company()


@pytest.fixture(scope="module")
def service(company: Company) -> Iterator[Service]:
    """The service on it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Desk(company.registry, company.decisions, company.billing), Path(folder)) as running,
    ):
        yield running


@pytest.fixture
def tenant(company: Company, request: pytest.FixtureRequest) -> Tenant:
    """A tenant that nobody else speaks of."""
    return company.request(f"t-{abs(hash(request.node.name)) % 10**9}")


# Events


def test_an_event_is_taken_once_late_and_in_the_wrong_order(service: Service, company: Company, tenant: Tenant) -> None:
    """Four at once of each, the younger first: one takes effect, and the tenant stands as the youngest says."""
    resumed = cloud_event(tenant.uid, 3, "subscription.resumed")
    cancelled = cloud_event(tenant.uid, 2)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(service.tell, [*[resumed] * 4, *[cancelled] * 4]))
    assert {answer.status_code for answer in answers} == {200}
    outcomes = [answer.json()["outcome"] for answer in answers]
    assert outcomes.count("duplicate") == 6
    assert service.tell(cloud_event(tenant.uid, 1, "subscription.started")).json()["missing"] == 0
    assert company.registry.tenant(tenant.uid).wanted is Wanted.LIVING
    said = service.call("GET", f"/v1/tenants/{tenant.uid}").json()
    assert (said["wanted"], said["can_resume"], said["subscriptions"][0]["kind"]) == (
        "living",
        True,
        "subscription.resumed",
    )


def test_what_pubsub_pushes_is_taken(service: Service, company: Company, tenant: Tenant) -> None:
    """With its envelope around it."""
    data = base64.b64encode(json.dumps(cloud_event(tenant.uid, 1)).encode()).decode()
    push = {"message": {"data": data, "messageId": "1"}, "subscription": "projects/p/subscriptions/s"}
    assert service.tell(push).json()["outcome"] == "applied"
    assert company.registry.tenant(tenant.uid).wanted is Wanted.LEAVING


SPOILT: dict[str, tuple[dict[str, Any], int]] = {
    "unknown-type": ({"type": "subscription.paused"}, 422),
    "malformed": ({"specversion": "0.3"}, 400),
    "unknown-tenant": ({"data": {"tenant": "nobody", "subscription": "x"}}, 404),
    "card-data": ({"data": {"pan": "4111111111111111"}}, 422),
    "too-large": ({"data": {"cause": "x" * (BODY_BYTES_MAX + 1)}}, 413),
    "conflict": ({"id": "another"}, 409),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_what_is_no_event_is_answered_by_its_fault_and_kept(
    service: Service, company: Company, tenant: Tenant, fault: str
) -> None:
    """With a 4xx, after which Pub/Sub puts it aside; nothing of a card is kept."""
    good, (spoil, status) = cloud_event(tenant.uid, 1), SPOILT[fault]
    service.tell(good)
    data = {**good["data"], **spoil.get("data", {})}
    answer = service.tell({**good, "id": f"{tenant.uid}-{fault}", **spoil, "data": data})
    assert (answer.status_code, answer.json()["fault"]) == (status, fault)
    assert [one for one in company.billing.dead_letters() if one.fault == fault]
    assert all("4111" not in one.body for one in company.billing.dead_letters())


def test_weather_is_answered_so_that_it_is_sent_again(
    service: Service, company: Company, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is kept among the dead letters."""
    before = len(company.billing.dead_letters())

    def weather(*_: object) -> None:
        raise Transient("The registry does not answer.")

    monkeypatch.setattr(company.billing, "receive", weather)
    monkeypatch.setattr(company.registry, "now", weather)
    answer = service.tell(cloud_event(tenant.uid, 1))
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()["fault"]) == (503, "10", "try-again")
    assert service.call("GET", "/ready", token=None).status_code == 503
    assert len(company.billing.dead_letters()) == before


def test_a_notice_is_reported_as_delivered(service: Service, company: Company) -> None:
    """Again is the same; by the mailer, who may do nothing else."""
    tenant = company.deactivated("told")
    company.run()
    (notice, *_) = company.decisions.notices(tenant.uid)
    path, token = f"/v1/notices/{notice.id}/delivered", issuer().token(MAILER)
    first, again = (service.call("POST", path, token=token) for _ in range(2))
    assert (first.status_code, first.json()) == (200, again.json())
    assert company.decisions.notices(tenant.uid)[0].delivered_at is not None
    assert service.call("POST", "/v1/notices/999999/delivered", token=token).status_code == 404
    assert service.call("GET", f"/v1/tenants/{tenant.uid}", token=token).status_code == 403


# Who is let in


def unsigned() -> str:
    """A token of the algorithm `none`, which says the right things."""
    parts = issuer().token().split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT","kid":"key-1"}').rstrip(b"=").decode()
    return f"{header}.{parts[1]}."


def tampered() -> str:
    """A good token whose claims were changed afterwards."""
    header, claims, signature = issuer().token(READER).split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"email": BILLING}
    return ".".join([header, base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode(), signature])


DENIED: dict[str, tuple[Any, int, str]] = {
    "without a token": (lambda: None, 401, "no-token"),
    "with no token at all": (lambda: "x", 401, "no-jwt"),
    "unsigned": (unsigned, 401, "wrong-algorithm"),
    "tampered with": (tampered, 401, "forged"),
    "forged by one who has another key": (
        lambda: ".".join([issuer().token().split(".")[0], *issuer("stranger").token().split(".")[1:]]),
        401,
        "forged",
    ),
    "signed by an unknown key": (lambda: issuer("stranger").token(), 401, "unknown-key"),
    "expired": (lambda: issuer().token(iat=int(time.time()) - 7200, exp=int(time.time()) - 3600), 401, "out-of-time"),
    "of tomorrow": (
        lambda: issuer().token(iat=int(time.time()) + 3600, exp=int(time.time()) + 7200),
        401,
        "out-of-time",
    ),
    "without an end": (lambda: issuer().token(exp=None), 401, "forged"),
    "for somebody else": (lambda: issuer().token(aud="https://other.example.com"), 401, "wrong-audience"),
    "for several": (lambda: issuer().token(aud=[AUDIENCE, "x"]), 401, "wrong-audience"),
    "by another issuer": (lambda: issuer().token(iss="https://accounts.example.com"), 401, "wrong-issuer"),
    "of an address that was not verified": (lambda: issuer().token(email_verified=False), 403, "not-on-the-list"),
    "of nobody on the list": (lambda: issuer().token("mallory@example.com"), 403, "not-on-the-list"),
    "of one with another role": (lambda: issuer().token(READER), 403, "wrong-role"),
}


@pytest.mark.parametrize("who", DENIED)
def test_who_should_not_is_not_let_in(
    service: Service, company: Company, tenant: Tenant, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted by its reason, and logged without a word of the token."""
    make, status, reason = DENIED[who]
    token = make()
    before = service.call("GET", "/v1/counts", token=issuer().token(READER)).json()["denied"].get(reason, 0)
    with caplog.at_level(logging.INFO):
        answer = service.call("POST", EVENTS, token=token, json=cloud_event(tenant.uid, 1))
    assert (answer.status_code, answer.json()) == (status, {"fault": "denied", "detail": reason})
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert company.registry.tenant(tenant.uid).wanted is Wanted.LIVING
    assert service.call("GET", "/v1/counts", token=issuer().token(READER)).json()["denied"][reason] == before + 1
    told = "\n".join(CloudFormatter(None).format(record) for record in caplog.records)
    assert f'"reason": "{reason}"' in told
    assert token is None or token == "x" or not any(part and part in told for part in token.split("."))


def test_the_issuers_keys_are_asked_for_again_in_time() -> None:
    """When they are old, and when a token names an unknown one, though not more often than once a minute."""
    now, asked = 0.0, 0
    known = {issuer().key_id: issuer().certificate}

    def fetch() -> IssuedKeys:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise Transient("The issuer does not answer.")
        return IssuedKeys(dict(known), 1000)

    gate = Gate(AUDIENCE, CALLERS, KeyRing(fetch, lambda: now))
    stranger = f"Bearer {issuer('stranger').token()}"
    assert gate.admit(f"Bearer {issuer().token()}", Role.BILLING) == BILLING
    for moment, times in ((10.0, 1), (70.0, 2), (80.0, 2), (140.0, 3), (1100.0, 4)):
        now = moment
        with pytest.raises(Denied, match="unknown-key"):
            gate.admit(stranger, Role.BILLING)
        assert asked == times
    known["stranger"], now = issuer("stranger").certificate, 1200.0
    assert gate.admit(stranger, Role.BILLING) == BILLING
    assert gate.denied == {"unknown-key": 5}


@pytest.mark.parametrize(
    ("audience", "callers", "said"),
    [
        (None, "billing=a@b", "not set"),
        (" ", "billing=a@b", "blank"),
        ("https://x", "", "blank"),
        ("https://x", "admin=a@b", "none of"),
        ("https://x", "billing=everybody", "no service account"),
    ],
)
def test_a_service_that_would_let_in_anybody_does_not_start(audience: str | None, callers: str, said: str) -> None:
    """Nothing is guessed: no audience, no list, no role that nobody knows."""
    environment = {CALLERS_SETTING: callers} | ({} if audience is None else {AUDIENCE_SETTING: audience})
    with pytest.raises(Refused, match=said):
        service_settings(environment)


def test_roles_are_read_from_the_list() -> None:
    """One account may have several."""
    said = service_settings({AUDIENCE_SETTING: AUDIENCE, CALLERS_SETTING: "billing=a@x, b@x; reader=a@x"})
    assert said.callers == {"a@x": {Role.BILLING, Role.READER}, "b@x": {Role.BILLING}}


# The document


def test_the_document_is_complete_and_true(service: Service) -> None:
    """Whatever schemathesis makes up, no answer is an error of ours, and each is in the document as it came."""
    tokens = {"/v1/counts": issuer().token(READER), "/v1/notices/{notice_id}/delivered": issuer().token(MAILER)}
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    seen: dict[str, set[int]] = {}

    def call(case: "schemathesis.Case[Any]") -> None:
        token = tokens.get(case.path, issuer().token())
        answer = case.call(headers={"Authorization": f"Bearer {token}"}, session=service.session)
        seen.setdefault(case.path, set()).add(answer.status_code)
        case.validate_response(answer, checks=checks)

    for found in schemathesis.openapi.from_url(f"{service.url}/openapi.json").get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        modes = list(GenerationMode) if operation.body else [GenerationMode.POSITIVE]
        for mode in modes:
            cases = operation.as_strategy(generation_mode=mode)
            bounded = settings(
                max_examples=20 if operation.body else 5, deadline=None, suppress_health_check=list(HealthCheck)
            )
            probe: Any = bounded(given(cases)(call))  # type: ignore[no-untyped-call]
            probe()
    assert seen["/v1/billing/events"] >= {400, 404}
    assert set(seen) == {"/v1/counts", "/v1/tenants/{uid}", "/health", "/ready", *tokens, EVENTS}


def test_what_the_document_promises_is_served(service: Service) -> None:
    """Every route has its roles' token in it, but for the two that the platform asks."""
    document = service.call("GET", "/openapi.json", token=None).json()
    open_to_all = {
        path for path, item in document["paths"].items() if not any("security" in one for one in item.values())
    }
    assert open_to_all == {"/health", "/ready"}
    body = document["paths"][EVENTS]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/cloudevents+json"}
    assert {"CloudEvent", "EventData", "Push", "PushedMessage", "Problem"} <= set(document["components"]["schemas"])
