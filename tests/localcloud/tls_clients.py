"""TLS clients of the data plane that tests make by hand, with certificates of whatever authority."""

import datetime
import socket
import ssl
import struct
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tenantctl.localcloud.certificates import Authority, ClientName
from tenantctl.localcloud.client import LocalCloud

_SECONDS = 20.0


def authority_of(cloud: LocalCloud) -> Authority:
    """The local cloud's own certificate authority."""
    return Authority(cloud.folder.certificates)


def client_context(
    cloud: LocalCloud,
    instance: str,
    login: str | None,
    *,
    project: str | None = None,
    issuer: Authority | None = None,
    trusted: Authority | None = None,
    lifetime: datetime.timedelta = datetime.timedelta(minutes=5),
) -> ssl.SSLContext:
    """A TLS client of an instance.

    Args:
        cloud: The local cloud whose authority issues and is trusted, unless others are named.
        instance: What the certificate opens.
        login: The login that it vouches for.
        project: The project that it names; the cloud's by default.
        issuer: Who made the certificate.
        trusted: Whom the client believes.
        lifetime: How long the certificate holds; negative if it has lapsed.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    name = ClientName(project or cloud.project, instance, login)
    certificate = (issuer or authority_of(cloud)).issue(public.decode(), name, lifetime)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=(trusted or authority_of(cloud)).certificate_pem)
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder, "pair.pem")
        pair.write_bytes(private + certificate.encode())
        context.load_cert_chain(pair)
    return context


def dial(cloud: LocalCloud, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Connect to the data plane and finish the client's part of the handshake."""
    address, _, port = cloud.status()["address"].partition(":")
    raw = socket.create_connection((address, int(port)), timeout=_SECONDS)
    try:
        return context.wrap_socket(raw)
    except BaseException:
        raw.close()
        raise


def startup_message(user: str, *more: tuple[str, str], database: str | None = "postgres") -> bytes:
    """The first message of a session."""
    words = [("user", user), *([("database", database)] if database else []), *more]
    body = b"".join(f"{key}\0{value}\0".encode(errors="surrogateescape") for key, value in words) + b"\0"
    return struct.pack("!II", len(body) + 8, 196608) + body


def first_byte_of_answer(cloud: LocalCloud, context: ssl.SSLContext, user: str) -> bytes:
    """Begin a session, and return the first byte of the answer; empty if the server hangs up."""
    with dial(cloud, context) as dialled:
        try:
            dialled.sendall(startup_message(user))
            return dialled.recv(1)
        except (ssl.SSLError, ConnectionError):  # in TLS 1.3 the client learns of a refusal after its handshake
            return b""
