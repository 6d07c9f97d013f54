"""`tenantctl billing`: what could not be understood, and what is still to be announced."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.billing.request import Replayed


@click.group()
def billing() -> None:
    """Billing: subscriptions as they were told, dead letters, announcements."""


@billing.command()
@click.argument("tenant")
@output_option
def show(tenant: str, output: Output) -> None:
    """Show the newest event of each subscription of TENANT."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        one = world.registry.find(tenant)
        heads = list(world.billing.heads(one.uid))
    if output == "json":
        print_json(heads)
    elif heads:
        headers = ["subscription", "number", "event", "leaves at", "missing", "instructed by", "cause"]
        rows = [
            (h.subscription, h.sequence, h.kind, h.leaves_at, h.missing, h.instructing_party, h.cause) for h in heads
        ]
        print_table(headers, rows)
    else:
        click.echo(f"Billing has never told of tenant {one.label}.")


@billing.command()
def publish() -> None:
    """Publish what the outbox holds, the oldest first; safe at any time, one process at a time does it."""
    from tenantctl.billing.publishing import publish_all
    from tenantctl.bootstrap import opened_world

    with opened_world() as world:
        topic = world.topic
        sent = publish_all(world.billing, topic.send)
    click.echo(f"{sent} announcements were published." if sent else "There was nothing to publish.")


@billing.group(name="dead-letters")
def dead_letters() -> None:
    """What came from billing, was no event, and waits for somebody to look at it."""


@dead_letters.command(name="list")
@output_option
def list_(output: Output) -> int:
    """List what is open; ends with 6 if anything is."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import ExitCode

    with opened_world(looks_only=True) as world:
        letters = list(world.billing.dead_letters())
    if output == "json":
        print_json(letters)
    elif letters:
        headers = ["id", "received", "tries", "fault", "reason"]
        print_table(headers, [(one.id, one.received_at, one.tries, one.fault, one.reason) for one in letters])
    else:
        click.echo("No dead letter is open.")
    return ExitCode.FINDINGS if letters else ExitCode.OK


@dead_letters.command(name="show")
@click.argument("letter_id", metavar="ID", type=int)
def show_letter(letter_id: int) -> None:
    """Print what came, as it is replayed; nothing where it was not kept."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        letter = world.billing.dead_letter(letter_id)
    click.echo(letter.body or f"Its content was not kept: {letter.reason}", err=not letter.body)


@dead_letters.command()
@click.argument("letter_ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every open one.")
def replay(letter_ids: tuple[int, ...], everything: bool) -> int:
    """Try dead letters again: what is understood now is recorded and settled; ends with 6 if one is not."""
    from tenantctl.billing.request import replay as replay_one
    from tenantctl.billing.request import replay_all
    from tenantctl.bootstrap import opened_world
    from tenantctl.entrypoints.service.envelopes import event_of
    from tenantctl.model.errors import ExitCode

    if everything == bool(letter_ids):
        raise click.UsageError("Name dead letters by their ids, or take --all.")
    with opened_world() as world:
        if everything:
            ended = list(replay_all(world.billing, event_of))
        else:
            letters = [world.billing.dead_letter(one) for one in letter_ids]
            ended = [replay_one(world.billing, letter, event_of) for letter in letters]
    for one in ended:
        _tell(one)
    if not ended:
        click.echo("No dead letter is open.")
    return ExitCode.FINDINGS if any(one.letter.settled_at is None for one in ended) else ExitCode.OK


@dead_letters.command()
@click.argument("letter_id", metavar="ID", type=int)
@click.option("--because", required=True, help="Why nothing is to be done about it; on record.")
def dismiss(letter_id: int, because: str) -> None:
    """Settle a dead letter that nothing is to be done about; what came stays on record."""
    from tenantctl.bootstrap import opened_world

    with opened_world() as world:
        settled = world.billing.settle_dead_letter(letter_id, f"dismissed: {because}")
    click.echo(f"Dead letter {settled.id} is settled: {settled.settled_as}.")


def _tell(one: "Replayed") -> None:
    became = f"{one.receipt.outcome}: {one.reason}" if one.receipt else f"as it was: {one.reason}"
    click.echo(f"Dead letter {one.letter.id}: {became.rstrip('.')}.")
