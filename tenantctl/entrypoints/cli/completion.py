"""`tenantctl completion`: the script that makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL.

    Load it at once:  source <(tenantctl completion bash)
    """
    from tenantctl.entrypoints.cli.main import cli

    of_shell = get_completion_class(shell)
    assert of_shell is not None, "click knows the three"
    click.echo(of_shell(cli, {}, "tenantctl", "_TENANTCTL_COMPLETE").source())
