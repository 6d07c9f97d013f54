"""The signer: what lets others see that a document is ours, and was not changed since."""

import hashlib
from typing import Final, Protocol

MESSAGE_MAX: Final = 64 * 1024  # bytes, as much as Cloud KMS signs at once


class Signer(Protocol):
    """One Ed25519 key, whose private half this program never has.

    1. What `sign` returns is the signature by `public_key` of exactly the bytes that it was given (RFC 8032).
    2. The same bytes get the same signature, for as long as the key is the same.
    3. A key that is not there is NotFound, one that may not sign is Refused, and a service that does not answer is
       Transient: none of them is ever a signature by another key.
    """

    def public_key(self) -> bytes:
        """The key that verifies, as 32 bytes.

        Raises:
            NotFound: there is no key.
            Refused: it does not sign now.
            Transient: the service does not answer.
        """

    def sign(self, message: bytes) -> bytes:
        """The signature of one byte to 64 KiB, as 64 bytes.

        Raises:
            NotFound: there is no key.
            Refused: it does not sign now, or the message is too long.
            Transient: the service does not answer, or what came is not what it sent.
        """


def fingerprint(public_key: bytes) -> str:
    """What a public key is called by: the SHA-256 of its 32 bytes, in hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()
