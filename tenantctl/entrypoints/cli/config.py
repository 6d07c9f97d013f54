"""`tenantctl config`: which cloud the program works on, by which settings, and where each of them comes from."""

from collections.abc import Mapping

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table


@click.group()
def config() -> None:
    """The settings: which cloud, and as whom. Reads nothing but them."""


@config.command()
@output_option
def show(output: Output) -> None:
    """Show every setting in effect and where it comes from; secrets are masked.

    All faults are told at once, with 3. Production is named by the environment
    and by the file of TENANTCTL_CONFIG, which Terraform prints:
    terraform output -json configuration
    """
    import os
    from dataclasses import asdict

    from tenantctl.config import effective_environment, shown_settings

    rows = list(shown_settings(os.environ))
    _checked_service(effective_environment(os.environ))
    if output == "json":
        print_json([asdict(row) for row in rows])
    else:
        print_table(["setting", "value", "from"], [(row.variable, row.value, row.source) for row in rows])


def _checked_service(environment: Mapping[str, str]) -> None:
    """Reads the service's settings where there are some, so that their faults are told here too."""
    from tenantctl.entrypoints.service.settings import AUDIENCE, CALLERS, service_settings

    if AUDIENCE in environment or CALLERS in environment:
        service_settings(environment)
