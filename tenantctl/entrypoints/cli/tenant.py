"""`tenantctl tenant`: requests about one tenant, and what is known of it."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.adoption import adopt
from tenantctl.entrypoints.cli.arrival import cause_option, convert, create, party_option, wait_option
from tenantctl.entrypoints.cli.move import move_command
from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table
from tenantctl.entrypoints.cli.tenant_data import export_command, import_command

if TYPE_CHECKING:
    from datetime import datetime

    from tenantctl.bootstrap import CloudWorld
    from tenantctl.model.decisions import Proposal
    from tenantctl.model.tenant import Tenant


@click.group()
def tenant() -> None:
    """Tenants: create, list, explain, convert, cancel, reinstate."""


tenant.add_command(create)
tenant.add_command(adopt)
tenant.add_command(convert)
tenant.add_command(export_command)
tenant.add_command(import_command)
tenant.add_command(move_command)


@tenant.command(name="list")
@click.option("--state", "states", multiple=True, help="Only tenants in this state; may be repeated.")
@output_option
def list_tenants(states: tuple[str, ...], output: Output) -> None:
    """List tenants."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.lifecycle import State

    if unknown := sorted(set(states) - set(State)):
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(State)}", param_hint="--state")
    with opened_world(looks_only=True) as world:
        tenants = world.registry.tenants(states=[State(state) for state in states])
    if output == "json":
        print_json(list(tenants))
        return
    headers = ["name", "uid", "state", "wanted", "region", "instance", "due", "destroy after"]
    print_table(headers, [_row(one) for one in tenants])


def _row(one: "Tenant") -> list[object]:
    where = [one.hosting.region, one.hosting.instance or "waits for room"]
    return [one.name, one.uid, one.state, one.wanted, *where, one.due_at.replace(microsecond=0), one.destroy_after]


@tenant.command()
@click.argument("name")
@output_option
def show(name: str, output: Output) -> None:
    """Show all that is known of tenant NAME (or uid): placement, requests, backups, alarms."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        registry = world.registry
        one = registry.find(name)
        intents, alarms = registry.intents(one.uid), registry.alarms(one.uid)
        backups, explanation = registry.backups(one.uid), registry.explanation(one.uid)
    if output == "json":
        content = {"tenant": one, "placement": explanation, "requests": intents, "backups": backups, "alarms": alarms}
        print_json(content)
        return
    print_table(["field", "value"], _fields(one))
    if explanation:
        place, deviation = explanation["place_label"], explanation["deviation"] or "it is the closest region"
        verb = "Placed" if one.is_placed else "Waits for room, first of all"
        click.echo(f"\n{verb} in {explanation['region']} for a customer based in {place}: {deviation}.")
        top = explanation["candidates"][:5]
        rows = [(row["region"], round(row["distance_km"]), row["reason"]) for row in top]
        print_table(["region", "km", "verdict"], rows)
    click.echo("\nRequests")
    requests = [(i.requested_at, i.kind, i.effective_at, i.instructing_party, i.cause, i.actor) for i in intents]
    print_table(["at", "request", "effective", "instructed by", "cause", "actor"], requests)
    click.echo(f"\nBackups: {len(backups)} (tenantctl backup list {one.label})")
    for alarm in alarms:
        click.echo(f"ALARM since {alarm.since:%Y-%m-%d %H:%M}: {alarm.code}: {alarm.reason}")


def _fields(one: "Tenant") -> list[tuple[str, object]]:
    hosting = one.hosting
    return [
        ("name", one.name),
        ("uid", one.uid),
        ("state", one.state),
        ("wanted", one.wanted),
        ("region", hosting.region),
        ("instance", hosting.instance or None),
        ("kept in", one.kept_in),
        ("database", hosting.database),
        ("bytes", one.size or None),
        ("login", hosting.login),
        ("connections", one.connection_limit),
        ("extensions", ", ".join(one.extensions) or None),
        ("time zone", one.time_zone),
        ("created", one.created_at),
        ("logins closed", one.logins_closed_at),
        ("destroy after", one.destroy_after),
        ("destroyed", one.destroyed_at),
    ]


@tenant.command()
@click.argument("name")
@output_option
def explain(name: str, output: Output) -> None:
    """Say why tenant NAME is in its state, what happens next, when, and what would stop it."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.sweeps.report import explain as explain_tenant

    with opened_world(looks_only=True) as world:
        explanation = explain_tenant(world, world.registry.find(name))
    if output == "json":
        print_json(explanation)
        return
    one = explanation.tenant
    click.echo(f"{one.label} is {one.state} since {explanation.since:%Y-%m-%d %H:%M} UTC: {explanation.because}.")
    _list("What happens next", explanation.next)
    _list("What would stop it", explanation.would_stop)
    if explanation.safeguards:
        click.echo("Safeguards of its destruction")
        for guard in explanation.safeguards:
            age = f" (since {guard.since:%Y-%m-%d %H:%M} UTC)" if guard.since and not guard.holds else ""
            click.echo(f"  [{'x' if guard.holds else ' '}] {guard.code}: {guard.finding}{age}")
    _list(
        "Alarms", [f"{alarm.code} since {alarm.since:%Y-%m-%d %H:%M}: {alarm.reason}" for alarm in explanation.alarms]
    )


def _list(title: str, sentences: "list[str] | tuple[str, ...]") -> None:
    if sentences:
        click.echo(title)
        for sentence in sentences:
            click.echo(f"  - {sentence}")


@tenant.command()
@click.argument("name")
@click.option("--effective-at", metavar="TIME", help="From when it counts (RFC 3339); now by default.")
@cause_option
@party_option
@wait_option
def cancel(name: str, effective_at: str | None, cause: str, instructed_by: str, wait: bool) -> None:
    """Cancel tenant NAME: deactivated, kept for the grace, then destroyed. May be reinstated until then."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.cli.moments import moment_of
    from tenantctl.entrypoints.cli.waiting import wait_for
    from tenantctl.model.lifecycle import State
    from tenantctl.offboarding.request import request_cancellation

    moment = moment_of(effective_at, "--effective-at")
    with opened_world() as world:
        one = world.registry.find(name)
        intent = request_cancellation(world, one, cause=cause, instructing_party=instructed_by, effective_at=moment)
        if intent is None:
            click.echo(f"Tenant {one.label} is cancelled already; it is {one.state}.")
        else:
            click.echo(f"Tenant {one.label} is cancelled with effect from {intent.effective_at:%Y-%m-%d %H:%M} UTC.")
        if wait and one.state in {State.REQUESTED, State.ACTIVE, State.DEACTIVATING}:
            wait_for(world, one, State.DEACTIVATED, State.FORGOTTEN)


@tenant.command()
@click.argument("name")
@cause_option
@party_option
@wait_option
def reinstate(name: str, cause: str, instructed_by: str, wait: bool) -> None:
    """Bring tenant NAME back, as long as its destruction has not begun."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.cli.waiting import wait_for
    from tenantctl.model.lifecycle import State
    from tenantctl.offboarding.request import request_reinstatement

    with opened_world() as world:
        one = world.registry.find(name)
        intent = request_reinstatement(world, one, cause=cause, instructing_party=instructed_by)
        if intent is None:
            click.echo(f"Tenant {one.label} is {one.state}, and nobody wants it gone.")
            return
        click.echo(f"Tenant {one.label} is to be reinstated.")
        if wait:
            wait_for(world, one, State.ACTIVE)


@tenant.command()
@click.argument("name")
@click.option("--basis", required=True, type=click.Choice(["customer", "law"]), help="Who wants it erased.")
@click.option("--reference", required=True, help="What it refers to: a ticket or a file number; on record.")
@output_option
def erase(name: str, basis: str, reference: str, output: Output) -> None:
    """Erase tenant NAME at once, without grace: takes you and one more person.

    Its database is dropped, and its backups made unreadable by destroying their
    keys; the locked bytes lapse in their terms. A legal hold forbids it.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.offboarding.erasure import ErasureBasis, request_erasure

    with opened_world() as world:
        one = world.registry.find(name)
        proposal = request_erasure(world, one, ErasureBasis(basis), reference)
        now = world.registry.now()
    _tell_proposal(proposal, f"The erasure of tenant {one.label}", now, output)


@tenant.command()
@click.argument("name")
@click.argument("safeguard")
@click.option("--reason", required=True, help="Why the destruction goes on without it; on record.")
@output_option
def waive(name: str, safeguard: str, reason: str, output: Output) -> None:
    """Let the overdue destruction of tenant NAME go on without one SAFEGUARD: takes you and one more person."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.offboarding.erasure import request_waiver

    with opened_world() as world:
        one = world.registry.find(name)
        proposal = request_waiver(world, one, safeguard, reason)
        now = world.registry.now()
    _tell_proposal(proposal, f"The waiver of {safeguard} for tenant {one.label}", now, output)


def _tell_proposal(proposal: "Proposal", what: str, now: "datetime", output: Output) -> None:
    if output == "json":
        print_json({**vars(proposal), "approved": proposal.is_approved(now=now)})
    elif proposal.is_approved(now=now):
        click.echo(f"{what} is approved by two people; the next run carries it out: tenantctl run")
    else:
        click.echo(f"{what} is proposed as {proposal.digest}, and you have approved it.")
        until = f"{proposal.expires_at:%Y-%m-%d %H:%M} UTC"
        click.echo(f"One more person must, until {until}: tenantctl approve {proposal.digest}")


@tenant.command(name="connect-info")
@click.argument("name")
@output_option
def connect_info(name: str, output: Output) -> None:
    """Show how the customer of tenant NAME connects; no password is stored, see rotate-password."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import Refused
    from tenantctl.model.lifecycle import State

    with opened_world(looks_only=True) as world:
        one = world.registry.find(name)
        if one.state not in {State.ACTIVE, State.MOVING}:
            raise Refused(
                f"Tenant {one.label} is {one.state}: nobody can connect to it.",
                hint=f"See what happens next: tenantctl tenant explain {one.label}",
            )
        info = _connection(world, one)
    if output == "json":
        print_json(info)
        return
    print_table(["field", "value"], list(info.items()))


def _connection(world: "CloudWorld", one: "Tenant") -> dict[str, object]:
    hosting = one.hosting
    return {
        "instance": f"{world.settings.project}:{hosting.region}:{hosting.instance}",
        "database": hosting.database,
        "user": hosting.login,
        "connections": one.connection_limit,
        "through": "the Cloud SQL connector or proxy; TLS only",
        "sqladmin_endpoint": world.settings.sqladmin_endpoint,
    }


@tenant.command(name="rotate-password")
@click.argument("name")
@output_option
def rotate_password(name: str, output: Output) -> None:
    """Give tenant NAME's login a new password, and show it: this once, it is stored nowhere."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.onboarding.credentials import rotate_password as rotate

    with opened_world() as world:
        one = world.registry.find(name)
        password = rotate(world, one)
    if output == "json":
        print_json({"user": one.hosting.login, "password": password})
        return
    click.echo(f"The password of {one.hosting.login}, shown this once:", err=True)
    click.echo(password)
