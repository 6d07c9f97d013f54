"""The command line's root: names every command, imports only the one that is called, and ends with an exit code."""

import importlib
import os
from typing import Final

import click

from tenantctl import __version__
from tenantctl.entrypoints.jobs import is_on_cloud_run
from tenantctl.model.errors import ExitCode, TenantctlError

# name: module, attribute, and the one line that --help shows without importing it
COMMANDS: Final = {
    "approval": ("approval", "approval", "What waits for two people."),
    "approve": ("approval", "approve", "Say yes to what has a digest; two people must."),
    "audit": ("audit", "audit", "Copies and places held against the registry."),
    "backup": ("backup", "backup", "Make, list and verify backups."),
    "billing": ("billing", "billing", "Subscriptions as billing told them, and dead letters."),
    "certificate": ("certificate", "certificate", "Certificates of destruction: issue and verify."),
    "completion": ("completion", "completion", "Print the script for your shell's completion."),
    "config": ("config", "config", "Which cloud, by which settings, from where."),
    "db": ("db", "db", "The registry's schema, and bringing it up to date."),
    "doctor": ("doctor", "doctor", "Check everything that the promises rest on."),
    "freeze": ("freeze", "freeze", "Stop deactivation and destruction, in a region or everywhere."),
    "hold": ("hold", "hold", "Legal holds: what the law wants kept."),
    "instance": ("instance", "instance", "Instances that host tenants or serve restores."),
    "journal": ("journal", "journal", "The evidence, and whether it is whole."),
    "local": ("local", "local", "A cloud on this machine, to try and to test."),
    "notice": ("notice", "notice", "What customers are told, and whether they were."),
    "plan": ("work", "plan", "Show what is to be done, and why; change nothing."),
    "policy": ("policy", "policy", "The promises as numbers, checked."),
    "region": ("region", "region", "Regions, and which one is closest."),
    "registry": ("registry", "registry", "Whether the registry is what it was; anchors."),
    "residue": ("journal", "residue", "Every place that holds a tenant's bytes, until when."),
    "run": ("work", "run", "Do what is due: one sweep over all tenants."),
    "serve": ("serve", "serve", "Take billing's events over HTTP."),
    "unfreeze": ("freeze", "unfreeze", "Let deactivation and destruction go on."),
    "tenant": ("tenant", "tenant", "Create, list, explain, cancel and reinstate tenants."),
    "work": ("workload", "work", "What is due, at work, failing or parked; retry and park."),
}

EXIT_CODES: Final = """
\b
Exit codes:
  0  done, or nothing to do
  1  a bug: please report it
  2  the command line is wrong
  3  refused by a rule; nothing was changed
  4  there is no such thing
  5  something does not answer; try again
  6  faults were found, or an alarm is open; they are printed
  7  the request stands, its end was not reached yet
  8  more is due than a cap allows: nothing of it was done, and a batch waits for two people
"""


class Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"tenantctl.entrypoints.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in --help, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.group(cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tenantctl")
def cli() -> None:
    """Keeps the promises made about customers' databases, and proves it.

    A request (create, cancel, reinstate) is written down; `tenantctl run` moves
    the world until it agrees, and `tenantctl plan` shows beforehand what it would do.
    """


def run(arguments: list[str] | None = None) -> int:
    """Runs one command line; expected failures become a sentence on stderr and their exit code.

    Where a platform reads what is printed, they become lines of its log, without sentences.
    """
    on_cloud_run = is_on_cloud_run(os.environ)
    if on_cloud_run:
        from tenantctl.adapters.json_log import log_for_cloud

        log_for_cloud(os.environ.get("TENANTCTL_PROJECT"))
    try:
        outcome = cli.main(args=arguments, prog_name="tenantctl", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        click.echo("tenantctl: interrupted; what was confirmed stays, and `tenantctl run` goes on,", err=True)
        click.echo("  within five minutes with what was at work just now.", err=True)
        return 130
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except TenantctlError as error:
        if on_cloud_run:
            from tenantctl.entrypoints.cli.logged_progress import LoggedProgress

            LoggedProgress().failed(error)
            return error.exit_code
        click.echo(f"tenantctl: {error.sentence}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
        return error.exit_code
    return outcome if isinstance(outcome, int) else ExitCode.OK
