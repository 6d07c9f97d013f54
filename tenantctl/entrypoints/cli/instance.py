"""`tenantctl instance`: the Cloud SQL instances that tenantctl uses."""

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table


@click.group()
def instance() -> None:
    """Instances that host tenants (role tenants) or receive restores (role verify)."""


@instance.command()
@click.argument("name")
@click.option("--region", required=True, help="The region it lies in, or is made in.")
@click.option("--role", type=click.Choice(["tenants", "verify"]), default="tenants", show_default=True)
@click.option("--databases-max", type=click.IntRange(1, 500), default=400, show_default=True, help="Its room.")
def add(name: str, region: str, role: str, databases_max: int) -> None:
    """Take instance NAME into service; it is made first if it does not exist."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.bootstrap.estate import add_instance
    from tenantctl.model.errors import Refused
    from tenantctl.model.tenant import Instance, InstanceRole

    with opened_world() as world:
        words = world.policies.regions.regions
        if region not in words or words[region].state == "closed":
            raise Refused(f"Region {region} is closed or unknown.", hint="See: tenantctl region list")
        add_instance(world, Instance(name, region, InstanceRole(role), databases_max))
    click.echo(f"Instance {name} in {region} is in service, for {role}.")


@instance.command(name="list")
@output_option
def list_instances(output: Output) -> None:
    """List the instances in service, and what the Admin API says of each."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.sighting import Present, Unreachable

    with opened_world(looks_only=True) as world:
        known = world.registry.instances()
        sight = world.instances.all()
    seen = {one.name: one.state for one in sight.value} if isinstance(sight, Present) else {}
    silent = f"unknown: {sight.reason}" if isinstance(sight, Unreachable) else "gone"
    rows = [
        (one.name, one.region, one.role, one.databases, one.databases_max, seen.get(one.name, silent)) for one in known
    ]
    headers = ["name", "region", "role", "databases", "databases max", "state"]
    if output == "json":
        print_json([dict(zip((header.replace(" ", "_") for header in headers), row, strict=True)) for row in rows])
        return
    print_table(headers, rows)
