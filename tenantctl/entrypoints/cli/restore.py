"""`tenantctl backup restore` and `drill`: backups brought back to be lived in, or to prove that they could be."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.custody.basis import Basis
    from tenantctl.ports.world import World
    from tenantctl.sweeps.drills import Drill
    from tenantctl.sweeps.fleet_restore import FleetRestore, TenantRestore

GROUNDS = ["customer-request", "legal-order", "incident"]
PARALLEL = 4


@click.command()
@click.argument("backup", required=False)
@click.option("--into", "name", metavar="NEW", help="The name of the new tenant that it becomes.")
@click.option("--fleet", "region", metavar="REGION", help="Instead of one backup: all active tenants of a lost region.")
@click.option("--to", metavar="REGION", help="With --fleet: where to; the region's partners in their order by default.")
@click.option("--parallel", type=click.IntRange(1, 32), help=f"With --fleet: tenants at a time; {PARALLEL} by default.")
@click.option("--although-it-answers", is_flag=True, help="With --fleet: even if an instance of the region answers.")
@click.option("--ground", required=True, type=click.Choice(GROUNDS), help="Why it is opened; on record.")
@click.option("--reference", required=True, help="The ticket or file number of that ground; on record.")
@click.option("--wait", is_flag=True, help="With --into: follow it to its end, doing the work that is due.")
@output_option
def restore(
    backup: str | None,
    name: str | None,
    region: str | None,
    to: str | None,
    parallel: int | None,
    although_it_answers: bool,
    ground: str,
    reference: str,
    wait: bool,
    output: Output,
) -> int:
    """Restore BACKUP into a new tenant, or with --fleet a lost region elsewhere; never over anything living.

    The new tenant is placed where the old one was. A tenant of a lost region keeps its uid, and its newest backup
    becomes the next generation of its database; run the same command again if it was interrupted. The customer's
    login gets a new password either way: tenantctl tenant rotate-password NAME.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.custody.basis import Basis, Ground

    fleet_alone = {"--to": to, "--parallel": parallel, "--although-it-answers": although_it_answers or None}
    if region is None:
        if backup is None or name is None:
            raise click.UsageError("Name a backup and its --into NEW, or a lost region: --fleet REGION.")
        if stray := [option for option, value in fleet_alone.items() if value is not None]:
            raise click.UsageError(f"{stray[0]} goes with --fleet alone.")
    elif backup is not None or name is not None or wait:
        raise click.UsageError("--fleet takes neither a backup, nor --into, nor --wait.")
    basis = Basis(Ground(ground), reference)
    with opened_world() as world:
        if region is not None:
            return _restore_fleet(
                world, region, basis, to or "partners", parallel or PARALLEL, although_it_answers, output
            )
        assert backup is not None
        assert name is not None
        return _restore_one(world, backup, name, basis, wait=wait, output=output)


def _restore_one(world: "World", backup: str, name: str, basis: "Basis", *, wait: bool, output: Output) -> int:
    from tenantctl.backups.restore import find_backup
    from tenantctl.custody.restore import request_restore
    from tenantctl.entrypoints.cli.waiting import wait_for
    from tenantctl.model.lifecycle import State

    source = world.registry.owner_of(backup)
    found = find_backup(world, source.uid, backup)
    made = request_restore(world, source, found, basis, name=name)
    if output == "table":
        click.echo(f"Tenant {name} ({made.uid}) is requested in {made.hosting.region}, from backup {found.id}")
        click.echo(f"of tenant {source.label}, begun {found.begun_at:%Y-%m-%d %H:%M} UTC; that is on record.")
    if wait:
        made = wait_for(world, made, State.ACTIVE, quiet=output == "json")
    if output == "json":
        print_json({"tenant": made, "backup": found})
    elif wait:
        click.echo(f"Its login has no password yet: tenantctl tenant rotate-password {name}")
    else:
        click.echo("It is restored by the next run: tenantctl run")
    return 0


def _restore_fleet(
    world: "World", region: str, basis: "Basis", to: str, parallel: int, although_it_answers: bool, output: Output
) -> int:
    from tenantctl.model.errors import ExitCode, Findings
    from tenantctl.sweeps.fleet_restore import restore_fleet

    done = 0

    def told(one: "TenantRestore") -> None:
        nonlocal done
        done += 1
        if output == "table":
            age = "" if one.data_age_hours is None else f", data {one.data_age_hours:.1f} h old"
            reason = f": {one.reason}" if one.reason else f" in {one.region}{age}"
            click.echo(f"  {done}. {one.name} {one.outcome}{reason} ({one.seconds:.1f} s)")

    for port in ("registry", "decisions", "databases", "vault", "keys", "key_store"):
        getattr(world, port)  # made before there are several threads to make them
    ended = restore_fleet(
        world, region, basis, to=to, parallel=parallel, although_it_answers=although_it_answers, told=told
    )
    failed = [*ended.of("refused"), *ended.of("waiting")]
    if output == "json":
        print_json({**vars(ended), "restored": len(ended.of("restored")), "failed": len(failed)})
    else:
        _print_fleet(ended)
    if ended.of("refused"):
        raise Findings(f"{len(failed)} tenants of {region} are not restored.", hint="Mend it, and run the same again.")
    return ExitCode.WAITING if failed else ExitCode.OK


def _print_fleet(ended: "FleetRestore") -> None:
    headers = ["tenant", "outcome", "region", "instance", "backup", "data of", "age h", "s", "reason"]
    rows = [
        [
            one.name,
            one.outcome,
            one.region,
            one.instance,
            one.backup,
            one.data_from,
            one.data_age_hours,
            round(one.seconds, 1),
            one.reason or None,
        ]
        for one in ended.tenants
    ]
    print_table(headers, rows)
    kept = "within" if ended.within_rto else "NOT within"
    restored = ended.of("restored")
    click.echo(f"{len(restored)} restored in {ended.seconds:.1f} s, {kept} the stated {ended.rto_hours} hours.")
    if ended.oldest_data_hours is not None:
        click.echo(f"The oldest data that came back is {ended.oldest_data_hours:.1f} h old (RPO {ended.rpo_hours} h).")
    if restored:
        click.echo("Each customer needs a new password, the old one was lost with the region:")
        for one in restored:
            click.echo(f"  tenantctl tenant rotate-password {one.name}")


@click.command()
@click.argument("tenant", required=False)
@click.option("--backup", "backup_id", help="Which one, of whichever tenant; the tenant's newest complete by default.")
@click.option("--from", "region", metavar="REGION", help="The region whose copy is read; the nearest by default.")
@click.option("--all-due", is_flag=True, help="Every active tenant whose proof by a restore is due.")
@output_option
def drill(tenant: str | None, backup_id: str | None, region: str | None, all_due: bool, output: Output) -> None:
    """Restore a backup into a scratch database, compare every table, and drop it; nothing of it is shown to anyone.

    It needs no reason, since nobody reads what is restored. A backup that fails is not good from then on.
    """
    from tenantctl.backups.planning import newest_complete
    from tenantctl.backups.restore import find_backup
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.cli.progress import Progress
    from tenantctl.model.errors import Findings, NotFound
    from tenantctl.sweeps.drills import due_drills, run_drill

    if all_due == (tenant is not None or backup_id is not None):
        raise click.UsageError("Name a tenant or a backup, or --all-due.")
    quiet = (lambda step: None) if output == "json" else Progress(as_json=False).step
    with opened_world() as world:
        if all_due:
            chosen = list(due_drills(world))
        else:
            owner = world.registry.find(tenant) if tenant else world.registry.owner_of(backup_id or "")
            known = world.registry.backups(owner.uid)
            backup = find_backup(world, owner.uid, backup_id) if backup_id else newest_complete(known)
            if backup is None:
                raise NotFound(
                    f"Tenant {owner.label} has no complete backup.", hint=f"tenantctl backup now {owner.label}"
                )
            chosen = [(owner, backup)]
        drills = [run_drill(world, owner, backup, region=region, progress=quiet) for owner, backup in chosen]
    if output == "json":
        print_json(drills)
    else:
        headers = ["tenant", "backup", "region", "good", "tables", "rows", "s", "reason"]
        print_table(headers, [_drill_row(one) for one in drills])
    if bad := [one for one in drills if not one.good]:
        raise Findings(f"{len(bad)} of {len(drills)} drills did not end well.", hint="See: tenantctl doctor")


def _drill_row(one: "Drill") -> list[object]:
    return [
        one.name,
        one.backup,
        one.region,
        one.good,
        one.tables,
        one.rows,
        round(one.seconds, 1),
        one.reason or None,
    ]
