"""`tenantctl doctor`: everything that the promises rest on, looked at, each fault with what to do."""

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table


@click.command()
@output_option
def doctor(output: Output) -> None:
    """Check the policies, the registry, the instances and every bucket; end with 6 if something is wrong."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import Findings
    from tenantctl.sweeps.doctor import examine

    with opened_world(looks_only=True) as world:
        findings = list(examine(world))
    if output == "json":
        print_json(findings)
    else:
        rows = [("ok" if one.good else "FAULT", one.subject, one.sentence, one.remedy) for one in findings]
        print_table(["verdict", "what", "found", "what to do"], rows)
    if faults := [one for one in findings if not one.good]:
        raise Findings(f"{len(faults)} of {len(findings)} checks found a fault.")
