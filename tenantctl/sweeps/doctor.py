"""A look at everything that the promises rest on: policies, registry, instances, buckets, open alarms.

Nothing is mended here; each finding says what a person does next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tenantctl.backups.holding import holding_sentence
from tenantctl.backups.terms import bucket_faults, off_cloud_copy, regions_with_copies
from tenantctl.evidence.anchoring import anchor_due, buckets, registry_seen
from tenantctl.evidence.restored import registry_blockers
from tenantctl.model.backup import bucket_name
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import TenantctlError
from tenantctl.model.policy import Term
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import InstanceRole
from tenantctl.ports.keys import forgets
from tenantctl.ports.registry import Registry
from tenantctl.ports.world import World
from tenantctl.sweeps.audits import open_findings
from tenantctl.sweeps.coverage import examine_backups
from tenantctl.sweeps.reconcile import strangers


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is empty where it is good."""

    subject: str
    good: bool
    sentence: str
    remedy: str = ""


def examine(world: World) -> Iterator[Finding]:
    """Looks at everything; what does not answer is a finding and not an end."""
    yield Finding("policies", True, f"in order, digest {world.policies.digest}")
    try:
        registry = world.registry
        yield Finding("registry", True, f"answers as {registry.actor()}; its time is {rfc3339(registry.now())}")
    except TenantctlError as error:
        yield Finding("registry", False, error.sentence, error.hint or "See: tenantctl local status")
        return
    yield from _instances(world, registry)
    regions = _copy_regions(world, registry)
    yield from _buckets(world, [*regions, *_off_cloud_regions(world, registry)])
    yield from _keys(world, regions)
    yield from _anchors(world, registry)
    yield from _strangers(world, registry)
    yield from _holds(world, registry)
    yield from _audits(world)
    yield from _tenants(world, registry)


def _instances(world: World, registry: Registry) -> Iterator[Finding]:
    known = registry.instances()
    if not known:
        yield Finding("instances", False, "none is in service", "tenantctl instance add NAME --region REGION")
    for role in InstanceRole:
        if known and not any(instance.role is role for instance in known):
            remedy = f"tenantctl instance add NAME --region REGION --role {role}"
            yield Finding("instances", False, f"none has the role {role}", remedy)
    for instance in known:
        subject = f"instance {instance.name}"
        match world.instances.look(instance.name):
            case Present(seen) if seen.state != "RUNNABLE":
                yield Finding(subject, False, f"is {seen.state}", "Start it, or find out who stopped it.")
            case Present(seen) if seen.region != instance.region:
                yield Finding(subject, False, f"lies in {seen.region}, not in {instance.region}", "Ask who moved it.")
            case Present(seen) if not seen.deletion_protected:
                yield Finding(subject, False, "may be deleted by anyone", "Switch its deletion protection on.")
            case Present(seen):
                yield Finding(subject, True, f"runs {seen.database_version} in {seen.region}, protected from deletion")
            case Gone():
                yield Finding(subject, False, "does not exist any more", "Treat this as an incident.")
            case Unreachable(reason):
                yield Finding(subject, False, f"could not be looked at: {reason}", "Try again.")


def _copy_regions(world: World, registry: Registry) -> Sequence[str]:
    """The regions that the tenants' instances keep copies in."""
    policy, words = world.policies.backups, world.policies.regions.regions
    homes = {instance.region for instance in registry.instances() if instance.role is InstanceRole.TENANTS}
    laws = world.jurisdictions
    return sorted(
        {one for home in homes for one in regions_with_copies(words, home, laws, copies_min=policy.copies_min)}
    )


def _off_cloud_regions(world: World, registry: Registry) -> Sequence[str]:
    """The regions off Google's cloud that have a further copy of what the tenants' instances hold."""
    policy = world.policies.backups
    homes = {instance.region for instance in registry.instances() if instance.role is InstanceRole.TENANTS}
    return sorted({further for home in homes if (further := off_cloud_copy(policy, world.jurisdictions, home))})


def _keys(world: World, regions: Sequence[str]) -> Iterator[Finding]:
    for region in regions:
        subject = f"key in {region}"
        match world.keys.look(region):
            case Present(key) if key.state != "ENABLED":
                yield Finding(subject, False, f"does not wrap: it is {key.state or 'without a version'}", "Enable it.")
            case Present(_):
                yield Finding(subject, True, "wraps the keys of backups")
            case Gone():
                yield Finding(subject, False, "does not exist", "Make it with Terraform: terraform apply")
            case Unreachable(reason):
                yield Finding(subject, False, f"could not be looked at: {reason}", "Try again.")
        subject = f"key bucket in {region}"
        match world.key_store.look_at_bucket(region):
            case Present(terms) if not forgets(terms):
                sentence = "keeps what is removed from it, so that no key can be shredded"
                yield Finding(subject, False, sentence, "Switch soft delete, versions and retention off.")
            case Present(_):
                yield Finding(subject, True, "keeps nothing of what is removed from it")
            case Gone():
                yield Finding(subject, False, "does not exist", "Make it with Terraform: terraform apply")
            case Unreachable(reason):
                yield Finding(subject, False, f"could not be looked at: {reason}", "Try again.")


def _buckets(world: World, regions: Sequence[str]) -> Iterator[Finding]:
    policy = world.policies.backups
    for region in regions:
        for retention_class, term in policy.classes.items():
            name = bucket_name(world.bucket_prefix, region, retention_class, term.age_days)
            yield _bucket(world, name, region, term, "It gets no backup until it is mended.")


def _bucket(world: World, name: str, region: str, term: Term, remedy: str) -> Finding:
    """One bucket of locked copies; `remedy` is what follows from other terms."""
    subject = f"bucket {name}"
    match world.vault.look_at_bucket(name):
        case Present(seen) if faults := tuple(bucket_faults(seen, region, term)):
            return Finding(subject, False, " and ".join(faults), remedy)
        case Present(_):
            return Finding(subject, True, f"locked for {term.lock_days} days, deletes at {term.age_days}")
        case Gone():
            return Finding(subject, False, "does not exist", "Make it with Terraform: terraform apply")
        case Unreachable(reason):
            return Finding(subject, False, f"could not be looked at: {reason}", "Try again.")


def _anchors(world: World, registry: Registry) -> Iterator[Finding]:
    """Their buckets, how old the newest is, and whether the registry is older than it."""
    remedy = "It gets no anchor until it is mended, and nothing is destroyed without one in two regions."
    for region, name in buckets(world).items():
        yield _bucket(world, name, region, world.policies.anchors.term, remedy)
    known = registry_seen(world)
    for blocker in registry_blockers(known, world.policies.anchors, now=registry.now()):
        remedy = "Nothing irreversible is done meanwhile. See: tenantctl registry reconcile"
        yield Finding("anchors", False, f"{blocker.code}: {blocker.reason}", remedy)
        return
    made = f"{known.newest.anchor.sentence} is the newest" if known.newest else "none was made yet"
    if known.newest is not None and anchor_due(world):
        yield Finding("anchors", False, f"{made}, and one of all chains is due", "tenantctl registry anchor")
    else:
        yield Finding("anchors", True, f"{made}; the registry knows every one that is there")


def _strangers(world: World, registry: Registry) -> Iterator[Finding]:
    """Living databases of tenants that are dead, elsewhere or unknown."""
    for instance in registry.instances():
        if instance.role is InstanceRole.TENANTS:
            sight = world.databases.census(instance.name)  # one that does not answer has a finding of its own
            found = strangers(world, instance.name, sight.value.marked) if isinstance(sight, Present) else ()
            for one in found:
                yield Finding(one.subject, False, f"{one.code}: {one.sentence}", one.remedy)


def _holds(world: World, registry: Registry) -> Iterator[Finding]:
    """A line for each tenant under a hold; what is wrong with one is told by its alarms."""
    for uid in dict.fromkeys(hold.tenant_uid for hold in world.decisions.holds()):
        sentence = holding_sentence(world.decisions.holds(uid), registry.backups(uid))
        yield Finding(f"holds of {uid}", True, sentence or "released a moment ago")


def _audits(world: World) -> Iterator[Finding]:
    """What the last audits left open; a line of its own where that is nothing."""
    found = open_findings(world)
    for one in found:
        since = rfc3339(one.since) if one.since else "now"
        yield Finding(f"{one.where}: {one.subject}", False, f"{one.code} since {since}: {one.sentence}", one.remedy)
    if not found:
        yield Finding("audits", True, "no finding is open")


def _tenants(world: World, registry: Registry) -> Iterator[Finding]:
    alarms = registry.alarms()
    for alarm in alarms:
        since = rfc3339(alarm.since)
        remedy = f"tenantctl tenant explain {alarm.tenant_uid}"
        yield Finding(f"tenant {alarm.tenant_uid}", False, f"{alarm.code} since {since}: {alarm.reason}", remedy)
    if not alarms:
        yield Finding("tenants", True, f"{len(registry.tenants())} tenants, no alarm is open")
    fleet = examine_backups(world)
    for line in fleet.tenants:
        for fault in line.faults:
            yield Finding(f"backups of {line.tenant.uid}", False, fault, "tenantctl run; then: tenantctl backup status")
    if not any(line.faults for line in fleet.tenants):
        yield Finding("backups", True, f"those of {len(fleet.tenants)} active tenants are as the policy says")
