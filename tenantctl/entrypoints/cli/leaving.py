"""What `instance drain` and `region evacuate` share: options, a table beforehand, the moves, what came of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tenantctl.entrypoints.cli.arrival import cause_option, party_option
from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.model.tenant import Instance
    from tenantctl.ports.world import World
    from tenantctl.sweeps.fleet_move import Asked, TenantMove

Command = TypeVar("Command", bound=Callable[..., Any])

LIMIT: Final = 4  # as `engine/fleet.py` says, which --help does not import
PORTS: Final = ("registry", "decisions", "databases", "replication", "vault", "keys", "key_store")


def leaving_options(command: Command) -> Command:
    """Give a command the options of a move of many."""
    for option in (
        output_option,
        party_option,
        cause_option,
        click.option("--dry-run", is_flag=True, help="Only show where each goes, and who is refused; change nothing."),
        click.option(
            "--limit", type=click.IntRange(1, 32), default=LIMIT, show_default=True, help="Tenants moved at a time."
        ),
    ):
        command = option(command)
    return command


def leave(world: "World", instances: "Sequence[Instance]", asked: "Asked", *, dry_run: bool, output: Output) -> int:
    """Have every tenant leave these instances; the exit code.

    Raises:
        Refused: the region that they are to go to is unknown.
        Findings: somebody was refused, or stays where it was after all.
    """
    from tenantctl.bootstrap import catalogue
    from tenantctl.entrypoints.cli.progress import Progress
    from tenantctl.model.errors import ExitCode, Findings
    from tenantctl.model.tenant import InstanceState
    from tenantctl.sweeps.fleet_move import look_at_leaving, move_fleet, plan_to_leave

    for port in PORTS:
        getattr(world, port)  # made before there are several threads to make them
    ways = plan_to_leave(world, catalogue(), instances, asked.to)
    if dry_run:
        ended = look_at_leaving(world, ways, asked)
    else:
        for one in instances:
            world.registry.set_instance_state(one.name, InstanceState.DRAINING)
        told = _Teller(output)
        ended = move_fleet(world, ways, asked, told=told, progress=Progress(as_json=False, err=True).step)
    _print(ended, output, dry_run=dry_run)
    names = ", ".join(one.name for one in instances)
    if failed := [one for one in ended if one.outcome in {"refused", "undone"}]:
        raise Findings(
            f"{len(failed)} of the tenants on {names} {'would not' if dry_run else 'did not'} leave.",
            hint="Mend what stands in the way, and run the same again.",
        )
    return ExitCode.WAITING if any(one.outcome == "waiting" for one in ended) else ExitCode.OK


class _Teller:
    """Tells on stderr what comes of each, and on stdout, unless that is JSON, the password that is shown once."""

    def __init__(self, output: Output) -> None:
        self._output, self._ended = output, 0

    def __call__(self, one: "TenantMove") -> None:
        if one.outcome == "begun":
            if self._output == "table" and one.password is not None:
                place = f"database {one.database}, login {one.login}, password {one.password}"
                click.echo(f"From its cut-over on, {one.name} has {place} (shown this once)")
            return
        self._ended += 1
        where = f" to {one.instance} in {one.region}" if one.outcome == "moved" else f": {one.reason}"
        click.echo(f"  {self._ended}. {one.name} {one.outcome}{where} ({one.seconds:.1f} s)", err=True)


def _print(ended: "Sequence[TenantMove]", output: Output, *, dry_run: bool) -> None:
    if output == "json":
        print_json({"dry_run": dry_run, "tenants": ended})
        return
    if not ended:
        click.echo("No tenant is left to move.")
        return
    if dry_run:
        rows = [[one.name, one.left, one.outcome, one.region, one.out_seconds, one.reason] for one in ended]
        print_table(["tenant", "leaves", "outcome", "region", "out s", "why"], rows)
        return
    headers = ["tenant", "left", "outcome", "region", "instance", "s", "why"]
    print_table(
        headers,
        [
            [one.name, one.left, one.outcome, one.region, one.instance, round(one.seconds, 1), one.reason]
            for one in ended
        ],
    )
    if any(one.outcome == "moved" for one in ended):
        click.echo("What they left is kept, sealed, for some days, and then dropped: tenantctl residue TENANT")
