"""Signatures of the local Cloud KMS: Ed25519 over the bytes themselves, by versions of keys that are made to sign."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tenantctl.localcloud.kms_records import Document, KmsRecords, Version
from tenantctl.localcloud.kms_refusals import invalid, missing, not_emulated, unsuited
from tenantctl.localcloud.kms_sealing import bytes_in, checksum, is_checked, material_of

_ALGORITHM: Final = "EC_SIGN_ED25519"


def get_public_key(
    rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str, number: str
) -> Document:
    """Show the public half of a version that signs."""
    if options.get("publicKeyFormat", "PEM") not in {"PEM", "1"}:
        raise not_emulated(f"public keys as {options['publicKeyFormat']}")
    version = _signing(rows, key, number)
    public = Ed25519PrivateKey.from_private_bytes(material_of(version)).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "pem": pem.decode(),
        "pemCrc32c": str(checksum(pem)),
        "algorithm": _ALGORITHM,
        "name": version.name,
        "protectionLevel": "SOFTWARE",
        "publicKeyFormat": "PEM",
    }


def asymmetric_sign(
    rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str, number: str
) -> Document:
    """Sign the bytes of a request; Ed25519 takes them as they are, and no digest of them."""
    version = _signing(rows, key, number)
    if "digest" in body or "data" not in body:
        raise invalid("EC_SIGN_ED25519 signs data, and no digest.")
    data, is_verified = bytes_in(body, "data"), is_checked(body, "data")
    signature = Ed25519PrivateKey.from_private_bytes(material_of(version)).sign(data)
    return {
        "signature": base64.b64encode(signature).decode(),
        "signatureCrc32c": str(checksum(signature)),
        "verifiedDataCrc32c": is_verified,
        "name": version.name,
        "protectionLevel": "SOFTWARE",
    }


def _signing(rows: KmsRecords, key: str, number: str) -> Version:
    found, version = rows.key(key), rows.version(key, int(number))
    if found is None or version is None:
        raise missing(f"{key}/cryptoKeyVersions/{number}")
    if found["purpose"] != "ASYMMETRIC_SIGN":
        raise unsuited(key, found["purpose"])
    return version
