"""`tenantctl tenant adopt`: a living database of an existing fleet becomes a tenant."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.arrival import cause_option, party_option, wait_option
from tenantctl.entrypoints.cli.output import Output, output_option, print_json

if TYPE_CHECKING:
    from tenantctl.onboarding.adopting import Adoptable


@click.command()
@click.argument("name")
@click.option("--database", required=True, metavar="DATABASE", help="What the database is called now.")
@click.option("--instance", metavar="INSTANCE", help="Where it lies; every instance for tenants is asked by default.")
@click.option("--based-in", required=True, metavar="PLACE", help='Where the customer is: "Southlake, TX, US".')
@click.option("--dry-run", is_flag=True, help="Look, and say what would be done; write nothing.")
@cause_option
@party_option
@wait_option
@output_option
def adopt(
    name: str,
    database: str,
    instance: str | None,
    based_in: str,
    dry_run: bool,
    cause: str,
    instructed_by: str,
    wait: bool,
    output: Output,
) -> int:
    """Make a living database tenant NAME's, as it is.

    Its data stays as it is; its marker, its name, its owner and who may enter it
    become ours. Its sessions are ended for that, and its customer comes back by a
    login of ours: tenantctl tenant rotate-password, and connect-info. Ends with 6
    if something stands against it.
    """
    from tenantctl.bootstrap import DATABASE_VERSION, catalogue, opened_world
    from tenantctl.entrypoints.cli.waiting import wait_for
    from tenantctl.model.errors import ExitCode
    from tenantctl.model.lifecycle import State
    from tenantctl.onboarding.adopting import look_at_adoptable, request_adoption

    major = int(DATABASE_VERSION.rpartition("_")[2])
    with opened_world(looks_only=dry_run) as world:
        found = look_at_adoptable(world, database, instance=instance, server_major=major)
        if dry_run:
            _show(found, output)
            return ExitCode.FINDINGS if found.reasons else ExitCode.OK
        asked = {"name": name, "based_in": based_in, "cause": cause, "instructing_party": instructed_by}
        made = request_adoption(world, catalogue(), found, **asked)
        if output == "table":
            click.echo(f"Tenant {made.label} ({made.uid}) is requested, to be the database {database} as it is.")
        if wait:
            made = wait_for(world, made, State.ACTIVE, quiet=output == "json")
    if output == "json":
        print_json({"tenant": made})
    elif not wait:
        click.echo("It is adopted by the next run: tenantctl run")
    return ExitCode.OK


def _show(found: "Adoptable", output: Output) -> None:
    if output == "json":
        print_json(found)
        return
    seen = found.seen
    click.echo(f"Database {found.database} on {found.instance.name} in {found.instance.region}, {seen.size} bytes:")
    owners = ", ".join(owner.name for owner in seen.owners) or "nobody but us"
    click.echo(f"  owned by {owners}; extensions {', '.join(seen.extensions)}; {seen.sessions} sessions just now")
    for reason in found.reasons:
        click.echo(f"  against it: {reason}")
    if not found.reasons:
        click.echo("  1. create-roles: an owner that cannot log in, and a closed login")
        click.echo("  2. adopt-database: its marker; nobody else may enter, and its sessions end; its name; its owner")
        click.echo("  3. prepare-database: the schema public is the owner's")
        click.echo("  4. open-logins: by a password of ours")
