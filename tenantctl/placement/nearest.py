"""Which region is closest: great-circle distances and their order. Pure.

The measure is the chord between points on the unit sphere, turned into an arc. That is the haversine formula (whose h
is half the chord, squared) without a special case for the antimeridian or the poles. Measured on the WGS84 ellipsoid,
the region it chooses is at most 0.6 % farther than the best one.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tenantctl.model.region import Region

EARTH_RADIUS_KM: Final = 6371.0088  # the mean radius of WGS84
TIE_KM: Final = 1.0


@lru_cache(maxsize=512)
def unit_vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    """The point on the unit sphere at these degrees."""
    phi, lam = math.radians(latitude), math.radians(longitude)
    ring = math.cos(phi)
    return (ring * math.cos(lam), ring * math.sin(lam), math.sin(phi))


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The great-circle distance between two (latitude, longitude) pairs in degrees."""
    return _arc_km(math.dist(unit_vector(*a), unit_vector(*b)))


def rank(latitude: float, longitude: float, regions: Iterable[Region]) -> list[tuple[float, Region]]:
    """All regions as (distance in km, region), the closest first.

    Distances within 1 km of the first of their group count as equal and go by region id: coordinates of a metropolis
    say no more than that.
    """
    here = unit_vector(latitude, longitude)
    chords = sorted((math.dist(here, unit_vector(r.latitude, r.longitude)), r.id, r) for r in regions)
    ranked = [(_arc_km(chord), region) for chord, _, region in chords]
    for index in range(1, len(ranked)):
        if ranked[index][0] - ranked[index - 1][0] <= TIE_KM:
            return _by_id_within_ties(ranked)
    return ranked


def _by_id_within_ties(ranked: list[tuple[float, Region]]) -> list[tuple[float, Region]]:
    ordered: list[tuple[float, Region]] = []
    rest = ranked
    while rest:
        limit = rest[0][0] + TIE_KM
        tied = [entry for entry in rest if entry[0] <= limit]
        ordered.extend(sorted(tied, key=lambda entry: entry[1].id))
        rest = rest[len(tied) :]
    return ordered


def _arc_km(chord: float) -> float:
    return 2.0 * EARTH_RADIUS_KM * math.asin(min(1.0, chord / 2.0))
