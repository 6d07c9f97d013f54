"""The stores of wrapped keys in Cloud Storage: `{prefix}-{region}-keys`, apart from the buckets of what they open.

Writing and reading are the vault's, so that no key is ever overwritten and what was damaged is noticed; removing is
here, and nowhere else in the program. A bucket that would keep what is removed is never removed from.
"""

from typing import Final

from google.cloud.storage import Client

from tenantctl.adapters.google.answers import explaining
from tenantctl.adapters.google.transport import TimeLimits, Watch
from tenantctl.adapters.google.vault import GoogleVault
from tenantctl.adapters.retry import Patience
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Sighting, Unreachable
from tenantctl.ports.keys import CONTENT_MAX, forgets
from tenantctl.ports.vault import BucketSeen, ObjectSeen

_NO_PATIENCE: Final = Patience(seconds=0)  # whole calls are repeated by a decorator, not here


def key_bucket_name(prefix: str, region: str) -> str:
    """The name of a region's key bucket."""
    return f"{prefix}-{region}-keys"


class GoogleKeyStore:
    """The port `KeyStore` on Cloud Storage.

    Args:
        client: as `vault.storage_client` makes it.
        prefix: how each bucket's name begins.
        limits: for each request.
    """

    def __init__(self, client: Client, prefix: str, *, limits: TimeLimits | None = None) -> None:
        self._client, self._prefix = client, prefix
        self._limits = limits or TimeLimits()
        self._vault = GoogleVault(client, limits=self._limits, patience=_NO_PATIENCE)

    def put(self, region: str, name: str, content: bytes) -> ObjectSeen:
        """Keeps a key; the same bytes again are a no-op."""
        if len(content) > CONTENT_MAX:
            raise Refused(f"A key store keeps up to {CONTENT_MAX} bytes under a name, not {len(content)}.")
        return self._vault.put(self._bucket(region), name, content)

    def read(self, region: str, name: str) -> bytes:
        """What is kept under a name."""
        return b"".join(self._vault.read(self._bucket(region), name))

    def remove(self, region: str, name: str) -> None:
        """Removes what is kept under a name, if it is there."""
        bucket = self._bucket(region)
        sighting = self._vault.look_at_bucket(bucket)
        if isinstance(sighting, Unreachable):
            raise Transient(f"Whether gs://{bucket} forgets what is removed from it cannot be told: {sighting.reason}")
        if isinstance(sighting, Gone):
            raise Transient(f"There is no gs://{bucket}: what became of its keys is unknown.")
        if not forgets(sighting.value):
            raise Refused(
                f"gs://{bucket} would keep what is removed from it: {sighting.value}.",
                hint="Turn off its soft delete, versioning and retention first; nothing was removed.",
            )
        blob = self._client.bucket(bucket).blob(name)
        try:
            with explaining(f"remove gs://{bucket}/{name}"), Watch(self._limits.whole_seconds):
                blob.delete(timeout=self._limits.for_requests, retry=None)
        except NotFound:
            if not isinstance(self._vault.look(bucket, name), Gone):
                raise Transient(f"gs://{bucket}/{name} was not there to be removed; look again.") from None

    def look(self, region: str, name: str) -> Sighting[ObjectSeen]:
        """One key by name."""
        return self._vault.look(self._bucket(region), name)

    def look_at_bucket(self, region: str) -> Sighting[BucketSeen]:
        """The bucket's own terms."""
        return self._vault.look_at_bucket(self._bucket(region))

    def names(self, region: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """The names below a prefix, in order."""
        return self._vault.names(self._bucket(region), prefix)

    def _bucket(self, region: str) -> str:
        return key_bucket_name(self._prefix, region)
