"""`tenantctl approve` and `tenantctl approval`: what takes two people."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.model.decisions import Proposal


@click.command()
@click.argument("digest")
@output_option
def approve(digest: str, output: Output) -> None:
    """Say yes to what has this DIGEST; two different people must, and it counts once, for 24 hours.

    Look at it first: tenantctl approval show DIGEST
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.custody.approval import approve_proposal

    with opened_world() as world:
        proposal = approve_proposal(world, digest)
        now = world.registry.now()
    if output == "json":
        print_json({**vars(proposal), "approved": proposal.is_approved(now=now)})
        return
    click.echo(f"You have approved {proposal.kind} {proposal.digest}.")
    if proposal.is_approved(now=now):
        click.echo("Two people have: it counts once, within 24 hours. The next run makes use of it: tenantctl run")
    else:
        click.echo(f"One more person must, until {proposal.expires_at:%Y-%m-%d %H:%M} UTC.")


@click.group()
def approval() -> None:
    """What waits for two people: batches beyond a cap, waivers, erasures, openings of a destroyed tenant's backups."""


@approval.command(name="list")
@output_option
def list_(output: Output) -> None:
    """List what may be approved now, oldest first."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        proposals = list(world.decisions.proposals())
        now = world.registry.now()
    if output == "json":
        print_json([{**vars(one), "approved": one.is_approved(now=now)} for one in proposals])
    elif proposals:
        headers = ["digest", "kind", "about", "proposed", "by", "approved by"]
        print_table(
            headers,
            [
                (one.digest, one.kind, _about(one), one.made_at, one.made_by, ", ".join(_people(one)) or "-")
                for one in proposals
            ],
        )
    else:
        click.echo("Nothing waits for approval.")


@approval.command()
@click.argument("digest")
@output_option
def show(digest: str, output: Output) -> None:
    """Show all that DIGEST names: what two people agree to if they approve it."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        one = world.decisions.proposal(digest)
        now = world.registry.now()
    if output == "json":
        print_json({**vars(one), "approved": one.is_approved(now=now)})
        return
    standing = "made use of" if one.spent_at else "open" if one.is_open(now=now) else "lapsed"
    rows: list[tuple[str, object]] = [("digest", one.digest), ("kind", one.kind), ("stands", standing)]
    rows += [("tenant", one.tenant_uid), ("proposed at", one.made_at), ("proposed by", one.made_by)]
    rows += [("approved by", ", ".join(_people(one)) or None), ("lapses at", one.expires_at)]
    said = {key: value for key, value in one.content.items() if key not in {"kind", "tenant", "expires_at"}}
    print_table(["field", "value"], [*rows, *((key, _text(value)) for key, value in sorted(said.items()))])


def _about(proposal: "Proposal") -> str:
    if "members" in proposal.content:
        return f"{len(proposal.content['members'])} to {proposal.content['act']} in {proposal.content['region']}"
    return proposal.tenant_uid or "the registry"


def _people(proposal: "Proposal") -> list[str]:
    return [one.actor for one in proposal.approvals]


def _text(value: object) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
