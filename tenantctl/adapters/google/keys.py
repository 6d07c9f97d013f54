"""The keys that wrap backups' keys, in Cloud KMS: one in each region, `tenantctl/backups`.

Checksums go with every request and come with every answer, as Cloud KMS recommends; what does not agree was damaged on
the way and may be tried again, which is another thing than a wrong context. Key material never leaves Cloud KMS.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import google_crc32c
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import Credentials
from google.protobuf.json_format import ParseError

from tenantctl.adapters.google.answers import AlreadyThere, body_of, explaining
from tenantctl.adapters.google.transport import TimeLimits, Watch, watch_over
from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.keys import CONTENT_MAX, KeyDestroyed, KeyResting, KeySeen

if TYPE_CHECKING:
    from google.cloud.kms_v1 import KeyManagementServiceClient

KEY_RING: Final = "tenantctl"
KEY: Final = "backups"
_LIMITS: Final = TimeLimits()
_STATE: Final = re.compile(r"current state is: ([A-Z_]+)")
_DAMAGED: Final = re.compile(r"checksum|crc32c", re.IGNORECASE)

Answer = TypeVar("Answer")


def kms_client(
    credentials: Credentials, endpoint: str | None = None, limits: TimeLimits = _LIMITS
) -> "KeyManagementServiceClient":
    """Google's client over REST, on connections that end in time; safe to share between threads.

    Args:
        credentials: who is calling.
        endpoint: the URL of a local cloud's KMS; None in production.
        limits: for each request.
    """
    from google.cloud.kms_v1 import KeyManagementServiceClient  # noqa: PLC0415 - takes 0.4 s, and few commands need it

    options = {"api_endpoint": endpoint} if endpoint else None
    client = KeyManagementServiceClient(transport="rest", credentials=credentials, client_options=options)
    transport: Any = client.transport
    watch_over(transport._session, endpoint, limits)  # its own, by which the client knows its methods again
    return client


def ring_name(project: str, region: str) -> str:
    """The resource name of a region's key ring."""
    return f"projects/{project}/locations/{region}/keyRings/{KEY_RING}"


def key_name(project: str, region: str) -> str:
    """The resource name of a region's key."""
    return f"{ring_name(project, region)}/cryptoKeys/{KEY}"


def asked(doing: str, call: Callable[[], Answer], limits: TimeLimits = _LIMITS) -> Answer:
    """What a call of the client answers, its errors in the program's own terms.

    Args:
        doing: what is asked for, as it stands in a sentence.
        call: the call.
        limits: how long it may take.

    Raises:
        KeyResting, KeyDestroyed, NotFound, AlreadyThere, Refused, Transient: as the port says.
    """
    with explaining(doing), Watch(limits.whole_seconds):
        try:
            return call()
        except ParseError as error:
            raise Transient(f"Something answered that does not speak like Cloud KMS when asked to {doing}.") from error
        except GoogleAPICallError as error:
            particular = _particular(body_of(error.response), doing)
            if particular is not None:
                raise particular from error
            raise


class GoogleKeys:
    """The port `Keys` on Cloud KMS.

    Args:
        client: as `kms_client` makes it.
        project: the project that the keys belong to.
        limits: for each call.
    """

    def __init__(self, client: "KeyManagementServiceClient", project: str, *, limits: TimeLimits = _LIMITS) -> None:
        self._client, self._project, self._limits = client, project, limits

    def wrap(self, region: str, plaintext: bytes, *, context: str) -> bytes:
        """Wraps with the region's primary version."""
        if len(plaintext) > CONTENT_MAX:
            raise Refused(f"A key wraps up to {CONTENT_MAX} bytes, not {len(plaintext)}.")
        bound = context.encode()
        request = {
            "name": key_name(self._project, region),
            "plaintext": plaintext,
            "plaintext_crc32c": checksum(plaintext),
            "additional_authenticated_data": bound,
            "additional_authenticated_data_crc32c": checksum(bound),
        }
        answer = self._asked(f"wrap a key in {region}", lambda: self._client.encrypt(request, retry=None, timeout=None))
        wrapped: bytes = answer.ciphertext
        whole = answer.verified_plaintext_crc32c and answer.verified_additional_authenticated_data_crc32c
        if not (wrapped and whole and answer.ciphertext_crc32c == checksum(wrapped)):
            raise Transient(f"What Cloud KMS wrapped in {region} was damaged on the way, there or back.")
        return wrapped

    def unwrap(self, region: str, wrapped: bytes, *, context: str) -> bytes:
        """Unwraps with the version that wrapped."""
        bound = context.encode()
        request = {
            "name": key_name(self._project, region),
            "ciphertext": wrapped,
            "ciphertext_crc32c": checksum(wrapped),
            "additional_authenticated_data": bound,
            "additional_authenticated_data_crc32c": checksum(bound),
        }
        answer = self._asked(
            f"unwrap a key in {region}", lambda: self._client.decrypt(request, retry=None, timeout=None)
        )
        plaintext: bytes = answer.plaintext
        if answer.plaintext_crc32c != checksum(plaintext):
            raise Transient(f"What Cloud KMS unwrapped in {region} was damaged on the way.")
        return plaintext

    def look(self, region: str) -> Sighting[KeySeen]:
        """The region's key, with all its versions."""
        name = key_name(self._project, region)
        try:
            key = self._asked(
                f"look at the key of {region}",
                lambda: self._client.get_crypto_key({"name": name}, retry=None, timeout=None),
            )
            versions = self._asked(
                f"look at the versions of the key of {region}",
                lambda: tuple(self._client.list_crypto_key_versions({"parent": name}, retry=None, timeout=None)),
            )
        except NotFound:
            return Gone()
        except TenantctlError as error:
            return Unreachable(error.sentence)
        if key.name != name or not versions:
            return Unreachable(f"Cloud KMS answered with something else than the key of {region}.")
        return Present(
            KeySeen(
                primary=key.primary.name.rpartition("/")[2],
                versions={version.name.rpartition("/")[2]: _word(version.state) for version in versions},
                rotation=key.rotation_period if "rotation_period" in key else None,
                rotates_at=key.next_rotation_time if "next_rotation_time" in key else None,
                destroyed_after=key.destroy_scheduled_duration or timedelta(0),
            )
        )

    def _asked(self, doing: str, call: Callable[[], Answer]) -> Answer:
        return asked(doing, call, self._limits)


def _particular(document: Any, doing: str) -> TenantctlError | None:
    """What an error of Cloud KMS says beyond its status; None if nothing."""
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return None
    message = str(error.get("message", ""))
    if error.get("status") == "ALREADY_EXISTS":
        return AlreadyThere(f"Cloud KMS refused to {doing}, because it is there: {message}")
    if error.get("status") == "INVALID_ARGUMENT" and _DAMAGED.search(message):
        return Transient(f"What was sent to Cloud KMS to {doing} was damaged on the way: {message}")
    state = _STATE.search(message)
    if error.get("status") != "FAILED_PRECONDITION" or state is None:
        return None
    if state[1] == "DESTROYED":
        return KeyDestroyed(f"Cloud KMS cannot {doing} any more: {message}")
    return KeyResting(f"Cloud KMS cannot {doing} now: {message}", hint="Restore or enable that version of the key.")


def _word(state: Any) -> str:
    """Google's word for a state; its number if this client is older than the state."""
    return str(getattr(state, "name", state))


def checksum(content: bytes) -> int:
    """The CRC32C by which Cloud KMS and its callers notice damaged bytes."""
    return int.from_bytes(google_crc32c.Checksum(content).digest(), "big")
