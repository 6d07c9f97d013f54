"""`tenantctl freeze` and `tenantctl unfreeze`: stop what destroys, at once, and let it go on."""

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table


@click.command()
@click.argument("scope", metavar="[REGION|all]", required=False)
@click.option("--reason", help="Why; on record, and told to everybody whose work it stops.")
@output_option
def freeze(scope: str | None, reason: str | None, output: Output) -> None:
    """Stop deactivation and destruction in REGION or in all, from the next step on; without it, list the freezes.

    Backups go on, logins that are closed are kept closed, and reinstatements are
    carried out. The freeze stands until `tenantctl unfreeze` ends it.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.offboarding.freezing import request_freeze

    if scope is None:
        with opened_world(looks_only=True) as world:
            freezes = list(world.decisions.freezes())
        if output == "json":
            print_json(freezes)
        elif freezes:
            headers = ["scope", "since", "by", "reason"]
            print_table(headers, [(one.scope, one.placed_at, one.placed_by, one.reason) for one in freezes])
        else:
            click.echo("Nothing is frozen.")
        return
    if not reason:
        raise click.UsageError("Say why: --reason TEXT")
    with opened_world() as world:
        placed = request_freeze(world, scope, reason)
    if output == "json":
        print_json(placed)
        return
    click.echo(f"Frozen since {placed.placed_at:%Y-%m-%d %H:%M} UTC by {placed.placed_by}: {placed.reason}")
    click.echo(f"Nothing is deactivated or destroyed in {scope} until: tenantctl unfreeze {scope} --reason TEXT")


@click.command()
@click.argument("scope", metavar="REGION|all")
@click.option("--reason", required=True, help="Why it may go on; on record.")
def unfreeze(scope: str, reason: str) -> None:
    """End the freeze of REGION, or the one of all; a freeze of the other scope stays."""
    from tenantctl.bootstrap import opened_world

    with opened_world() as world:
        world.decisions.unfreeze(scope, reason)
        left = [one.scope for one in world.decisions.freezes()]
    still = f"; still frozen: {', '.join(left)}" if left else ""
    click.echo(f"{scope} is no longer frozen{still}.")
