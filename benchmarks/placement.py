"""Measures placement: how right it is (against the geodesic on WGS84), and how long a decision takes.

The oracle looks at all regions for every point, without sampling: at those that the policy allows a tenant of the
place's country, which it works out by itself, and at all that there are for the mere ranking. It skips the geodesic to
a region only where a lower bound proves that it can't be the best: drawing points of the ellipsoid straight down onto
the sphere inside it makes no path longer, so a geodesic is never shorter than the arc of this sphere (polar radius)
between geocentric directions.
"""

import math
import random
import sys
import timeit
from collections.abc import Callable, Iterator, Sequence
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
EXCESS_PERCENT_MAX = 0.6
SAMPLE = 2_000
Point = tuple[float, float]
Spot = tuple[float, float, str]  # with the country that decides on residency


def geocentric(latitude: float, longitude: float) -> tuple[float, float, float]:
    beta = math.atan((1 - FLATTENING) ** 2 * math.tan(math.radians(latitude)))
    lam = math.radians(longitude)
    return math.cos(beta) * math.cos(lam), math.cos(beta) * math.sin(lam), math.sin(beta)


DIRECTIONS = [(geocentric(region.latitude, region.longitude), region) for region in REGIONS]


def geodesic_km(point: Point, region: Region) -> float:
    return float(Geodesic.WGS84.Inverse(*point, region.latitude, region.longitude, Geodesic.DISTANCE)["s12"]) / 1000


def excess_percent(point: Point, chosen: Region, allowed: frozenset[str] | None = None) -> float:
    """By how much the chosen region is farther than the best allowed one on the ellipsoid; a tie of 1 km is none."""
    if allowed is not None and chosen.id not in allowed:
        return math.inf
    here = geocentric(*point)
    taken = best = geodesic_km(point, chosen)
    bounds = sorted(
        (2 * POLAR_RADIUS_KM * math.asin(min(1.0, math.dist(here, there) / 2)), r.id, r)
        for there, r in DIRECTIONS
        if allowed is None or r.id in allowed
    )
    for bound, _, region in bounds:
        if bound >= best:
            break
        best = min(best, geodesic_km(point, region))
    return 100 * max(0.0, taken - best - 1.0) / max(best, 1.0)


def allowed_regions(country: str, policy: RegionsPolicy) -> frozenset[str]:
    """The regions that may take a tenant from a country, read off the policy's own words."""
    residency = policy.residency
    home = next((name for name, members in residency.jurisdictions.items() if country in members), country)
    stays = home in residency.kept_at_home
    found = set()
    for region in REGIONS:
        word = policy.regions.get(region.id)
        if word is None or word.state != "open" or not (region.cloud_sql and region.gcs):
            continue
        laws = {CATALOGUE.by_id[partner].jurisdiction for partner in word.partners}
        if not stays or (region.jurisdiction == home and home in laws):
            found.add(region.id)
    return frozenset(found)


def random_points(count: int) -> Iterator[Point]:
    source = random.Random(20_261_101)
    for _ in range(count):
        yield math.degrees(math.asin(source.uniform(-1, 1))), source.uniform(-180, 180)


def random_spots(count: int) -> Iterator[Spot]:
    """Anywhere on the globe, every other one of somebody whose data stays in the Union."""
    for number, (latitude, longitude) in enumerate(random_points(count)):
        yield latitude, longitude, ("US", "BE")[number % 2]


def city_spots(count: int) -> Iterator[Spot]:
    source = random.Random(20_261_102)
    for number in source.sample(range(1, 69_000), count):
        place = gazetteer().outline(str(number))[0].place
        yield place.latitude, place.longitude, place.country


def naive_haversine(latitude: float, longitude: float) -> str:
    """The textbook's formula, region by region: what a decision is compared with."""

    def distance(region: Region) -> float:
        phi, other = math.radians(latitude), math.radians(region.latitude)
        h = math.sin((other - phi) / 2) ** 2
        h += math.cos(phi) * math.cos(other) * math.sin(math.radians(region.longitude - longitude) / 2) ** 2
        return 2 * 6371.0088 * math.asin(math.sqrt(min(1.0, h)))

    return min(REGIONS, key=distance).id


def plane_of_degrees(latitude: float, longitude: float) -> str:
    """The first usual mistake: degrees taken for a plane."""
    return min(REGIONS, key=lambda r: math.hypot(r.latitude - latitude, r.longitude - longitude)).id


def wall_at_the_antimeridian(latitude: float, longitude: float) -> str:
    """The second: degrees of longitude shrink towards the poles as they should, and 180 is a border of the world."""

    def flat(region: Region) -> float:
        squeezed = math.cos(math.radians((latitude + region.latitude) / 2)) * (longitude - region.longitude)
        return math.hypot(latitude - region.latitude, squeezed)

    return min(REGIONS, key=flat).id


def swapped_coordinates(latitude: float, longitude: float) -> str:
    """The third: longitude first."""
    return rank(max(-90.0, min(90.0, longitude)), latitude, REGIONS)[0][1].id


def accuracy_rows(policy: RegionsPolicy) -> list[Row]:
    allowed: dict[str, frozenset[str]] = {}
    rows = []
    for what, spots in (
        (f"{RANDOM_POINTS:,} random points", random_spots(RANDOM_POINTS)),
        (f"{CITY_POINTS:,} cities", city_spots(CITY_POINTS)),
    ):
        worst = worst_of_all = 0.0
        for latitude, longitude, country in spots:
            chosen = choose(Place("", country, "", latitude, longitude, "UTC"), CATALOGUE, policy, None)
            assert chosen.region is not None, "somebody takes them"
            among = allowed.get(country) or allowed.setdefault(country, allowed_regions(country, policy))
            worst = max(worst, excess_percent((latitude, longitude), chosen.region, among))
            worst_of_all = max(worst_of_all, excess_percent((latitude, longitude), chosen.ranked[0][1]))
        for label, value in (("best allowed region", worst), ("best of all regions", worst_of_all)):
            holds = value <= EXCESS_PERCENT_MAX
            rows.append(Row(f"farther than the {label}, at most, {what}", round(value, 4), "%", gate="<= 0.6 %",
                            holds=holds))  # fmt: skip
    return [
        *rows,
        *(mistake_row(mistake) for mistake in (plane_of_degrees, wall_at_the_antimeridian, swapped_coordinates)),
    ]


def mistake_row(mistake: Callable[[float, float], str]) -> Row:
    """At how many points the oracle finds a mistake."""
    wrong = sum(
        excess_percent(point, CATALOGUE.by_id[mistake(*point)]) > EXCESS_PERCENT_MAX for point in random_points(SAMPLE)
    )
    name = mistake.__name__.replace("_", " ")
    share = 100 * wrong / SAMPLE
    return Row(f"the oracle faults the mistake '{name}' at", share, f"% of {SAMPLE:,}", gate="> 1 %", holds=share > 1)


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
    staying = [Place("a place", "BE", "", *point, "UTC") for point in points]
    room = {region.id: 7 for region in REGIONS}
    bound = per_call(choose, [(place, CATALOGUE, policy, room) for place in staying])
    explained = per_call(plan_placement, [(answer, CATALOGUE, policy, None) for answer in answers])
    texts = ["Southlake, TX, US", "Luik", "東京", "Αθήνα", "Kiev", "Springfield, IL, US"]
    look_up = per_call(geocode, [(text,) for text in texts * 100])
    one_name = per_call(gazetteer().cities, [(key,) for key in ("southlake", "luik", "kiev", "munich") * 200])
    return [
        Row("ranking alone, textbook haversine", naive, "µs", ratio=1.0),
        Row("one decision: ranked, filtered, chosen", decision, "µs", decision / naive, "<= 2 x textbook", "<= 50 µs",
            decision <= 2 * naive),
        Row("the same within the Union, with room counted", bound, "µs", bound / naive, "<= 4 x textbook", "<= 50 µs",
            bound <= 4 * naive),
        Row("the same with its stored explanation", explained, "µs", ratio=explained / naive),
        Row("one name looked up", one_name, "µs", goal="<= 100 µs"),
        Row("one place geocoded", look_up, "µs"),
    ]  # fmt: skip


if __name__ == "__main__":
    shipped = load_regions(policies_folder(), REGIONS)
    report("placement", [*speed_rows(shipped), *accuracy_rows(shipped)])
