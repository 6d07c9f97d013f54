"""A backup brought back into a database that is to live: a new tenant's, or the next one of a tenant that lost its own.

Each region's copy is tried until one gives what the manifest says: size and checksums of the sealed bytes, then rows
and checksum of every table. Only then the database counts as whole, and only a database that is whole is ever opened.
What a restore that broke off has left is never built upon: the database is dropped and made anew, which is done to no
database but one that still waits for its data, bears this tenant's marker, and has let nobody in.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from tenantctl.backups.attempt import read_manifest
from tenantctl.backups.keys import open_identity
from tenantctl.backups.manifest import Manifest
from tenantctl.backups.restore import FAULTS_TOLD_MAX, differences, find_backup
from tenantctl.backups.stream import opened
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Backup, Copy, CopyState
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Hosting, Origin

RESTORED_IN_PART: Final = "restored-in-part"
FILLED_IN: Final = frozenset({State.REQUESTED, State.MOVING})


class RestoreData:
    """Fills the tenant's new database from the backup that it is restored from."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says that the database was seen to be whole."""
        return not work.world.registry.tenant(work.tenant.uid).awaits_data

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Only while nobody was let in, and only from a backup of which there is a copy."""
        tenant = work.world.registry.tenant(work.tenant.uid)
        if tenant.state not in FILLED_IN:
            yield Blocker("state", f"nothing is restored while the tenant is {tenant.state}")
        backup = _backup(work, tenant.restored_from)
        if not any(copy.state is CopyState.WRITTEN for copy in backup.copies):
            yield Blocker("no-copy", f"backup {backup.id} has no copy to restore from", alarm=True)

    def act(self, work: Work, step: Step) -> None:
        """Restores from the first region whose copy is whole.

        Raises:
            Transient: the instance, or a region that might have a good copy, did not answer.
            Refused: no copy is what the manifest says.
        """
        tenant = work.world.registry.tenant(work.tenant.uid)
        backup = _backup(work, tenant.restored_from)
        troubles: list[Transient | Refused] = []
        reasons: list[str] = []
        for copy in copies_in_order(backup, tenant.hosting.region):
            try:
                manifest, left_out = _restore(work, tenant.hosting, backup, copy)
            except (Transient, Refused) as trouble:
                troubles.append(trouble)
                reasons.append(f"{copy.region}: {trouble.sentence}")
                continue
            _record(work, backup, copy, manifest, left_out)
            return
        sentence = f"Backup {backup.id} could not be restored: {'; '.join(reasons) or 'it has no copy'}"
        silent = any(isinstance(trouble, Transient) for trouble in troubles)
        raise (Transient(sentence) if silent else Refused(sentence)) from (troubles[-1] if troubles else None)


def copies_in_order(backup: Backup, region: str) -> Sequence[Copy]:
    """The copies that exist, the one in `region` first."""
    written = [copy for copy in backup.copies if copy.state is CopyState.WRITTEN]
    return sorted(written, key=lambda copy: (copy.region != region, copy.region))


def _backup(work: Work, origin: Origin | None) -> Backup:
    assert origin is not None, "planning asks for data only where the registry says from which backup"
    return find_backup(work.world, origin.tenant_uid, origin.backup_id)


def _restore(work: Work, hosting: Hosting, backup: Backup, copy: Copy) -> tuple[Manifest, Sequence[str]]:
    """Restores from one copy, and compares; what was left out comes back with the manifest.

    Raises:
        Transient: something did not answer.
        Refused: the copy is not what its manifest says, or what was restored is not.
    """
    databases, sha256 = work.world.databases, hashlib.sha256()
    manifest = _manifest(work, backup, copy)
    identity = None
    if backup.recipient:
        others = tuple(other for other in backup.copies if other.region != copy.region)
        identity = open_identity(work.world, replace(backup, copies=(copy, *others)))

    def checked() -> Iterator[bytes]:
        for chunk in work.world.vault.read(copy.bucket, copy.object_name):
            work.heartbeat.check()
            sha256.update(chunk)
            yield chunk

    _empty(work, hosting)
    source = Hosting(manifest.tenant_uid, "", "", manifest.generation)
    left_out = databases.restore(hosting, opened(checked(), identity), source=source)
    if sha256.hexdigest() != manifest.sha256:
        raise Refused(f"its SHA-256 is {sha256.hexdigest()}, not {manifest.sha256}")
    faults = tuple(differences(manifest.tables, databases.digests(hosting)))
    if faults:
        raise Refused(f"what was restored is not what was dumped: {'; '.join(faults[:FAULTS_TOLD_MAX])}")
    if manifest.forced_row_security:
        databases.set_forced_row_security(hosting, manifest.forced_row_security, forced=True)
    return manifest, left_out


def _manifest(work: Work, backup: Backup, copy: Copy) -> Manifest:
    """The manifest beside a copy, once the store was seen to have the very object that it describes."""
    manifest = read_manifest(work, copy)
    if manifest is None or not manifest.describes(backup):
        raise Refused("it has no manifest of its own")
    match work.world.vault.look(copy.bucket, copy.object_name):
        case Present(seen) if (seen.size, seen.crc32c) != (manifest.size, manifest.crc32c):
            raise Refused(f"it has {seen.size} bytes or other ones, and its manifest says {manifest.size}")
        case Present():
            return manifest
        case Gone():
            raise NotFound("the vault says that it is gone")
        case Unreachable(reason):
            raise Transient(reason)


def _empty(work: Work, hosting: Hosting) -> None:
    """Makes sure that the database is empty and closed, whatever a restore before this one has left.

    Raises:
        Refused: it does not wait for data any more, or is another's; nothing was dropped.
    """
    world = work.world
    world.databases.close_logins(hosting)  # a worker that was killed in the middle leaves it open, for nobody
    if world.databases.look_empty(hosting):
        return
    with world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        now = writes.tenant
        if now.hosting != hosting or not now.awaits_data or now.state not in FILLED_IN:
            raise Refused(f"Database {hosting.database} does not wait for data: nothing in it is dropped.")
        writes.journal("restore-begun-anew", database=hosting.database, instance=hosting.instance)
    world.databases.drop_database(hosting)
    world.databases.create_database(hosting)
    world.databases.prepare(hosting, extensions=work.tenant.extensions)


def _record(work: Work, backup: Backup, copy: Copy, manifest: Manifest, left_out: Sequence[str]) -> None:
    """Writes down that the database is whole; what was left out is named where it can be blanked."""
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        writes.record_restored()
        if left_out:
            listed = "; ".join(left_out[:FAULTS_TOLD_MAX])
            writes.raise_alarm(RESTORED_IN_PART, f"from backup {backup.id}, all rows are there, but not: {listed}")
        writes.journal(
            "data-restored",
            backup=backup.id,
            of_tenant=backup.tenant_uid,
            region=copy.region,
            tables=len(manifest.tables),
            rows=sum(digest.rows for digest in manifest.tables.values()),
            left_out=len(left_out),
        )
