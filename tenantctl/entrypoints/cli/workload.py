"""`tenantctl work`: what there is to do, who does it, what fails; and what a person decides about it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, rfc3339

if TYPE_CHECKING:
    from tenantctl.ports.work import WorkItem
    from tenantctl.ports.world import World

STATES: Final = ("due", "leased", "failing", "stuck", "parked")
HEADERS: Final = ("tenant", "work", "region", "due", "danger", "duty", "leased by", "since", "failures", "last error")
ERROR_LENGTH_MAX: Final = 60
PAUSE_SECONDS: Final = 2.0


@click.group()
def work() -> None:
    """What is due, leased, failing, stuck or parked; try again, or set aside.

    Workers take what is due by its danger (promised dates, then missing backups,
    then the rest) and its age: tenantctl run. Nobody has to do anything here for
    that; these commands are for what does not go by itself.
    """


@work.command(name="list", short_help="List the work there is, in the order in which it is taken.")
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="Only what is in this state; or these."
)
@click.option("--region", help="Only the tenants of this region.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="So many at most.")
@click.option(
    "--watch", is_flag=True, help="Go on: the whole list on a terminal, what changes elsewhere; Ctrl-C ends it."
)
@output_option
def list_(states: tuple[str, ...], region: str | None, limit: int, watch: bool, output: Output) -> int:
    """List the work there is, in the order in which it is taken; ends with 6 if a tenant of it is stuck.

    With --watch, a terminal shows the list anew every two seconds. Where stdout is
    no terminal, what has changed is printed: rows, or with -o json a line each;
    the last of a tenant that has left the list is in no state.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.cli.watching import watched
    from tenantctl.model.errors import ExitCode
    from tenantctl.ports.work import WorkState

    asked = [WorkState(state) for state in states]
    with opened_world(looks_only=True) as world:

        def read() -> Sequence["WorkItem"]:
            return world.registry.work_items(states=asked, region=region, limit=limit)

        if watch:
            watched(read, _table, _plain, as_json=output == "json", pause_seconds=PAUSE_SECONDS)
            return ExitCode.OK
        items = read()
    if output == "json":
        print_json([_plain(item) for item in items])
    elif items:
        click.echo(_table(items))
    else:
        click.echo("There is no such work." if asked or region else "Nothing is due, at work, failing or parked.")
    return ExitCode.FINDINGS if any(WorkState.STUCK in item.states for item in items) else ExitCode.OK


@work.command()
@click.argument("tenant")
@output_option
def show(tenant: str, output: Output) -> None:
    """Show how the work on TENANT stands: when it is due, who has it, what went wrong, who set it aside."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        item = world.registry.work_item(world.registry.find(tenant).uid)
        by = _parked_by(world, item)
    if output == "json":
        print_json({**_plain(item), "parked_by": by})
        return
    click.echo(f"Tenant {item.label} ({item.state}) in {item.region}: {', '.join(item.states) or 'waits for its date'}")
    for line in _lines(item, by):
        click.echo(f"  {line}")


@work.command()
@click.argument("tenant")
def retry(tenant: str) -> None:
    """Have TENANT looked at by the next run, as if it had never failed; one that is parked is taken up again."""
    from tenantctl.bootstrap import opened_world

    with opened_world() as world:
        one = world.registry.find(tenant)
        before = world.registry.work_item(one.uid)
        world.registry.retry(one.uid)
    if before.owner:
        click.echo(f"Tenant {one.label} is at work just now, by {before.owner}; it is looked at again right after.")
        return
    click.echo(f"Tenant {one.label} is due now, after {before.failures} failures. It is looked at by: tenantctl run")


@work.command()
@click.argument("tenant")
@click.option("--reason", required=True, help="Why, such as a ticket; on record, and told to whoever meets it.")
@click.option("--until", metavar="DATE", help="When work goes on by itself; without it, when somebody unparks it.")
def park(tenant: str, reason: str, until: str | None) -> None:
    """Set TENANT aside: no worker begins with it, no backup of it is made. What is at work now goes on to its end.

    This keeps nothing: whoever must not be destroyed is put under a hold, or its
    region under a freeze. A destruction that is late is alarmed, parked or not.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.cli.moments import moment_of

    moment = moment_of(until, "--until")
    with opened_world() as world:
        one = world.registry.find(tenant)
        world.registry.park(one.uid, because=reason, until=moment)
        within = world.policies.lifecycle.destroy_within_days
    ends = f"until {rfc3339(moment)}" if moment else f"until: tenantctl work unpark {one.label}"
    click.echo(f"Tenant {one.label} is parked {ends}")
    if one.destroy_after is not None:
        click.echo(
            f"Its database is to be destroyed after {rfc3339(one.destroy_after)}; {within} days later it is alarmed."
        )


@work.command()
@click.argument("tenant")
def unpark(tenant: str) -> None:
    """Have work on TENANT go on; it is due as it was before."""
    from tenantctl.bootstrap import opened_world

    with opened_world() as world:
        one = world.registry.find(tenant)
        was = world.registry.unpark(one.uid)
    click.echo(f"Tenant {one.label} is {'parked no more' if was else 'not parked'}.")


def _table(items: Sequence["WorkItem"]) -> str:
    from tenantctl.entrypoints.cli.output import format_table

    return format_table(HEADERS, [_row(item) for item in items])


def _row(item: "WorkItem") -> tuple[object, ...]:
    error = item.error or (item.parking.because if item.parking else None)
    if error and len(error) > ERROR_LENGTH_MAX:
        error = f"{error[: ERROR_LENGTH_MAX - 1]}…"
    states, danger = ", ".join(item.states), item.danger.name.lower()
    about = (item.label, states, item.region, item.due_at, danger, item.duty)
    return (*about, item.owner, item.leased_at, item.failures, error)


def _plain(item: "WorkItem") -> dict[str, Any]:
    """An item as programs read it."""
    return {**asdict(item), "danger": item.danger.name.lower()}


def _lines(item: "WorkItem", parked_by: str | None) -> list[str]:
    lines = [f"due {rfc3339(item.due_at)}, danger: {item.danger.name.lower()}, duty: {item.duty or 'not known yet'}"]
    if item.owner and item.leased_at and item.leased_until:
        lease = f"since {rfc3339(item.leased_at)}, its lease ends {rfc3339(item.leased_until)}"
        lines.append(f"at work by {item.owner} {lease}")
    if item.failing_since:
        lines.append(f"failing since {rfc3339(item.failing_since)}, {item.failures} times in a row: {item.error}")
    if item.stuck_since:
        lines.append(f"stuck, which was told at {rfc3339(item.stuck_since)}; mended? tenantctl work retry {item.label}")
    if item.parking:
        until = f"until {rfc3339(item.parking.until)}" if item.parking.until else "until it is unparked"
        lines.append(f"parked by {parked_by} since {rfc3339(item.parking.since)}, {until}: {item.parking.because}")
    return lines


def _parked_by(world: "World", item: "WorkItem") -> str | None:
    """Who set it aside, as the database saw it."""
    if item.parking is None:
        return None
    entries = reversed(world.registry.entries(item.tenant_uid))
    return next((entry.actor for entry in entries if entry.event == "parked"), None)
