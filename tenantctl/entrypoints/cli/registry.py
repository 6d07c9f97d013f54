"""`tenantctl registry`: whether the registry is what it was, its anchors, and its reconciliation with the world."""

from typing import TYPE_CHECKING

import click

from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.sweeps.reconcile import Comparison


@click.group()
def registry() -> None:
    """The registry itself: its anchors, and whether it was brought back from a backup."""


@registry.command()
@output_option
def status(output: Output) -> None:
    """Show the newest anchor, and whether the registry knows every anchor that the vaults show.

    Ends with 6 if it does not: then nothing irreversible is done until it is
    reconciled. Ends with 5 if that cannot be told.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.evidence.anchoring import anchor_due, registry_seen
    from tenantctl.evidence.restored import restored_because, untold_because
    from tenantctl.model.errors import Findings, Transient

    with opened_world(looks_only=True) as world:
        seen = registry_seen(world)
        restored = restored_because(seen)
        untold = untold_because(seen, world.policies.anchors, now=world.registry.now())
        due = anchor_due(world)
    newest = seen.newest.anchor if seen.newest else None
    if output == "json":
        document = {"registry": seen.identity, "newest_anchor": newest, "anchor_due": due}
        regions = {"answered": seen.answered(), "silent": seen.silent()}
        print_json({**document, **regions, "reconciled": seen.reconciled, "restored": restored, "untold": untold})
    else:
        click.echo(f"Registry {seen.identity}; {newest.sentence if newest else 'no anchor was ever made'}.")
        if due:
            click.echo("An anchor of all chains is due: tenantctl registry anchor")
        for silent in seen.silent():
            click.echo(f"Not looked at: {silent}")
        if seen.reconciled:
            click.echo(f"Reconciled by {seen.reconciled.actor} at {seen.reconciled.at:%Y-%m-%d %H:%M} UTC.")
    if restored:
        raise Findings(f"This registry was restored: {restored}.", hint="See: tenantctl registry reconcile")
    if untold:
        raise Transient(f"Whether this registry was restored cannot be told: {untold}.", hint="Nothing is destroyed.")


@registry.command()
@output_option
def anchor(output: Output) -> None:
    """Make an anchor of all chains of the journal now, and lock it in every region of the anchors' policy.

    `tenantctl run` makes one when the newest is older than the policy says.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.evidence.anchoring import anchor_journal

    with opened_world() as world:
        made = anchor_journal(world)
        regions = ", ".join(world.policies.anchors.regions)
    if output == "json":
        print_json({"digest": made.digest, **vars(made)})
        return
    click.echo(f"Locked {made.sentence} in {regions}: {made.entries} entries in {made.chains} chains.")
    click.echo(f"  root {made.root}")


@registry.command()
@click.option("--dry-run", is_flag=True, help="Only look, also where --accept is given.")
@click.option("--accept", "digest", metavar="DIGEST", help="Accept the findings of this digest; two people must.")
@output_option
def reconcile(dry_run: bool, digest: str | None, output: Output) -> None:
    """Compare the registry with anchors, vaults, key buckets and instances; say what differs, and what to do.

    Nothing that is found is cleaned up. Where the registry was restored,
    everything irreversible stays frozen until two people have accepted the same
    findings. Ends with 6 while there is something to accept.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.anchor import Reconciliation
    from tenantctl.model.errors import Findings
    from tenantctl.sweeps.acceptance import accept
    from tenantctl.sweeps.reconcile import compare

    with opened_world(looks_only=dry_run or digest is None) as world:
        compared = compare(world)
        done = accept(world, compared, digest) if digest is not None and not dry_run else None
        actor = world.registry.actor()
    if isinstance(done, Reconciliation):
        click.echo(f"Reconciled by {done.actor}: this registry is trusted again, and what is due goes on.")
        return
    if done is not None:
        click.echo(f"Accepted by {actor}. Another person must accept the same findings within a day:")
        click.echo(f"  tenantctl registry reconcile --accept {compared.digest}")
        return
    if output == "json":
        print_json({"digest": compared.digest, **vars(compared)})
    else:
        _tell(compared)
    if compared.findings or compared.unseen or compared.restored:
        raise Findings(
            f"{len(compared.findings)} findings, and {len(compared.unseen)} places that could not be looked at.",
            hint=f"To accept them, two people: tenantctl registry reconcile --accept {compared.digest}"
            if compared.restored and not compared.unseen
            else "",
        )


def _tell(compared: "Comparison") -> None:
    """What was found, for people."""
    if compared.restored:
        click.echo(f"This registry was restored: {compared.restored}.")
    if compared.findings:
        rows = [("ALARM" if one.alarm else "-", one.code, one.sentence, one.remedy) for one in compared.findings]
        print_table(["", "finding", "what", "what to do"], rows)
    for place in compared.unseen:
        click.echo(f"Not looked at: {place}")
    if not compared.findings and not compared.unseen and not compared.restored:
        click.echo(f"The registry agrees with {len(compared.anchors)} anchors, every vault and every instance.")
