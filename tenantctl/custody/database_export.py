"""A tenant's database handed to its customer: an ordinary archive for `pg_restore`, and its manifest beside it.

Of a tenant that works it is dumped at one moment; of one in grace it is opened out of the final backup, and no login is
opened for it. The entry in the journal stands before the first byte, so nothing leaves without a record.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from tenantctl.backups.attempt import read_manifest
from tenantctl.backups.keys import open_identity
from tenantctl.backups.stream import opened
from tenantctl.custody.basis import Basis
from tenantctl.custody.opening import check_opening, record_opening
from tenantctl.engine.actions import Work
from tenantctl.engine.lease import leased
from tenantctl.model.backup import Backup, Copy, CopyState, TableDigest, newest_final
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Plan
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World

FORMAT: Final = 1
ARCHIVE: Final = "pg_dump custom archive: pg_restore --no-owner --no-acl --dbname=DATABASE FILE"
IN_GRACE: Final = frozenset({State.DEACTIVATING, State.DEACTIVATED})


@dataclass(frozen=True)
class Exported:
    """An export that exists: where, how large, and what stands in it."""

    archive: str
    manifest: str
    size: int
    sha256: str
    tables: int
    rows: int
    taken_from: str
    taken_at: datetime


@dataclass(frozen=True)
class Content:
    """What is exported: its bytes, and what is known of it once they have all been read."""

    taken_from: str
    taken_at: datetime
    chunks: Callable[[], Iterator[bytes]]
    described: Callable[[], tuple[str, Mapping[str, TableDigest], tuple[str, ...]]]  # version, tables, forced security


class Writing(Protocol):
    """An archive on its way to where it is wanted; it exists there only once sealed."""

    def write(self, chunk: bytes) -> None:
        """Adds bytes."""

    def seal(self, manifest: bytes) -> None:
        """Ends the archive, and puts the manifest beside it."""


class Destination(Protocol):
    """Where an export goes; leaving the block without `seal` leaves nothing there."""

    @property
    def archive(self) -> str:
        """Where the archive will be."""

    @property
    def manifest(self) -> str:
        """Where the manifest will be."""

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What the journal says of it, which names no customer."""

    def prepare(self, work: Work) -> None:
        """Called before the first byte.

        Raises:
            Refused: nothing may be written there.
        """

    def writing(self) -> AbstractContextManager[Writing]:
        """The way to it."""


def export_database(world: World, tenant: Tenant, basis: Basis, destination: Destination) -> Exported:
    """Hands a tenant's database out.

    Raises:
        Refused: there is no basis for it, the tenant has nothing to hand out, or the destination takes it not.
        Transient: something did not answer, or a worker has the tenant.
        LeaseLost: something newer is wanted of the tenant; nothing was handed out.
    """
    with leased(world, tenant) as heartbeat:
        tenant = world.registry.tenant(tenant.uid)
        work = Work(world, tenant, Plan(tenant.uid, "export"), heartbeat)
        with _content(work, basis, destination) as content:
            exported = _written(work, content, destination)
        with world.registry.fenced(heartbeat.lease) as writes:
            said = {"size": exported.size, "sha256": exported.sha256, "tables": exported.tables, "rows": exported.rows}
            writes.journal("export-done", taken_from=exported.taken_from, **said, **destination.evidence)
    return exported


@contextmanager
def _content(work: Work, basis: Basis, destination: Destination) -> Iterator[Content]:
    """What there is to hand out in the tenant's state, once it is on record that it is handed out."""
    tenant = work.tenant
    if tenant.state in {State.ACTIVE, State.MOVING} and not tenant.awaits_data:
        with _dumped(work, basis, destination) as content:
            yield content
    elif tenant.state in IN_GRACE:
        yield _opened(work, basis, destination)
    else:
        raise Refused(
            f"Tenant {tenant.label} is {tenant.state}: it has no database to hand out.",
            hint=f"Of its backups, if there are any: tenantctl backup export {tenant.label}",
        )


@contextmanager
def _dumped(work: Work, basis: Basis, destination: Destination) -> Iterator[Content]:
    """The living database, as it is at one moment."""
    databases, registry, tenant = work.world.databases, work.world.registry, work.tenant
    if not basis.reference.strip():
        raise Refused("A basis refers to something: a ticket or a file number.", hint="--reference SUPPORT-1234")
    if forced := databases.forced_row_security(tenant.hosting):
        raise Refused(
            f"No export can be made of tables that force row security on their owner: {', '.join(sorted(forced))}.",
            hint="Ask the customer to run ALTER TABLE … NO FORCE ROW LEVEL SECURITY on them.",
        )
    destination.prepare(work)
    with registry.fenced(work.lease) as writes:
        said = {"ground": basis.ground.value, "reference": basis.reference}
        writes.journal("export-begun", taken_from="database", **said, **destination.evidence)
        taken_at = writes.now
    with databases.dump(tenant.hosting) as dump:
        yield Content("database", taken_at, dump.chunks, lambda: (dump.server_version, dump.tables, ()))


def _opened(work: Work, basis: Basis, destination: Destination) -> Content:
    """The final backup, from a copy that its vault still has; its key is opened once that is on record."""
    world, tenant = work.world, work.tenant
    backup = _final_backup(world, tenant)
    check_opening(world, tenant, backup, basis)
    copy = _readable_copy(work, backup)
    manifest = read_manifest(work, copy)
    if manifest is None or not manifest.describes(backup):
        raise Refused(f"The copy of backup {backup.id} in {copy.region} has no manifest of its own.")
    destination.prepare(work)
    record_opening(
        world, tenant, backup, basis, "export-begun", taken_from=f"backup {backup.id}", **destination.evidence
    )
    identity = open_identity(world, backup) if backup.recipient else None
    sha256 = hashlib.sha256()

    def sealed() -> Iterator[bytes]:
        for chunk in world.vault.read(copy.bucket, copy.object_name):
            sha256.update(chunk)
            yield chunk

    def described() -> tuple[str, Mapping[str, TableDigest], tuple[str, ...]]:
        if sha256.hexdigest() != manifest.sha256:
            raise Refused(f"The copy of backup {backup.id} in {copy.region} is not what its manifest says.")
        return manifest.server_version, manifest.tables, manifest.forced_row_security

    return Content(f"backup {backup.id}", backup.begun_at, lambda: opened(sealed(), identity), described)


def _final_backup(world: World, tenant: Tenant) -> Backup:
    """The newest complete backup that was begun after the logins were closed."""
    final = newest_final(world.registry.backups(tenant.uid), tenant.logins_closed_at)
    if final is not None:
        return final
    raise Refused(
        f"Tenant {tenant.label} is {tenant.state}, and its final backup is not made yet.",
        hint=f"Run it to its end first: tenantctl run --tenant {tenant.uid}",
    )


def _readable_copy(work: Work, backup: Backup) -> Copy:
    """A copy whose vault answers, the home region's first.

    Raises:
        NotFound: none is left.
        Transient: no vault answers.
    """
    home = work.tenant.hosting.region
    written = [copy for copy in backup.copies if copy.state is CopyState.WRITTEN]
    troubles = []
    for copy in sorted(written, key=lambda one: (one.region != home, one.region)):
        try:
            if read_manifest(work, copy) is not None:
                return copy
        except Transient as trouble:
            troubles.append(f"{copy.region}: {trouble.sentence}")
    if troubles:
        raise Transient(f"No region gives backup {backup.id}: {'; '.join(troubles)}")
    raise NotFound(f"No copy of backup {backup.id} is left.")


def _written(work: Work, content: Content, destination: Destination) -> Exported:
    """Writes it, and seals it only once all of it was read and is what it should be."""
    sha256, size = hashlib.sha256(), 0
    with destination.writing() as writing:
        for chunk in content.chunks():
            work.heartbeat.check()
            sha256.update(chunk)
            size += len(chunk)
            writing.write(chunk)
        version, tables, forced = content.described()
        work.heartbeat.renew()
        manifest = {
            "format": FORMAT,
            "archive": ARCHIVE,
            "tenant": work.tenant.uid,
            "generation": work.tenant.hosting.generation,
            "taken_from": content.taken_from,
            "taken_at": rfc3339(content.taken_at),
            "server_version": version,
            "size": size,
            "sha256": sha256.hexdigest(),
            "forced_row_security": list(forced),
            "tables": {name: [digest.rows, digest.checksum] for name, digest in sorted(tables.items())},
        }
        writing.seal((json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())
    rows = sum(digest.rows for digest in tables.values())
    return Exported(
        archive=destination.archive,
        manifest=destination.manifest,
        size=size,
        sha256=sha256.hexdigest(),
        tables=len(tables),
        rows=rows,
        taken_from=content.taken_from,
        taken_at=content.taken_at,
    )
