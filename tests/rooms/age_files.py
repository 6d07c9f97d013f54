"""Age files made step by step from the format's definition, so that each step can be made wrongly.

The keys are fixed: a file is the same each time, and another implementation can be asked about it.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tenantctl.backups.age import Identity

SEGMENT = 64 * 1024
FILE_KEY = b"YELLOW SUBMARINE"
IDENTITY = Identity(bytes(range(32)))
OTHER = Identity(bytes(range(1, 33)))
VERSION = "age-encryption.org/v1"


def derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=salt, info=info).derive(key)


def text(content: bytes) -> str:
    return base64.b64encode(content).decode().rstrip("=")


def public(identity: Identity) -> bytes:
    return X25519PrivateKey.from_private_bytes(identity.secret).public_key().public_bytes_raw()


def stanza(
    identity: Identity = IDENTITY, *, ephemeral: bytes = b"\7" * 32, share: bytes | None = None, more: bytes = b""
) -> str:
    """The lines of a recipient; `share` replaces what should stand there, `more` is added to the file key."""
    own = X25519PrivateKey.from_private_bytes(ephemeral)
    stated = own.public_key().public_bytes_raw() if share is None else share
    shared = own.exchange(X25519PublicKey.from_public_bytes(public(identity)))
    key = derived(shared, stated + public(identity), b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(key).encrypt(bytes(12), FILE_KEY + more, None)
    return f"-> X25519 {text(stated)}\n{text(body)}\n"


def header(stanzas: Sequence[str] | None = None, *, version: str = VERSION, mac: str | None = None) -> bytes:
    """A header; the MAC is right unless one is given."""
    unsigned = f"{version}\n{''.join([stanza()] if stanzas is None else stanzas)}---".encode("latin-1")
    digest = hmac.new(derived(FILE_KEY, b"", b"header"), unsigned, hashlib.sha256).digest()
    return unsigned + f" {text(digest) if mac is None else mac}\n".encode("latin-1")


@dataclass
class Payload:
    """A payload of segments, each with its number and mark as one likes."""

    nonce: bytes = b"\5" * 16
    content: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.content = self.nonce
        self._cipher = ChaCha20Poly1305(derived(FILE_KEY, self.nonce, b"payload"))

    def segment(self, plain: bytes, number: int, *, last: bool) -> "Payload":
        self.content += self._cipher.encrypt(number.to_bytes(11, "big") + bytes([last]), plain, None)
        return self


def payload(plain: bytes) -> bytes:
    """A payload as it must be."""
    made = Payload()
    pieces = [plain[start : start + SEGMENT] for start in range(0, len(plain), SEGMENT)] or [b""]
    for number, piece in enumerate(pieces):
        made.segment(piece, number, last=number == len(pieces) - 1)
    return made.content
