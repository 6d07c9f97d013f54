"""`tenantctl backup`: make, list and verify."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.keys import keys
from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table
from tenantctl.entrypoints.cli.restore import drill, restore

if TYPE_CHECKING:
    from tenantctl.engine.worker import Turn
    from tenantctl.model.backup import Backup, Copy
    from tenantctl.model.errors import TenantctlError
    from tenantctl.sweeps.coverage import TenantBackups


@click.group()
def backup() -> None:
    """Backups: made nightly by `run`, or now; listed; verified by a restore; restored."""


backup.add_command(restore)
backup.add_command(drill)
backup.add_command(keys)


@backup.command()
@click.argument("tenant")
def now(tenant: str) -> int:
    """Make a backup of TENANT at once, beside the nightly ones."""
    from tenantctl.backups.planning import plan_asked_backup
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.cli.progress import Progress
    from tenantctl.model.backup import BackupState
    from tenantctl.model.errors import Findings, Refused
    from tenantctl.model.lifecycle import State
    from tenantctl.sweeps.observe import observe
    from tenantctl.sweeps.tenants import carry_out

    with opened_world() as world:
        one = world.registry.find(tenant)
        if one.state is not State.ACTIVE:
            raise Refused(
                f"Tenant {one.label} is {one.state}: only an active tenant is backed up on request.",
                hint=f"See its backups: tenantctl backup list {one.label}",
            )
        slot = f"asked-{world.registry.now():%Y%m%dT%H%M%SZ}"
        turn = carry_out(
            world,
            lambda at, of: plan_asked_backup(observe(at, of), at.policies.backups, slot, now=at.registry.now()),
            one,
            progress=Progress(as_json=False).step,
        )
        made = next((known for known in world.registry.backups(one.uid) if known.slot == slot), None)
    if made is not None and made.state is BackupState.SHORT:
        where = ", ".join(made.regions_holding()) or "no region"
        raise Findings(f"Backup {made.id} is short of copies: it is in {where} only.", hint="See: tenantctl doctor")
    if made is None or made.state is not BackupState.COMPLETE:
        raise _end(turn)
    click.echo(f"Backup {made.id} ({made.retention_class}) is {made.state} in {', '.join(made.regions_holding())}.")
    return 0


@backup.command(name="list")
@click.argument("tenant")
@click.option("--copies", is_flag=True, help="A line for each copy.")
@output_option
def list_backups(tenant: str, copies: bool, output: Output) -> None:
    """List the backups of TENANT, oldest first."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        backups = world.registry.backups(world.registry.find(tenant).uid)
    if output == "json":
        print_json(list(backups))
    elif copies:
        headers = ["backup", "region", "state", "bytes", "written", "seen", "lapses", "held", "object"]
        print_table(headers, [_copy_row(copy) for known in backups for copy in known.copies])
    else:
        headers = ["backup", "slot", "class", "state", "begun", "bytes", "tables", "rows", "verified", "copies in"]
        print_table(headers, [_backup_row(known) for known in backups])


@backup.command()
@click.option("--all", "show_all", is_flag=True, help="Every tenant, not only those with a fault.")
@output_option
def status(show_all: bool, output: Output) -> None:
    """Measure the fleet's backups against the policy; end with 6 if a tenant's are not as they should be."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import Findings
    from tenantctl.sweeps.coverage import examine_backups

    with opened_world(looks_only=True) as world:
        fleet = examine_backups(world)
        policy = world.policies.backups
    faulty = [line for line in fleet.tenants if line.faults]
    if output == "json":
        print_json(fleet)
    else:
        oldest = "-" if fleet.oldest_hours is None else f"{fleet.oldest_hours:.1f} h"
        click.echo(f"Active tenants: {len(fleet.tenants)}; oldest newest backup: {oldest} (RPO {policy.rpo_hours} h)")
        missing = f"Without a backup: {fleet.without_backup}; short of copies: {fleet.short_of_copies}"
        click.echo(f"{missing}; overdue: {fleet.overdue}")
        share = f"{100 * fleet.restored_share:.1f} %"
        click.echo(f"Restored for a proof within {fleet.restored_within_days} days: {share} of them")
        lines = fleet.tenants if show_all else faulty
        if lines:
            headers = ["tenant", "newest backup", "age h", "copies in", "restored days ago", "fault"]
            print_table(headers, [_status_row(line) for line in lines])
    if faulty:
        raise Findings(f"The backups of {len(faulty)} tenants are not as they should be.")


def _status_row(line: "TenantBackups") -> list[object]:
    age = None if line.age_hours is None else round(line.age_hours, 1)
    restored = None if line.restored_days_ago is None else round(line.restored_days_ago, 1)
    regions, faults = ", ".join(line.regions) or None, "; ".join(line.faults) or None
    return [line.tenant.label, line.backup, age, regions, restored, faults]


def _copy_row(copy: "Copy") -> list[object]:
    moments = [copy.written_at, copy.seen_at, copy.lapses_at, copy.held_at]
    return [copy.backup_id, copy.region, copy.state, copy.size, *moments, copy.address]


def _backup_row(known: "Backup") -> list[object]:
    regions = ", ".join(known.regions_holding()) or None
    content = [known.size, known.tables, known.rows, known.verified_level]
    return [known.id, known.slot, known.retention_class, known.state, known.begun_at, *content, regions]


@backup.command()
@click.argument("tenant")
@click.option("--backup", "backup_id", help="Which one; the newest complete one by default.")
def verify(tenant: str, backup_id: str | None) -> int:
    """Restore a backup of TENANT into a scratch database, and compare every table."""
    from tenantctl.backups.planning import newest_complete, plan_verification
    from tenantctl.backups.restore import VERIFICATION_FAILED, find_backup
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.cli.progress import Progress
    from tenantctl.model.backup import BackupState, VerificationLevel
    from tenantctl.model.errors import Findings, NotFound
    from tenantctl.sweeps.tenants import carry_out

    with opened_world() as world:
        one = world.registry.find(tenant)
        chosen = (
            find_backup(world, one.uid, backup_id) if backup_id else newest_complete(world.registry.backups(one.uid))
        )
        if chosen is None:
            raise NotFound(f"Tenant {one.label} has no complete backup.", hint=f"tenantctl backup now {one.label}")
        found = chosen
        if found.verified_level is not VerificationLevel.RESTORED and found.state is not BackupState.FAILED:
            progress = Progress(as_json=False).step
            turn = carry_out(world, lambda at, of: plan_verification(of, found, "asked for"), one, progress=progress)
            found = find_backup(world, one.uid, found.id)
            if found.verified_level is not VerificationLevel.RESTORED and found.state is not BackupState.FAILED:
                raise _end(turn)
        if found.state is BackupState.FAILED:
            told = (one.reason for one in world.registry.alarms(one.uid) if one.code == VERIFICATION_FAILED)
            about_it = (reason for reason in told if found.id in reason)
            given_up = "it was given up before it was complete" if found.completed_at is None else "it failed a restore"
            raise Findings(f"Backup {found.id} is not good: {next(about_it, given_up)}.")
    click.echo(
        f"Backup {found.id} is verified by a restore ({found.verified_at:%Y-%m-%d %H:%M} UTC): "
        f"{found.tables} tables, {found.rows} rows, all checksums equal."
    )
    return 0


@backup.command()
@click.argument("tenant")
@click.option("--backup", "backup_id", help="Which one; the newest complete one by default.")
@click.option("--with-key", is_flag=True, required=True, help="Also its key: without it, nobody can open the backup.")
@click.option(
    "--basis",
    required=True,
    type=click.Choice(["customer-request", "legal-order", "incident"]),
    help="Why it is opened; on record.",
)
@click.option("--reference", required=True, help="The ticket or file number of that basis; on record.")
@click.option(
    "--into",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, writable=True),
    help="The folder to write into.",
)
@output_option
def export(
    tenant: str, backup_id: str | None, with_key: bool, basis: str, reference: str, folder: str, output: Output
) -> None:
    """Write a backup of TENANT, its manifest and its key, to be opened with public tools.

    Three files, readable by you alone. Nothing of tenantctl is needed to open them.
    """
    from pathlib import Path

    from tenantctl.backups.planning import newest_complete
    from tenantctl.backups.restore import find_backup
    from tenantctl.bootstrap import opened_world
    from tenantctl.custody.basis import Basis, Ground
    from tenantctl.custody.export import export_backup
    from tenantctl.model.errors import NotFound

    assert with_key, "click asks for it"
    with opened_world() as world:
        one = world.registry.find(tenant)
        chosen = (
            find_backup(world, one.uid, backup_id) if backup_id else newest_complete(world.registry.backups(one.uid))
        )
        if chosen is None:
            raise NotFound(f"Tenant {one.label} has no complete backup.", hint=f"tenantctl backup now {one.label}")
        files = export_backup(world, one, chosen, Basis(Ground(basis), reference), Path(folder))
    if output == "json":
        print_json(files)
        return
    click.echo(f"Backup {chosen.id} is in {folder}; that is on record. Open it with:")
    click.echo(f"  age -d -i {files.key} {files.archive} | zstd -d | pg_restore --list")


def _end(turn: "Turn") -> "TenantctlError":
    """What kept a turn from doing what was asked for."""
    from tenantctl.model.errors import StillWaiting

    if turn.trouble is not None:
        return turn.trouble
    reasons = "; ".join(blocker.reason for blocker in turn.blockers) or "it did not come to its end"
    return StillWaiting(f"Tenant {turn.label}: {reasons}.", hint=f"See: tenantctl tenant explain {turn.label}")
