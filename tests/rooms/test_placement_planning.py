"""In which region a tenant is placed, why, and when it is refused."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantctl.adapters.policy_files import load_regions
from tenantctl.model.errors import Refused
from tenantctl.model.region import (
    Place,
    PlaceAnswer,
    PlaceAnswers,
    Placement,
    RegionCatalogue,
    RegionPolicy,
    RegionsPolicy,
)
from tenantctl.placement.catalogue import region_catalogue
from tenantctl.placement.gazetteer import gazetteer
from tenantctl.placement.geocode import geocode
from tenantctl.placement.planning import plan_placement
from tenantctl.placement.residency import jurisdiction_of, kept_in

CATALOGUE = region_catalogue()
REGIONS = CATALOGUE.regions
SHIPPED = load_regions(Path(__file__).parents[2] / "policies", CATALOGUE.regions)
EU_COUNTRIES = SHIPPED.residency.jurisdictions["EU"]


def with_states(policy: RegionsPolicy, **states: Literal["open", "full", "closed"]) -> RegionsPolicy:
    """The policy with the state of some regions changed; underscores stand for hyphens."""
    regions = dict(policy.regions)
    for name, state in states.items():
        region_id = name.replace("_", "-")
        regions[region_id] = replace(regions[region_id], state=state, why="")
    return replace(policy, regions=regions)


def all_open() -> RegionsPolicy:
    """Every region open, with a partner in its own jurisdiction where that has one, else one abroad."""
    homes = {
        r.id: [other.id for other in REGIONS if other is not r and other.jurisdiction == r.jurisdiction]
        for r in REGIONS
    }
    partners = {region: tuple(home[:1]) or ("us-east4",) for region, home in homes.items()}
    return replace(SHIPPED, regions={region: RegionPolicy("open", partners[region], True) for region in partners})


def place(
    text: str,
    policy: RegionsPolicy = SHIPPED,
    capacity: Mapping[str, int] | None = None,
    keep_in: str | None = None,
    catalogue: RegionCatalogue = CATALOGUE,
) -> Placement:
    return plan_placement(geocode(text), catalogue, policy, capacity, keep_in=keep_in)


def at(latitude: float, longitude: float, country: str) -> PlaceAnswers:
    spot = Place("somewhere", country, "", latitude, longitude, "UTC")
    return PlaceAnswers("somewhere", "none", (PlaceAnswer("city", "somewhere", (spot,)),))


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("Southlake, TX, US", "us-south1"),
        ("Luik", "europe-west1"),
        ("東京", "asia-northeast1"),
        ("Belgium", "europe-west1"),
        ("Lisbon, PT", "europe-southwest1"),
        ("-33.9,151.2", "australia-southeast1"),
    ],
)
def test_the_closest_open_region_is_chosen(text: str, region: str) -> None:
    """Where the closest region is open and lawful, it is chosen, and there is nothing to explain away."""
    placement = place(text)
    assert (placement.region, placement.closest, placement.deviation) == (region, region, None)
    assert placement.candidates[0].reason == "chosen"


def test_london_goes_elsewhere_while_it_is_closed_and_says_why() -> None:
    """A deviation from the closest region names it, its distance and what is against it."""
    placement = place("London, GB")
    assert (placement.region, placement.closest) == ("europe-west1", "europe-west2")
    assert placement.deviation == (
        "closer, but not taken: europe-west2 (0 km): closed: no second region in UK for its backups"
    )
    assert place("London, GB", all_open()).region == "europe-west2"


def test_every_country_of_the_union_keeps_its_data_there() -> None:
    """From wherever in the EU and its overseas territories: never a region outside, though it be closer."""
    outside_is_closer = set()
    by_id = CATALOGUE.by_id
    for country in EU_COUNTRIES:
        for answer in geocode(country).answers:
            for spot in answer.places:
                answers = PlaceAnswers(country, "none", (PlaceAnswer("city", country, (spot,)),))
                placement = plan_placement(answers, CATALOGUE, all_open(), None)
                assert by_id[placement.region].jurisdiction == "EU"
                assert placement.kept_in == "EU"
                if by_id[placement.closest].jurisdiction != "EU":
                    outside_is_closer.add(country)
                    assert "outside EU" in str(placement.deviation)
    assert {"IE", "CY", "GR", "AT", "DE", "RE", "GP"} <= outside_is_closer


def test_norway_is_a_country_and_not_a_falsehood() -> None:
    """The policy's NO is read as Norway, whose customers are kept in the EU's jurisdiction."""
    assert jurisdiction_of("NO", SHIPPED.residency) == "EU"
    assert kept_in("CH", SHIPPED.residency) is None
    assert jurisdiction_of("CH", SHIPPED.residency) == "CH"
    assert jurisdiction_of("GB", SHIPPED.residency) == "UK"


def test_keep_in_restricts_further() -> None:
    """A Swiss customer may ask for the EU; one in the EU cannot ask to leave it by this option."""
    assert place("Zürich", all_open()).region == "europe-west6"
    asked = place("Zürich", all_open(), keep_in="EU")
    assert (asked.region, asked.kept_in, asked.keep_in) == ("europe-west8", "EU", "EU")
    with pytest.raises(Refused, match="No region can take a tenant based in Dublin"):
        place("Dublin, IE", all_open(), keep_in="UK")
    with pytest.raises(Refused, match="'Atlantis'"):
        place("Dublin, IE", keep_in="Atlantis")


def test_a_full_region_falls_to_the_next_of_its_jurisdiction() -> None:
    """By the operator's word or for want of room: next is the closest of the same jurisdiction, across no border."""
    assert place("Buffalo, NY, US", all_open()).region == "northamerica-northeast2"
    placement = place("Buffalo, NY, US", with_states(all_open(), northamerica_northeast2="full"))
    assert placement.region == "northamerica-northeast1"  # Montréal, though Columbus is closer
    columbus = next(candidate for candidate in placement.candidates if candidate.region == "us-east5")
    assert not columbus.allowed
    assert columbus.reason == "outside CA, where northamerica-northeast2 would be closest but is full"
    no_room = {region.id: 5 for region in CATALOGUE.regions} | {"us-south1": 0}
    placement = place("Southlake, TX, US", SHIPPED, no_room)
    assert (placement.region, placement.closest) == ("us-central1", "us-south1")
    assert "us-south1 (36 km): full: no room on its instances" in str(placement.deviation)


def test_a_closed_region_is_passed_over_across_borders() -> None:
    """Closed is not full: who lives in São Paulo is hosted abroad while Brazil is closed."""
    assert place("São Paulo, BR", with_states(all_open(), southamerica_east1="closed")).region == "southamerica-west1"
    with pytest.raises(Refused):
        place("São Paulo, BR", with_states(all_open(), southamerica_east1="full"))


def test_regions_without_an_instance_are_passed_over() -> None:
    """What has no instance takes nobody; what has one with room does."""
    placement = place("Paris, FR", SHIPPED, {"europe-west1": 3, "us-south1": 3})
    assert placement.region == "europe-west1"
    assert next(c.reason for c in placement.candidates if c.region == "europe-west9") == "no instance there"


def test_nowhere_left_is_refused_with_all_that_was_considered() -> None:
    """The refusal names every region once, under what is against it, the closest first."""
    with pytest.raises(Refused) as refused:
        place("Southlake, TX, US", SHIPPED, {})
    assert refused.value.sentence == "No region can take a tenant based in Southlake, TX, US."
    assert refused.value.hint.startswith("Considered, closest first: no instance there: us-south1 (36 km), us-central1")
    for region in CATALOGUE.regions:
        assert refused.value.hint.count(f"{region.id} (") == 1


def test_an_unconfirmed_product_closes_a_region_though_the_policy_opens_it() -> None:
    """Unknown is not yes: Bangkok takes nobody until Cloud SQL is confirmed there."""
    placement = place("Bangkok, TH", all_open())
    assert placement.region == "asia-southeast1"
    assert "asia-southeast3 (0 km): Cloud SQL is not confirmed there" in str(placement.deviation)
    without_storage = replace(
        CATALOGUE, regions=tuple(replace(r, cloud_sql=True, gcs=r.id != "asia-southeast3") for r in CATALOGUE.regions)
    )
    assert "Cloud Storage is not offered there" in str(
        place("Bangkok", all_open(), catalogue=without_storage).deviation
    )


def test_a_region_that_the_policy_does_not_name_takes_nobody() -> None:
    """Silence is not consent."""
    named = {name: word for name, word in SHIPPED.regions.items() if name != "us-south1"}
    placement = place("Southlake, TX, US", replace(SHIPPED, regions=named))
    assert placement.region == "us-central1"
    assert "closed: the policy does not name it" in str(placement.deviation)


def test_an_override_is_obeyed_and_explained() -> None:
    """A country's override goes before distance, after the filters, and every placement says so."""
    policy = replace(all_open(), overrides={"ZA": ("europe-west2", "europe-west9")})
    placement = place("Cape Town, ZA", policy)
    assert placement.region == "europe-west2"
    assert placement.closest == "africa-south1"
    assert "the override for ZA prefers europe-west2" in str(placement.deviation)
    closed = with_states(policy, europe_west2="closed")
    assert place("Cape Town, ZA", closed).region == "europe-west9"
    assert place("Maseru, LS", policy).region == "africa-south1"


@pytest.mark.parametrize("text", ["Springfield, US", "Springfield", "Georgia", "London", "Frankfurt"])
def test_an_ambiguous_place_is_refused_with_candidates(text: str) -> None:
    """The candidates are listed as they can be typed, with people and region; none is chosen."""
    with pytest.raises(Refused, match="can mean") as refused:
        place(text)
    assert refused.value.hint.startswith("Say which:\n")
    if text == "Springfield, US":
        assert '"Springfield, MO, US" (170,188 people, closest to us-central1)' in refused.value.hint
        assert '"Springfield, IL, US" (114,394 people, closest to us-central1)' in refused.value.hint


def test_ambiguity_that_does_not_matter_is_accepted() -> None:
    """All candidates give the same region, so the most populous stands for them."""
    policy = replace(SHIPPED, regions={"us-central1": RegionPolicy("open", ("us-east4",))})
    assert len(geocode("Springfield, US").answers) > 8
    placement = place("Springfield, US", policy)
    assert (placement.region, placement.place_label) == ("us-central1", "Springfield, MO, US")


@pytest.mark.parametrize("country", ["US", "CA", "CN", "DE", "AU", "FR", "JP", "IN"])
def test_a_country_in_the_reach_of_several_regions_is_not_enough(country: str) -> None:
    """The refusal says which regions, and how to be clearer."""
    with pytest.raises(Refused, match="alone does not say which region is closest") as refused:
        place(country, all_open())
    assert "Add a subdivision or a city" in refused.value.hint


def test_a_country_in_the_reach_of_one_region_is_enough() -> None:
    """With every region open, that is so for about two thirds of all countries; then nobody is asked for a city."""
    policy = replace(all_open(), residency=replace(SHIPPED.residency, kept_at_home=()))
    codes = {key.upper() for key, _ in gazetteer().area_names(None) if len(key) == 2 and key.isascii()}
    enough = set()
    for code in codes:
        try:
            placement = place(code, policy)
        except Refused:
            continue
        assert placement.place_kind == "country"
        enough.add(code)
    assert {"BE", "SG", "CL", "KR", "IL", "PT", "ZA"} <= enough
    assert len(codes) > 240
    assert 155 <= len(enough) <= 190


@given(st.floats(-90, 90), st.floats(-180, 180), st.sampled_from(["US", "FR", "BR", "CH"]))
def test_a_placement_survives_storage_and_explains_itself(latitude: float, longitude: float, country: str) -> None:
    """As JSON and back it is equal; it names all regions in order, and its versions."""
    placement = plan_placement(at(latitude, longitude, country), CATALOGUE, SHIPPED, None)
    assert Placement.from_plain(json.loads(json.dumps(placement.to_plain()))) == placement
    assert len(placement.candidates) == len(CATALOGUE.regions)
    chosen = next(candidate for candidate in placement.candidates if candidate.region == placement.region)
    assert chosen.allowed
    assert not any(c.allowed for c in placement.candidates if c.distance_km < chosen.distance_km - 1.1)
    assert (placement.deviation is None) == (placement.closest == placement.region)
    assert CATALOGUE.version in placement.data_version
    assert placement.policy_digest == SHIPPED.digest


def test_the_digest_names_the_policy() -> None:
    """Another word on one region is another digest; the same words are the same digest."""
    assert SHIPPED.digest == replace(SHIPPED).digest
    assert with_states(SHIPPED, us_south1="full").digest != SHIPPED.digest
