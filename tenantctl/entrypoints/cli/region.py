"""`tenantctl region`: which regions there are, which one a customer would be placed in, and how one is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from tenantctl.entrypoints.cli.leaving import leave, leaving_options
from tenantctl.entrypoints.cli.output import Output, output_option, print_json, print_table

if TYPE_CHECKING:
    from tenantctl.model.region import Placement, RegionCatalogue, RegionsPolicy

ROWS_MIN: Final = 5
ROWS_AFTER_CHOSEN: Final = 2


@click.group()
def region() -> None:
    """Regions: what the policy says of each, which is closest, and how one is left."""


@region.command(name="list", short_help="All regions: jurisdiction, state, backup partners.")
@output_option
def list_regions(output: Output) -> None:
    """List all regions with their jurisdiction, state and backup partners.

    Open regions take tenants; full ones take none for now; closed ones take none and hold no copies.
    """
    catalogue, policy = _known()
    rows: list[dict[str, object]] = []
    for one in catalogue.regions:
        word = policy.regions.get(one.id)
        state, partners, why = (word.state, word.partners, word.why) if word else ("closed", (), "not in the policy")
        row: dict[str, object] = {
            "region": one.id,
            "city": one.city,
            "country": one.country,
            "jurisdiction": one.jurisdiction,
        }
        rows.append(row | {"state": state, "partners": list(partners), "why": why})
    if output == "json":
        print_json({"version": catalogue.version, "policy_digest": policy.digest, "regions": rows})
        return
    headers = ("region", "city", "country", "jurisdiction", "state", "partners", "why")
    print_table(headers, ([_cell(row[header]) for header in headers] for row in rows))


@region.command(
    short_help="Where a customer based at PLACE would be placed, and why.",
    context_settings={"ignore_unknown_options": True},  # so that -33.9,151.2 is a place
)
@click.argument("place", nargs=-1, required=True)
@click.option("--keep-in", metavar="JURISDICTION", help="Consider regions of this jurisdiction only, such as EU.")
@click.option("--all", "show_all", is_flag=True, help="Show every region, not only those about the chosen one.")
@output_option
def nearest(place: tuple[str, ...], keep_in: str | None, show_all: bool, output: Output) -> None:
    """Show the region that a customer based at PLACE would be placed in, and why.

    PLACE is a city, a subdivision or a country in any language ("Southlake, TX, US", "Luik", "Belgium"), or coordinates
    ("51.5,-0.12"). Only the policies are asked, not how much room the instances have.
    """
    from tenantctl.placement.geocode import geocode
    from tenantctl.placement.planning import plan_placement

    unknown = next((word for word in place if word.startswith("--")), None)
    if unknown is not None:
        raise click.NoSuchOption(unknown)
    catalogue, policy = _known()
    asked = keep_in.upper() if keep_in else None
    placement = plan_placement(geocode(" ".join(place)), catalogue, policy, None, keep_in=asked)
    if output == "json":
        print_json(placement.to_plain() | {"distance_km": placement.distance_km})
        return
    click.echo(placement_sentences(placement, catalogue))
    click.echo()
    print_candidates(placement, catalogue, show_all=show_all)


@region.command(short_help="Move every tenant of a region that still answers to other regions.")
@click.argument("name", metavar="REGION")
@click.option("--to", "to", metavar="REGION|nearest", default="nearest", show_default=True, help="Where to.")
@leaving_options
def evacuate(name: str, to: str, limit: int, dry_run: bool, cause: str, instructed_by: str, output: Output) -> int:
    """Move every tenant of REGION to other regions while their customers work.

    Its instances take no more tenants from then on. Nearest is, for each, the
    closest region that may take it and has room. Who is refused stays, and keeps
    no other from its move. Run it again to go on after an interruption. A region
    that does not answer is restored from its backups: tenantctl backup restore
    --fleet.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.model.errors import Refused
    from tenantctl.sweeps.fleet_move import Asked, instances_of

    if to == name:
        raise Refused(f"{name} is the region that is to be left.")
    with opened_world(looks_only=dry_run) as world:
        asked = Asked(cause, instructed_by, to, limit)
        return leave(world, instances_of(world, name), asked, dry_run=dry_run, output=output)


def placement_sentences(placement: Placement, catalogue: RegionCatalogue) -> str:
    """The decision in words; two lines if the closest region was not taken or the data is kept in a jurisdiction."""
    chosen = catalogue.by_id[placement.region]
    measured = "" if placement.place_kind in ("city", "coordinates") else f" (measured from {placement.place})"
    if placement.place_kind == "coordinates":
        measured = f" ({placement.place})"
    where = f"{placement.place_label}{measured}: {placement.region} ({chosen.city}), {placement.distance_km:,.0f} km"
    if placement.deviation is None:
        sentences = [f"{where}. It is the closest region."]
    else:
        sentences = [f"{where}. It is the closest that may be taken; {placement.closest} is closer."]
    if placement.kept_in:
        sentences.append(f"The data stays in {placement.kept_in}.")
    return " ".join(sentences)


def print_candidates(placement: Placement, catalogue: RegionCatalogue, *, show_all: bool) -> None:
    """The ranked regions with the reason for or against each, as a table."""
    position = next(n for n, candidate in enumerate(placement.candidates) if candidate.region == placement.region)
    shown = len(placement.candidates) if show_all else max(ROWS_MIN, position + 1 + ROWS_AFTER_CHOSEN)
    rows = []
    for rank, candidate in enumerate(placement.candidates[:shown], 1):
        one = catalogue.by_id[candidate.region]
        rows.append((rank, one.id, one.city, one.country, round(candidate.distance_km), candidate.reason))
    print_table(("rank", "region", "city", "country", "km", "verdict"), rows)


def _known() -> tuple[RegionCatalogue, RegionsPolicy]:
    from tenantctl.adapters.policy_files import load_regions, policies_folder
    from tenantctl.placement.catalogue import region_catalogue

    catalogue = region_catalogue()
    return catalogue, load_regions(policies_folder(), catalogue.regions)


def _cell(value: object) -> object:
    return " ".join(value) if isinstance(value, list) else value or None
