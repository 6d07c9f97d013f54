"""A look at everything that the promises rest on: policies, registry, instances, buckets, open alarms.

Nothing is mended here; each finding says what a person does next.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tenantctl.backups.holding import holding_sentence
from tenantctl.backups.terms import bucket_faults, off_cloud_copy, regions_with_copies
from tenantctl.evidence.anchoring import anchor_due, buckets, registry_seen
from tenantctl.evidence.restored import registry_blockers
from tenantctl.model.backup import bucket_name
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import ExitCode, TenantctlError, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.policy import Term
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import InstanceRole, Tenant
from tenantctl.ports.instances import InstanceSeen
from tenantctl.ports.keys import forgets
from tenantctl.ports.registry import Registry
from tenantctl.ports.world import World
from tenantctl.sweeps.audits import open_findings
from tenantctl.sweeps.coverage import examine_backups
from tenantctl.sweeps.reconcile import strangers

IAM_FLAG: Final = "cloudsql.iam_authentication"
SKEW_SECONDS_MAX: Final = 5
LATE: Final = timedelta(days=1)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is empty where it is good.

    A `silent` one could not be looked at: it is not good, and nothing is known to be wrong with it.
    """

    subject: str
    good: bool
    sentence: str
    remedy: str = ""
    silent: bool = False

    @classmethod
    def unseen(cls, subject: str, reason: str) -> "Finding":
        """What did not answer."""
        return cls(subject, False, f"could not be looked at: {reason}", "Try again.", silent=True)

    @classmethod
    def of_error(cls, subject: str, error: TenantctlError, remedy: str) -> "Finding":
        """What was refused, or did not answer; `remedy` is for an error that has none of its own."""
        return cls(subject, False, error.sentence, error.hint or remedy, silent=isinstance(error, Transient))


def worst(findings: Sequence[Finding]) -> ExitCode:
    """What the process tells its caller: a fault is worse than what could not be looked at."""
    bad = [one for one in findings if not one.good]
    if not bad:
        return ExitCode.OK
    return ExitCode.UNREACHABLE if all(one.silent for one in bad) else ExitCode.FINDINGS


def examine(
    world: World, *, registry_instance: str | None = None, machines_now: datetime | None = None
) -> Iterator[Finding]:
    """Looks at everything; what does not answer is a finding and not an end.

    Args:
        world: what is looked at.
        registry_instance: the registry's own instance, which the registry does not name; None leaves it out.
        machines_now: this machine's time, where the registry's must agree with it. None is a local cloud, whose clock
            is its own, and whose instances have addresses of this machine alone.
    """
    try:
        registry = world.registry
        yield Finding("registry", True, f"answers as {registry.actor()}; its time is {rfc3339(registry.now())}")
    except TenantctlError as error:
        yield Finding.of_error("registry", error, "See: tenantctl local status")
        return
    if machines_now is not None:
        yield clock_finding(registry.now(), machines_now)
    private = machines_now is not None
    if registry_instance is not None:
        yield _instance(world, registry_instance, None, private=private)
    yield from _instances(world, registry, private=private)
    regions = _copy_regions(world, registry)
    yield from _buckets(world, [*regions, *_off_cloud_regions(world, registry)])
    yield from _keys(world, regions)
    yield from _anchors(world, registry)
    yield from _strangers(world, registry)
    yield from _holds(world, registry)
    yield from _audits(world)
    yield from _tenants(world, registry)


def clock_finding(registrys: datetime, machines: datetime) -> Finding:
    """Whether this machine and the registry tell the same time: tokens and links are dated by this machine."""
    apart = abs((registrys - machines).total_seconds())
    if apart <= SKEW_SECONDS_MAX:
        return Finding("clock", True, f"this machine and the registry agree within {SKEW_SECONDS_MAX} seconds")
    remedy = "Set this machine's clock (chronyc tracking): tokens are refused, and links end at other times."
    return Finding("clock", False, f"this machine and the registry are {apart:.0f} seconds apart", remedy)


def instance_faults(seen: InstanceSeen, *, private: bool) -> Iterator[str]:
    """What of an instance's protections is missing, a clause each."""
    if not seen.deletion_protected:
        yield "may be deleted by anyone"
    if not seen.recovers_to_any_moment:
        yield "cannot be brought back to any moment"
    if dict(seen.flags).get(IAM_FLAG) != "on":
        yield "takes no IAM logins"
    if private and seen.public:
        yield "has a public address"


def _instances(world: World, registry: Registry, *, private: bool) -> Iterator[Finding]:
    known = registry.instances()
    if not known:
        yield Finding("instances", False, "none is in service", "tenantctl instance add NAME --region REGION")
    for role in InstanceRole:
        if known and not any(instance.role is role for instance in known):
            remedy = f"tenantctl instance add NAME --region REGION --role {role}"
            yield Finding("instances", False, f"none has the role {role}", remedy)
    for instance in known:
        yield _instance(world, instance.name, instance.region, private=private)


def _instance(world: World, name: str, region: str | None, *, private: bool) -> Finding:
    """One instance; `region` is where it must lie, None wherever it does."""
    subject = f"instance {name}"
    match world.instances.look(name):
        case Present(seen) if seen.state != "RUNNABLE":
            return Finding(subject, False, f"is {seen.state}", "Start it, or find out who stopped it.")
        case Present(seen) if region is not None and seen.region != region:
            return Finding(subject, False, f"lies in {seen.region}, not in {region}", "Ask who moved it.")
        case Present(seen) if faults := tuple(instance_faults(seen, private=private)):
            remedy = "Find out who changed it, and set it right with Terraform: terraform apply"
            return Finding(subject, False, " and ".join(faults), remedy)
        case Present(seen):
            return Finding(subject, True, f"runs {seen.database_version} in {seen.region}, protected from deletion")
        case Gone():
            return Finding(subject, False, "does not exist any more", "Treat this as an incident.")
        case Unreachable(reason):
            return Finding.unseen(subject, reason)


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
                yield Finding.unseen(subject, reason)
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
                yield Finding.unseen(subject, reason)


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
            return Finding.unseen(subject, reason)


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


def backlog_finding(tenants: Iterable[Tenant], *, now: datetime) -> Finding:
    """Whether what is due is done: work that waits for long is work that nobody starts."""
    due = [one for one in tenants if one.due_at <= now and not (one.state is State.FORGOTTEN and one.name is None)]
    late = [one for one in due if now - one.due_at > LATE]
    if not late:
        return Finding("backlog", True, f"{len(due)} tenants are due, none for more than {LATE.days} day")
    oldest = min(late, key=lambda one: one.due_at)
    sentence = (
        f"{len(late)} tenants are due for more than {LATE.days} day, {oldest.label} since {rfc3339(oldest.due_at)}"
    )
    return Finding("backlog", False, sentence, "See whether the jobs are started, and how they end; or: tenantctl run")


def _tenants(world: World, registry: Registry) -> Iterator[Finding]:
    alarms = registry.alarms()
    for alarm in alarms:
        since = rfc3339(alarm.since)
        remedy = f"tenantctl tenant explain {alarm.tenant_uid}"
        yield Finding(f"tenant {alarm.tenant_uid}", False, f"{alarm.code} since {since}: {alarm.reason}", remedy)
    tenants = registry.tenants()
    if not alarms:
        yield Finding("tenants", True, f"{len(tenants)} tenants, no alarm is open")
    yield backlog_finding(tenants, now=registry.now())
    fleet = examine_backups(world)
    for line in fleet.tenants:
        for fault in line.faults:
            yield Finding(f"backups of {line.tenant.uid}", False, fault, "tenantctl run; then: tenantctl backup status")
    if not any(line.faults for line in fleet.tenants):
        yield Finding("backups", True, f"those of {len(fleet.tenants)} active tenants are as the policy says")
