"""One vault of many: buckets whose name says that they lie off Google's cloud go to S3, all others to Google.

`model/off_cloud.py` has the rule of the names, so whoever writes or looks at a copy needs the bucket's name and nothing
else. A copy off Google's cloud is made like any other one:

    region = "aws:eu-central-1"
    bucket = bucket_name(prefix, region, retention_class, term.age_days)
    faults = bucket_faults(world.vault.look_at_bucket(bucket).value, region, term)

What such a bucket says of its region bears its cloud too, so that it can be held against `Copy.region` and a policy.

The vault of a region off Google's cloud is made when its first bucket is asked for. Where that cannot be (its client is
not installed, its settings are wrong), a look answers Unreachable, as the port says, and what writes or reads is
Refused: copies in Google's cloud are made all the same.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

from tenantctl.model.errors import TenantctlError
from tenantctl.model.off_cloud import AWS, off_cloud_region
from tenantctl.model.sighting import Present, Sighting, Unreachable
from tenantctl.ports.vault import BucketSeen, ObjectListed, ObjectSeen, Upload, Vault

Answer = TypeVar("Answer")


class RoutedVault:
    """The port `Vault` over the vaults of two clouds; safe to share between threads if they are.

    Args:
        google: where buckets are unless their name says otherwise.
        off_cloud: makes the vault for a region such as `aws:eu-central-1`; called once for each.
    """

    def __init__(self, google: Vault, off_cloud: Callable[[str], Vault]) -> None:
        self._google, self._off_cloud = google, off_cloud
        self._made: dict[str, Vault] = {}
        self._making = threading.Lock()

    def look_at_bucket(self, bucket: str) -> Sighting[BucketSeen]:
        """See the port."""
        sighting = self._look(bucket, lambda vault: vault.look_at_bucket(bucket))
        if isinstance(sighting, Present) and off_cloud_region(bucket) is not None:
            return Present(replace(sighting.value, region=f"{AWS}:{sighting.value.region}"))
        return sighting

    def look(self, bucket: str, name: str) -> Sighting[ObjectSeen]:
        """See the port."""
        return self._look(bucket, lambda vault: vault.look(bucket, name))

    def put(self, bucket: str, name: str, content: bytes) -> ObjectSeen:
        """See the port."""
        return self._vault(bucket).put(bucket, name, content)

    def upload(self, bucket: str, name: str) -> AbstractContextManager[Upload]:
        """See the port."""
        return self._vault(bucket).upload(bucket, name)

    def read(self, bucket: str, name: str) -> Iterator[bytes]:
        """See the port."""
        return self._vault(bucket).read(bucket, name)

    def hold(self, bucket: str, name: str) -> ObjectSeen:
        """See the port."""
        return self._vault(bucket).hold(bucket, name)

    def release(self, bucket: str, name: str) -> ObjectSeen:
        """See the port."""
        return self._vault(bucket).release(bucket, name)

    def names(self, bucket: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """See the port."""
        return self._look(bucket, lambda vault: vault.names(bucket, prefix))

    def objects(self, bucket: str, *, after: str, limit: int) -> Sighting[tuple[ObjectListed, ...]]:
        """See the port."""
        return self._look(bucket, lambda vault: vault.objects(bucket, after=after, limit=limit))

    def _look(self, bucket: str, ask: Callable[[Vault], Sighting[Answer]]) -> Sighting[Answer]:
        try:
            vault = self._vault(bucket)
        except TenantctlError as error:
            return Unreachable(error.sentence)
        return ask(vault)

    def _vault(self, bucket: str) -> Vault:
        region = off_cloud_region(bucket)
        if region is None:
            return self._google
        with self._making:
            if region not in self._made:
                self._made[region] = self._off_cloud(region)
            return self._made[region]
