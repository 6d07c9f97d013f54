"""Measures placement: how right it is (against the geodesic on WGS84), and how long a decision takes.

The oracle looks at all regions for every point, without sampling. It skips the geodesic to a region only where a lower
bound proves that it can't be the best: drawing points of the ellipsoid straight down onto the sphere inside it makes no
path longer, so a geodesic is never shorter than the arc of this sphere (polar radius) between geocentric directions.
"""

import math
import random
import sys
import timeit
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from geographiclib.geodesic import Geodesic

from benchmarks.report import Row, report
from tenantctl.adapters.policy_files import load_regions, policies_folder
from tenantctl.model.region import Place, PlaceAnswer, PlaceAnswers, Region, RegionsPolicy
from tenantctl.placement.catalogue import region_catalogue
from tenantctl.placement.gazetteer import gazetteer
from tenantctl.placement.geocode import geocode
from tenantctl.placement.nearest import rank
from tenantctl.placement.planning import choose, plan_placement

CATALOGUE = region_catalogue()
REGIONS = CATALOGUE.regions
POLAR_RADIUS_KM = 6356.752314245
FLATTENING = 1 / 298.257223563
RANDOM_POINTS, CITY_POINTS = 100_000, 10_000
Point = tuple[float, float]


def geocentric(latitude: float, longitude: float) -> tuple[float, float, float]:
    beta = math.atan((1 - FLATTENING) ** 2 * math.tan(math.radians(latitude)))
    lam = math.radians(longitude)
    return math.cos(beta) * math.cos(lam), math.cos(beta) * math.sin(lam), math.sin(beta)


DIRECTIONS = [(geocentric(region.latitude, region.longitude), region) for region in REGIONS]


def geodesic_km(point: Point, region: Region) -> float:
    return float(Geodesic.WGS84.Inverse(*point, region.latitude, region.longitude, Geodesic.DISTANCE)["s12"]) / 1000


def excess_percent(point: Point, chosen: Region) -> float:
    """By how much the chosen region is farther than the best of all on the ellipsoid; a tie of 1 km is none."""
    here = geocentric(*point)
    taken = best = geodesic_km(point, chosen)
    bounds = sorted(
        (2 * POLAR_RADIUS_KM * math.asin(min(1.0, math.dist(here, there) / 2)), r.id, r) for there, r in DIRECTIONS
    )
    for bound, _, region in bounds:
        if bound >= best:
            break
        best = min(best, geodesic_km(point, region))
    return 100 * max(0.0, taken - best - 1.0) / max(best, 1.0)


def random_points(count: int) -> Iterator[Point]:
    source = random.Random(20_261_101)
    for _ in range(count):
        yield math.degrees(math.asin(source.uniform(-1, 1))), source.uniform(-180, 180)


def city_points(count: int) -> Iterator[Point]:
    source = random.Random(20_261_102)
    for number in source.sample(range(1, 69_000), count):
        place = gazetteer().outline(str(number))[0].place
        yield place.latitude, place.longitude


def naive_haversine(latitude: float, longitude: float) -> str:
    """The textbook's formula, region by region: what a decision is compared with."""

    def distance(region: Region) -> float:
        phi, other = math.radians(latitude), math.radians(region.latitude)
        h = math.sin((other - phi) / 2) ** 2
        h += math.cos(phi) * math.cos(other) * math.sin(math.radians(region.longitude - longitude) / 2) ** 2
        return 2 * 6371.0088 * math.asin(math.sqrt(min(1.0, h)))

    return min(REGIONS, key=distance).id


def plane_of_degrees(latitude: float, longitude: float) -> str:
    return min(REGIONS, key=lambda r: math.hypot(r.latitude - latitude, r.longitude - longitude)).id


def accuracy_rows() -> list[Row]:
    rows = []
    for what, points in (
        (f"{RANDOM_POINTS:,} random points", random_points(RANDOM_POINTS)),
        (f"{CITY_POINTS:,} cities", city_points(CITY_POINTS)),
    ):
        worst = max(excess_percent(point, rank(*point, REGIONS)[0][1]) for point in points)
        label = f"farther than the geodesic's best, at most, {what}"
        rows.append(Row(label, round(worst, 4), "%", gate="<= 0.6 %", holds=worst <= 0.6))
    sample = list(random_points(2_000))
    wrong = sum(excess_percent(p, CATALOGUE.by_id[plane_of_degrees(*p)]) > 0.6 for p in sample)
    share = 100 * wrong / len(sample)
    rows.append(Row("the oracle faults a plane of degrees at", share, "% of 2,000", gate="> 5 %", holds=share > 5))
    return rows


def per_call(function: object, arguments: Sequence[tuple[object, ...]]) -> float:
    """Microseconds for one call, the best of five rounds."""
    assert callable(function)

    def one_round() -> None:
        for each in arguments:
            function(*each)

    return min(timeit.repeat(one_round, number=1, repeat=5)) / len(arguments) * 1e6


def speed_rows(policy: RegionsPolicy) -> list[Row]:
    places = [Place("a place", "US", "", *point, "UTC") for point in random_points(2_000)]
    points = [(place.latitude, place.longitude) for place in places]
    answers = [PlaceAnswers("q", "v", (PlaceAnswer("city", "a place", (place,)),)) for place in places]
    naive = per_call(naive_haversine, points)
    decision = per_call(choose, [(place, CATALOGUE, policy, None) for place in places])
    explained = per_call(plan_placement, [(answer, CATALOGUE, policy, None) for answer in answers])
    texts = ["Southlake, TX, US", "Luik", "東京", "Αθήνα", "Kiev", "Springfield, IL, US"]
    look_up = per_call(geocode, [(text,) for text in texts * 100])
    one_name = per_call(gazetteer().cities, [(key,) for key in ("southlake", "luik", "kiev", "munich") * 200])
    return [
        Row("ranking alone, textbook haversine", naive, "µs", ratio=1.0),
        Row("one decision: ranked, filtered, chosen", decision, "µs", decision / naive, "<= 2 x textbook", "<= 50 µs",
            decision <= 2 * naive),
        Row("the same with its stored explanation", explained, "µs", ratio=explained / naive),
        Row("one name looked up", one_name, "µs", goal="<= 100 µs"),
        Row("one place geocoded", look_up, "µs"),
    ]  # fmt: skip


if __name__ == "__main__":
    report("placement", [*speed_rows(load_regions(policies_folder(), REGIONS)), *accuracy_rows()])
