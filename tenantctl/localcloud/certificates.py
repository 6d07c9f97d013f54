"""The certificate authority of a local cloud, its server certificate, and the client certificates it hands out.

A client certificate says which instance it opens and, if it was asked for with an access token, which database login
that token stands for. It is short-lived, like the real one, and lives by real time: moving the local cloud's clock
does not touch it.
"""

import datetime
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT_LIFETIME: Final = datetime.timedelta(hours=1)
_AUTHORITY_LIFETIME: Final = datetime.timedelta(days=3650)
_CLOCK_SKEW: Final = datetime.timedelta(minutes=1)
_USAGE_NAMES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class BadPublicKey(ValueError):
    """What was sent as a public key is none that a client certificate can be made for."""


@dataclass(frozen=True)
class ClientName:
    """What a client certificate says about its bearer.

    Attributes:
        project: The project of the instance.
        instance: The instance that it opens.
        login: The database login that an access token vouched for; None if none did.
    """

    project: str
    instance: str
    login: str | None


class Authority:
    """A certificate authority whose key lies in a folder of its own.

    Args:
        folder: The folder, made with a new key if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_file, certificate_file = folder / "ca.key", folder / "ca.crt"
        if not certificate_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("tenantctl local cloud")
            made = _begin(name, name, key.public_key(), _AUTHORITY_LIFETIME)
            made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            made = made.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
            _write_key(key_file, key)
            certificate_file.write_bytes(_pem(made.sign(key, hashes.SHA256())))
        read = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(read, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_file} holds another kind of key than the one that was written there.")
        self._key = read
        self.certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())

    @property
    def certificate_pem(self) -> str:
        """The authority's own certificate, which clients check the server by."""
        return _pem(self.certificate).decode()

    def issue(self, public_key_pem: str, name: ClientName, lifetime: datetime.timedelta = CLIENT_LIFETIME) -> str:
        """Make a client certificate and return it as PEM.

        Args:
            public_key_pem: The client's public key.
            name: What the certificate says about its bearer.
            lifetime: How long it holds from now on, in real time.

        Raises:
            BadPublicKey: The key is none, or of a kind that is not used for TLS.
        """
        try:
            key = serialization.load_pem_public_key(public_key_pem.encode())
        except ValueError as error:
            raise BadPublicKey("The public key is not a PEM public key.") from error
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
            raise BadPublicKey("The public key is neither RSA nor of an elliptic curve.")
        made = _begin(_name("Cloud SQL client", name), self.certificate.subject, key, lifetime)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return _pem(self._signed(made)).decode()

    def server_context(self, address: str) -> ssl.SSLContext:
        """Return the TLS context of the data plane: TLS 1.3, and a client certificate of this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _begin(_name("instance"), self.certificate.subject, key.public_key(), _AUTHORITY_LIFETIME)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = made.add_extension(names, critical=False)
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        _write_key(self._folder / "server.key", key)
        (self._folder / "server.crt").write_bytes(_pem(self._signed(made)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self._folder / "server.crt", self._folder / "server.key")
        context.load_verify_locations(self._folder / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0  # a resumed session would not be asked whether its certificate still holds
        return context

    def _signed(self, made: x509.CertificateBuilder) -> x509.Certificate:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return made.add_extension(identifier, critical=False).sign(self._key, hashes.SHA256())


def read_client_name(peer: ssl.SSLObject) -> ClientName | None:
    """Read from a verified client certificate whom it names; None if it names nobody."""
    certificate = peer.getpeercert() or {}
    subject = {part[0]: part[1] for parts in certificate.get("subject", ()) for part in parts}
    project, _, instance = str(subject.get("organizationName", "")).rpartition(":")
    if not project or not instance:
        return None
    return ClientName(project, instance, subject.get("userId"))


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
    lifetime: datetime.timedelta,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + lifetime) - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str, bearer: ClientName | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if bearer is not None:  # not in the common name, which ends at 64 characters
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"{bearer.project}:{bearer.instance}"))
    if bearer is not None and bearer.login is not None:
        parts.append(x509.NameAttribute(NameOID.USER_ID, bearer.login))
    return x509.Name(parts)


def _usage(*granted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in granted for name in _USAGE_NAMES})


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
