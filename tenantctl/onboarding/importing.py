"""A customer's own dump brought into its empty database: all of it, or nothing.

The dump is read to its end before anything is changed. Then the customer is kept out, its database is seen to be
empty, and an alarm says that what is in it from now on is an import's: while that is open, nobody has a password, and
whoever comes next, after a crash or a failure, makes the database anew. It is closed in one transaction with the
evidence, once every table has the rows that stood in the dump.
"""

import hashlib
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from tenantctl.engine.heartbeat import Heartbeat
from tenantctl.engine.lease import leased
from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import Refused, TenantctlError, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Tenant
from tenantctl.ports.imports import DumpSeen, Imports
from tenantctl.ports.world import World

IMPORT_CLOSED: Final = "import-closed"
IMPORT_UNFINISHED: Final = "import-unfinished"
_PIECE: Final = 1 << 20
_FAULTS_TOLD_MAX: Final = 5


@dataclass(frozen=True)
class Examined:
    """A dump that may be brought in: what is in it, and how to know the file again."""

    path: Path
    size: int
    sha256: str
    seen: DumpSeen


@dataclass(frozen=True)
class Imported:
    """What came of an import; `left_out` is a line for each thing that no customer may have here."""

    tables: int
    rows: int
    left_out: tuple[str, ...]


def examine(world: World, imports: Imports, path: Path, *, leave_out: Collection[str] = ()) -> Examined:
    """Reads a dump to its end; nothing of it is run, and nothing changed.

    Args:
        world: Its policy says what is allowed.
        imports: What reads dumps.
        path: The file.
        leave_out: Extensions that are not to be made, although the dump names them.

    Raises:
        Refused: it is no dump, not whole, too large, of another version, or needs an extension that is not allowed.
    """
    policy = world.policies.lifecycle
    bytes_max = policy.imports.gigabytes_max * 10**9
    sha256 = hashlib.sha256()
    size = 0

    def chunks() -> Iterator[bytes]:
        nonlocal size
        for chunk in _chunks(path):
            sha256.update(chunk)
            size += len(chunk)
            yield chunk

    if path.is_file() and path.stat().st_size > bytes_max:
        raise Refused(f"{path} has more than {policy.imports.gigabytes_max} GB, which the policy allows.")
    if path.is_dir():
        raise Refused(f"{path} is a folder.", hint="Dump again with: pg_dump --format=custom")
    if path.exists() and not path.is_file():
        raise Refused(f"{path} is no ordinary file, and a dump is read twice.")
    seen = imports.read(chunks(), bytes_max=bytes_max)
    kept = {name: schema for name, schema in seen.extensions.items() if name not in leave_out}
    if refused := sorted(set(kept) - set(policy.allowed_extensions)):
        raise Refused(
            f"The dump needs the extension {', '.join(refused)}, which the policy does not allow.",
            hint=f"If nothing depends on it: --leave-out-extension {refused[0]}; else see policies/lifecycle.yaml",
        )
    left_out = (*seen.left_out, *(f"CREATE EXTENSION {name}" for name in sorted(set(seen.extensions) - set(kept))))
    return Examined(path, size, sha256.hexdigest(), replace(seen, extensions=kept, left_out=left_out))


def import_dump(world: World, imports: Imports, tenant: Tenant, examined: Examined) -> Imported:
    """Brings a dump in that was examined; of one that fails, nothing remains.

    Raises:
        Refused: the tenant is not active, its database is not empty, or something in the dump fails.
        Transient: something did not answer, or a worker has the tenant.
    """
    with leased(world, tenant) as heartbeat:
        tenant = world.registry.tenant(tenant.uid)
        _refuse_unless_active(tenant)
        _undo(world, heartbeat, tenant)
        try:
            _begin(world, heartbeat, tenant, examined)
            imported = _fill(world, imports, heartbeat, tenant, examined)
            _finish(world, heartbeat, tenant, examined, imported)
        except (TenantctlError, KeyboardInterrupt):
            with suppress(TenantctlError):  # the alarm stays open then, and the next one undoes it
                _undo(world, heartbeat, tenant)
            raise
        _let_in(world, heartbeat, tenant)
    return imported


def undo_import(world: World, tenant: Tenant) -> bool:
    """Makes the database anew that an import has left behind; whether there was one.

    Raises:
        Refused: the tenant is not active.
        Transient: something did not answer, or a worker has the tenant.
    """
    with leased(world, tenant) as heartbeat:
        tenant = world.registry.tenant(tenant.uid)
        _refuse_unless_active(tenant)
        return _undo(world, heartbeat, tenant)


def refuse_while_importing(world: World, tenant: Tenant) -> None:
    """Whether somebody may be let into the tenant's database.

    Raises:
        Refused: an import is under way, or has left something behind.
    """
    if _open_codes(world, tenant):
        raise Refused(
            f"An import into the database of tenant {tenant.label} is under way, or broke off.",
            hint=f"If none is under way: tenantctl tenant import {tenant.label} --undo",
        )


def _refuse_unless_active(tenant: Tenant) -> None:
    if tenant.state is not State.ACTIVE or tenant.awaits_data:
        raise Refused(
            f"Tenant {tenant.label} is {tenant.state}: dumps are brought into the databases of active tenants only.",
            hint=f"See what happens next: tenantctl tenant explain {tenant.label}",
        )


def _begin(world: World, heartbeat: Heartbeat, tenant: Tenant, examined: Examined) -> None:
    """Keeps the customer out, sees that the database is empty, and says that what comes now is an import's."""
    databases, hosting = world.databases, tenant.hosting
    _refuse_filled(world, tenant)  # before the customer is disturbed
    with world.registry.fenced(heartbeat.lease) as writes:
        writes.raise_alarm(IMPORT_CLOSED, "the customer's login is closed for an import")
    databases.close_logins(hosting)
    _refuse_filled(world, tenant)
    databases.set_password(hosting, secrets.token_urlsafe(32))  # whatever opens the login: nobody comes in by it
    seen = examined.seen
    with world.registry.fenced(heartbeat.lease) as writes:
        writes.raise_alarm(IMPORT_UNFINISHED, "what is in the database is an import's that has not come to its end")
        writes.journal(
            "import-begun",
            database=hosting.database,
            sha256=examined.sha256,
            size=examined.size,
            form=seen.form,
            server_version=seen.server_version,
            tables=len(seen.tables),
        )


def _refuse_filled(world: World, tenant: Tenant) -> None:
    if not world.databases.look_empty(tenant.hosting):
        raise Refused(
            f"The database of tenant {tenant.label} is not empty: dumps are brought into empty databases only.",
            hint="Nothing was changed. Create another tenant for it, or have the customer empty its database.",
        )


def _fill(world: World, imports: Imports, heartbeat: Heartbeat, tenant: Tenant, examined: Examined) -> Imported:
    """Brings the dump in, and compares what is there with what stood in it."""
    sha256 = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        for chunk in _chunks(examined.path):
            heartbeat.check()
            sha256.update(chunk)
            yield chunk

    seconds_max = timedelta(hours=world.policies.lifecycle.imports.hours_max).total_seconds()
    brought_in = imports.bring_in(tenant.hosting, chunks(), examined.seen, seconds_max=seconds_max)
    if sha256.hexdigest() != examined.sha256:
        raise Refused(f"{examined.path} changed while it was brought in.")
    digests = world.databases.digests(tenant.hosting)
    if faults := list(_differences(brought_in.rows, digests)):
        raise Refused(f"What came in is not what stood in the dump: {'; '.join(faults[:_FAULTS_TOLD_MAX])}")
    rows = sum(digest.rows for digest in digests.values())
    return Imported(len(examined.seen.tables), rows, brought_in.left_out)


def _differences(rows: Mapping[str, int], digests: Mapping[str, TableDigest]) -> Iterator[str]:
    """A clause for each table that has other rows than the server took for it; parents of partitions have none."""
    for table, expected in sorted(rows.items()):
        if table in digests and digests[table].rows != expected:
            yield f"{table} has {digests[table].rows} rows, and {expected} stood in it"


def _finish(world: World, heartbeat: Heartbeat, tenant: Tenant, examined: Examined, imported: Imported) -> None:
    """From here on, what is in the database is the customer's."""
    with world.registry.fenced(heartbeat.lease) as writes:
        writes.clear_alarm(IMPORT_UNFINISHED)
        writes.journal(
            "import-done",
            database=tenant.hosting.database,
            sha256=examined.sha256,
            tables=imported.tables,
            rows=imported.rows,
            left_out=len(imported.left_out),
        )


def _undo(world: World, heartbeat: Heartbeat, tenant: Tenant) -> bool:
    """Makes the database as empty as it was, and lets the customer in again; whether there was anything to undo.

    Raises:
        Refused: the tenant has another database by now; nothing was dropped.
    """
    codes, databases, hosting = _open_codes(world, tenant), world.databases, tenant.hosting
    if not codes:
        return False
    if IMPORT_UNFINISHED in codes:
        databases.close_logins(hosting)
        with world.registry.fenced(heartbeat.lease) as writes:
            if writes.tenant.hosting != hosting or writes.tenant.state is not State.ACTIVE:
                raise Refused(f"Tenant {tenant.label} is {writes.tenant.state} by now: nothing is dropped.")
            writes.journal("import-undone", database=hosting.database, instance=hosting.instance)
        databases.drop_database(hosting)
        databases.create_database(hosting)
        databases.prepare(hosting, extensions=tenant.extensions)
        with world.registry.fenced(heartbeat.lease) as writes:
            writes.clear_alarm(IMPORT_UNFINISHED)
    _let_in(world, heartbeat, tenant)
    return True


def _let_in(world: World, heartbeat: Heartbeat, tenant: Tenant) -> None:
    """Opens the login again; of a tenant that is leaving by now it stays closed."""
    heartbeat.renew()
    if world.registry.tenant(tenant.uid).state is State.ACTIVE:
        world.databases.open_logins(tenant.hosting)
    with world.registry.fenced(heartbeat.lease) as writes:
        writes.clear_alarm(IMPORT_CLOSED)


def _open_codes(world: World, tenant: Tenant) -> set[str]:
    return {alarm.code for alarm in world.registry.alarms(tenant.uid)} & {IMPORT_CLOSED, IMPORT_UNFINISHED}


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_PIECE):
                yield chunk
    except FileNotFoundError as error:
        raise Refused(f"There is no file {path}.") from error
    except OSError as error:
        raise Transient(f"{path} cannot be read: {error.strerror}.") from error
