"""Handing a backup out: the sealed bytes as they lie in the vault, and the key that opens them.

Whoever has both needs no tenantctl: `age -d -i KEY | zstd -d | pg_restore`. The
entry in the journal is written before the key leaves, so that no key is ever
out without a record.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tenantctl.backups.keys import open_identity
from tenantctl.custody.basis import Basis
from tenantctl.custody.opening import check_opening, record_opening
from tenantctl.model.backup import Backup, Copy, CopyState
from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World


@dataclass(frozen=True)
class Exported:
    """The files that were written."""

    archive: Path
    manifest: Path
    key: Path


def export_backup(world: World, tenant: Tenant, backup: Backup, basis: Basis, folder: Path) -> Exported:
    """Writes a backup, its manifest and its key into an existing folder, each file readable by its owner alone.

    Raises:
        Refused: there is no basis for it, it has no key, or a file of that name exists.
        NotFound: no copy of it is left.
        Transient: no vault, or no region's KMS, answered.
    """
    check_opening(world, tenant, backup, basis)
    if backup.recipient is None:
        raise Refused(f"Backup {backup.id} was stored in the clear, by an earlier version: it has no key.")
    identity = open_identity(world, backup)
    files = Exported(folder / f"{backup.id}.dump.zst.age", folder / f"{backup.id}.json", folder / f"{backup.id}.key")
    copy = _fetch(world, backup, files)
    record_opening(world, tenant, backup, basis, "backup-exported", region=copy.region, recipient=backup.recipient)
    _write(files.key, iter([f"{identity.text}\n".encode()]))
    return files


def _fetch(world: World, backup: Backup, files: Exported) -> Copy:
    """Fetches archive and manifest from the first region that has and gives them."""
    troubles: list[str] = []
    for copy in backup.copies:
        if copy.state is not CopyState.WRITTEN:
            continue
        try:
            _write(files.archive, world.vault.read(copy.bucket, copy.object_name))
            _write(files.manifest, world.vault.read(copy.bucket, copy.manifest_name))
        except (NotFound, Transient) as trouble:
            files.archive.unlink(missing_ok=True)
            files.manifest.unlink(missing_ok=True)
            troubles.append(f"{copy.region}: {trouble.sentence}")
        else:
            return copy
    if not troubles:
        raise NotFound(f"No copy of backup {backup.id} is left.")
    raise Transient(f"No region gave backup {backup.id}: {'; '.join(troubles)}")


def _write(path: Path, chunks: Iterator[bytes]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Refused(
            f"{path} cannot be written: {error.strerror}.", hint="Name an empty folder that exists."
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
    except TenantctlError:
        path.unlink(missing_ok=True)
        raise
