"""`tenantctl plan` and `tenantctl run`: what is to be done, and doing it."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from tenantctl.entrypoints.cli.moments import duration_of
from tenantctl.entrypoints.cli.output import Output, output_option, print_json

if TYPE_CHECKING:
    from tenantctl.adapters.telemetry import Telemetry
    from tenantctl.entrypoints.cli.progress import Progress
    from tenantctl.model.plan import Duty
    from tenantctl.ports.world import World

ANCHORING: Final = ("destroy", "audit")  # the duties that also write anchors
AUDITING: Final = ("audit",)  # the one that also holds places against the registry, once a day each
MEASURING: Final = ("audit",)  # the one that also measures the fleet, after its work


@click.command()
@click.argument("tenant", required=False)
@output_option
def plan(tenant: str | None, output: Output) -> None:
    """Show what `run` would do, for TENANT or for all that are due; change nothing."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.lifecycle import State
    from tenantctl.sweeps.observe import observe_and_plan

    with opened_world(looks_only=True) as world:
        now = world.registry.now()
        if tenant is not None:
            tenants = [world.registry.find(tenant)]
        else:
            everyone = world.registry.tenants(states=[state for state in State if state is not State.FORGOTTEN])
            tenants = [one for one in everyone if one.due_at <= now]
        plans = [(one, observe_and_plan(world, one)) for one in tenants]
    if output == "json":
        print_json([{"name": one.name, "digest": planned.digest, **vars(planned)} for one, planned in plans])
        return
    for one, planned in plans:
        click.echo(f"{one.label} ({one.state}): {planned.text()}")
    if not plans:
        click.echo("Nothing is due.")


@click.command()
@click.option("--tenant", metavar="TENANT", help="Only this tenant, if it is due.")
@click.option("--duty", help="Only steps of this duty; what comes next is handed back.")
@click.option("--begin-for", metavar="DURATION", help="Begin with no other tenant after this long, such as 50m.")
@click.option(
    "--at-once", type=click.IntRange(1, 64), help="Tenants to work on side by side; as the policy says by default."
)
@click.option("--json-lines/--text", "as_json", default=None, help="JSON lines, as when stdout is no terminal.")
def run(tenant: str | None, duty: str | None, begin_for: str | None, at_once: int | None, as_json: bool | None) -> int:
    """Do what is due: one sweep over all tenants, until nothing is.

    Safe to run at any time, as often and as many at once as you like: all of them
    together keep to the policy's limits for one instance and for one region. Ends with
    5 if something did not answer; what was put off is tried again by a later run.
    Ends with 6 if something was refused, or an alarm stands in a tenant's way,
    and with 8 if more is due than a cap allows: see tenantctl approval list.
    SIGTERM has it hand back what it holds and end with 0. As a job in Cloud Run
    it ends with 0 as well where running again would find the same: the alarms tell.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.bootstrap.telemetry import telemetry
    from tenantctl.engine.ending import Ending
    from tenantctl.entrypoints.cli.audit import run_due_audits
    from tenantctl.entrypoints.cli.logged_progress import LoggedProgress
    from tenantctl.entrypoints.cli.progress import Progress, follow
    from tenantctl.entrypoints.jobs import ended_by_sigterm, exit_code, is_job, is_on_cloud_run
    from tenantctl.model.plan import Duty
    from tenantctl.sweeps.tenants import sweep

    if duty is not None and duty not in set(Duty):
        raise click.BadParameter(f"{duty!r} is none of {', '.join(Duty)}", param_hint="--duty")
    ending = Ending(begins_for=duration_of(begin_for, "--begin-for", like=["30s", "50m", "2h"]))
    logged = is_on_cloud_run(os.environ)
    with ended_by_sigterm(ending), opened_world() as world, telemetry(world) as watching:
        uid, only = world.registry.find(tenant).uid if tenant else None, Duty(duty) if duty else None
        places = 1 if tenant else at_once or world.policies.lifecycle.work.at_once
        progress = LoggedProgress() if logged else Progress(as_json=as_json, with_turns=places > 1)
        turns = sweep(
            world, duty=only, tenant=uid, ending=ending, progress=progress.step, observer=watching, at_once=places
        )
        count, code = follow(turns, progress)
        why_not = "" if count else _why_nothing(world, uid, only)
        if tenant is None and not ending.is_asked:
            world.registry.alarm_parked(within=timedelta(days=world.policies.lifecycle.destroy_within_days))
        if tenant is None and duty in {None, *ANCHORING} and not ending.is_asked:
            code = max(code, _anchored(world, progress))
        if tenant is None and duty in AUDITING and not ending.is_asked:
            run_due_audits(world, progress, ending)
        if watching is not None and tenant is None and duty in {None, *MEASURING} and not ending.is_asked:
            _measure(world, watching, progress)
    if ending.is_asked:
        progress.note("tenantctl: told to end; what was at work is handed back, and the next run goes on with it.")
    elif not count:
        progress.note(why_not)
    return exit_code(code, as_job=is_job(os.environ))


def _why_nothing(world: "World", uid: str | None, duty: "Duty | None") -> str:
    """Why a run found no tenant to begin with."""
    from tenantctl.ports.work import WorkState

    if uid is not None:
        item = world.registry.work_item(uid)
        if item.parking is not None:
            return f"{item.label} is parked: {item.parking.because}. To take it up: tenantctl work unpark {item.label}"
    elif duty is None and world.registry.work_items(states=[WorkState.DUE], limit=1):
        return "What is due lies where as many are leased as may be; it is taken up as they end: tenantctl work list"
    return "Nothing is due."


def _measure(world: "World", watching: "Telemetry", progress: "Progress") -> None:
    """Tells how the fleet stands after the work; what keeps it from being measured is no failure of the work."""
    from tenantctl.model.errors import Transient
    from tenantctl.sweeps.gauges import measure_fleet

    try:
        watching.show(measure_fleet(world))
    except Transient as trouble:
        progress.failed(trouble)


def _anchored(world: "World", progress: "Progress") -> int:
    """Makes the anchor that is due, if one is; what keeps it from being made keeps nothing else from its end."""
    from tenantctl.evidence.anchoring import anchor_due, anchor_journal
    from tenantctl.model.errors import ExitCode, Refused, Transient
    from tenantctl.ports.anchors import NumberTaken

    try:
        if anchor_due(world):
            progress.anchor(anchor_journal(world))
    except NumberTaken:
        return ExitCode.OK  # another worker makes it
    except (Transient, Refused) as trouble:
        progress.failed(trouble)
        return ExitCode.UNREACHABLE if isinstance(trouble, Transient) else ExitCode.FINDINGS
    return ExitCode.OK
