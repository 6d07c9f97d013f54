"""`tenantctl tenant create` and `convert`: how a tenant comes, and how it stays once its trial would end."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json

if TYPE_CHECKING:
    from tenantctl.model.region import Placement
    from tenantctl.model.tenant import Tenant

wait_option = click.option("--wait", is_flag=True, help="Follow the request to its end, doing the work that is due.")
cause_option = click.option("--cause", default="asked for at a shell", show_default=True, help="Why; on record.")
party_option = click.option("--instructed-by", default="operator", show_default=True, help="Who wants it; on record.")


@click.command()
@click.argument("name")
@click.option("--based-in", required=True, metavar="PLACE", help='Where the customer is: "Southlake, TX, US".')
@click.option("--keep-in", metavar="JURISDICTION", help="Keep data and backups in this jurisdiction, such as EU.")
@click.option("--connections", type=int, help="How many connections it may have; the policy's most by default.")
@click.option("--extension", "extensions", multiple=True, help="A PostgreSQL extension to create; may be repeated.")
@click.option("--wait-for-room", is_flag=True, help="Where no region that may take it has room, wait for its turn.")
@click.option("--trial-ends", metavar="TIME", help="A free trial: from then on it leaves (RFC 3339), unless converted.")
@cause_option
@party_option
@wait_option
@output_option
def create(
    name: str,
    based_in: str,
    keep_in: str | None,
    connections: int | None,
    extensions: tuple[str, ...],
    wait_for_room: bool,
    trial_ends: str | None,
    cause: str,
    instructed_by: str,
    wait: bool,
    output: Output,
) -> None:
    """Create tenant NAME in the closest region that may take it."""
    from tenantctl.bootstrap import catalogue, opened_world
    from tenantctl.entrypoints.cli.moments import moment_of
    from tenantctl.entrypoints.cli.waiting import wait_for
    from tenantctl.model.lifecycle import State
    from tenantctl.onboarding.request import request_tenant

    moment = moment_of(trial_ends, "--trial-ends")
    with opened_world() as world:
        made, placement = request_tenant(
            world,
            catalogue(),
            name=name,
            based_in=based_in,
            keep_in=keep_in.upper() if keep_in else None,
            connection_limit=connections,
            extensions=extensions,
            cause=cause,
            instructing_party=instructed_by,
            wait_for_room=wait_for_room,
            trial_ends_at=moment,
        )
        if output == "table":
            _tell(made, placement)
            if moment is not None:
                click.echo(f"Its trial ends {moment:%Y-%m-%d %H:%M} UTC; to keep it: tenantctl tenant convert {name}")
        if wait:
            made = wait_for(world, made, State.ACTIVE, quiet=output == "json")
    if output == "json":
        print_json({"tenant": made, "placement": placement.to_plain()})
    elif not wait and made.is_placed:
        click.echo("It is created by the next run: tenantctl run")


def _tell(made: "Tenant", placement: "Placement") -> None:
    if not made.is_placed:
        click.echo(
            f"Tenant {made.label} ({made.uid}) is requested, and waits for room: first of all in {made.hosting.region}."
        )
        click.echo(f"Where it stands among those that wait: tenantctl tenant explain {made.label}")
        return
    click.echo(
        f"Tenant {made.label} ({made.uid}) is requested in {placement.region}, {placement.distance_km:.0f} km away."
    )
    if placement.deviation:
        click.echo(f"That is not the closest region: {placement.deviation}")


@click.command()
@click.argument("name")
@cause_option
@party_option
def convert(name: str, cause: str, instructed_by: str) -> None:
    """Keep tenant NAME, which is on trial: also after the trial has ended, until its destruction begins."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.offboarding.request import request_conversion

    with opened_world() as world:
        one = world.registry.find(name)
        intent = request_conversion(world, one, cause=cause, instructing_party=instructed_by)
    if intent is None:
        click.echo(f"Tenant {one.label} was converted already; it is {one.state}.")
    else:
        click.echo(f"Tenant {one.label} is kept: it is a customer from now on.")
