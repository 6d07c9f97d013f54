"""`tenantctl notice`: the outbox of what customers are told, for whatever delivers it."""

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table


@click.group()
def notice() -> None:
    """Notices to customers: what is to be delivered, and what was."""


@notice.command(name="list")
@click.argument("tenant", required=False)
@output_option
def list_(tenant: str | None, output: Output) -> None:
    """List the notices that nobody has reported as delivered, or all of TENANT."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        decisions = world.decisions
        notices = decisions.notices(world.registry.find(tenant).uid) if tenant else decisions.undelivered()
    if output == "json":
        print_json(list(notices))
    elif notices:
        headers = ["id", "tenant", "kind", "destroyed after", "written", "delivered", "last failure"]
        print_table(
            headers,
            [(n.id, n.tenant_uid, n.kind, n.destroy_after, n.written_at, n.delivered_at, n.failure) for n in notices],
        )
    else:
        click.echo("No notice is owed." if tenant else "Every notice was delivered.")


@notice.command()
@click.argument("notice_id", metavar="ID", type=int)
def delivered(notice_id: int) -> None:
    """Record that the customer has been given notice ID; again changes nothing."""
    from tenantctl.bootstrap import opened_world

    with opened_world() as world:
        told = world.decisions.report_delivered(notice_id)
    click.echo(f"Notice {told.id} ({told.kind}) was delivered at {told.delivered_at:%Y-%m-%d %H:%M} UTC.")


@notice.command()
@click.argument("notice_id", metavar="ID", type=int)
@click.option("--reason", required=True, help="What the try met; it is kept until the next.")
def failed(notice_id: int, reason: str) -> None:
    """Record that notice ID could not be delivered this time; it stays in the outbox."""
    from tenantctl.bootstrap import opened_world

    with opened_world() as world:
        kept = world.decisions.report_failed(notice_id, reason)
    click.echo(f"Notice {kept.id} ({kept.kind}) stays in the outbox: {kept.failure or 'it was delivered before'}.")
