"""`tenantctl instance`: the Cloud SQL instances that tenantctl uses."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.leaving import leave, leaving_options
from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.model.tenant import Instance


@click.group()
def instance() -> None:
    """Instances that host tenants (role tenants) or receive restores (role verify)."""


@instance.command()
@click.argument("name")
@click.option("--region", required=True, help="The region it lies in, or is made in.")
@click.option("--role", type=click.Choice(["tenants", "verify"]), default="tenants", show_default=True)
@click.option("--databases-max", type=click.IntRange(1, 500), default=400, show_default=True, help="Its room.")
@click.option(
    "--connections-max", type=click.IntRange(1), help="What its tenants are promised together; else no limit."
)
@click.option("--bytes-max", type=click.IntRange(1), help="What their databases have together; else no limit.")
def add(
    name: str, region: str, role: str, databases_max: int, connections_max: int | None, bytes_max: int | None
) -> None:
    """Take instance NAME into service; it is made first if it does not exist.

    For one that is in service, the limits are set anew. Newcomers go to the
    instance whose fullest limit has the smallest share taken, and leave a part of
    the bytes free (capacity in policies/regions.yaml).
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.bootstrap.estate import add_instance
    from tenantctl.model.errors import Refused
    from tenantctl.model.tenant import Instance, InstanceRole

    with opened_world() as world:
        words = world.policies.regions.regions
        if region not in words or words[region].state == "closed":
            raise Refused(f"Region {region} is closed or unknown.", hint="See: tenantctl region list")
        asked = Instance(
            name, region, InstanceRole(role), databases_max, connections_max=connections_max, bytes_max=bytes_max
        )
        add_instance(world, asked)
        for one in world.registry.waiting():
            world.registry.make_due(one.tenant.uid)
    click.echo(f"Instance {name} in {region} is in service, for {role}.")


@instance.command(name="list")
@output_option
def list_instances(output: Output) -> None:
    """List the instances in service, how full they are, and what the Admin API says of each."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.capacity import shares
    from tenantctl.model.sighting import Present, Unreachable

    with opened_world(looks_only=True) as world:
        known = world.registry.instances()
        sight = world.instances.all()
    seen = {one.name: one.state for one in sight.value} if isinstance(sight, Present) else {}
    silent = f"unknown: {sight.reason}" if isinstance(sight, Unreachable) else "gone"
    if output == "json":
        print_json([_described(one, seen.get(one.name, silent)) for one in known])
        return
    rows = []
    for one in known:
        taken = [_percent(share) for share in shares(one).values()]
        rows.append((one.name, one.region, one.role, one.databases, *taken, one.state, seen.get(one.name, silent)))
    headers = ["name", "region", "role", "databases", "of databases", "of connections", "of bytes", "service", "state"]
    print_table(headers, rows)


@instance.command(short_help="Have NAME take no more tenants, and move those that are on it to other instances.")
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let it take tenants again; who has moved stays where it is.")
@click.option("--newcomers-only", is_flag=True, help="Only take no more; those that are on it stay where they are.")
@leaving_options
def drain(
    name: str,
    undo: bool,
    newcomers_only: bool,
    limit: int,
    dry_run: bool,
    cause: str,
    instructed_by: str,
    output: Output,
) -> int:
    """Have instance NAME take no more tenants, and move those that are on it while their customers work.

    Each goes to another instance of its region where one has room, else to the
    closest region that may take it. Who is refused stays, and keeps no other from
    its move. Run it again to go on after an interruption. Each gets a new login and
    password, shown once; what was left is kept, sealed, for some days.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import ExitCode, NotFound
    from tenantctl.model.tenant import InstanceRole, InstanceState
    from tenantctl.sweeps.fleet_move import Asked

    if dry_run and (undo or newcomers_only):
        raise click.UsageError("--dry-run goes with neither --undo nor --newcomers-only.")
    with opened_world(looks_only=dry_run) as world:
        if undo or newcomers_only:
            world.registry.set_instance_state(name, InstanceState.SERVING if undo else InstanceState.DRAINING)
            click.echo(f"Instance {name} takes {'tenants again' if undo else 'no more tenants'}.")
            return ExitCode.OK
        found = [one for one in world.registry.instances() if one.name == name and one.role is InstanceRole.TENANTS]
        if not found:
            raise NotFound(f"There is no instance {name!r} for tenants.", hint="See: tenantctl instance list")
        asked = Asked(cause, instructed_by, limit=limit)
        return leave(world, found, asked, dry_run=dry_run, output=output)


def _described(one: "Instance", state: str) -> dict[str, object]:
    from tenantctl.model.capacity import shares

    return {
        "name": one.name,
        "region": one.region,
        "role": one.role,
        "databases": one.databases,
        "databases_max": one.databases_max,
        "connections": one.connections,
        "connections_max": one.connections_max,
        "bytes": one.bytes_seen,
        "bytes_max": one.bytes_max,
        "shares": dict(shares(one)),
        "draining": one.state == "draining",
        "state": state,
    }


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.0%}"
