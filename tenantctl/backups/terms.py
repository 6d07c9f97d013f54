"""Which buckets a backup may be written to, and what is wrong with one that it may not."""

from collections.abc import Iterable, Mapping, Sequence

from tenantctl.model.errors import Refused
from tenantctl.model.policy import BackupsPolicy, Term
from tenantctl.model.region import RegionPolicy
from tenantctl.ports.vault import BucketSeen


def copy_regions(
    regions: Mapping[str, RegionPolicy], region: str, jurisdictions: Mapping[str, str], *, kept_in: str | None
) -> Sequence[str]:
    """The regions that may hold a tenant's copies: its own, then that one's partners in the policy's order.

    Args:
        regions: the operator's word on each.
        region: where the tenant is hosted.
        jurisdictions: region → jurisdiction.
        kept_in: the jurisdiction that the tenant's data does not leave; partners elsewhere are left out. None for any.

    Raises:
        Refused: the policy does not name the region any more.
    """
    if region not in regions:
        raise Refused(
            f"The policy does not name region {region}, and tenants or copies are there.",
            hint="Name it in policies/regions.yaml; one that takes no more tenants is closed, and stays there.",
        )
    partners = regions[region].partners
    return (region, *(one for one in partners if kept_in is None or jurisdictions.get(one) == kept_in))


def regions_with_copies(
    regions: Mapping[str, RegionPolicy], region: str, jurisdictions: Mapping[str, str], *, copies_min: int
) -> Sequence[str]:
    """The regions that have copies of the tenants of a region, as long as all answer: of any tenant of it.

    Those whose data is kept in the region's jurisdiction may have theirs in other partners than the rest.

    Raises:
        Refused: the policy does not name the region any more.
    """
    everybody = copy_regions(regions, region, jurisdictions, kept_in=None)[:copies_min]
    kept = copy_regions(regions, region, jurisdictions, kept_in=jurisdictions.get(region))[:copies_min]
    return tuple(dict.fromkeys((*everybody, *kept)))


def off_cloud_copy(policy: BackupsPolicy, jurisdictions: Mapping[str, str], region: str) -> str | None:
    """The region off Google's cloud that has a further copy of a region's backups; None if the policy names none."""
    return policy.off_cloud.get(jurisdictions.get(region, ""))


def bucket_faults(seen: BucketSeen, region: str, term: Term) -> Iterable[str]:
    """Why a live bucket must not be given a backup, a clause each; none if its terms are the policy's."""
    if seen.region.lower() != region:
        yield f"lies in {seen.region}, not in {region}"
    if not seen.locked:
        yield "has no locked retention"
    if seen.lock_days != term.lock_days:
        yield f"locks for {seen.lock_days} days where the policy says {term.lock_days}"
    if seen.age_days != term.age_days:
        yield f"deletes at an age of {seen.age_days} days where the policy says {term.age_days}"
    if seen.soft_delete_seconds:
        yield f"keeps what was deleted for {seen.soft_delete_seconds} seconds"
    if seen.versioning:
        yield "keeps old versions"
