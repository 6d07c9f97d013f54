"""`tenantctl journal` and `tenantctl residue`: the evidence, and what is left."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenantctl.model.journal import Entry, Head
    from tenantctl.ports.registry import Registry


@click.group()
def journal() -> None:
    """The journal: what was done and seen, by whom, in a chain that shows any change."""


@journal.command()
@click.argument("tenant")
@output_option
def show(tenant: str, output: Output) -> None:
    """Show the journal of TENANT, oldest first."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        entries = world.registry.entries(world.registry.find(tenant).uid)
    if output == "json":
        print_json(list(entries))
        return
    headers = ["no", "at", "actor", "event", "plan", "what"]
    print_table(headers, [(e.sequence, e.at, e.actor, e.event, e.plan_digest, e.body) for e in entries])


@journal.command()
@click.argument("tenant", required=False)
def verify(tenant: str | None) -> None:
    """Check the chain of TENANT, or of all tenants, the forgotten included."""
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import Findings
    from tenantctl.model.journal import broken_links

    with opened_world(looks_only=True) as world:
        registry = world.registry
        uids = [registry.find(tenant).uid] if tenant else list(registry.chains())
        count = 0
        faults: list[str] = []
        for uid in uids:
            entries, head = _chain(registry, uid)
            count += len(entries)
            faults += broken_links(entries, head)
    for fault in faults:
        click.echo(fault)
    if faults:
        raise Findings(
            f"The journal is broken in {len(faults)} places.",
            hint="Somebody changed it with rights that no worker has: treat this as an incident.",
        )
    click.echo(f"The journal is whole: {count} entries in {len(uids)} chains.")


def _chain(registry: "Registry", uid: str) -> "tuple[Sequence[Entry], Head | None]":
    """A tenant's entries and the head they end at, read anew as long as a worker writes between the two."""
    head = registry.head(uid)
    while True:
        entries, before = registry.entries(uid), head
        head = registry.head(uid)
        if head == before:
            return entries, head


@click.command()
@click.argument("tenant")
@click.option("--all", "show_all", is_flag=True, help="Also the places that have lapsed, with their proof.")
@output_option
def residue(tenant: str, show_all: bool, output: Output) -> None:
    """Show every place where bytes of TENANT are, and the date after which nothing there can be read."""
    from tenantctl.bootstrap import opened_world

    with opened_world(looks_only=True) as world:
        one = world.registry.find(tenant)
        residues = world.registry.residues(one.uid)
    listed = [place for place in residues if show_all or place.lapsed_at is None]
    if output == "json":
        print_json(listed)
        return
    if not listed:
        click.echo(f"Nothing of tenant {one.label} is left anywhere: {len(residues)} places lapsed.")
        return
    headers = ["kind", "place", "since", "unreadable after", "lapsed", "proof"]
    print_table(headers, [(r.kind, r.place, r.made_at, r.unreadable_after, r.lapsed_at, r.proof) for r in listed])
