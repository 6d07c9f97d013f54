"""Instances and buckets held against the registry and the policies: everything on them is looked at, by its own word.

What looks wrong may be a step that is under way: it is looked at a second time, and only what is wrong in both looks is
told. What does not answer raises, and is neither right nor wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tenantctl.backups.exports import export_bucket_name, export_bucket_terms
from tenantctl.backups.terms import off_cloud_copy, regions_with_copies
from tenantctl.evidence.anchoring import buckets
from tenantctl.model.backup import ResidueKind, bucket_name
from tenantctl.model.errors import NotFound, Transient
from tenantctl.model.facts import Census
from tenantctl.model.finding import Grade, GradedFinding
from tenantctl.model.move import open_move
from tenantctl.model.policy import Term
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.model.tenant import Instance, InstanceRole, Tenant, tenants_role
from tenantctl.ports.keys import forgets
from tenantctl.ports.vault import BucketSeen
from tenantctl.ports.world import World
from tenantctl.sweeps.drift_rules import (
    BUCKET_MISSING,
    INSTANCE_DRIFT,
    Counted,
    bucket_differs,
    bucket_findings,
    census_findings,
    instance_findings,
)


class BucketKind(StrEnum):
    """What a bucket is for, and so what its terms must be."""

    VAULT = "bucket"
    FORMER = "former bucket"  # of a term that the policy does not have any more, and whose copies run out
    ANCHORS = "anchor bucket"
    EXPORTS = "export bucket"
    KEYS = "key bucket"


@dataclass(frozen=True)
class KnownBucket:
    """A bucket that there must be; `term` is None for those that lock nothing, and for former ones."""

    kind: BucketKind
    name: str
    region: str
    term: Term | None = None


def known_buckets(world: World) -> Sequence[KnownBucket]:
    """Every bucket that the policies ask for, or that the ledger has copies in."""
    policies, prefix = world.policies, world.bucket_prefix
    homes = sorted({one.region for one in world.registry.instances() if one.role is InstanceRole.TENANTS})
    words, laws, least = policies.regions.regions, world.jurisdictions, policies.backups.copies_min
    regions = {one for home in homes for one in regions_with_copies(words, home, laws, copies_min=least)}
    further = {one for home in homes if (one := off_cloud_copy(policies.backups, laws, home))}
    found = [
        KnownBucket(BucketKind.VAULT, bucket_name(prefix, region, name, term.age_days), region, term)
        for region in sorted(regions | further)
        for name, term in policies.backups.classes.items()
    ]
    found += [
        KnownBucket(BucketKind.ANCHORS, name, region, policies.anchors.term) for region, name in buckets(world).items()
    ]
    age = policies.lifecycle.exports.age_days
    found += [KnownBucket(BucketKind.EXPORTS, export_bucket_name(prefix, home, age), home) for home in homes]
    found += [KnownBucket(BucketKind.KEYS, f"keys in {region}", region) for region in sorted(regions)]
    asked_for = {one.name for one in found}
    ledger = world.registry.ledger_buckets()
    return [*found, *(KnownBucket(BucketKind.FORMER, one, ledger[one]) for one in sorted(ledger.keys() - asked_for))]


def audit_bucket(world: World, bucket: KnownBucket, *, where: str) -> Iterator[GradedFinding]:
    """What is wrong with a bucket's own terms.

    Raises:
        Transient: it does not answer.
    """
    look = world.key_store.look_at_bucket if bucket.kind is BucketKind.KEYS else world.vault.look_at_bucket
    match look(bucket.region if bucket.kind is BucketKind.KEYS else bucket.name):
        case Present(seen):
            yield from _terms(world, bucket, seen, where)
        case Gone():
            remedy = "Make it with Terraform: terraform apply. If there was one with copies in it: an incident."
            yield GradedFinding(BUCKET_MISSING, Grade.CRITICAL, where, "bucket", "it does not exist", remedy)
        case Unreachable(reason):
            raise Transient(f"{where} does not answer: {reason}")


def _terms(world: World, bucket: KnownBucket, seen: BucketSeen, where: str) -> Iterator[GradedFinding]:
    match bucket.kind:
        case BucketKind.KEYS if not forgets(seen):
            yield bucket_differs(where, "it keeps what is removed from it, so that no key can be shredded")
        case BucketKind.EXPORTS:
            age = world.policies.lifecycle.exports.age_days
            if seen != (wanted := export_bucket_terms(bucket.region, age)):
                yield bucket_differs(where, f"it has {seen}, and must have {wanted}")
        case BucketKind.VAULT | BucketKind.ANCHORS if bucket.term is not None:
            yield from bucket_findings(seen, bucket.region, bucket.term, where=where)
        case BucketKind.FORMER:
            own = Term(lock_days=seen.lock_days or 0, age_days=seen.age_days or 0)
            yield from bucket_findings(seen, bucket.region, own, where=where)
        case _:
            return


def audit_instance(world: World, instance: Instance, *, where: str) -> Iterator[GradedFinding]:
    """What is wrong with an instance, and with what is on it.

    Raises:
        Transient: the Admin API or the instance does not answer.
    """
    match world.instances.look(instance.name):
        case Present(seen):
            yield from instance_findings(instance, seen, where=where)
        case Gone():
            remedy = f"An incident: its tenants are restored by: tenantctl backup restore --fleet {instance.region}"
            yield GradedFinding(INSTANCE_DRIFT, Grade.CRITICAL, where, "instance", "it does not exist any more", remedy)
            return
        case Unreachable(reason):
            raise Transient(f"The Admin API does not answer about {instance.name}: {reason}")
    if instance.role is InstanceRole.TENANTS and (first := _differences(world, instance, where)):
        keys = {one.key for one in first}
        yield from (one for one in _differences(world, instance, where) if one.key in keys)


def _differences(world: World, instance: Instance, where: str) -> Sequence[GradedFinding]:
    """What one look finds: the registry is read last, since it knows of a database before it is made."""
    census = _answered(world.databases.census(instance.name), instance.name)
    registry = world.registry
    hosted = {one.uid: one for one in registry.hosted(instance.name)}
    named = {one.uid for one in census.marked} | {who[0] for name in census.roles if (who := tenants_role(name))}
    others = {uid: one for uid in named - hosted.keys() if (one := _tenant(world, uid)) is not None}
    known = Counted({**hosted, **others})
    now = registry.now()
    suspicious = list(census_findings(instance.name, census, known, where=where, now=now))
    if not suspicious:
        return ()
    # Asked only now, and of those alone who are named in it: few, where the fleet is in order.
    told = " ".join(f"{one.subject} {one.sentence}" for one in suspicious)
    suspects = [uid for uid in known.tenants if uid in told]
    counted = frozenset(
        (uid, int(line.id.rsplit("/", 1)[1]))
        for uid in suspects
        for line in registry.open_residues(uid)
        if line.kind is ResidueKind.DATABASE and line.place.startswith(f"{instance.name}/")
    )
    at_work = frozenset(uid for uid in suspects if _at_work(world, uid))
    known = Counted(known.tenants, counted, at_work)
    return tuple(census_findings(instance.name, census, known, where=where, now=now))


def _tenant(world: World, uid: str) -> Tenant | None:
    try:
        return world.registry.tenant(uid)
    except NotFound:
        return None


def _at_work(world: World, uid: str) -> bool:
    return world.registry.lease_of(uid) is not None or open_move(world.registry.moves(uid)) is not None


def _answered(sight: Sighting[Census], instance: str) -> Census:
    match sight:
        case Present(census):
            return census
        case Gone():
            raise Transient(f"Instance {instance} is not where it was said to be.")
        case Unreachable(reason):
            raise Transient(f"Instance {instance} does not answer: {reason}")
