"""Decides in which region a tenant lives, and writes down why. Pure: places, policy and room in, placement out.

The filters come first, in this order: jurisdiction, products, the operator's word. Of what is left the closest is
taken. If that one is full, the next closest of *its* jurisdiction is; if there is none, the placement is refused with
the list of what was considered. A text that can mean several places is accepted only if all give the same region.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tenantctl.model.errors import Refused
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
from tenantctl.placement.residency import kept_in, objection

LISTED_MAX: Final = 12


@dataclass(frozen=True)
class _Menu:
    """All regions, and what is against each whoever asks: ruled out altogether, or without room just now."""

    policy: RegionsPolicy
    regions: tuple[Region, ...]
    closed: Mapping[str, str | None]
    full: Mapping[str, str | None]
    keep_in: str | None


@dataclass(frozen=True)
class _Choice:
    """What one place gives: the chosen region (None: nowhere), and why not each other one."""

    region: Region | None
    kept_in: str | None
    ranked: list[tuple[float, Region]]
    objections: Mapping[str, str | None]


def plan_placement(
    answers: PlaceAnswers,
    catalogue: RegionCatalogue,
    policy: RegionsPolicy,
    capacity: Mapping[str, int] | None,
    *,
    keep_in: str | None = None,
) -> Placement:
    """Choose the region for a customer who is based at one of the answers.

    Args:
        answers: everything that the customer's words can mean.
        catalogue: all regions.
        policy: residency, overrides, and the operator's word on each region.
        capacity: region → tenants for which its instances have room; a region that is missing has no instance and is
            passed over like a closed one. None where nobody has looked: then every open region counts as having room.
        keep_in: the jurisdiction that the customer asks their data to stay in.

    Raises:
        Refused: the places give different regions, no region may take the tenant, or the jurisdiction is unknown.
    """
    jurisdictions = sorted({region.jurisdiction for region in catalogue.regions})
    if keep_in is not None and keep_in not in jurisdictions:
        raise Refused(f"No region lies in the jurisdiction {keep_in!r}.", hint=f"Choose of {', '.join(jurisdictions)}.")
    menu = _menu(catalogue, policy, capacity, keep_in)
    choices = {place: _choose(place, menu) for answer in answers.answers for place in answer.places}
    if len({(choice.region.id if choice.region else None, choice.kept_in) for choice in choices.values()}) > 1:
        raise _ambiguous(answers, choices)
    answer = answers.answers[0]
    choice = choices[answer.places[0]]
    if choice.region is None:
        raise _nowhere(answer, choice)
    return Placement(
        query=answers.query,
        place=answer.places[0],
        place_label=answer.label,
        place_kind=answer.kind,
        keep_in=keep_in,
        kept_in=keep_in or choice.kept_in,
        data_version=f"regions {catalogue.version}, places {answers.data_version}",
        policy_digest=policy.digest,
        candidates=_candidates(choice),
        region=choice.region.id,
        closest=choice.ranked[0][1].id,
        deviation=_deviation(answer.places[0], choice, policy),
    )


def region_objection(region: Region, policy: RegionsPolicy) -> str | None:
    """Why a region is closed to everybody: its products first, then the operator's word; None where it is not."""
    for product, offered in (("Cloud SQL", region.cloud_sql), ("Cloud Storage", region.gcs)):
        if not offered:
            return f"{product} is {'not confirmed' if offered is None else 'not offered'} there"
    word = policy.regions.get(region.id)
    if word is None:
        return "closed: the policy does not name it"
    if word.state == "closed":
        return f"closed: {word.why}" if word.why else "closed by the operator"
    return None


def _menu(
    catalogue: RegionCatalogue, policy: RegionsPolicy, capacity: Mapping[str, int] | None, keep_in: str | None
) -> _Menu:
    closed: dict[str, str | None] = {}
    full: dict[str, str | None] = {}
    for region in catalogue.regions:
        closed[region.id] = region_objection(region, policy)
        if closed[region.id] is None and capacity is not None and region.id not in capacity:
            closed[region.id] = "no instance there"
        word = policy.regions.get(region.id)
        if word is not None and word.state == "full":
            full[region.id] = f"full: {word.why}" if word.why else "full, by the operator's word"
        elif capacity is not None and capacity.get(region.id, 0) <= 0:
            full[region.id] = "full: no room on its instances"
        else:
            full[region.id] = None
    return _Menu(policy, catalogue.regions, closed, full, keep_in)


def _choose(place: Place, menu: _Menu) -> _Choice:
    home = kept_in(place.country, menu.policy.residency)
    ranked = rank(place.latitude, place.longitude, menu.regions)
    objections = {r.id: objection(r, home, menu.keep_in) or menu.closed[r.id] for _, r in ranked}
    order = _order(place, ranked, menu.policy)
    first = next((region for region in order if objections[region.id] is None), None)
    if first is None:
        return _Choice(None, home, ranked, objections)
    for region in order:
        if objections[region.id] is None:
            objections[region.id] = menu.full[region.id]
            if objections[region.id] is None and menu.full[first.id] and region.jurisdiction != first.jurisdiction:
                # A region without room is no reason to send data across a border.
                objections[region.id] = f"outside {first.jurisdiction}, where {first.id} would be closest but is full"
    chosen = next((region for region in order if objections[region.id] is None), None)
    return _Choice(chosen, home, ranked, objections)


def _order(place: Place, ranked: list[tuple[float, Region]], policy: RegionsPolicy) -> list[Region]:
    """The regions as they are tried: those of the country's override first, then by distance."""
    by_distance = [region for _, region in ranked]
    override = policy.overrides.get(place.country)
    if override is None:
        return by_distance
    known = {region.id: region for region in by_distance}
    return [known[region_id] for region_id in override] + [r for r in by_distance if r.id not in override]


def _candidates(choice: _Choice) -> tuple[Candidate, ...]:
    assert choice.region is not None
    found = []
    for distance, region in choice.ranked:
        against = choice.objections[region.id]
        reason = against or ("chosen" if region.id == choice.region.id else "allowed")
        found.append(Candidate(region.id, round(distance, 1), against is None, reason))
    return tuple(found)


def _deviation(place: Place, choice: _Choice, policy: RegionsPolicy) -> str | None:
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


def _ambiguous(answers: PlaceAnswers, choices: Mapping[Place, _Choice]) -> Refused:
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
        lines.append(f'"{answer.label}" ({people}{" or ".join(regions)})')
    more = f", and {len(answers.answers) - LISTED_MAX} more" if len(answers.answers) > LISTED_MAX else ""
    return Refused(
        f"{answers.query!r} can mean {len(answers.answers)} places, and they are not closest to the same region.",
        hint=f"Say which: {', '.join(lines)}{more}.",
    )


def _nowhere(answer: PlaceAnswer, choice: _Choice) -> Refused:
    """Names every region that was considered, by what stood against it."""
    reasons: dict[str, list[str]] = {}
    for distance, region in choice.ranked:
        reasons.setdefault(choice.objections[region.id] or "", []).append(f"{region.id} ({distance:,.0f} km)")
    considered = "; ".join(f"{reason}: {', '.join(regions)}" for reason, regions in reasons.items())
    return Refused(
        f"No region can take a tenant based in {answer.label}.", hint=f"Considered, closest first: {considered}."
    )
