"""`tenantctl local`: a small Google Cloud on this machine, to try everything without an account.

It exists on loopback only, and so does moving the clock.
"""

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import click

NOT_RUNNING: Final = 5
_BANNER: Final = "This is a LOCAL cloud on this machine, not Google Cloud: nothing here is protected like the real one."
_HINT: Final = "The local cloud is not running; start it with: tenantctl local up"

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"tenantctl local: {message}", err=True)
    sys.exit(code)


def _one_sentence(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Turn what the local cloud refuses or fails at into one sentence and an exit code."""

    @wraps(command)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        from tenantctl.localcloud.client import LocalCloudFailed, LocalCloudRefused

        try:
            return command(*args, **kwargs)
        except LocalCloudRefused as error:
            _fail(str(error), 2)
        except LocalCloudFailed as error:
            _fail(str(error), NOT_RUNNING)

    return guarded


def _running(directory: str | None) -> Any:
    from tenantctl.localcloud.client import LocalCloud

    cloud = LocalCloud.find(directory)
    if cloud is None:
        _fail(_HINT, NOT_RUNNING)
    return cloud


_directory = click.option(
    "--dir",
    "directory",
    metavar="FOLDER",
    help="Where its state lies. Default: $TENANTCTL_LOCAL_DIR, else the usual place for a user's state.",
)
_output = click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.group(
    epilog="Exit codes: 0 done; 2 refused, and nothing changed; 5 the local cloud is not running, or cannot do it."
)
def local() -> None:
    """Run a local cloud: real PostgreSQL, the Cloud SQL Admin API, an object store, one clock."""


@local.command()
@_directory
@click.option("--region", "regions", multiple=True, metavar="REGION", help="A region to have; may be repeated.")
@_one_sentence
def up(directory: str | None, regions: tuple[str, ...]) -> None:
    """Start the local cloud, or keep it running and add regions."""
    from tenantctl.localcloud.client import start

    click.echo(_BANNER, err=True)
    cloud = start(directory)
    _provision(cloud.status(), regions)
    _print_table(cloud.status())


@local.command()
@_directory
@click.option("--purge", is_flag=True, help="Also remove all its data.")
@_one_sentence
def down(directory: str | None, purge: bool) -> None:
    """Stop the local cloud; its data and its clock stay."""
    from tenantctl.localcloud.client import stop

    stopped = stop(directory, purge=purge)
    click.echo("The local cloud is down." if stopped else "The local cloud was not running.")
    if purge:
        click.echo("No data of it is left.")


@local.command()
@_directory
@_output
@_one_sentence
def status(directory: str | None, output: str) -> None:
    """Show what runs, where it listens, and what time it is there."""
    from tenantctl.localcloud.client import LocalCloud, status_of_stopped

    cloud = LocalCloud.find(directory)
    found = status_of_stopped(directory) if cloud is None else cloud.status()
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    elif cloud is None:
        click.echo(_HINT)
    else:
        _print_table(found)


@local.command(context_settings={"ignore_unknown_options": True})
@_directory
@click.argument("duration")
@_one_sentence
def advance(directory: str | None, duration: str) -> None:
    """Move the local cloud's clock forward by DURATION, such as 21d, 36h or 1d12h.

    When it returns, SQL sees the new time and every bucket's lifecycle has run by it.
    """
    from tenantctl.localcloud.clock import parse_duration

    try:
        asked = parse_duration(duration)
    except ValueError as error:
        _fail(str(error), 2)
    click.echo(f"The local cloud's clock stands at {_running(directory).advance(asked)['clock']}.")


@local.command()
@_directory
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added.")
@click.option("--lines", type=click.IntRange(min=0), default=50, show_default=True, help="How many of the last lines.")
@_one_sentence
def logs(directory: str | None, follow: bool, lines: int) -> None:
    """Print the log of the local cloud."""
    from tenantctl.localcloud.client import follow_log
    from tenantctl.localcloud.state import find_state_folder

    path = find_state_folder(directory).log
    if not path.exists():
        _fail(f"There is no log in {path.parent}; start the local cloud with: tenantctl local up", NOT_RUNNING)
    for line in follow_log(path, lines, follow=follow):
        click.echo(line, nl=False)


@local.group()
def fault() -> None:
    """Have the local cloud fail on purpose, to see what happens."""


@fault.command("add")
@_directory
@click.argument("api", type=click.Choice(["storage", "sqladmin", "kms"]))
@click.argument("kind", type=click.Choice(["status", "drop", "delay", "truncate", "corrupt"]))
@click.option("--method", help="Only requests of this HTTP method.")
@click.option("--path", default=".*", show_default=True, help="Only paths in which this regular expression is found.")
@click.option("--times", type=int, help="How many requests are struck; all, until it is cleared, by default.")
@click.option("--status", "status_code", type=int, default=503, show_default=True, help="The status of kind status.")
@click.option("--seconds", type=float, default=0.0, show_default=True, help="The length of a delay.")
@click.option("--after-bytes", type=int, default=0, show_default=True, help="Where in a body it strikes.")
@_one_sentence
def add_fault(directory: str | None, api: str, kind: str, status_code: int, **details: Any) -> None:
    """Add a fault of KIND to API."""
    click.echo(_running(directory).add_fault(api, kind, status=status_code, **details))


@fault.command("list")
@_directory
@_output
@_one_sentence
def list_faults(directory: str | None, output: str) -> None:
    """List the faults that are waiting to strike."""
    found = _running(directory).faults()
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        times = "until cleared" if one["times"] is None else f"{one['times']} times"
        click.echo(f"{one['id']}  {one['api']}  {one['kind']}  {one['method'] or 'any'} {one['path']}  {times}")


@fault.command("clear")
@_directory
@click.argument("identifier", required=False)
@_one_sentence
def clear_faults(directory: str | None, identifier: str | None) -> None:
    """Clear the fault IDENTIFIER, or all faults."""
    cleared = _running(directory).clear_faults(identifier)
    if identifier is not None and not cleared:
        _fail(f"There is no fault {identifier}; see: tenantctl local fault list", 2)
    click.echo(f"Faults cleared: {cleared}.")


def _provision(status_now: dict[str, Any], regions: tuple[str, ...]) -> None:
    """Have the bare cloud set up like a real project: registry, buckets, instances, through the real APIs."""
    from tenantctl.bootstrap.estate import provision_local

    provision_local(status_now, regions)


def _print_table(found: dict[str, Any]) -> None:
    click.echo(f"local cloud   project {found['project']}, PostgreSQL {found['postgresql']}, in {found['directory']}")
    click.echo(f"clock         {found['clock']}")
    for name, url in found["endpoints"].items():
        click.echo(f"{name:<13} {url}")
    for one in found["instances"]:
        click.echo(f"instance      {one['name']:<24} {one['region']:<26} {one['state']:<10} {one['address']}")
