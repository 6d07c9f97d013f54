"""A registry held against everything that knows better: anchors, vaults, key buckets, instances.

Nothing is changed by looking, and nothing that is found is ever cleaned up: each finding says what a person does next.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from tenantctl.backups.terms import regions_with_copies
from tenantctl.evidence.anchoring import registry_seen
from tenantctl.evidence.comparing import Difference, compare_with_anchors
from tenantctl.evidence.restored import restored_because, untold_because
from tenantctl.model.anchor import Anchor
from tenantctl.model.backup import Backup, CopyState, bucket_name
from tenantctl.model.errors import NotFound
from tenantctl.model.facts import DatabaseMarked
from tenantctl.model.lifecycle import DEAD, State
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import InstanceRole, Tenant
from tenantctl.ports.world import World

HOSTED = frozenset({State.ACTIVE, State.MOVING, State.DEACTIVATING, State.DEACTIVATED})


@dataclass(frozen=True, order=True)
class Finding:
    """One thing in which the registry and the world differ; `alarm` where nobody may wait for the next look."""

    code: str
    subject: str
    sentence: str
    remedy: str
    alarm: bool = False


@dataclass(frozen=True)
class Comparison:
    """What came of looking at everything.

    Attributes:
        findings: in a fixed order.
        unseen: what could not be looked at; with any of it, nothing can be accepted.
        restored: why the registry is taken for a restored one; None if it is not.
        anchors: every anchor that was read.
        newest: the digest of the newest of them; blank if there is none.
        registry: what the registry calls itself.
    """

    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]
    restored: str | None
    anchors: tuple[Anchor, ...]
    newest: str
    registry: str

    @property
    def text(self) -> str:
        """What is accepted when the findings are: canonical JSON, without a time in it."""
        content = {
            "findings": [asdict(finding) for finding in self.findings],
            "newest_anchor": self.newest,
            "registry": self.registry,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def digest(self) -> str:
        """Names the findings: the first 16 hex digits of the SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def compare(world: World) -> Comparison:
    """Looks at everything there is.

    Raises:
        Transient: the registry does not answer; whatever else does not is named in `unseen`.
    """
    registry, seen = world.registry, registry_seen(world)
    known = {tenant.uid: tenant for tenant in registry.tenants()}
    unseen: list[str] = []
    compared = compare_with_anchors(world)
    unseen += compared.unread
    findings = [_changed(fault) for fault in compared.faults]
    backups = [backup for uid in known for backup in registry.backups(uid)]
    findings += _vaults(world, known, backups, unseen)
    findings += _keys(world, backups, unseen)
    findings += _instances(world, known, unseen)
    untold = untold_because(seen, world.policies.anchors, now=registry.now())
    if untold is not None and not seen.answered():
        unseen.append(untold)
    elif untold is not None:
        remedy = "Find out who could remove it: its bucket is locked."
        findings.append(Finding("anchor-missing", "anchors", untold, remedy, alarm=True))
    on_record = {one.anchor.digest for one in registry.anchors_since(None)}
    findings += _shorter_chains(compared.differences, known, on_record)
    findings += [_unknown_anchor(anchor) for anchor in compared.anchors if anchor.digest not in on_record]
    newest = max(compared.anchors, key=lambda anchor: (anchor.number, anchor.made_at), default=None)
    return Comparison(
        findings=tuple(sorted(set(findings))),
        unseen=tuple(dict.fromkeys(unseen)),
        restored=restored_because(seen),
        anchors=tuple(compared.anchors),
        newest=newest.digest if newest else "",
        registry=seen.identity,
    )


def _changed(fault: str) -> Finding:
    return Finding("anchor-damaged", "anchors", fault, "Treat this as an incident: locked objects do not change.", True)


def _unknown_anchor(anchor: Anchor) -> Finding:
    sentence = f"{anchor.sentence}, of registry {anchor.registry}, is not on this registry's record"
    remedy = "The registry is older than this, or not the one that made it; what happened in between is lost to it."
    return Finding("anchor-unknown", f"anchor {anchor.number}", sentence, remedy)


def _shorter_chains(
    differences: Sequence[Difference], known: Mapping[str, Tenant], on_record: Collection[str]
) -> Iterator[Finding]:
    """One finding for each chain: that an entry is another, or by how much it is shorter than somebody has it."""
    worst: dict[str, Difference] = {}
    for one in differences:
        before = worst.get(one.tenant_uid)
        if before is None or (one.anchor in on_record, one.anchored) > (before.anchor in on_record, before.anchored):
            worst[one.tenant_uid] = one
    for uid, one in worst.items():
        if one.anchor in on_record:
            remedy = "Treat this as an incident: compare with a backup of the registry, and see who could write there."
            yield Finding("chain-changed", f"tenant {uid}", one.sentence, remedy, alarm=True)
        elif uid not in known:
            remedy = "Bring its rows back from the lost registry, or its database as a new tenant's; never by its name."
            yield Finding("tenant-unknown", f"tenant {uid}", one.sentence, remedy, alarm=True)
        else:
            remedy = "Ask billing, and whoever asks for reinstatements and holds, what was wanted of it; say it again."
            yield Finding("chain-shorter", f"tenant {uid}", f"its journal has lost entries: {one.sentence}", remedy)


def _vaults(
    world: World, known: Mapping[str, Tenant], backups: Sequence[Backup], unseen: list[str]
) -> Iterator[Finding]:
    """Manifests of backups that the registry does not know."""
    ids = {backup.id for backup in backups}
    buckets = {copy.bucket for backup in backups for copy in backup.copies}
    for region in _home_regions(world):
        for retention_class, term in world.policies.backups.classes.items():
            buckets.add(bucket_name(world.bucket_prefix, region, retention_class, term.age_days))
    for bucket in sorted(buckets):
        match world.vault.names(bucket, ""):
            case Present(names):
                for uid, backup_id in _objects(names, "manifest.json"):
                    if backup_id not in ids:
                        yield _unknown_backup(uid, backup_id, f"gs://{bucket}", known)
            case Unreachable(reason):
                unseen.append(f"bucket {bucket}: {reason}")
            case Gone():
                unseen.append(f"bucket {bucket}: it does not exist")


def _unknown_backup(uid: str, backup_id: str, place: str, known: Mapping[str, Tenant]) -> Finding:
    whose = f"tenant {uid}" if uid in known else f"tenant {uid}, whom it does not know either,"
    sentence = f"backup {backup_id} of {whose} lies in {place}, and the registry does not know it"
    remedy = "Nothing need be done for the promise: its bucket deletes it in time. Its key is in the key buckets."
    return Finding("backup-unknown", f"backup {backup_id}", sentence, remedy)


def _keys(world: World, backups: Sequence[Backup], unseen: list[str]) -> Iterator[Finding]:
    """Keys that the registry does not know, and keys that it has and that were shredded since."""
    ids = {backup.id for backup in backups}
    wrapped = {
        (copy.region, backup.tenant_uid, backup.id)
        for backup in backups
        for copy in backup.copies
        if copy.wrapped_key is not None and copy.state is not CopyState.ABSENT
    }
    regions = {region for region, _, _ in wrapped} | _home_regions(world)
    for region in sorted(regions):
        match world.key_store.names(region, ""):
            case Present(names):
                there = {(region, *pair) for pair in _key_names(names)}
                for _, uid, backup_id in sorted(there):
                    if backup_id not in ids:
                        sentence = f"a key of backup {backup_id} of tenant {uid} lies in {region}, and nobody knows it"
                        remedy = (
                            "Its backup can be read for as long as it lies there: shred it when its copies are gone."
                        )
                        yield Finding("key-unknown", f"backup {backup_id}", sentence, remedy)
                for _, uid, backup_id in sorted(one for one in wrapped - there if one[0] == region):
                    sentence = f"the key of backup {backup_id} of tenant {uid} is gone from {region}: it was shredded"
                    remedy = "Open it for nobody: what removed it is lost to this registry. Repeat an erasure, or wait."
                    yield Finding("key-shredded", f"backup {backup_id}", sentence, remedy)
            case Unreachable(reason):
                unseen.append(f"key bucket in {region}: {reason}")
            case Gone():
                unseen.append(f"key bucket in {region}: it does not exist")


def _instances(world: World, known: Mapping[str, Tenant], unseen: list[str]) -> Iterator[Finding]:
    """Databases of the dead and of nobody, and the living without theirs."""
    for instance in world.registry.instances():
        if instance.role is not InstanceRole.TENANTS:
            continue
        match world.databases.census(instance.name):
            case Present(census):
                databases = census.marked
                yield from strangers(world, instance.name, databases)
                there = {(database.uid, database.generation) for database in databases}
                hosted = (one for one in known.values() if one.state in HOSTED)
                for tenant in hosted:
                    at = tenant.hosting
                    if at.instance == instance.name and (at.uid, at.generation) not in there:
                        yield _homeless(tenant)
            case Unreachable(reason):
                unseen.append(f"instance {instance.name}: {reason}")
            case Gone():
                unseen.append(f"instance {instance.name}: it does not exist")


def strangers(world: World, instance: str, databases: tuple[DatabaseMarked, ...]) -> Iterator[Finding]:
    """Living databases whose tenant is dead, elsewhere, or nobody: an alarm each, and never a clean-up."""
    for database in databases:
        where = f"database {database.name} on {instance} bears the marker of tenant {database.uid}"
        try:
            tenant = world.registry.tenant(database.uid)
        except NotFound:
            remedy = "Find out whose it is: the registry may be older than it. Drop nothing by hand."
            yield Finding("database-unknown", database.name, f"{where}, and there is no such tenant", remedy, True)
            continue
        if tenant.state in DEAD:
            remedy = "The instance was brought back, or the registry is wrong. Drop nothing before it is known which."
            yield Finding("database-of-the-dead", database.name, f"{where}, which is {tenant.state}", remedy, True)
        elif (tenant.hosting.instance, tenant.hosting.generation) != (instance, database.generation):
            remedy = "A move was lost, or is under way: tenantctl tenant show says where the registry has it."
            sentence = f"{where}, which the registry has on {tenant.hosting.instance} as {tenant.hosting.database}"
            yield Finding("database-elsewhere", database.name, sentence, remedy, True)


def _homeless(tenant: Tenant) -> Finding:
    sentence = f"the registry has it {tenant.state} on {tenant.hosting.instance}, which shows no such database"
    remedy = "If it was destroyed since, its customer had been told: look for its certificate. Else restore a backup."
    return Finding("database-missing", f"tenant {tenant.uid}", sentence, remedy, alarm=True)


def _home_regions(world: World) -> set[str]:
    """The regions in which copies of the tenants' instances are kept."""
    policy, words = world.policies.backups, world.policies.regions.regions
    homes = {one.region for one in world.registry.instances() if one.role is InstanceRole.TENANTS}
    return {
        region
        for home in homes
        for region in regions_with_copies(words, home, world.jurisdictions, copies_min=policy.copies_min)
    }


def _objects(names: tuple[str, ...], last: str) -> Iterator[tuple[str, str]]:
    parts = (name.split("/") for name in names)
    return ((three[0], three[1]) for three in parts if len(three) == 3 and three[2] == last)


def _key_names(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    parts = (name.split("/") for name in names)
    return ((two[0], two[1].removesuffix(".key")) for two in parts if len(two) == 2 and two[1].endswith(".key"))
