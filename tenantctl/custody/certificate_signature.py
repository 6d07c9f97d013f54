"""Signing a certificate, and the public keys by which others believe it."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenantctl.custody.certificate_document import Certificate, Document, Signature, signed_message
from tenantctl.model.errors import Refused
from tenantctl.ports.signer import Signer, fingerprint

_BLOCK: Final = re.compile(r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END PUBLIC KEY-----")
_ED25519: Final = bytes.fromhex("302a300506032b6570032100")  # what stands before the 32 bytes (RFC 8410)


def signed(certificate: Certificate, signer: Signer) -> Document:
    """The certificate with its signature.

    Raises:
        NotFound, Refused, Transient: as the signer says.
    """
    key = signer.public_key()
    message = signed_message(certificate.model_dump(mode="json"))
    value = signer.sign(message)
    signature = Signature(algorithm="Ed25519", key=fingerprint(key), value=value.hex())
    if not is_signed(certificate.model_dump(mode="json"), signature, key):
        raise Refused("The signer's signature is not by the key that it names; nothing was issued.")
    return Document(certificate=certificate, signature=signature)


def is_signed(certificate: Any, signature: Signature, key: bytes) -> bool:
    """Whether the signature is this key's, of exactly this certificate; `certificate` is JSON."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(signature.value), signed_message(certificate))
    except InvalidSignature:
        return False
    return True


def public_pem(key: bytes) -> str:
    """A public key in PEM, as other programs read it."""
    text = base64.b64encode(_ED25519 + key).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"


def public_keys(text: str, where: str) -> Mapping[str, bytes]:
    """The public keys in a file, by fingerprint; what stands around them does not matter.

    Raises:
        Refused: there is none, or one of them is not of Ed25519.
    """
    keys: dict[str, bytes] = {}
    for block in _BLOCK.finditer(text):
        try:
            content = base64.b64decode("".join(block[1].split()), validate=True)
        except binascii.Error as error:
            raise Refused(f"{where} holds a public key that cannot be read.") from error
        if not content.startswith(_ED25519) or len(content) != len(_ED25519) + 32:
            raise Refused(
                f"{where} holds a public key that is not of Ed25519; certificates are signed with nothing else."
            )
        key = content[len(_ED25519) :]
        keys[fingerprint(key)] = key
    if not keys:
        raise Refused(f"There is no public key in {where}.", hint="It begins with: -----BEGIN PUBLIC KEY-----")
    return keys
