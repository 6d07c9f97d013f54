"""Where an instance is, and the short-lived certificate that opens it.

These are the Cloud SQL connector's two public calls, `connect.get` and `connect.generateEphemeralCert`, made by
ourselves: the connector wants to know an instance's region beforehand, and the programs of PostgreSQL cannot use the
connector at all. What was learnt is kept: a place until somebody finds that it does not answer, a certificate until
shortly before it lapses. The private key never leaves the process, but for the moment in which OpenSSL insists on
reading it from a file, in a folder that is closed to others.
"""

import copy
import socket
import ssl
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import google.oauth2.credentials
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import Credentials, Scoped
from google.auth.transport.requests import AuthorizedSession, Request

from tenantctl.adapters.google.answers import body_of, explained, explaining
from tenantctl.adapters.google.transport import TimeLimits, Watch, watched_session
from tenantctl.model.errors import Transient

SERVER_PORT: Final = 3307
_PRODUCTION_ENDPOINT: Final = "https://sqladmin.googleapis.com"
_LOGIN_SCOPE: Final = "https://www.googleapis.com/auth/sqlservice.login"
_KEY_BITS: Final = 2048
_SPARE: Final = timedelta(minutes=4)  # a certificate is not used in its last minutes, as in the connector
_LIMITS: Final = TimeLimits(connect_seconds=5.0, read_seconds=15.0, whole_seconds=20.0)
_SILENCE_SECONDS: Final = 60  # after which a connection whose peer acknowledges nothing is given up


@dataclass(frozen=True)
class Place:
    """Where an instance is.

    Attributes:
        connection_name: `project:region:instance`, as the connector wants it.
        address: The IP address to dial; the private one where there is one.
        private: Whether that address is in our own network.
        authority: The certificate, in PEM, of the authority that signed the server's.
    """

    connection_name: str
    address: str
    private: bool
    authority: str


class Entrances:
    """The way into the instances of one project; safe to share between threads.

    Args:
        project: The Google Cloud project.
        endpoint: The URL of a local cloud's Admin API; None in production.
        credentials: Who is calling.
    """

    def __init__(self, project: str, endpoint: str | None, credentials: Credentials) -> None:
        self._project = project
        self._url = (endpoint or _PRODUCTION_ENDPOINT).rstrip("/")
        self._credentials = renewable(credentials)
        self._http: AuthorizedSession = watched_session(self._credentials, endpoint)
        self._lock = threading.Lock()
        self._places: dict[str, Place] = {}
        self._certificates: dict[tuple[str, bool], tuple[ssl.SSLContext, datetime]] = {}
        self._key: rsa.RSAPrivateKey | None = None

    @property
    def credentials(self) -> Credentials:
        """The credentials, in a form that the connector can renew."""
        return self._credentials

    def place(self, instance: str) -> Place:
        """Where an instance is.

        Raises:
            Transient: the Admin API does not answer.
            NotFound: there is no such instance.
            Refused: we may not know.
        """
        with self._lock:
            if instance in self._places:
                return self._places[instance]
        settings = self._ask("GET", instance, "/connectSettings", None, f"find the instance {instance}")
        addresses = {entry["type"]: entry["ipAddress"] for entry in settings.get("ipAddresses", ())}
        if not addresses or "serverCaCert" not in settings:
            raise Transient(f"The instance {instance} has no address yet.", hint="Try again once it is RUNNABLE.")
        private = "PRIVATE" in addresses
        place = Place(
            connection_name=f"{self._project}:{settings['region']}:{instance}",
            address=addresses["PRIVATE"] if private else next(iter(addresses.values())),
            private=private,
            authority=settings["serverCaCert"]["cert"],
        )
        with self._lock:
            self._places[instance] = place
        return place

    def forget(self, instance: str) -> None:
        """Ask anew next time: what is known of this instance led nowhere."""
        with self._lock:
            self._places.pop(instance, None)
            for with_token in (True, False):
                self._certificates.pop((instance, with_token), None)

    def dial(self, instance: str, *, with_token: bool, seconds: float) -> ssl.SSLSocket:
        """A TLS connection to an instance's server, in blocking mode and without a time-out.

        Args:
            instance: The instance's name.
            with_token: Whether the certificate vouches for our own IAM login; else PostgreSQL asks for a password.
            seconds: How long each step may take.

        Raises:
            Transient: it does not answer in time.
            NotFound: there is no such instance.
            Refused: we may not know, or not enter.
        """
        place, context = self.place(instance), self._context(instance, with_token=with_token)
        plain = self.knock(instance, seconds)
        try:
            _give_up_on_silence(plain)
            secured = context.wrap_socket(plain, server_hostname=place.address)
            secured.settimeout(None)
        except (OSError, ValueError) as error:
            plain.close()
            self.forget(instance)
            raise Transient(f"The instance {instance} does not answer over TLS: {error}.") from error
        return secured

    def knock(self, instance: str, seconds: float) -> socket.socket:
        """A plain TCP connection to an instance's server.

        Raises:
            Transient: nobody answers there in time.
        """
        place = self.place(instance)
        try:
            return socket.create_connection((place.address, SERVER_PORT), timeout=seconds)
        except OSError as error:
            self.forget(instance)
            raise Transient(f"The instance {instance} does not answer at {place.address}: {error}.") from error

    def close(self) -> None:
        """Let the connections to the Admin API go."""
        self._http.close()  # type: ignore[no-untyped-call]

    def _context(self, instance: str, *, with_token: bool) -> ssl.SSLContext:
        with self._lock:
            known = self._certificates.get((instance, with_token))
            if known is not None and datetime.now(UTC) < known[1] - _SPARE:
                return known[0]
            if self._key is None:
                self._key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
            key = self._key
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        request, ends = {"public_key": public.decode()}, datetime.max.replace(tzinfo=UTC)
        doing = f"enter the instance {instance}"
        if with_token:
            with explaining(doing):
                request["access_token"], ends = self._login_token()
        answer = self._ask("POST", instance, ":generateEphemeralCert", request, doing)
        certificate: str = answer["ephemeralCert"]["cert"]
        ends = min(ends, x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc)
        context = _client_context(self.place(instance).authority, certificate, key)
        with self._lock:
            self._certificates[(instance, with_token)] = (context, ends)
        return context

    def _login_token(self) -> tuple[str, datetime]:
        """An access token that opens databases and nothing else, and when it lapses."""
        if isinstance(self._credentials, Scoped):
            narrow = self._credentials.with_scopes([_LOGIN_SCOPE])  # type: ignore[no-untyped-call]
        else:
            narrow = copy.copy(self._credentials)
            narrow._scopes = [_LOGIN_SCOPE]  # type: ignore[attr-defined]  # they have no public way
        narrow.refresh(Request())
        expiry = narrow.expiry or datetime.now(UTC) + timedelta(hours=1)
        return cast("str", narrow.token), expiry.replace(tzinfo=UTC)

    def _ask(self, method: str, instance: str, call: str, body: dict[str, str] | None, doing: str) -> dict[str, Any]:
        url = f"{self._url}/sql/v1beta4/projects/{self._project}/instances/{instance}{call}"
        with explaining(doing), Watch(_LIMITS.whole_seconds):
            response = self._http.request(  # type: ignore[no-untyped-call]
                method, url, json=body, timeout=_LIMITS.for_requests, max_allowed_time=_LIMITS.whole_seconds
            )
            document = body_of(response)
            if response.status_code != 200 or not isinstance(document, dict):
                raise explained(response.status_code, document, doing)
        return document


class _BareToken(Credentials):
    """An access token that does not lapse, and is renewed by staying what it is."""

    def __init__(self, token: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = token

    def refresh(self, request: object) -> None:
        """Say until when the token holds at least: the connector wants to know."""
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


def renewable(credentials: Credentials) -> Credentials:
    """The same credentials; a bare access token, such as a local cloud's, in a form that can be renewed.

    The connector renews credentials before each log-in, whether they have lapsed or not.
    """
    if not isinstance(credentials, google.oauth2.credentials.Credentials):
        return credentials
    if credentials.refresh_token is not None or credentials.token is None:
        return credentials
    return _BareToken(credentials.token)


def _client_context(authority: str, certificate: str, key: rsa.RSAPrivateKey) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the authority is this instance's own, so its chain is proof enough
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.TemporaryDirectory(prefix="tenantctl-") as folder:
        chain = Path(folder, "client.pem")
        chain.touch(mode=0o600)
        chain.write_bytes(secret + certificate.encode())
        context.load_cert_chain(chain)
    return context


def _give_up_on_silence(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _SILENCE_SECONDS // 2),
        ("TCP_KEEPINTVL", _SILENCE_SECONDS // 6),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", _SILENCE_SECONDS * 1000),
    ):
        if hasattr(socket, option):  # not every system has every one of them
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
