"""Callers of the service: an issuer with keys of its own, tokens good and bad, and the service on a socket."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from tenantctl.entrypoints.service.app import Desk
from tenantctl.entrypoints.service.identity import Gate, Role
from tenantctl.entrypoints.service.server import gate_for, server_for
from tenantctl.entrypoints.service.settings import ServiceSettings

AUDIENCE = "https://tenantctl.example.com"
BILLING = "billing@acme.iam.gserviceaccount.com"
MAILER = "mailer@acme.iam.gserviceaccount.com"
READER = "reader@acme.iam.gserviceaccount.com"
CALLERS = {BILLING: frozenset({Role.BILLING}), MAILER: frozenset({Role.NOTICES}), READER: frozenset({Role.READER})}


@dataclass(frozen=True)
class Issuer:
    """One who signs tokens; `certificate` is what the world knows of its key."""

    key_id: str
    certificate: str
    private_key: bytes

    def token(self, email: str = BILLING, **changes: Any) -> str:
        """A token as Google makes it for a service account; `changes` spoil it, None leaves a claim out."""
        now = int(time.time())
        claims = {"iss": "https://accounts.google.com", "aud": AUDIENCE, "iat": now, "exp": now + 3600}
        claims |= {"email": email, "email_verified": True, "sub": "1", **changes}
        said = {name: value for name, value in claims.items() if value is not None}
        return str(jwt.encode(_signer(self), said).decode())  # type: ignore[no-untyped-call]


@cache
def _signer(of: Issuer) -> Any:
    return crypt.RSASigner.from_string(of.private_key, of.key_id)  # type: ignore[no-untyped-call]


@cache
def issuer(key_id: str = "key-1") -> Issuer:
    """An issuer with a fresh RSA key; the same one for the same id."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return Issuer(key_id, certificate.public_bytes(serialization.Encoding.PEM).decode(), private)


def keys_file(folder: Path) -> Path:
    """The issuer's keys as a file that the service reads them from."""
    path = folder / "keys.json"
    path.write_text(json.dumps({issuer().key_id: issuer().certificate}))
    return path


@dataclass
class Service:
    """A service that runs, and how one calls it."""

    url: str
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, *, token: str | None = "", **options: Any) -> requests.Response:
        """A call as billing makes it, or with another token; None calls without one."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token or issuer().token()}"
        return self.session.request(method, f"{self.url}{path}", headers=headers, timeout=20, **options)

    def tell(self, event: Any, **options: Any) -> requests.Response:
        """An event, in structured form."""
        return self.call("POST", "/v1/billing/events", json=event, **options)


@contextmanager
def serving(desk: Desk, folder: Path, *, port: int = 0, gate: Gate | None = None) -> Iterator[Service]:
    """The service on a socket of this machine, in a thread of this process, behind its own gate or a given one."""
    settings = ServiceSettings(AUDIENCE, CALLERS, str(keys_file(folder)))
    server = server_for(desk, gate or gate_for(settings), host="127.0.0.1", port=port)
    with socket.create_server(("127.0.0.1", port)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        service = Service(f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            assert service.call("GET", "/health", token=None).status_code == 200
            yield service
        finally:
            service.session.close()
            server.should_exit = True
            thread.join(20)


def cloud_event(tenant: str, sequence: int, kind: str = "subscription.cancelled", **data: Any) -> dict[str, Any]:
    """A CloudEvent of billing's about a tenant's only subscription."""
    said = {"subscription": f"sub-{tenant}", "tenant": tenant, "sequence": sequence}
    said |= {"cause": "contract", "instructing_party": "customer", **data}
    return {
        "specversion": "1.0",
        "id": f"{said['subscription']}/{sequence}",
        "source": "/billing",
        "type": kind,
        "time": "2026-11-23T12:00:00Z",
        "datacontenttype": "application/json",
        "data": said,
    }
