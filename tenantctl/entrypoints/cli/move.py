"""`tenantctl tenant move`: into another region, while the customer works; and back, before the cut-over."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.arrival import cause_option, party_option
from tenantctl.entrypoints.cli.moments import duration_of, moment_of
from tenantctl.entrypoints.cli.output import Output, output_option, print_json

if TYPE_CHECKING:
    from tenantctl.model.move import Move
    from tenantctl.model.tenant import Tenant
    from tenantctl.ports.world import World
    from tenantctl.relocation.request import Checked

SECONDS_MAX = 3600
PAUSE_SECONDS = 1.0


@click.command(name="move")
@click.argument("name", metavar="TENANT")
@click.option("--to", "to", metavar="REGION|nearest", help="Where to; nearest is the closest that has room now.")
@click.option("--at", "at", metavar="TIME", help="Cut over no earlier; the copying begins at once.")
@click.option(
    "--accept-downtime",
    "accept",
    metavar="DURATION",
    help="How long its customer agreed to be out, such as 90s, 30m or 2h; no longer.",
)
@click.option(
    "--dry-run", is_flag=True, help="Only say whether it may move, how, and for how long its customer is out."
)
@click.option("--undo", is_flag=True, help="Have a tenant that moves stay where it is; until the cut-over.")
@click.option("--wait", is_flag=True, help="Work on it, and wait for its end.")
@cause_option
@party_option
@output_option
def move_command(
    name: str,
    to: str | None,
    at: str | None,
    accept: str | None,
    dry_run: bool,
    undo: bool,
    wait: bool,
    cause: str,
    instructed_by: str,
    output: Output,
) -> None:
    """Move TENANT to another region while its customer works, who is sent away for some seconds at the end.

    The database gets new names and a new password in the new place; the
    password is shown now, and opens from the cut-over on. The old place is
    kept, sealed, for some days at least.

    What replication cannot carry (large objects, unlogged rows, large tables
    without a key) is dumped and restored, with its customer out meanwhile: only
    with --accept-downtime, of at least what --dry-run says. If it takes longer
    than that, the move is undone. --at is then the moment at which the customer
    is sent away.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.relocation.request import check_move, request_move, request_undo

    if undo == (to is not None) or (undo and (at or accept or dry_run)):
        raise click.UsageError("Name --to REGION, or --undo alone.")
    moment = moment_of(at, "--at")
    accepted = duration_of(accept, "--accept-downtime", like=("90s", "30m", "2h", "1d"))
    with opened_world(looks_only=dry_run) as world:
        one = world.registry.find(name)
        if to is None:
            move, password = request_undo(world, one, because=cause), None
        else:
            region = _nearest(world, one) if to == "nearest" else to
            if dry_run:
                _tell_checked(one, check_move(world, one, region, accepted=accepted, not_before=moment), output)
                return
            move, password = request_move(
                world,
                one,
                region,
                cause=cause,
                instructing_party=instructed_by,
                accepted=accepted,
                not_before=moment,
            )
        if output == "json":
            print_json({"move": {**vars(move), "verifier": None}, "login": move.target.login, "password": password})
        else:
            _tell(one, move, password)
        if wait:
            _wait(world, one, quiet=output == "json")


def _nearest(world: "World", tenant: "Tenant") -> str:
    """The region that the tenant would be placed in today."""
    from tenantctl.bootstrap import catalogue
    from tenantctl.model.errors import Refused
    from tenantctl.model.region import Placement
    from tenantctl.placement.planning import place_again

    try:
        stored = Placement.from_plain(world.registry.explanation(tenant.uid))
    except (KeyError, TypeError) as error:
        raise Refused(f"It is not on record where tenant {tenant.label} is based.", hint="Name the region.") from error
    here = {one.region: 1 for one in world.registry.instances()}
    return place_again(stored, catalogue(), world.policies.regions, here).region


def _tell(tenant: "Tenant", move: "Move", password: str | None) -> None:
    if password is None:
        click.echo(f"Tenant {tenant.label} stays in {move.source_region}; what was copied is taken away.")
        return
    click.echo(f"Tenant {tenant.label} moves to {move.region} ({move.instance}): {_how_long(move)}.")
    click.echo(f"From the cut-over on: database {move.target.database}, login {move.target.login}")
    click.echo(f"Password, shown this once: {password}")


def _tell_checked(tenant: "Tenant", checked: "Checked", output: Output) -> None:
    if output == "json":
        print_json(checked)
        return
    from tenantctl.model.calendar import brief

    found = checked.found
    click.echo(f"{found.size / 1e6:.1f} MB in {found.tables} tables, {found.sequences} sequences.")
    way = "by a dump and a restore" if checked.dumped_because else "while its customer works"
    if checked.obstacles:
        click.echo(f"Tenant {tenant.label} cannot be moved as asked:")
        for obstacle in checked.obstacles:
            click.echo(f"  {obstacle}")
    else:
        for reason in checked.dumped_because:
            click.echo(f"No replication carries it: {reason.told}.")
        click.echo(f"Tenant {tenant.label} may move to {checked.region} {way}.")
    click.echo(f"Downtime: about {brief(checked.expected)}, from its size and the policy's rates.")


def _how_long(move: "Move") -> str:
    """What its customer is to expect."""
    from datetime import timedelta

    from tenantctl.model.calendar import brief

    expected, accepted = (brief(timedelta(seconds=one or 0)) for one in (move.expected_seconds, move.accepted_seconds))
    if move.dumped_because is None:
        return f"its customer works on meanwhile, and is out for about {expected} at the end"
    return f"it is dumped because of {move.dumped_because}, its customer out for about {expected}, at most {accepted}"


def _wait(world: "World", tenant: "Tenant", *, quiet: bool) -> None:
    """Works on the move until it has ended.

    Raises:
        StillWaiting: something is in the way, or it takes too long; the request stands.
    """
    import time

    from tenantctl.entrypoints.cli.progress import Progress
    from tenantctl.model.errors import StillWaiting
    from tenantctl.model.move import open_move
    from tenantctl.sweeps.tenants import sweep

    progress, deadline = Progress(as_json=False), time.monotonic() + SECONDS_MAX
    reason = "it takes long"
    while time.monotonic() < deadline:
        world.registry.make_due(tenant.uid)
        for turn in sweep(world, tenant=tenant.uid, progress=(lambda step: None) if quiet else progress.step):
            reason = turn.trouble.sentence if turn.trouble else "; ".join(one.reason for one in turn.blockers) or reason
        if open_move(world.registry.moves(tenant.uid)) is None:
            hosting = world.registry.tenant(tenant.uid).hosting
            if not quiet:
                click.echo(f"Tenant {tenant.label} lives in {hosting.region}, on {hosting.instance}.")
            return
        time.sleep(PAUSE_SECONDS)
    raise StillWaiting(
        f"Tenant {tenant.label} is still moving: {reason}",
        hint=f"The request stands. See: tenantctl tenant explain {tenant.label}",
    )
