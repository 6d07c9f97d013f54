"""Exports into a bucket, for a customer to fetch by a link: on the residue inventory before the first byte."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tenantctl.backups.exports import (
    SCHEME,
    check_export_bucket,
    export_bucket_name,
    export_object_name,
    export_residue,
)
from tenantctl.custody.database_export import Writing
from tenantctl.engine.actions import Work
from tenantctl.model.backup import manifest_name
from tenantctl.model.errors import Refused
from tenantctl.model.tenant import Tenant, new_uid
from tenantctl.ports.vault import Upload, Vault
from tenantctl.ports.world import World


@dataclass(frozen=True)
class BucketDestination:
    """The bucket for exports of the tenant's own region."""

    world: World
    tenant: Tenant
    export_id: str = field(default_factory=new_uid)

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        age_days = self.world.policies.lifecycle.exports.age_days
        return export_bucket_name(self.world.bucket_prefix, self.tenant.hosting.region, age_days)

    @property
    def name(self) -> str:
        """The name of the archive in it."""
        return export_object_name(self.tenant.uid, self.export_id)

    @property
    def archive(self) -> str:
        """Where the archive will be."""
        return f"{SCHEME}{self.bucket}/{self.name}"

    @property
    def manifest(self) -> str:
        """Where the manifest will be."""
        return f"{SCHEME}{self.bucket}/{manifest_name(self.name)}"

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What the journal says: the object is named after the uid."""
        return {"to": self.archive}

    def prepare(self, work: Work) -> None:
        """Writes the place down with its date, once its bucket was seen to be one that forgets.

        Raises:
            Refused: the bucket is missing, or keeps things otherwise, or the tenant has moved meanwhile.
            Transient: it does not answer.
        """
        region = work.tenant.hosting.region
        if region != self.tenant.hosting.region:
            raise Refused(f"Tenant {self.tenant.label} has moved to {region} meanwhile.", hint="Ask again.")
        bucket = check_export_bucket(work.world, region)
        with work.world.registry.fenced(work.lease) as writes:
            residue = export_residue(
                self.tenant.uid, self.export_id, region, bucket, work.world.policies, now=writes.now
            )
            writes.put_residue(residue)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Streams into the bucket; an object exists only once sealed."""
        with self.world.vault.upload(self.bucket, self.name) as upload:
            yield _BucketWriting(self, self.world.vault, upload)


@dataclass(frozen=True)
class _BucketWriting:
    destination: BucketDestination
    vault: Vault
    upload: Upload

    def write(self, chunk: bytes) -> None:
        self.upload.write(chunk)

    def seal(self, manifest: bytes) -> None:
        self.upload.seal()
        self.vault.put(self.destination.bucket, manifest_name(self.destination.name), manifest)


def check_address(destination: BucketDestination, address: str) -> None:
    """Whether somebody named the bucket that exports go into; `gs://` alone means it.

    Raises:
        Refused: it is another one, of which nobody would know how long it keeps what it is given.
    """
    if address.rstrip("/") not in {"gs:", f"{SCHEME}{destination.bucket}"}:
        raise Refused(
            f"Exports go into {SCHEME}{destination.bucket} alone, which deletes them by their age.",
            hint="Write -o gs:// for it, or name a file.",
        )
