"""Where a new backup goes: which regions take a copy now, which should have one, and what is wrong with those.

A region takes a copy if its bucket shows the policy's terms and its KMS wraps the
backup's key. One that does not answer keeps no other from its copy: it is
intended all the same, and completed later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenantctl.backups.age import Identity
from tenantctl.backups.keys import wrap_in
from tenantctl.backups.terms import bucket_faults, copy_regions, off_cloud_copy
from tenantctl.engine.actions import Work
from tenantctl.model.backup import RetentionClass, bucket_name
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.move import closed_regions
from tenantctl.model.policy import Term
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import new_uid


@dataclass(frozen=True)
class Destinations:
    """The regions of one new backup, in the order in which they are preferred.

    `wrapped` has the backup's wrapped key for each region that takes a copy now;
    `keyless` has those that take one without a key of their own, off Google's cloud;
    `silent` has the reason for each that should have one and cannot.
    """

    backup_id: str
    intended: Sequence[str]
    wrapped: Mapping[str, str]
    keyless: Sequence[str]
    silent: Mapping[str, str]


def choose_destinations(work: Work, retention_class: RetentionClass, identity: Identity) -> Destinations:
    """As many regions as the policy asks for: those first that answer, and then those that ought to.

    None of them lies outside the jurisdiction that the tenant's data is kept in, or in one that it has moved out of.
    One off Google's cloud comes on top of them, and its trouble is never theirs. It has
    no key: whichever region's opens the backup opens this copy too.

    Raises:
        Transient: no region takes a copy.
        Refused: a bucket's terms are not the policy's.
    """
    world, policy, backup_id = work.world, work.world.policies.backups, new_uid()
    wrapped: dict[str, str] = {}
    trouble: dict[str, str] = {}
    home, kept_in = work.tenant.hosting.region, work.tenant.kept_in
    near = copy_regions(world.policies.regions.regions, home, world.jurisdictions, kept_in=kept_in)
    closed = regions_left(work)
    candidates = [region for region in near if region not in closed]
    for region in candidates:
        bucket = bucket_name(world.bucket_prefix, region, retention_class, policy.classes[retention_class].age_days)
        try:
            check_bucket(work, bucket, region, policy.classes[retention_class])
        except Transient as error:
            trouble[region] = error.sentence
            continue
        try:
            wrapped[region] = wrap_in(world, region, identity, work.tenant.uid, backup_id)
        except (Transient, Refused) as error:
            trouble[region] = error.sentence
            continue
        if len(wrapped) == policy.copies_min:
            break
    if not wrapped:
        raise Transient(f"A backup needs a bucket and a key in a region at least: {'; '.join(trouble.values())}")
    silent = [region for region in candidates if region in trouble][: policy.copies_min - len(wrapped)]
    further, further_silent = _off_cloud(work, retention_class)
    return Destinations(
        backup_id=backup_id,
        intended=[
            *(region for region in candidates if region in wrapped or region in silent),
            *further,
        ],
        wrapped=wrapped,
        keyless=[region for region in further if region not in further_silent],
        silent={**{region: trouble[region] for region in silent}, **further_silent},
    )


def _off_cloud(work: Work, retention_class: RetentionClass) -> tuple[Sequence[str], Mapping[str, str]]:
    """The region off Google's cloud that should have a further copy, if any, and why it cannot now, if so."""
    world, policy = work.world, work.world.policies.backups
    region = off_cloud_copy(policy, world.jurisdictions, work.tenant.hosting.region)
    if region is None:
        return (), {}
    term = policy.classes[retention_class]
    bucket = bucket_name(world.bucket_prefix, region, retention_class, term.age_days)
    try:
        check_bucket(work, bucket, region, term)
    except (Transient, Refused) as error:
        return (region,), {region: error.sentence}
    return (region,), {}


def regions_left(work: Work) -> frozenset[str]:
    """The regions to which no new byte of the tenant goes, since it has moved out of their jurisdiction."""
    world, tenant = work.world, work.tenant
    return closed_regions(world.registry.moves(tenant.uid), tenant.hosting.region, world.jurisdictions)


def check_bucket(work: Work, bucket: str, region: str, term: Term) -> None:
    """Looks whether a bucket may be given a copy.

    Raises:
        Transient: it does not answer, or is missing.
        Refused: its terms are not the policy's.
    """
    match work.world.vault.look_at_bucket(bucket):
        case Present(seen):
            if faults := tuple(bucket_faults(seen, region, term)):
                sentence = f"Bucket {bucket} gets no backup: it {' and '.join(faults)}."
                raise Refused(sentence, hint="Compare all buckets with policies/backups.yaml: tenantctl doctor")
        case Gone():
            raise Transient(f"Bucket {bucket} does not exist.")
        case Unreachable(reason):
            raise Transient(f"Bucket {bucket} does not answer: {reason}")
