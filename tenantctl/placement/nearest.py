"""Which region is closest: great-circle distances and their order. Pure.

The measure is the chord between points on the unit sphere, turned into an arc. That is the haversine formula (whose h
is half the chord, squared) without a special case for the antimeridian or the poles. The sphere is that of rectifying
latitudes: measured on the WGS84 ellipsoid, the region it chooses is at most 0.2 % farther than the best one, whichever
regions it may choose from.
"""

import math
from collections.abc import Iterable
from typing import Final

from tenantctl.model.region import Region, unit_vector

EARTH_RADIUS_KM: Final = 6367.4491  # of the sphere whose meridians are as long as those of WGS84
TIE_KM: Final = 1.0
_DIAMETER_KM: Final = 2.0 * EARTH_RADIUS_KM


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The great-circle distance between two (latitude, longitude) pairs in degrees."""
    return _arc_km(math.dist(unit_vector(*a), unit_vector(*b)))


def rank(latitude: float, longitude: float, regions: Iterable[Region]) -> list[tuple[float, Region]]:
    """All regions as (distance in km, region), the closest first.

    Distances within 1 km of the first of their group count as equal and go by region id: the coordinates of a
    metropolis say no more than that.
    """
    here = unit_vector(latitude, longitude)
    dist = math.dist
    chords = sorted([(dist(here, region.unit_vector), region.id, region) for region in regions])
    before = -math.inf
    ranked: list[tuple[float, Region]] = []
    tied = False
    for chord, _, region in chords:
        distance = _arc_km(chord)
        tied = tied or distance - before <= TIE_KM
        before = distance
        ranked.append((distance, region))
    return _by_id_within_ties(ranked) if tied else ranked


def _by_id_within_ties(ranked: list[tuple[float, Region]]) -> list[tuple[float, Region]]:
    ordered: list[tuple[float, Region]] = []
    group: list[tuple[float, Region]] = []
    for entry in ranked:
        if group and entry[0] > group[0][0] + TIE_KM:
            ordered += sorted(group, key=lambda tied: tied[1].id)
            group = []
        group.append(entry)
    return ordered + sorted(group, key=lambda tied: tied[1].id)


def _arc_km(chord: float) -> float:
    return _DIAMETER_KM * math.asin(chord * 0.5 if chord < 2.0 else 1.0)
