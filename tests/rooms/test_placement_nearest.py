"""The closest region, held against the geodesic on the WGS84 ellipsoid, and the data it is computed from."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import example, given
from hypothesis import strategies as st

from tenantctl.model.region import Region
from tenantctl.placement.catalogue import region_catalogue
from tenantctl.placement.gazetteer import gazetteer
from tenantctl.placement.nearest import TIE_KM, distance_km, rank

REGIONS = region_catalogue().regions
EXCESS_MAX = 0.002
LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)
Ranker = Callable[[float, float, Sequence[Region]], str]


def geodesic_km(latitude: float, longitude: float, region: Region) -> float:
    outcome = Geodesic.WGS84.Inverse(latitude, longitude, region.latitude, region.longitude, Geodesic.DISTANCE)
    return float(outcome["s12"]) / 1000


def excess(latitude: float, longitude: float, chosen: str) -> float:
    """By how much the chosen region is farther than the best, as a share of the best; ties within 1 km are free."""
    distances = {region.id: geodesic_km(latitude, longitude, region) for region in REGIONS}
    best = min(distances.values())
    return max(0.0, distances[chosen] - best - TIE_KM) / max(best, 1.0)


def closest(latitude: float, longitude: float, regions: Sequence[Region]) -> str:
    return rank(latitude, longitude, regions)[0][1].id


def test_the_sphere_stands_for_the_ellipsoid() -> None:
    """A meridian has its length, and a degree of it at the equator is shorter than one of the equator's own."""
    assert distance_km((0, 0), (90, 0)) == pytest.approx(10_001.966, abs=0.01)
    assert distance_km((-90, 7), (90, 7)) == pytest.approx(20_003.93, abs=0.01)
    assert distance_km((0, 0), (1, 0)) == pytest.approx(110.574, abs=0.01)
    assert distance_km((0, 0), (0, 1)) == pytest.approx(111.32, rel=0.002)


@given(LATITUDES, LONGITUDES)
@example(90.0, 0.0)
@example(-90.0, 0.0)
@example(0.0, 180.0)
@example(0.0, -180.0)
@example(-17.0, 179.999999)
@example(-17.0, -179.999999)
@example(32.7767, -96.797)
@example(-32.7767, 83.203)  # the antipode of Dallas
def test_the_chosen_region_is_the_best_of_the_ellipsoid(latitude: float, longitude: float) -> None:
    """Everywhere on the globe the choice of the sphere is at most 0.2 % farther than that of the ellipsoid."""
    assert excess(latitude, longitude, closest(latitude, longitude, REGIONS)) <= EXCESS_MAX


def by_degrees(latitude: float, longitude: float, regions: Sequence[Region]) -> str:
    return min(regions, key=lambda r: math.hypot(r.latitude - latitude, r.longitude - longitude)).id


def by_swapped_coordinates(latitude: float, longitude: float, regions: Sequence[Region]) -> str:
    return closest(max(-90.0, min(90.0, longitude)), latitude, regions)


def without_antimeridian(latitude: float, longitude: float, regions: Sequence[Region]) -> str:
    def flat(region: Region) -> float:
        squeezed = math.cos(math.radians((latitude + region.latitude) / 2)) * (longitude - region.longitude)
        return math.hypot(latitude - region.latitude, squeezed)

    return min(regions, key=flat).id


def on_a_sphere_of_plain_degrees(latitude: float, longitude: float, regions: Sequence[Region]) -> str:
    def vector(phi: float, lam: float) -> tuple[float, float, float]:
        return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)

    here = vector(math.radians(latitude), math.radians(longitude))
    return min(regions, key=lambda r: math.dist(here, vector(math.radians(r.latitude), math.radians(r.longitude)))).id


def with_a_region_in_the_wrong_hemisphere(latitude: float, longitude: float, regions: Sequence[Region]) -> str:
    moved = [replace(region, latitude=abs(region.latitude)) for region in regions]
    return closest(latitude, longitude, moved)


@pytest.mark.parametrize(
    "mutant", [by_degrees, by_swapped_coordinates, without_antimeridian, with_a_region_in_the_wrong_hemisphere]
)
def test_the_oracle_finds_the_usual_mistakes(mutant: Ranker) -> None:
    """A measure that is wrong in one of the usual ways does not pass the test above."""
    source = random.Random(7)
    points = [(math.degrees(math.asin(source.uniform(-1, 1))), source.uniform(-180, 180)) for _ in range(150)]
    assert any(excess(*point, mutant(*point, REGIONS)) > EXCESS_MAX for point in points)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_distance_is_symmetric_and_bounded(a: float, b: float, c: float, d: float) -> None:
    """There and back are equal, and nothing is farther than half the way around."""
    there = distance_km((a, b), (c, d))
    assert there == distance_km((c, d), (a, b))
    assert 0.0 <= there <= math.pi * 6371.0088 + 1e-6


@given(LATITUDES, LONGITUDES)
def test_ranking_names_every_region_once_and_ascends(latitude: float, longitude: float) -> None:
    """Nothing is lost, and the order is by distance up to ties."""
    ranked = rank(latitude, longitude, REGIONS)
    assert sorted(region.id for _, region in ranked) == sorted(region.id for region in REGIONS)
    distances = [distance for distance, _ in ranked]
    assert all(later >= earlier - TIE_KM for earlier, later in pairwise(distances))


def test_ties_within_a_kilometre_go_by_region_id() -> None:
    """Two regions that are equally close are ordered by id, whichever stands first and whichever is metres closer."""
    dallas = next(region for region in REGIONS if region.id == "us-south1")
    b = replace(dallas, id="zone-b", latitude=10.0, longitude=20.0)
    a = replace(dallas, id="zone-a", latitude=10.004, longitude=20.0)  # 0.4 km farther north
    far = replace(dallas, id="zone-0", latitude=10.02, longitude=20.0)  # 2.2 km
    for menu in ([a, b, far], [far, b, a]):
        assert [region.id for _, region in rank(9.0, 20.0, menu)] == ["zone-a", "zone-b", "zone-0"]


def test_the_antimeridian_is_no_border() -> None:
    """A step across it changes distances by that step, not by the globe."""
    west, east = rank(-17.0, 179.9999, REGIONS), rank(-17.0, -179.9999, REGIONS)
    assert [region.id for _, region in west] == [region.id for _, region in east]
    assert all(abs(a[0] - b[0]) < 0.1 for a, b in zip(west, east, strict=True))


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.id)
def test_the_city_nearest_to_a_region_lies_in_its_stated_country(region: Region) -> None:
    """A sign that was lost on the way (Johannesburg in the north) would show here."""
    distance, town = gazetteer().towns_near(region.latitude, region.longitude)[0]
    assert town.place.country == region.country
    assert distance < 25


def test_the_catalogue_is_complete_and_versioned() -> None:
    """43 regions, each once, with coordinates that are not at the origin; the version is stated."""
    assert len({region.id for region in REGIONS}) == len(REGIONS) == 43
    assert all(abs(region.latitude) > 1 and abs(region.longitude) > 0.01 for region in REGIONS)
    assert region_catalogue().version
    unconfirmed = [region.id for region in REGIONS if region.product_missing]
    assert unconfirmed == ["asia-southeast3"]
