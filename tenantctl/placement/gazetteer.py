"""Looks up names and points in the table of places that is shipped (`data/places.sqlite`); read-only, no network."""

import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from tenantctl.model.region import Place
from tenantctl.placement.catalogue import DATA
from tenantctl.placement.nearest import distance_km
from tenantctl.placement.spelling import key_hash, name_key

KM_PER_DEGREE: Final = 111.0  # of latitude, rounded down


@dataclass(frozen=True)
class City:
    """A populated place, and the subdivision it lies in."""

    id: int
    place: Place
    subdivision_id: int
    subdivision_name: str


@dataclass(frozen=True)
class Subdivision:
    """A state, province or region; `label` is its code where people use one, else its name."""

    id: int
    country: str
    label: str
    name: str
    outline: str


@dataclass(frozen=True)
class Country:
    """A country by its ISO 3166-1 alpha-2 code."""

    iso: str
    name: str
    outline: str


class Gazetteer:
    """The table of places. Names are looked up by their keys (`spelling.name_key`)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.version: str = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()[0]

    def countries(self, key: str) -> list[Country]:
        """All countries of this name or code."""
        rows = self._connection.execute(
            "SELECT iso, name, outline FROM country_name JOIN country USING (iso) WHERE key = ?", (key,)
        )
        return [Country(*row) for row in rows]

    def subdivisions(self, key: str, *, country: str | None = None, codes: bool = False) -> list[Subdivision]:
        """All subdivisions of this name (or code, if asked), in one country or in all."""
        rows = self._connection.execute(
            "SELECT subdivision.id, country, code, name, outline FROM subdivision_name JOIN subdivision USING (id) "
            "WHERE key = ? AND (? IS NULL OR country = ?) AND is_code <= ?",
            (key, country, country, int(codes)),
        )
        return [Subdivision(number, iso, code or name, name, outline) for number, iso, code, name, outline in rows]

    def cities(self, key: str, *, country: str | None = None, subdivision: int | None = None) -> list[City]:
        """All cities that bear this name in any language, the most populous first."""
        rows = self._connection.execute(
            "SELECT * FROM place WHERE id IN (SELECT city FROM city_name WHERE hash = ?) "
            "AND (? IS NULL OR country = ?) AND (? IS NULL OR subdivision = ?) ORDER BY population DESC, id",
            (key_hash(key), country, country, subdivision, subdivision),
        )
        return [_city(row) for row in rows]

    def outline(self, outline: str) -> list[City]:
        """The cities of an area's outline in its order: the most populous of all, then the corners."""
        return [
            _city(self._connection.execute("SELECT * FROM place WHERE id = ?", (int(number),)).fetchone())
            for number in outline.split()
        ]

    def towns_near(self, latitude: float, longitude: float, *, country: str | None = None) -> list[tuple[float, City]]:
        """The closest town (of one country, or of all) and every other that may as well be, as (km, city).

        That is every one up to twice as far, at most 50 km more; so a point between two countries has towns of both.
        The closest comes first. Empty only for a country that is not known.
        """
        for reach in (0.3, 1.0, 4.0, 16.0, 40.0, 360.0):
            towns = sorted(self._within(latitude, longitude, reach, country), key=lambda town: (town[0], town[1].id))
            limit = towns[0][0] + min(towns[0][0], 50.0) + 1 if towns else math.inf
            if limit <= reach * KM_PER_DEGREE or reach == 360.0:
                return [town for town in towns if town[0] <= limit]
        return []

    def names_in(self, country: str | None, initial: str) -> list[tuple[str, City]]:
        """(key, city) of the most populous places of a country, or of the whole world if they begin alike."""
        rows = self._connection.execute(
            "SELECT * FROM place WHERE CASE WHEN ? IS NULL THEN name LIKE ? || '%' ELSE country = ? END "
            "ORDER BY population DESC LIMIT 3000",
            (country, initial, country),
        )
        return [(name_key(city.place.name), city) for city in map(_city, rows)]

    def area_names(self, country: str | None) -> list[tuple[str, str]]:
        """(key, name) of all subdivisions of a country, or of all countries."""
        rows = (
            self._connection.execute("SELECT key, name FROM country_name JOIN country USING (iso)")
            if country is None
            else self._connection.execute(
                "SELECT key, name FROM subdivision_name JOIN subdivision USING (id) WHERE country = ?", (country,)
            )
        )
        return list(rows)

    def _within(
        self, latitude: float, longitude: float, reach: float, country: str | None
    ) -> Iterator[tuple[float, City]]:
        """All towns in a box of `reach` degrees about a point; past the poles and the antimeridian too."""
        edge = min(89.9, abs(latitude) + reach)
        width = 180.0 if abs(latitude) + reach >= 90 else min(180.0, reach / math.cos(math.radians(edge)))
        rows = self._connection.execute(
            "SELECT * FROM place WHERE latitude BETWEEN ? AND ? "
            "AND abs((longitude - ? + 5400000) % 3600000 - 1800000) <= ? AND (? IS NULL OR country = ?)",
            (
                _tenths(latitude - reach),
                _tenths(latitude + reach),
                _tenths(longitude),
                _tenths(width),
                country,
                country,
            ),
        )
        for city in map(_city, rows):
            yield distance_km((latitude, longitude), (city.place.latitude, city.place.longitude)), city


@cache
def gazetteer() -> Gazetteer:
    """The table that is shipped, opened once and never written to."""
    uri = f"{(DATA / 'places.sqlite').as_uri()}?mode=ro&immutable=1"
    return Gazetteer(sqlite3.connect(uri, uri=True, check_same_thread=False))


def _city(row: Sequence[object]) -> City:
    number, name, country, code, area, latitude, longitude, zone, population, area_id = row
    assert isinstance(number, int)
    assert isinstance(area_id, int)
    assert isinstance(latitude, int)
    assert isinstance(longitude, int)
    assert isinstance(population, int)
    point = latitude / 10_000, longitude / 10_000
    place = Place(str(name), str(country), str(code or area), *point, time_zone=str(zone), population=population)
    return City(number, place, area_id, str(area))


def _tenths(degrees: float) -> int:
    """Degrees as the table holds them, in ten-thousandths."""
    return round(degrees * 10_000)
