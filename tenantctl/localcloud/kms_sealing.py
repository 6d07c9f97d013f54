"""Encryption and decryption in the local Cloud KMS, with the checksums by which both sides notice damaged bytes.

A ciphertext names the version that made it, a nonce, and the sealed bytes; the key's name and the additional
authenticated data are bound to them.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenantctl.localcloud.kms_records import Document, KmsRecords, Version
from tenantctl.localcloud.kms_refusals import invalid, missing, unfit, unsuited

_LARGEST: Final = 64 * 1024
_MAGIC: Final = b"\x0atctl"
_NONCE: Final = 12
_HEAD: Final = len(_MAGIC) + 4 + _NONCE


def encrypt(
    rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str, number: str | None = None
) -> Document:
    """Encrypt with a key's primary version, or with the version named."""
    found = rows.key(key)
    if found is None:
        raise missing(key)
    plaintext, checked = bytes_in(body, "plaintext"), is_checked(body, "plaintext")
    context, context_checked = (
        bytes_in(body, "additionalAuthenticatedData"),
        is_checked(body, "additionalAuthenticatedData"),
    )
    if "_primary" not in found:
        raise unsuited(key, found["purpose"])
    version = rows.version(key, int(number or found["_primary"]))
    if version is None:
        raise missing(f"{key}/cryptoKeyVersions/{number}")
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(material_of(version)).encrypt(nonce, plaintext, _bound(key, context))
    ciphertext = _MAGIC + version.number.to_bytes(4, "big") + nonce + sealed
    return {
        "name": version.name,
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "ciphertextCrc32c": str(checksum(ciphertext)),
        "verifiedPlaintextCrc32c": checked,
        "verifiedAdditionalAuthenticatedDataCrc32c": context_checked,
        "protectionLevel": "SOFTWARE",
    }


def decrypt(rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str) -> Document:
    """Decrypt with whichever version of the key encrypted."""
    found = rows.key(key)
    if found is None:
        raise missing(key)
    if "_primary" not in found:
        raise unsuited(key, found["purpose"])
    ciphertext, context = bytes_in(body, "ciphertext"), bytes_in(body, "additionalAuthenticatedData")
    is_checked(body, "ciphertext")
    is_checked(body, "additionalAuthenticatedData")
    number = int.from_bytes(ciphertext[len(_MAGIC) : len(_MAGIC) + 4], "big")
    version = rows.version(key, number) if ciphertext.startswith(_MAGIC) else None
    if version is None:
        raise invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
    nonce, sealed = ciphertext[_HEAD - _NONCE : _HEAD], ciphertext[_HEAD:]
    try:
        plaintext = AESGCM(material_of(version)).decrypt(nonce, sealed, _bound(key, context))
    except (InvalidTag, ValueError) as error:
        raise invalid(
            "Decryption failed: verify that 'name' refers to the correct CryptoKey, and that 'ciphertext' and "
            "'additional_authenticated_data' are correct."
        ) from error
    return {
        "plaintext": base64.b64encode(plaintext).decode(),
        "plaintextCrc32c": str(checksum(plaintext)),
        "usedPrimary": version.number == found["_primary"],
        "protectionLevel": "SOFTWARE",
    }


def material_of(version: Version) -> bytes:
    """A version's key, if it is fit for use."""
    if version.state != "ENABLED" or version.material is None:
        raise unfit(version.name, version.state)
    return version.material


def _bound(key: str, context: bytes) -> bytes:
    return key.encode() + b"\0" + context


def bytes_in(body: Document, name: str) -> bytes:
    """A field's bytes, which a request has in base64."""
    text = body.get(name) or ""
    try:
        content = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (AttributeError, binascii.Error) as error:
        raise invalid(f"Invalid value at '{name}': it is not base64.") from error
    largest = _LARGEST + _HEAD + 16 if name == "ciphertext" else _LARGEST
    if len(content) > largest:
        raise invalid(f"The field {name} is longer than {largest} bytes.")
    return content


def is_checked(body: Document, name: str) -> bool:
    """Whether the sender stated a checksum of a field; a wrong one is refused."""
    stated: Any = body.get(f"{name}Crc32c")
    if stated is None:
        return False
    if str(stated) != str(checksum(bytes_in(body, name))):
        raise invalid(f"The checksum in field {name}_crc32c did not match the data in field {name}.")
    return True


def checksum(content: bytes) -> int:
    """The CRC32C of some bytes."""
    return int.from_bytes(google_crc32c.Checksum(content).digest(), "big")
