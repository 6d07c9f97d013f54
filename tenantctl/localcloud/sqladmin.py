"""The Cloud SQL Admin API on loopback, as far as the real clients use it.

Requests are routed and checked by Google's own description of the API; both `/v1` (the Admin client) and
`/sql/v1beta4` (the connector) are served. An access token says whose it is: `local:EMAIL`. Whoever can reach the port
may call as anyone, which is why it listens on loopback only, and only for callers that name it as such.
"""

import datetime
import json
import logging
import re
from typing import Any, Final

import psycopg
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tenantctl.localcloud.certificates import CLIENT_LIFETIME, BadPublicKey, ClientName
from tenantctl.localcloud.discovery import Discovery, Method, Mismatch
from tenantctl.localcloud.faults import Faults, fault_middleware
from tenantctl.localcloud.loopback import loopback_middleware
from tenantctl.localcloud.permissions import Permissions, permission_middleware
from tenantctl.localcloud.sqladmin_calls import (
    Answer,
    ApiMethod,
    ApiRefusal,
    Call,
    CloudSql,
    identity_of,
    login_of,
    refuse_request,
)
from tenantctl.localcloud.sqladmin_databases import database_methods
from tenantctl.localcloud.sqladmin_instances import instance_methods, ip_addresses

_LARGEST_REQUEST: Final = 1 << 20
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)s")
_LOG: Final = logging.getLogger("tenantctl.localcloud.sqladmin")


def sql_admin(cloud: CloudSql, faults: Faults, permissions: Permissions) -> web.Application:
    """Make the application that serves the Admin API of one project."""
    asked = permission_middleware(permissions, "sqladmin")
    methods: dict[str, ApiMethod] = {
        **instance_methods(cloud),
        **database_methods(cloud),
        "connect.get": _connect_settings,
        "connect.generateEphemeral": _generate_ephemeral_certificate,
        "connect.generateEphemeralCert": _generate_ephemeral_certificate,
        "operations.get": _get_operation,
        "operations.list": _list_operations,
    }
    api = _Api(cloud, methods, Discovery())
    app = web.Application(
        middlewares=[loopback_middleware(), fault_middleware(faults, "sqladmin"), asked],
        client_max_size=_LARGEST_REQUEST,
    )
    app.router.add_route("*", "/{path:.*}", api.answer)
    return app


class _Api:
    """Turns HTTP requests into calls, and what they return into answers."""

    def __init__(self, cloud: CloudSql, methods: dict[str, ApiMethod], discovery: Discovery) -> None:
        self._cloud = cloud
        self._methods = methods
        self._discovery = discovery

    async def answer(self, request: web.Request) -> web.Response:
        """Serve one request."""
        try:
            method, call = await self._understand(request)
            answer = await self._methods[method.name](call)
        except ApiRefusal as refusal:
            _LOG.info("%s %s: %s %s", request.method, request.path, refusal.status, refusal.message)
            return _refused(refusal)
        except psycopg.OperationalError as error:
            _LOG.warning("%s %s: the instance does not answer: %s", request.method, request.path, error)
            return _refused(ApiRefusal(503, "backendError", "The instance does not answer."))
        try:
            self._discovery.check(method.response or "Empty", answer)
        except Mismatch as error:  # a bug of ours: the real clients would meet what the real service never says
            _LOG.error("the answer of %s is not what the API describes: %s", method.name, error)
            return _refused(ApiRefusal(500, "internalError", f"Answer of {method.name}: {error}"))
        return web.json_response(answer)

    async def _understand(self, request: web.Request) -> tuple[Method, Call]:
        route = self._discovery.route(request.method, request.rel_url.raw_path)
        if route is None:
            raise ApiRefusal(404, "notFound", f"The Admin API has no {request.method} {request.path}.")
        method, parameters = route
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        user = identity_of(token) if scheme == "Bearer" else None
        if user is None:
            raise ApiRefusal(401, "authError", "A local access token has the form local:EMAIL.")
        if method.name not in self._methods:
            raise ApiRefusal(501, "notImplemented", f"The local cloud does not serve {method.name}.")
        body = await _body(request)
        if method.request is not None:
            try:
                self._discovery.check(method.request, body)
            except Mismatch as error:
                raise ApiRefusal(400, "invalid", f"Invalid JSON payload received. {error}") from error
        if parameters.get("project", self._cloud.fleet.project) != self._cloud.fleet.project:
            raise ApiRefusal(404, "notFound", f"The project does not exist: {parameters['project']}.")
        version = "/sql/v1beta4" if request.path.startswith("/sql/") else "/v1"
        asked = {name: ",".join(request.query.getall(name)) for name in request.query}
        known = {**asked, **parameters}
        return method, Call(self._cloud, known, body, user, f"{request.url.origin()}{version}")


async def _connect_settings(call: Call) -> Answer:
    instance = call.instance()
    return {
        "kind": "sql#connectSettings",
        "backendType": "SECOND_GEN",
        "databaseVersion": instance.resource["databaseVersion"],
        "ipAddresses": ip_addresses(call.cloud, instance),
        "region": instance.region,
        "serverCaCert": _certificate(call.cloud.authority.certificate_pem, instance.name),
        "serverCaMode": "GOOGLE_MANAGED_INTERNAL_CA",
    }


async def _generate_ephemeral_certificate(call: Call) -> Answer:
    instance, token = call.instance(), call.body.get("access_token")
    email = identity_of(token)
    if token is not None and email is None:
        raise ApiRefusal(401, "authError", "A local access token has the form local:EMAIL.")
    lifetime = CLIENT_LIFETIME
    if asked := call.body.get("validDuration"):
        if not (found := _DURATION.fullmatch(asked)) or float(found[1]) > lifetime.total_seconds():
            refuse_request(f"Invalid validDuration: {asked!r} is not a number of seconds up to 3600s.")
        lifetime = datetime.timedelta(seconds=float(found[1]))
    name = ClientName(call.cloud.fleet.project, instance.name, None if email is None else login_of(email))
    try:
        made = call.cloud.authority.issue(call.body.get("public_key", ""), name, lifetime)
    except BadPublicKey as error:
        refuse_request(f"Invalid public key: {error}")
    _LOG.info("%s: certificate for %s, login %s", call.user, instance.name, name.login or "by password")
    return {"ephemeralCert": _certificate(made, instance.name)}


async def _get_operation(call: Call) -> Answer:
    found = call.cloud.operations.get(call.parameters["operation"])
    if found is None:
        raise ApiRefusal(404, "operationDoesNotExist", "The Cloud SQL operation does not exist.")
    return found


async def _list_operations(call: Call) -> Answer:
    return call.page("sql#operationsList", call.cloud.operations.newest_first(call.parameters.get("instance")))


async def _body(request: web.Request) -> dict[str, Any]:
    text = await request.read()
    try:
        document = json.loads(text) if text else {}
    except ValueError as error:
        raise ApiRefusal(400, "parseError", f"Parse Error: {error}") from error
    if not isinstance(document, dict):
        raise ApiRefusal(400, "parseError", "Parse Error: the body is not a JSON object.")
    return document


def _certificate(pem: str, instance: str) -> dict[str, str]:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return {
        "kind": "sql#sslCert",
        "cert": pem,
        "certSerialNumber": str(certificate.serial_number),
        "commonName": str(certificate.subject.rfc4514_string()),
        "sha1Fingerprint": certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303 - the API's field is named so
        "instance": instance,
        "createTime": certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "expirationTime": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _refused(refusal: ApiRefusal) -> web.Response:
    detail = {"message": refusal.message, "domain": "global", "reason": refusal.reason}
    document = {"error": {"code": refusal.status, "message": refusal.message, "errors": [detail]}}
    return web.json_response(document, status=refusal.status)
