"""`tenantctl hold`: what the law wants kept."""

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

case_option = click.option("--case", "case_reference", required=True, help="The court's or authority's file number.")


@click.group()
def hold() -> None:
    """Legal holds: what a court or an authority wants kept is neither destroyed nor shredded."""


@hold.command()
@click.argument("tenant")
@case_option
@click.option("--review-by", required=True, metavar="DATE", help="When somebody asks whether it is still needed.")
def place(tenant: str, case_reference: str, review_by: str) -> None:
    """Put TENANT under a hold: from now on nothing of it is destroyed, and its copies are held in the vaults."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.cli.moments import moment_of
    from tenantctl.offboarding.holding import request_hold

    moment = moment_of(review_by, "--review-by")
    assert moment is not None, "the option is required"
    with opened_world() as world:
        one = world.registry.find(tenant)
        placed = request_hold(world, one, case_reference=case_reference, review_by=moment)
    click.echo(f"Tenant {one.label} is under hold {placed.id} since {placed.placed_at:%Y-%m-%d %H:%M} UTC.")
    click.echo(f"It is to be reviewed by {placed.review_by:%Y-%m-%d}. Its copies are held by the next: tenantctl run")


@hold.command()
@click.argument("tenant")
@case_option
@click.option("--reason", required=True, help="Whose decision it was; on record.")
def release(tenant: str, case_reference: str, reason: str) -> None:
    """End the hold of TENANT for one case; the terms go on where they stand."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.offboarding.holding import request_release

    with opened_world() as world:
        one = world.registry.find(tenant)
        ended = request_release(world, one, case_reference=case_reference, because=reason)
        left = len(world.decisions.holds(one.uid))
    still = f"; {left} more still {'stands' if left == 1 else 'stand'}" if left else ""
    click.echo(f"Hold {ended.id} of tenant {one.label} is released{still}.")


@hold.command()
@click.argument("tenant")
@case_option
@click.option("--review-by", required=True, metavar="DATE", help="When somebody asks the next time.")
@click.option("--reason", required=True, help="Who wants it kept still; on record.")
def review(tenant: str, case_reference: str, review_by: str, reason: str) -> None:
    """Record that the hold of TENANT for one case is still needed; it stands without a break."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.cli.moments import moment_of
    from tenantctl.offboarding.holding import request_review

    moment = moment_of(review_by, "--review-by")
    assert moment is not None, "the option is required"
    with opened_world() as world:
        one = world.registry.find(tenant)
        placed = request_review(world, one, case_reference=case_reference, review_by=moment, because=reason)
    click.echo(f"Tenant {one.label} stays held, as hold {placed.id}, to be reviewed by {placed.review_by:%Y-%m-%d}.")


@hold.command(name="list")
@click.option("--tenant", metavar="TENANT", help="Only the holds of this tenant.")
@output_option
def list_(tenant: str | None, output: Output) -> None:
    """List the open holds, oldest first; ends with 6 if a review is overdue."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import Findings

    with opened_world(looks_only=True) as world:
        uid = world.registry.find(tenant).uid if tenant else None
        holds, now = list(world.decisions.holds(uid)), world.registry.now()
        labels = {one.tenant_uid: world.registry.tenant(one.tenant_uid).label for one in holds}
    overdue = [one for one in holds if one.review_by < now]
    if output == "json":
        print_json([{**vars(one), "review_overdue": one in overdue} for one in holds])
    elif holds:
        headers = ["tenant", "case", "since", "by", "review by", ""]
        rows = [
            (labels[h.tenant_uid], h.case_reference, h.placed_at, h.placed_by, h.review_by, "overdue" * (h in overdue))
            for h in holds
        ]
        print_table(headers, rows)
    else:
        click.echo("Nothing is under a legal hold.")
    if overdue:
        raise Findings(
            f"{len(overdue)} holds should have been reviewed by now.",
            hint="Ask who placed them; then release them, or place them anew with a later --review-by.",
        )
