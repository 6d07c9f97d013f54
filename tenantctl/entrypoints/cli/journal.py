"""`tenantctl journal` and `tenantctl residue`: the evidence, and what is left."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenantctl.evidence.comparing import Comparison
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
@output_option
def verify(tenant: str | None, output: Output) -> None:
    """Check the chain of TENANT, or of all tenants, the forgotten included: link by link, and against every anchor.

    Ends with 6 if anything was changed, cut off or made anew, and with 5 if an
    anchor could not be looked at. Entries that are newer than every anchor are
    counted: nothing outside the registry vouches for them yet.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.evidence.comparing import compare_with_anchors
    from tenantctl.model.errors import Findings, Transient
    from tenantctl.model.journal import broken_links

    with opened_world(looks_only=True) as world:
        registry = world.registry
        uid = registry.find(tenant).uid if tenant else None
        compared = compare_with_anchors(world, uid=uid)
        uids = [uid] if uid else list(registry.chains())
        count, faults = 0, list[str]()
        unanchored: list[dict[str, object]] = []
        for one in uids:
            entries, head = _chain(registry, one)
            count += len(entries)
            faults += broken_links(entries, head)
            anchored = compared.newest[one].sequence if one in compared.newest else 0
            if len(entries) > anchored:
                unanchored.append({"tenant_uid": one, "first": anchored + 1, "last": len(entries)})
    faults += [difference.sentence for difference in compared.differences]
    faults += compared.faults
    if output == "json":
        document = {"entries": count, "chains": len(uids), "anchors": compared.anchors, "faults": faults}
        print_json({**document, "not_looked_at": compared.unread, "not_anchored": unanchored})
    else:
        _tell(count, len(uids), faults, compared, unanchored)
    if faults:
        raise Findings(
            f"The journal is broken in {len(faults)} places.",
            hint="Somebody changed it with rights that no worker has, or brought it back: treat this as an incident.",
        )
    if compared.unread:
        raise Transient(
            f"{len(compared.unread)} anchors or lists of anchors could not be looked at.", hint="Try again."
        )


def _tell(
    count: int, chains: int, faults: "list[str]", compared: "Comparison", unanchored: "list[dict[str, object]]"
) -> None:
    """What was found, for people."""
    for line in (*faults, *compared.unread):
        click.echo(line)
    if not faults:
        click.echo(f"The journal is whole: {count} entries in {chains} chains.")
    anchors = compared.anchors
    if anchors:
        click.echo(f"It was held against {len(anchors)} anchors, the newest {anchors[-1].sentence}.")
    elif not compared.unread:
        click.echo("No anchor was ever made: tenantctl registry anchor")
    if unanchored and anchors:
        newer = sum(int(str(span["last"])) - int(str(span["first"])) + 1 for span in unanchored)
        click.echo(f"{newer} entries of {len(unanchored)} chains are not anchored yet.")


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
    """Show every place where bytes of TENANT are, and the date after which nothing there can be read.

    Of a tenant that has moved to another jurisdiction it also says what is still outside of that, until when, and on
    whose instruction; nothing new goes there.
    """
    from tenantctl.backups.holding import kept_places
    from tenantctl.bootstrap import opened_world
    from tenantctl.relocation.outside import placed, told

    with opened_world(looks_only=True) as world:
        one = world.registry.find(tenant)
        residues = world.registry.residues(one.uid)
        kept = kept_places(world.decisions.holds(one.uid), world.registry.backups(one.uid))
        moves, laws = world.registry.moves(one.uid), world.jurisdictions
        places = list(
            placed(
                one,
                residues,
                moves,
                instances=world.registry.instances(),
                jurisdictions=laws,
                policy=world.policies.lifecycle,
            )
        )
    listed = [place for place in places if show_all or place.residue.lapsed_at is None]
    if output == "json":
        print_json(
            [
                {
                    **vars(place.residue),
                    "held": place.residue.lapsed_at is None and place.residue.id in kept,
                    "region": place.region,
                    "jurisdiction": place.jurisdiction,
                    "outside": place.outside,
                    "not_before": place.not_before,
                }
                for place in listed
            ]
        )
        return
    if not listed:
        click.echo(f"Nothing of tenant {one.label} is left anywhere: {len(residues)} places lapsed.")
        return
    headers = ["kind", "place", "jurisdiction", "since", "unreadable after", "held", "lapsed", "proof"]
    rows = []
    for place in listed:
        r = place.residue
        held = "until released" if r.lapsed_at is None and r.id in kept else None
        where = f"{place.jurisdiction}, left" if place.outside else place.jurisdiction
        rows.append((r.kind, r.place, where, r.made_at, r.unreadable_after, held, r.lapsed_at, r.proof))
    print_table(headers, rows)
    if any(row[5] for row in rows):
        click.echo(
            "\nWhat is held for the law can be read until it is released; then until its date, or a few days more."
        )
    if (left := told(one, places, moves, laws)) is not None:
        click.echo(f"\n{left}")
