"""A signer in memory: the port as the tests of every room use it."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.ports.signer import MESSAGE_MAX


class MemorySigner:
    """A key that lives as long as its object, or that `seed` makes again.

    Args:
        seed: the private key's 32 bytes; None draws new ones.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed) if seed else Ed25519PrivateKey.generate()
        self.there = True
        self.enabled = True
        self.unreachable = False

    def public_key(self) -> bytes:
        """The key that verifies."""
        self._look()
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The signature."""
        self._look()
        if len(message) > MESSAGE_MAX:
            raise Refused(f"A key signs up to {MESSAGE_MAX} bytes at once, not {len(message)}.")
        return self._key.sign(message)

    def _look(self) -> None:
        if self.unreachable:
            raise Transient("The signer does not answer.")
        if not self.there:
            raise NotFound("There is no key that signs.")
        if not self.enabled:
            raise Refused("No version of the key that signs is enabled.")
