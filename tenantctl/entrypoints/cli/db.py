"""`tenantctl db`: the registry's schema, looked at and brought up to date while workers go on."""

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json


@click.group()
def db() -> None:
    """The registry's schema: where it is, and bringing it up to date."""


@db.command()
@output_option
def current(output: Output) -> None:
    """Show the registry's revision, the one that this program needs, and what lies between.

    Ends with 3 if this program must not work on that schema.
    """
    from tenantctl.adapters.postgres import migrations
    from tenantctl.adapters.postgres.registry_schema import look_at_schema, misfit
    from tenantctl.bootstrap.administration import registry_administration

    with registry_administration() as engine:
        seen = look_at_schema(engine)
    head = migrations.head()
    ahead = seen.revision is not None and seen.revision > head
    waiting = [] if ahead else migrations.pending(seen.revision)
    refusal = misfit(seen, head)
    if output == "json":
        rows = [{"revision": one.revision, "what": one.doc} for one in waiting]
        print_json({"revision": seen.revision, "head": head, "works_with": seen.works_with, "pending": rows})
    else:
        click.echo(f"The registry is at {seen.revision or 'no revision'}; this program was written for {head}.")
        for one in waiting:
            click.echo(f"  pending: {one.revision}  {one.doc}")
    if refusal is not None:
        raise refusal


@db.command()
@click.option("--to", "target", metavar="REVISION", help="Stop at this revision; the newest by default.")
@click.option("--dry-run", is_flag=True, help="Only say which revisions would be applied.")
@click.option("--sql", is_flag=True, help="Only print the SQL that would be run, to be read and not to be run by hand.")
def upgrade(target: str | None, dry_run: bool, sql: bool) -> None:
    """Bring the registry's schema up to date; run it as the migrator, before the new image.

    Workers may go on: each revision is a transaction of its own that waits two
    seconds for its locks, lets go, and tries again for five minutes; an index is
    built beside the work, for as long as it takes. Of two at once, one waits.
    Running it again changes nothing. There is no way back.
    """
    from tenantctl.adapters.postgres import migrations
    from tenantctl.bootstrap.administration import registry_administration

    with registry_administration() as engine:
        waiting = migrations.pending(migrations.current(engine), to=target)
        if sql:
            for one in waiting:
                click.echo(f"-- {one.revision}: {one.doc}\n{migrations.as_run(one)}\n")
            return
        for one in waiting:
            click.echo(f"{'would apply' if dry_run else 'to apply'} {one.revision}: {one.doc}")
        if waiting and not dry_run:
            migrations.upgrade(engine, to=target)
            click.echo(f"The registry is at {waiting[-1].revision}.")
    if not waiting:
        click.echo("Nothing is pending.")


@db.command()
@click.argument("logins", nargs=-1, required=True, metavar="LOGIN...")
def grant(logins: tuple[str, ...]) -> None:
    """Let logins work with the registry, as PostgreSQL calls them; run it as the migrator, again as often as you like.

    Terraform's output `registry_logins` names them.
    """
    from tenantctl.adapters.postgres import migrations
    from tenantctl.bootstrap.administration import registry_administration

    with registry_administration() as engine:
        for login in logins:
            migrations.grant_app(engine, login)
            click.echo(f"{login} may work with the registry.")
