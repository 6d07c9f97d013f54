"""Exports in buckets: their own, which delete by age, so that what was handed out through one does not stay there.

Nothing is locked in them and nothing deleted by us. Each export is a line of residue before its first byte, and lapses
once its bucket was seen to have it no more.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tenantctl.model.backup import Residue, ResidueKind, manifest_name
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.policy import WRITING_DAYS_MAX, Policies
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.vault import BucketSeen
from tenantctl.ports.world import World

SCHEME = "gs://"


def export_bucket_name(prefix: str, region: str, age_days: int) -> str:
    """The bucket for exports of one region's tenants; another age is another bucket."""
    return f"{prefix}-{region}-exports-{age_days}d"


def export_object_name(tenant_uid: str, export_id: str) -> str:
    """The name of an export's archive; unique, so it is never overwritten."""
    return f"{tenant_uid}/{export_id}/database.dump"


def export_bucket_terms(region: str, age_days: int) -> BucketSeen:
    """What such a bucket must say of itself."""
    return BucketSeen(region, locked=False, lock_days=None, age_days=age_days, soft_delete_seconds=0, versioning=False)


def check_export_bucket(world: World, region: str) -> str:
    """The name of a region's bucket for exports, once it was seen to be as it must be.

    Raises:
        Refused: it is not there, or has other terms.
        Transient: it does not answer.
    """
    age_days = world.policies.lifecycle.exports.age_days
    bucket = export_bucket_name(world.bucket_prefix, region, age_days)
    match world.vault.look_at_bucket(bucket):
        case Present(seen) if seen == export_bucket_terms(region, age_days):
            return bucket
        case Present(seen):
            raise Refused(f"gs://{bucket} has other terms than exports need: {seen}.")
        case Gone():
            raise Refused(
                f"There is no bucket gs://{bucket} for exports.",
                hint="Terraform makes it from policies/lifecycle.yaml; on a local cloud: tenantctl instance add",
            )
        case Unreachable(reason):
            raise Transient(f"gs://{bucket} does not answer: {reason}")


def export_residue(
    tenant_uid: str, export_id: str, region: str, bucket: str, policies: Policies, *, now: datetime
) -> Residue:
    """The line of the residue inventory for an export."""
    days = WRITING_DAYS_MAX + policies.lifecycle.exports.age_days + policies.backups.lifecycle_lag_days
    return Residue(
        id=f"export/{export_id}/{region}",
        tenant_uid=tenant_uid,
        kind=ResidueKind.EXPORT,
        place=f"{SCHEME}{bucket}/{export_object_name(tenant_uid, export_id)}",
        made_at=now,
        unreadable_after=now + timedelta(days=days),
    )


def proofs_of_exports(world: World, residues: Iterator[Residue]) -> tuple[dict[str, str], list[str]]:
    """For each export that its bucket has no more, the sentence that proves it; and why others are not proved."""
    proofs, troubles = dict[str, str](), list[str]()
    for residue in residues:
        bucket, _, name = residue.place.removeprefix(SCHEME).partition("/")
        sights = [world.vault.look(bucket, one) for one in (name, manifest_name(name))]
        if all(isinstance(sight, Gone) for sight in sights):
            region = residue.id.split("/")[2]
            proofs[residue.id] = f"{region} reported it absent at {rfc3339(world.registry.now())}"
        else:
            silent = [sight.reason for sight in sights if isinstance(sight, Unreachable)]
            troubles.append(f"{residue.place}: {silent[0] if silent else 'it is still there past its date'}")
    return proofs, troubles
