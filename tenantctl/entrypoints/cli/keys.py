"""`tenantctl backup keys`: the keys of backups, held registry against key buckets."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.backups.key_audit import KeyFinding

HEADERS = ["region", "tenant", "backup", "fault", "what it is"]


@click.group()
def keys() -> None:
    """Keys of backups: compared between the registry and each region's key bucket, and rebuilt."""


@keys.command()
@output_option
def check(output: Output) -> None:
    """Compare the registry's wrapped keys with each region's key bucket, both ways; end with 6 if they differ."""
    from tenantctl.backups.key_audit import examine_keys
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import Findings

    with opened_world(looks_only=True) as world:
        report = examine_keys(world)
    if output == "json":
        print_json(report)
    else:
        if report.findings:
            print_table(HEADERS, [_row(finding) for finding in report.findings])
        click.echo(
            f"{report.good} keys are the same in the registry and in {', '.join(report.regions) or 'no region'}."
        )
    if report.findings:
        rebuilt = sum(finding.is_rebuilt for finding in report.findings)
        hint = "Those can be rebuilt: tenantctl backup keys rebuild" if rebuilt else "See the runbook."
        raise Findings(f"{len(report.findings)} findings, {rebuilt} of them keys that are missing.", hint=hint)


@keys.command()
@output_option
def rebuild(output: Output) -> None:
    """Write keys that are missing in the registry or in a key bucket again, from wherever they still are.

    Each is unwrapped first, and must open its own backup. A key that was shredded is never brought back.
    """
    from tenantctl.backups.key_audit import rebuild_keys
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import Findings

    with opened_world() as world:
        ended = rebuild_keys(world)
    if output == "json":
        print_json(ended)
    else:
        if ended.left:
            print_table(HEADERS, [_row(finding) for finding in ended.left])
        click.echo(f"{len(ended.rebuilt)} keys were rebuilt; that is on record.")
    if ended.left:
        raise Findings(f"{len(ended.left)} findings are left.", hint="See the runbook: the key store is lost")


def _row(finding: "KeyFinding") -> list[object]:
    return [finding.region, finding.tenant_uid or None, finding.backup or None, finding.fault, finding.sentence]
