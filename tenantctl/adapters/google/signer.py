"""The key that signs certificates, in Cloud KMS: `tenantctl/certificates`, in one location of the project.

Its newest enabled version signs. The private key never leaves Cloud KMS; what is sent there to be signed is short, and
says nothing of a customer.
"""

import base64
import binascii
import contextlib
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from tenantctl.adapters.google.answers import AlreadyThere
from tenantctl.adapters.google.keys import KEY_RING, asked, checksum
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.ports.signer import MESSAGE_MAX

if TYPE_CHECKING:
    from google.cloud.kms_v1 import KeyManagementServiceClient

KEY: Final = "certificates"
LOCATION: Final = "global"
ALGORITHM: Final = "EC_SIGN_ED25519"
_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")  # what stands before an Ed25519 key's 32 bytes (RFC 8410)


def signing_key_name(project: str, location: str = LOCATION) -> str:
    """The resource name of the project's signing key."""
    return f"projects/{project}/locations/{location}/keyRings/{KEY_RING}/cryptoKeys/{KEY}"


class GoogleSigner:
    """The signer of one project.

    Args:
        client: as `keys.kms_client` makes it.
        name: the key's resource name, as `signing_key_name` makes it.
    """

    def __init__(self, client: "KeyManagementServiceClient", name: str) -> None:
        self._client, self._name = client, name

    def public_key(self) -> bytes:
        """The key that verifies, of the newest enabled version."""
        request = {"name": self._version}
        answer = self._asked("fetch the key that verifies certificates", self._client.get_public_key, request)
        pem = answer.pem.encode()
        if answer.name != self._version or answer.pem_crc32c != checksum(pem):
            raise Transient("The public key was damaged on its way from Cloud KMS.")
        return _raw(answer.pem)

    def sign(self, message: bytes) -> bytes:
        """The signature by the newest enabled version."""
        if len(message) > MESSAGE_MAX:
            raise Refused(f"A key signs up to {MESSAGE_MAX} bytes at once, not {len(message)}.")
        request = {"name": self._version, "data": message, "data_crc32c": checksum(message)}
        answer = self._asked("sign a certificate", self._client.asymmetric_sign, request)
        signature: bytes = answer.signature
        whole = answer.verified_data_crc32c and answer.signature_crc32c == checksum(signature)
        if answer.name != self._version or not whole:
            raise Transient("What was to be signed, or its signature, was damaged on the way to or from Cloud KMS.")
        return signature

    @cached_property
    def _version(self) -> str:
        """The newest enabled version's name; one signer stays with it, so that key and signature agree."""
        versions = self._asked(
            "find the key that signs certificates",
            lambda request, **options: tuple(self._client.list_crypto_key_versions(request, **options)),
            {"parent": self._name},
        )
        fit = [one for one in versions if one.state.name == "ENABLED" and one.algorithm.name == ALGORITHM]
        if not fit:
            raise Refused(f"No version of {self._name} is enabled and signs with Ed25519.")
        newest: str = max(fit, key=lambda one: int(one.name.rpartition("/")[2])).name
        return newest

    def _asked(self, doing: str, call: Callable[..., Any], request: dict[str, Any]) -> Any:
        return asked(doing, partial(call, request, retry=None, timeout=None))


def ensure_signing_key(client: "KeyManagementServiceClient", project: str) -> bytes:
    """Make the project's signing key if it is missing, and return the key that verifies.

    Raises:
        Refused: a key of this name is there that does not sign, or the API refuses.
        Transient: the API does not answer; run it again.
    """
    signer = GoogleSigner(client, signing_key_name(project))
    try:
        return signer.public_key()
    except NotFound:
        location = f"projects/{project}/locations/{LOCATION}"
        wanted = {"purpose": "ASYMMETRIC_SIGN", "version_template": {"algorithm": ALGORITHM}}
        ring = f"{location}/keyRings/{KEY_RING}"
        requests: tuple[tuple[Any, dict[str, Any]], ...] = (
            (client.create_key_ring, {"parent": location, "key_ring_id": KEY_RING, "key_ring": {}}),
            (client.create_crypto_key, {"parent": ring, "crypto_key_id": KEY, "crypto_key": wanted}),
        )
        for create, request in requests:
            with contextlib.suppress(AlreadyThere):
                asked("make the key that signs certificates", partial(create, request, retry=None, timeout=None))
        return signer.public_key()


def _raw(pem: str) -> bytes:
    """The 32 bytes of an Ed25519 public key in PEM."""
    lines = [line for line in pem.splitlines() if line and not line.startswith("-----")]
    try:
        content = base64.b64decode("".join(lines), validate=True)
    except binascii.Error as error:
        raise Transient("What Cloud KMS sent is no public key.") from error
    if not content.startswith(_PREFIX) or len(content) != len(_PREFIX) + 32:
        raise Refused("The key that is to sign certificates is not one of Ed25519.")
    return content[len(_PREFIX) :]
