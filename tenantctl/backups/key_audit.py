"""The keys of backups, held registry against key buckets, and rebuilt from whichever still has them.

Each wrapped key stands in two places: in the registry, and in its region's key bucket. Either is rebuilt from the
other, and where both are lost, from another region's; but only what is seen to open the very backup that it is said to
open, and never a key that was shredded: what was shredded and is found again is a finding for a person.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import google_crc32c

from tenantctl.backups.age import Identity
from tenantctl.backups.keys import key_context, key_name, open_identity, store, wrap_in
from tenantctl.backups.terms import regions_with_copies
from tenantctl.engine.lease import leased
from tenantctl.model.backup import Backup, Copy, CopyState
from tenantctl.model.errors import Refused, TenantctlError, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.model.tenant import InstanceRole, Tenant
from tenantctl.ports.registry import FencedWrites
from tenantctl.ports.world import World


class KeyFault(StrEnum):
    """What can be wrong with one key in one region."""

    NOT_IN_BUCKET = "not-in-bucket"
    NOT_IN_REGISTRY = "not-in-registry"
    NOWHERE = "nowhere"
    DIFFERS = "differs"
    SHREDDED = "shredded-but-there"
    FOREIGN = "foreign"
    UNREACHABLE = "unreachable"


REBUILT_FROM_ELSEWHERE: Final = frozenset({KeyFault.NOT_IN_BUCKET, KeyFault.NOT_IN_REGISTRY, KeyFault.NOWHERE})
_SENTENCES: Final[Mapping[KeyFault, str]] = {
    KeyFault.NOT_IN_BUCKET: "the registry has it, the key bucket has not",
    KeyFault.NOT_IN_REGISTRY: "the key bucket has it, the registry has not",
    KeyFault.NOWHERE: "neither has it, though the copy is there and its time is not over",
    KeyFault.DIFFERS: "the key bucket has other bytes than the registry",
    KeyFault.SHREDDED: "it was shredded, and the key bucket has it",
    KeyFault.FOREIGN: "the key bucket has it, and the registry knows no such backup",
}


@dataclass(frozen=True)
class KeyFinding:
    """One key that is not as it should be; `tenant_uid` and `backup` are empty where a whole bucket is meant."""

    region: str
    tenant_uid: str
    backup: str
    fault: KeyFault
    sentence: str

    @property
    def is_rebuilt(self) -> bool:
        """Whether `rebuild_keys` can do something about it."""
        return self.fault in REBUILT_FROM_ELSEWHERE


@dataclass(frozen=True)
class KeyReport:
    """What was found; `good` counts the keys that are the same in both places."""

    regions: Sequence[str]
    good: int
    findings: Sequence[KeyFinding]


@dataclass(frozen=True)
class KeysRebuilt:
    """What was rebuilt, and what is left, each with the reason."""

    rebuilt: Sequence[KeyFinding]
    left: Sequence[KeyFinding]


def examine_keys(world: World) -> KeyReport:
    """Compares the registry with each region's key bucket, both ways.

    Raises:
        Transient: the registry does not answer; a bucket that does not is a finding.
    """
    tenants = [tenant for tenant in world.registry.tenants() if tenant.state is not State.FORGOTTEN]
    known = {
        tenant.uid: [copy for backup in world.registry.backups(tenant.uid) for copy in backup.copies]
        for tenant in tenants
    }
    regions = sorted(
        {*_homes(world), *(copy.region for copies in known.values() for copy in copies if copy.wrapped_key)}
    )
    there = {region: world.key_store.names(region, "") for region in regions}
    findings = [
        KeyFinding(region, "", "", KeyFault.UNREACHABLE, seen.reason)
        for region, seen in there.items()
        if isinstance(seen, Unreachable)
    ]
    good, expected = 0, set[tuple[str, str]]()
    for uid, copies in known.items():
        shredded = {line.id for line in world.registry.residues(uid) if line.lapsed_at is not None}
        for copy in copies:
            expected.add((copy.region, key_name(uid, copy.backup_id)))
            fault = _fault(world, copy, there.get(copy.region), is_shredded=copy.key_residue_id in shredded)
            if fault is not None:
                findings.append(KeyFinding(copy.region, uid, copy.backup_id, fault, _SENTENCES[fault]))
            elif copy.wrapped_key is not None and isinstance(there.get(copy.region), Present):
                good += 1
    return KeyReport(regions, good, [*findings, *_foreign(there, expected)])


def rebuild_keys(world: World) -> KeysRebuilt:
    """Rebuilds what can be rebuilt, one tenant after the other, each under its lease.

    Raises:
        Transient: the registry does not answer.
    """
    found = examine_keys(world).findings
    rebuilt: list[KeyFinding] = []
    left = [finding for finding in found if not finding.is_rebuilt]
    for uid in sorted({finding.tenant_uid for finding in found if finding.is_rebuilt}):
        of_tenant = [finding for finding in found if finding.is_rebuilt and finding.tenant_uid == uid]
        try:
            done, undone = _rebuild_of(world, world.registry.tenant(uid), of_tenant)
        except TenantctlError as trouble:
            done, undone = [], [replace(finding, sentence=trouble.sentence) for finding in of_tenant]
        rebuilt += done
        left += undone
    return KeysRebuilt(rebuilt, left)


def _homes(world: World) -> Iterator[str]:
    """The regions that the tenants' instances keep copies in."""
    policies = world.policies
    homes = {one.region for one in world.registry.instances() if one.role is InstanceRole.TENANTS}
    for home in homes:
        yield from regions_with_copies(
            policies.regions.regions, home, world.jurisdictions, copies_min=policies.backups.copies_min
        )


def _fault(world: World, copy: Copy, there: Sighting[tuple[str, ...]] | None, *, is_shredded: bool) -> KeyFault | None:
    """What is wrong with one copy's key; None if nothing is, or its bucket does not answer."""
    if not isinstance(there, Present):
        return None
    in_bucket = key_name(copy.tenant_uid, copy.backup_id) in there.value
    if copy.wrapped_key is None:
        if in_bucket:
            return KeyFault.SHREDDED if is_shredded else KeyFault.NOT_IN_REGISTRY
        is_needed = copy.state is CopyState.WRITTEN and copy.lapses_at > world.registry.now()
        return KeyFault.NOWHERE if is_needed and not is_shredded and _is_sealed(world, copy) else None
    if not in_bucket:
        return KeyFault.NOT_IN_BUCKET
    match world.key_store.look(copy.region, key_name(copy.tenant_uid, copy.backup_id)):
        case Present(seen) if seen.crc32c != _crc32c_of(base64.b64decode(copy.wrapped_key)):
            return KeyFault.DIFFERS
        case Gone():
            return KeyFault.NOT_IN_BUCKET
        case _:
            return None


def _is_sealed(world: World, copy: Copy) -> bool:
    """Whether the copy's backup has a key at all, and its region a KMS for it: a copy off this cloud has neither."""
    backup = next(one for one in world.registry.backups(copy.tenant_uid) if one.id == copy.backup_id)
    return backup.recipient is not None and not copy.off_cloud


def _foreign(there: Mapping[str, Sighting[tuple[str, ...]]], expected: set[tuple[str, str]]) -> Iterator[KeyFinding]:
    for region, seen in there.items():
        for name in seen.value if isinstance(seen, Present) else ():
            if (region, name) not in expected:
                uid, _, backup = name.removesuffix(".key").partition("/")
                yield KeyFinding(region, uid, backup, KeyFault.FOREIGN, _SENTENCES[KeyFault.FOREIGN])


def _rebuild_of(
    world: World, tenant: Tenant, findings: Sequence[KeyFinding]
) -> tuple[list[KeyFinding], list[KeyFinding]]:
    """Rebuilds one tenant's keys; no worker shreds one meanwhile, since the tenant is leased.

    Raises:
        Transient: a worker has the tenant.
    """
    registry = world.registry
    rebuilt: list[KeyFinding] = []
    left: list[KeyFinding] = []
    with leased(world, tenant) as heartbeat:
        backups = {backup.id: backup for backup in registry.backups(tenant.uid)}
        for finding in findings:
            backup = backups[finding.backup]
            copy = next(one for one in backup.copies if one.region == finding.region)
            try:
                wrapped = _wrapped_anew(world, backup, copy, finding.fault)
                if finding.fault is KeyFault.NOT_IN_BUCKET:
                    store(world, copy)
                with registry.fenced(heartbeat.lease) as writes:
                    _write(writes, copy, wrapped, finding.fault)
                if finding.fault is KeyFault.NOWHERE:
                    store(world, replace(copy, wrapped_key=wrapped))
            except (Transient, Refused) as trouble:
                left.append(replace(finding, sentence=trouble.sentence))
            else:
                rebuilt.append(finding)
    return rebuilt, left


def _wrapped_anew(world: World, backup: Backup, copy: Copy, fault: KeyFault) -> str:
    """The wrapped key of a copy, base64, after it was seen to open the backup.

    Raises:
        Refused: what is there opens something else, or nothing; or nobody has the backup's key.
        Transient: the region's KMS or key bucket does not answer.
    """
    if fault is KeyFault.NOWHERE:
        return wrap_in(world, copy.region, open_identity(world, backup), backup.tenant_uid, backup.id)
    if fault is KeyFault.NOT_IN_BUCKET:
        assert copy.wrapped_key is not None, "the registry was seen to have it"
        wrapped = base64.b64decode(copy.wrapped_key)
    else:
        wrapped = world.key_store.read(copy.region, key_name(backup.tenant_uid, backup.id))
    context = key_context(backup.tenant_uid, backup.id)
    identity = Identity.parse(world.keys.unwrap(copy.region, wrapped, context=context).decode())
    if identity.recipient != backup.recipient:
        raise Refused(f"The key in {copy.region} opens another backup than {backup.id}.")
    return base64.b64encode(wrapped).decode()


def _write(writes: FencedWrites, copy: Copy, wrapped: str, fault: KeyFault) -> None:
    if fault is not KeyFault.NOT_IN_BUCKET:
        writes.put_copy(replace(copy, wrapped_key=wrapped))
    writes.journal("key-rebuilt", backup=copy.backup_id, region=copy.region, fault=fault.value)


def _crc32c_of(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
