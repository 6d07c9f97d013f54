"""Each backup's own key: made, wrapped in every copy's region, opened for a restore, and shredded in time.

The private half exists in the clear only while a dump is written or a copy is
read. Wrapped, it stands in the registry and in a small key bucket of each
region that has a copy, never beside the payload; removing all of these shreds
the backup, whatever becomes of its locked bytes.
"""

import base64
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from tenantctl.backups.age import Identity
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Backup, Copy, Residue, ResidueKind
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.policy import BackupsPolicy
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.world import World

SHREDDING_MAX: Final = timedelta(days=1)  # a tenant is looked at daily at least


def key_name(tenant_uid: str, backup_id: str) -> str:
    """The name of a backup's wrapped key in each key bucket."""
    return f"{tenant_uid}/{backup_id}.key"


def key_context(tenant_uid: str, backup_id: str) -> str:
    """What the wrapping is bound to: a wrapped key of one backup opens no other."""
    return f"tenantctl/{tenant_uid}/{backup_id}"


def wrap_in(world: World, region: str, identity: Identity, tenant_uid: str, backup_id: str) -> str:
    """The identity wrapped by a region's KMS key, base64.

    Raises:
        Transient: its KMS does not answer.
        Refused: it has no key, or one that does not wrap.
    """
    wrapped = world.keys.wrap(region, identity.text.encode(), context=key_context(tenant_uid, backup_id))
    return base64.b64encode(wrapped).decode()


def store(world: World, copy: Copy) -> None:
    """Puts the wrapped key that the registry has for a copy into its region's key bucket.

    Raises:
        Transient: the key bucket does not answer.
        Refused: it is missing, or holds another key under that name.
    """
    if copy.wrapped_key is not None:
        name = key_name(copy.tenant_uid, copy.backup_id)
        world.key_store.put(copy.region, name, base64.b64decode(copy.wrapped_key))


def open_identity(world: World, backup: Backup) -> Identity:
    """The identity of a backup, opened by whichever region can: from the registry, or from a key bucket.

    Raises:
        Refused: the backup has no key any more, or what is there opens nothing.
        Transient: no region answered.
    """
    context = key_context(backup.tenant_uid, backup.id)
    reasons: list[str] = []
    silent = False
    for copy in backup.copies:
        if copy.off_cloud:
            continue
        try:
            wrapped = _wrapped(world, backup, copy)
            identity = Identity.parse(world.keys.unwrap(copy.region, wrapped, context=context).decode())
        except TenantctlError as error:
            reasons.append(f"{copy.region}: {error.sentence}")
            silent = silent or isinstance(error, Transient)
            continue
        if identity.recipient == backup.recipient:
            return identity
        reasons.append(f"{copy.region}: this key opens another backup")
    sentence = f"No key opens backup {backup.id}: {'; '.join(reasons) or 'it has none'}"
    raise Transient(sentence) if silent else Refused(sentence)


def key_residue(copy: Copy, policy: BackupsPolicy) -> Residue:
    """The line of the residue inventory for one region's key of a copy: shredded when the copy reaches its age."""
    shredded_by = copy.lapses_at + SHREDDING_MAX
    return Residue(
        id=copy.key_residue_id,
        tenant_uid=copy.tenant_uid,
        kind=ResidueKind.KEY,
        place=f"key of backup {copy.backup_id} in {copy.region}, and its copy in the registry",
        made_at=copy.intended_at,
        unreadable_after=shredded_by + timedelta(days=policy.key_residue_days),
    )


class ShredKey:
    """Removes every wrapped key of the backup that is the step's subject."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry holds no wrapped key of it any more; the key buckets were emptied before."""
        return not any(copy.wrapped_key for copy in _backup(work, step).copies)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Planning names only backups whose time has come; none of a tenant whose data the law wants kept."""
        if work.world.decisions.holds(work.tenant.uid):
            yield Blocker("hold", "the tenant is under a legal hold: none of its keys is shredded")

    def act(self, work: Work, step: Step) -> None:
        """Removes the key in each region, sees it gone, and only then forgets it in the registry.

        A copy that never came to be may have none: it is written down before it is kept, so there is nothing to remove.

        Raises:
            Transient: a key bucket did not answer, or a hold came meanwhile; running again goes on.
        """
        backup = _backup(work, step)
        name = key_name(backup.tenant_uid, backup.id)
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            if writes.holds():
                raise Transient("A legal hold was placed meanwhile; planning again.")
        wrapped = [copy for copy in backup.copies if copy.wrapped_key is not None]
        for copy in wrapped:
            work.world.key_store.remove(copy.region, name)
            match work.world.key_store.look(copy.region, name):
                case Gone():
                    pass
                case Present():
                    raise Transient(f"The key of backup {backup.id} is still in {copy.region} after it was removed.")
                case Unreachable(reason):
                    raise Transient(f"The key bucket of {copy.region} does not answer: {reason}")
        policy = work.world.policies.backups
        places = {residue.id: residue for residue in work.world.registry.open_residues(backup.tenant_uid)}
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            until = writes.now + timedelta(days=policy.key_residue_days)
            for copy in wrapped:
                proof = f"the key bucket in {copy.region} reported it absent at {rfc3339(writes.now)}"
                writes.put_copy(replace(copy, wrapped_key=None))
                place = places.get(copy.key_residue_id) or key_residue(copy, policy)
                writes.put_residue(replace(place, lapsed_at=writes.now, proof=proof))
            writes.put_residue(
                Residue(
                    id=f"key-backups/{backup.id}",
                    tenant_uid=backup.tenant_uid,
                    kind=ResidueKind.KEY_BACKUPS,
                    place=f"backups of the registry that hold the wrapped key of backup {backup.id}",
                    made_at=backup.begun_at,
                    unreadable_after=until,
                )
            )
            writes.journal(
                "key-shredded",
                backup=backup.id,
                regions=[copy.region for copy in wrapped],
                absent_at=rfc3339(writes.now),
                unreadable_after=rfc3339(until),
            )


def _wrapped(world: World, backup: Backup, copy: Copy) -> bytes:
    if copy.wrapped_key is not None:
        return base64.b64decode(copy.wrapped_key)
    return world.key_store.read(copy.region, key_name(backup.tenant_uid, backup.id))


def _backup(work: Work, step: Step) -> Backup:
    for backup in work.world.registry.backups(work.tenant.uid):
        if backup.id == step.subject:
            return backup
    raise NotFound(f"There is no backup {step.subject} of tenant {work.tenant.uid}.")
