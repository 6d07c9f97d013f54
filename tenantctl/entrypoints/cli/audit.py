"""`tenantctl audit`: copies held against the ledger, instances and buckets against the registry and the policies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.engine.ending import Ending
    from tenantctl.entrypoints.cli.progress import Progress
    from tenantctl.model.finding import GradedFinding
    from tenantctl.ports.world import World
    from tenantctl.sweeps.audits import Audit, Audited

HEADERS = ["grade", "code", "where", "what", "found", "since", "what to do"]


@click.group()
def audit() -> None:
    """Look everywhere, and tell what differs; nothing is ever mended or removed by an audit.

    The audit duty does the same once a day. Findings stand until an audit of their
    place finds them no more; the runbook has a section on each code.
    """


@audit.command(short_help="Hold every bucket of copies against the ledger, both ways.")
@click.option("--region", help="Only the buckets of this region.")
@output_option
def vault(region: str | None, output: Output) -> int:
    """Hold every bucket of copies against the ledger, both ways: what is lost, unknown, held or locked otherwise.

    Ends with 6 if a finding is more than a notice, and with 5 if a bucket did not
    answer: of that nothing is known, and what was found in it before stands.
    """
    from tenantctl.sweeps.audits import Audit

    return _audit(Audit.VAULT, region, output)


@audit.command(short_help="Hold instances and buckets against the registry and the policies.")
@click.option("--region", help="Only the instances and buckets of this region.")
@output_option
def drift(region: str | None, output: Output) -> int:
    """Hold instances and buckets against the registry and the policies: databases, logins, markers, locks, protection.

    Ends with 6 if a finding is more than a notice, and with 5 if something did not
    answer: of that nothing is known, and what was found there before stands.
    """
    from tenantctl.sweeps.audits import Audit

    return _audit(Audit.DRIFT, region, output)


@audit.command(name="list")
@output_option
def list_findings(output: Output) -> None:
    """List what is open, as the last audit of each place left it; nothing is looked at."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.sweeps.audits import open_findings

    with opened_world(looks_only=True) as world:
        found = open_findings(world)
    if output == "json":
        print_json(found)
    elif found:
        _print(found)
    else:
        click.echo("No finding is open.")


def run_due_audits(world: "World", progress: "Progress", ending: "Ending") -> None:
    """Audits what is due, as a part of the audit duty; a worker that is told to end leaves the rest to the next."""
    from tenantctl.model.errors import HandedBack
    from tenantctl.sweeps.audits import audit as audit_places
    from tenantctl.sweeps.audits import due, forget_former_places, places, silent_for_long

    ripe = due(places(world), world.registry.audits(), now=world.registry.now())
    try:
        for one in audit_places(world, ripe, ending=ending, claimed=True):
            progress.audited(one)
        for one in (*forget_former_places(world), *silent_for_long(world)) if ripe else ():
            progress.audited(one)
    except HandedBack:
        return


def _audit(which: "Audit", region: str | None, output: Output) -> int:
    from tenantctl.bootstrap import opened_world
    from tenantctl.engine.ending import Ending
    from tenantctl.model.errors import ExitCode, Findings, NotFound
    from tenantctl.model.finding import Grade
    from tenantctl.sweeps.audits import audit as audit_places
    from tenantctl.sweeps.audits import places

    with opened_world() as world:
        wanted = places(world, which, region=region)
        if region is not None and not wanted:
            raise NotFound(f"Nothing is audited in region {region!r}.", hint="See: tenantctl region list")
        done = list(audit_places(world, wanted, ending=Ending()))
        names = {one.name for one in wanted}
        found = [one for one in world.registry.findings() if one.where in names]
    unseen = [one for one in done if one.unseen]
    _show(done, found, output)
    if bad := [one for one in found if one.grade is not Grade.NOTICE]:
        critical = sum(one.grade is Grade.CRITICAL for one in bad)
        raise Findings(f"{len(bad)} findings, {critical} of them critical.", hint="See the runbook, by their codes.")
    return ExitCode.UNREACHABLE if unseen else ExitCode.OK


def _show(done: "Sequence[Audited]", found: "Sequence[GradedFinding]", output: Output) -> None:
    unseen = {one.place: one.unseen for one in done if one.unseen}
    if output == "json":
        print_json({"audited": len(done) - len(unseen), "unseen": unseen, "findings": found})
        return
    if found:
        _print(found)
    for place, reason in unseen.items():
        click.echo(f"tenantctl: {place} could not be audited: {reason}", err=True)
    click.echo(f"{len(done) - len(unseen)} places were audited, {len(unseen)} could not be; {len(found)} findings.")


def _print(found: "Sequence[GradedFinding]") -> None:
    print_table(
        HEADERS,
        [(one.grade, one.code, one.where, one.subject, one.sentence, one.since, one.remedy) for one in found],
    )
