"""`tenantctl doctor`: everything that the promises rest on, looked at, each fault with what to do."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.sweeps.doctor import Finding


@click.command()
@output_option
def doctor(output: Output) -> None:
    """Check the settings, PostgreSQL's clients, the policies, the registry, the instances and every bucket.

    In production also credentials, APIs and their quotas, the registry's own
    instance and the clock. Ends with 6 if something is wrong, and with 5 if
    nothing is but something could not be looked at.
    """
    from tenantctl.bootstrap.diagnosis import diagnose
    from tenantctl.model.errors import ExitCode, Findings, Transient
    from tenantctl.sweeps.doctor import worst

    findings = list(diagnose())
    if output == "json":
        print_json(findings)
    else:
        print_table(["verdict", "what", "found", "what to do"], [_row(one) for one in findings])
    code = worst(findings)
    faults = sum(not one.good for one in findings)
    if code is ExitCode.UNREACHABLE:
        raise Transient(f"{faults} of {len(findings)} checks could not be made.", hint="Nothing is known to be wrong.")
    if code is ExitCode.FINDINGS:
        raise Findings(f"{faults} of {len(findings)} checks found a fault.")


def _row(finding: "Finding") -> tuple[str, str, str, str]:
    verdict = "ok" if finding.good else "SILENT" if finding.silent else "FAULT"
    return verdict, finding.subject, finding.sentence, finding.remedy
