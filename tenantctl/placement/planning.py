"""Decides in which region a tenant lives, and writes down why. Pure: places, policy and room in, placement out.

The filters come first, in this order: jurisdiction, products, the operator's word. Of what is left the closest is
taken. If that one is full, the next closest of *its* jurisdiction is; if there is none, the placement is refused with
the list of what was considered, or waits for room. A text that can mean several places is accepted only if all give the
same region.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from tenantctl.model.errors import NoRoom, Refused
from tenantctl.model.region import (
    Candidate,
    Place,
    PlaceAnswer,
    PlaceAnswers,
    Placement,
    Region,
    RegionCatalogue,
    RegionsPolicy,
)
from tenantctl.placement.nearest import rank
from tenantctl.placement.residency import kept_in, objection, partner_objection

LISTED_MAX: Final = 12
_PLACES: Final = ", places "
_NO_INSTANCE: Final = "no instance there"
_UNNAMED: Final = "closed: the policy does not name it"


@dataclass(frozen=True)
class Choice:
    """What one place gives.

    Args:
        region: the chosen one; None where none may take the tenant.
        kept_in: the jurisdiction that the policy keeps the data in, if any.
        ranked: all regions as (km, region), the closest first.
        objections: region → why it was not to be taken; None where it could be.
        awaited: the region that would be chosen if only it had room; None where room is not what is missing.
    """

    region: Region | None
    kept_in: str | None
    ranked: list[tuple[float, Region]]
    objections: Mapping[str, str | None]
    awaited: Region | None = None


def plan_placement(
    answers: PlaceAnswers,
    catalogue: RegionCatalogue,
    policy: RegionsPolicy,
    capacity: Mapping[str, int] | None,
    *,
    keep_in: str | None = None,
    may_wait: bool = False,
) -> Placement:
    """Choose the region for a customer who is based at one of the answers.

    Args:
        answers: everything that the customer's words can mean.
        catalogue: all regions.
        policy: residency, overrides, and the operator's word on each region.
        capacity: region → tenants for which its instances have room; a region that is missing has no instance and is
            passed over like a closed one. None where nobody has looked: then every open region counts as having room.
        keep_in: the jurisdiction that the customer asks their data to stay in.
        may_wait: where room alone is missing, answer with the region that the tenant hopes for; `awaits_room` tells.

    Raises:
        NoRoom: regions may take the tenant, and none of them has room.
        Refused: the places give different regions, no region may take the tenant, or the jurisdiction is unknown.
    """
    jurisdictions = sorted({region.jurisdiction for region in catalogue.regions})
    if keep_in is not None and keep_in not in jurisdictions:
        raise Refused(f"No region lies in the jurisdiction {keep_in!r}.", hint=f"Choose of {', '.join(jurisdictions)}.")
    choices = {
        place: choose(place, catalogue, policy, capacity, keep_in=keep_in)
        for answer in answers.answers
        for place in answer.places
    }
    if len({(choice.region.id if choice.region else None, choice.kept_in) for choice in choices.values()}) > 1:
        raise _ambiguous(answers, choices)
    answer = answers.answers[0]
    choice = choices[answer.places[0]]
    region = choice.region or (choice.awaited if may_wait else None)
    if region is None:
        raise _nowhere(answer, choice)
    choice = replace(choice, region=region)
    return Placement(
        query=answers.query,
        place=answer.places[0],
        place_label=answer.label,
        place_kind=answer.kind,
        keep_in=keep_in,
        kept_in=keep_in or choice.kept_in,
        data_version=f"regions {catalogue.version}{_PLACES}{answers.data_version}",
        policy_digest=policy.digest,
        candidates=_candidates(choice),
        region=region.id,
        closest=choice.ranked[0][1].id,
        deviation=_deviation(answer.places[0], choice, policy),
    )


def awaits_room(placement: Placement) -> bool:
    """Whether the region of a placement is one that it only hopes for."""
    return not next(one.allowed for one in placement.candidates if one.region == placement.region)


def place_again(
    placement: Placement, catalogue: RegionCatalogue, policy: RegionsPolicy, capacity: Mapping[str, int]
) -> Placement:
    """Choose anew for a customer who waits for room: the same place, with what is known and allowed by now.

    Raises:
        NoRoom: as for `plan_placement`, which see for the arguments too; Refused likewise.
    """
    answer = PlaceAnswer(placement.place_kind, placement.place_label, (placement.place,))
    places = placement.data_version.rpartition(_PLACES)[2]
    answers = PlaceAnswers(placement.query, places, (answer,))
    return plan_placement(answers, catalogue, policy, capacity, keep_in=placement.keep_in)


def choose(
    place: Place,
    catalogue: RegionCatalogue,
    policy: RegionsPolicy,
    capacity: Mapping[str, int] | None,
    *,
    keep_in: str | None = None,
) -> Choice:
    """Choose for one place; the arguments are those of `plan_placement`."""
    home = kept_in(place.country, policy.residency)
    ranked = rank(place.latitude, place.longitude, catalogue.regions)
    objections = _objections(ranked, home, catalogue, policy, capacity, keep_in=keep_in)
    order = _order(place, ranked, policy)
    first = next((region for region in order if objections[region.id] is None), None)
    if first is None:
        awaited = next((region for region in order if objections[region.id] is _NO_INSTANCE), None)
        return Choice(None, home, ranked, objections, awaited)
    if capacity is None and not policy.full_because:
        return Choice(first, home, ranked, objections)
    first_is_full = _no_room(first, policy, capacity) is not None
    for region in order:
        if objections[region.id] is None:
            objections[region.id] = _no_room(region, policy, capacity)
            if objections[region.id] is None and first_is_full and region.jurisdiction != first.jurisdiction:
                # A region without room is no reason to send data across a border.
                objections[region.id] = f"outside {first.jurisdiction}, where {first.id} would be closest but is full"
    chosen = next((region for region in order if objections[region.id] is None), None)
    return Choice(chosen, home, ranked, objections, None if chosen else first)


def _objections(
    ranked: list[tuple[float, Region]],
    home: str | None,
    catalogue: RegionCatalogue,
    policy: RegionsPolicy,
    capacity: Mapping[str, int] | None,
    *,
    keep_in: str | None,
) -> dict[str, str | None]:
    """Region → why it is out of the question however much room it has; in the order of the filters."""
    closed, kept = policy.closed_because, keep_in or home
    found = {region.id: region.product_missing or closed.get(region.id, _UNNAMED) for _, region in ranked}
    if kept is not None:
        for _, region in ranked:
            found[region.id] = (
                objection(region, home, keep_in)
                or found[region.id]
                or partner_objection(region.id, kept, policy, catalogue.jurisdictions)
            )
    if capacity is not None:
        for region_id, against in found.items():
            if against is None and region_id not in capacity:
                found[region_id] = _NO_INSTANCE
    return found


def _no_room(region: Region, policy: RegionsPolicy, capacity: Mapping[str, int] | None) -> str | None:
    if region.id in policy.full_because:
        return policy.full_because[region.id]
    if capacity is not None and capacity[region.id] <= 0:
        return "full: no room on its instances"
    return None


def _order(place: Place, ranked: list[tuple[float, Region]], policy: RegionsPolicy) -> list[Region]:
    """The regions as they are tried: those of the country's override first, then by distance."""
    by_distance = [region for _, region in ranked]
    override = policy.overrides.get(place.country)
    if override is None:
        return by_distance
    known = {region.id: region for region in by_distance}
    return [known[region_id] for region_id in override] + [r for r in by_distance if r.id not in override]


def _candidates(choice: Choice) -> tuple[Candidate, ...]:
    assert choice.region is not None
    found = []
    for distance, region in choice.ranked:
        against = choice.objections[region.id]
        reason = against or ("chosen" if region.id == choice.region.id else "allowed")
        found.append(Candidate(region.id, round(distance, 1), against is None, reason))
    return tuple(found)


def _deviation(place: Place, choice: Choice, policy: RegionsPolicy) -> str | None:
    """Why the chosen region is not the closest; None where it is."""
    assert choice.region is not None
    closer = []
    for distance, region in choice.ranked:
        if region.id == choice.region.id:
            break
        against = choice.objections[region.id] or f"the override for {place.country} prefers {choice.region.id}"
        closer.append(f"{region.id} ({distance:,.0f} km): {against}")
    if not closer:
        return None
    more = f"; and {len(closer) - LISTED_MAX} more" if len(closer) > LISTED_MAX else ""
    return "closer, but not taken: " + "; ".join(closer[:LISTED_MAX]) + more


def _ambiguous(answers: PlaceAnswers, choices: Mapping[Place, Choice]) -> Refused:
    def region_of(place: Place) -> str:
        chosen = choices[place].region
        return chosen.id if chosen else "no region"

    if len(answers.answers) == 1:
        area = answers.answers[0]
        examples: dict[str, Place] = {}
        for place in area.places:
            examples.setdefault(region_of(place), place)
        listed = ", ".join(f"{region} (from {place.name})" for region, place in examples.items())
        finer = "a city" if area.kind == "subdivision" else "a subdivision or a city"
        return Refused(
            f"{area.label} alone does not say which region is closest: its places are closest to {listed}.",
            hint=f'Add {finer}, as in "{area.places[0]}".',
        )
    lines = []
    for answer in answers.answers[:LISTED_MAX]:
        regions = sorted({region_of(place) for place in answer.places})
        people = f"{answer.places[0].population:,} people, " if answer.kind == "city" else f"{answer.kind}, "
        lines.append(f'"{answer.label}" ({people}closest to {" or ".join(regions)})')
    separator = "\n    "
    more = f"{separator}and {len(answers.answers) - LISTED_MAX} more" if len(answers.answers) > LISTED_MAX else ""
    return Refused(
        f"{answers.query!r} can mean {len(answers.answers)} places, and they are not closest to the same region.",
        hint=f"Say which:\n    {separator.join(lines)}{more}",
    )


def _nowhere(answer: PlaceAnswer, choice: Choice) -> Refused:
    """Names every region that was considered, by what stood against it."""
    reasons: dict[str, list[str]] = {}
    for distance, region in choice.ranked:
        reasons.setdefault(choice.objections[region.id] or "", []).append(f"{region.id} ({distance:,.0f} km)")
    considered = "; ".join(f"{reason}: {', '.join(regions)}" for reason, regions in reasons.items())
    sentence = f"No region can take a tenant based in {answer.label}."
    listed = f"Considered, closest first: {considered}."
    if choice.awaited is None:
        return Refused(sentence, hint=listed)
    return NoRoom(
        sentence,
        hint=f"{listed}\n  To have it wait until {choice.awaited.id} has room: tenantctl tenant create --wait-for-room",
    )
