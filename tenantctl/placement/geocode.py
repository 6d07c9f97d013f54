"""Finds what a person means by where they are based: coordinates, a city, a subdivision or a country; offline.

Understood are "51.5,-0.12", "51.5,-0.12,GB", "Luik", "Springfield, IL", "Southlake, TX, US", "Texas, US" and "Belgium",
in any language that the table of places knows. Everything that the words can mean is collected, and nothing is chosen,
with three exceptions: the name of a country is the country, not a town of that name; where the main city of a
subdivision bears its name, the city is meant ("New York, US"); and a town that is called so in some other language
only, twenty times smaller than another, is not meant (York in Nebraska is "New York" to someone).
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from tenantctl.model.errors import Refused
from tenantctl.model.region import Place, PlaceAnswer, PlaceAnswers, PlaceKind
from tenantctl.placement.gazetteer import City, Country, Gazetteer, Subdivision, gazetteer
from tenantctl.placement.spelling import name_key, one_edit_away

SUGGESTIONS_MAX: Final = 5
OBSCURE: Final = 20  # times smaller than the largest place of this name
TEXT_LENGTH_MAX: Final = 200
FORMS: Final = 'Write "city, subdivision, country", a country, or coordinates such as "51.5,-0.12".'
_SEPARATORS: Final = re.compile("[,;\uff0c\u060c\u3001]")
_COORDINATES: Final = re.compile(
    r"""\s*(?P<latitude>[+-]?\d{1,3}(?:\.\d+)?)\s*°?\s*(?P<ns>[NS]?)\s*[,; ]
        \s*(?P<longitude>[+-]?\d{1,3}(?:\.\d+)?)\s*°?\s*(?P<ew>[EW]?)\s*(?:,(?P<country>[^,]+))?""",
    re.VERBOSE | re.IGNORECASE,
)


def geocode(text: str, *, places: Gazetteer | None = None) -> PlaceAnswers:
    """Return everything that the text can mean, the most populous first.

    Raises:
        Refused: nothing is known by these words (with near spellings), or the coordinates are not on the globe.
    """
    known = places or gazetteer()
    if len(text) > TEXT_LENGTH_MAX:
        raise Refused(f"A place of {len(text)} characters is not a place.", hint=FORMS)
    point = _COORDINATES.fullmatch(text)
    if point:
        answers = _point(known, point)
    else:
        parts = [part.strip() for part in _SEPARATORS.split(text)]
        keys = [name_key(part) for part in parts]
        if not all(keys) or len(parts) > 3:
            raise Refused(f"{text!r} is not understood as a place.", hint=FORMS)
        answers = (_one_part, _two_parts, _three_parts)[len(parts) - 1](known, parts, keys)
    return PlaceAnswers(" ".join(text.split()), known.version, tuple(answers))


def _one_part(known: Gazetteer, parts: list[str], keys: list[str]) -> list[PlaceAnswer]:
    countries = known.countries(keys[0])
    own = {country.iso for country in countries}
    areas = [area for area in known.subdivisions(keys[0]) if area.country not in own]
    found = _inner(known, keys[0], areas, [] if countries else known.cities(keys[0]))
    if not countries and not found:
        near = _near_areas(known, keys[0], None) + _near_cities(known, keys[0], None)
        raise _unknown(parts[0], None, near[:SUGGESTIONS_MAX])
    return _sorted([*(_country(known, country) for country in countries), *found])


def _two_parts(known: Gazetteer, parts: list[str], keys: list[str]) -> list[PlaceAnswer]:
    countries = known.countries(keys[1])
    areas = known.subdivisions(keys[1], codes=True)
    if not countries and not areas:
        raise _unknown(parts[1], None, _near_areas(known, keys[1], None), small=False)
    cities: dict[int, City] = {}
    inside: list[Subdivision] = []
    for country in countries:
        inside += known.subdivisions(keys[0], country=country.iso, codes=True)
        cities |= {city.id: city for city in known.cities(keys[0], country=country.iso)}
    for area in areas:
        cities |= {city.id: city for city in known.cities(keys[0], subdivision=area.id)}
    found = _inner(known, keys[0], inside, cities.values())
    if not found:
        near = [near for country in countries for near in _near_cities(known, keys[0], country.iso)]
        raise _unknown(parts[0], parts[1], near)
    return _sorted(found)


def _three_parts(known: Gazetteer, parts: list[str], keys: list[str]) -> list[PlaceAnswer]:
    countries = known.countries(keys[2])
    if not countries:
        raise _unknown(parts[2], None, _near_areas(known, keys[2], None), small=False)
    areas = [area for country in countries for area in known.subdivisions(keys[1], country=country.iso, codes=True)]
    if not areas:
        near = [near for country in countries for near in _near_areas(known, keys[1], country.iso)]
        raise _unknown(parts[1], parts[2], near, small=False)
    cities = [city for area in areas for city in known.cities(keys[0], subdivision=area.id)]
    # So fully named, a city's own name goes before what others are called in some other language.
    cities = [city for city in cities if name_key(city.place.name) == keys[0]] or cities
    if not cities:
        near = [near for country in countries for near in _near_cities(known, keys[0], country.iso)]
        raise _unknown(parts[0], f"{parts[1]}, {parts[2]}", near)
    return _sorted(_city_answers(cities))


def _inner(known: Gazetteer, key: str, areas: Iterable[Subdivision], cities: Iterable[City]) -> list[PlaceAnswer]:
    """The cities, and those subdivisions whose own main city is not among them."""
    found = list(cities)
    enough = max((city.place.population for city in found), default=0) / OBSCURE
    found = [city for city in found if city.place.population >= enough or name_key(city.place.name) == key]
    answers = _city_answers(found)
    for area in areas:
        main_city = int(area.outline.split(maxsplit=1)[0])
        if not any(
            city.id == main_city or (city.subdivision_id == area.id and city.place.name == area.name) for city in found
        ):
            answers.append(_area("subdivision", known, area.outline, f"{area.label}, {area.country}"))
    return answers


def _city_answers(cities: Iterable[City]) -> list[PlaceAnswer]:
    """One for each city; where two would have the same label, both are labelled by their coordinates."""
    labels: dict[str, int] = {}
    found = list(cities)
    for city in found:
        labels[str(city.place)] = labels.get(str(city.place), 0) + 1
    return [
        PlaceAnswer("city", str(city.place) if labels[str(city.place)] == 1 else _by_point(city.place), (city.place,))
        for city in found
    ]


def _country(known: Gazetteer, country: Country) -> PlaceAnswer:
    return _area("country", known, country.outline, country.name)


def _area(kind: PlaceKind, known: Gazetteer, outline: str, label: str) -> PlaceAnswer:
    return PlaceAnswer(kind, label, tuple(city.place for city in known.outline(outline)))


def _point(known: Gazetteer, match: re.Match[str]) -> list[PlaceAnswer]:
    latitude = float(match["latitude"]) * (-1 if match["ns"].upper() == "S" else 1)
    longitude = float(match["longitude"]) * (-1 if match["ew"].upper() == "W" else 1)
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise Refused(
            f"{latitude:g},{longitude:g} is not on the globe.",
            hint="Latitude comes first, within -90 and 90; then longitude, within -180 and 180.",
        )
    closest = known.towns_near(latitude, longitude)
    if match["country"]:
        towns = _towns_of(known, match["country"].strip(), (latitude, longitude), closest[0][0])
    else:
        towns = [town for _, town in closest]
    nearest_of: dict[str, City] = {}
    for town in towns:
        nearest_of.setdefault(town.place.country, town)
    point = f"{_degrees(latitude)},{_degrees(longitude)}"
    return [
        PlaceAnswer("coordinates", f"{point},{country}", (_at(latitude, longitude, town),))
        for country, town in nearest_of.items()
    ]


def _towns_of(known: Gazetteer, name: str, point: tuple[float, float], nearest_km: float) -> list[City]:
    """The closest town of a country, which must not be so far that the point can't lie in it."""
    countries = known.countries(name_key(name))
    if not countries:
        raise _unknown(name, None, _near_areas(known, name_key(name), None), small=False)
    towns = [known.towns_near(*point, country=country.iso)[0] for country in countries]
    within = [town for distance, town in towns if distance <= 3 * nearest_km + 100]
    if not within:
        raise Refused(f"{_degrees(point[0])},{_degrees(point[1])} does not lie in {countries[0].name}.", hint=FORMS)
    return within


def _at(latitude: float, longitude: float, town: City) -> Place:
    near = town.place
    return Place(f"near {near.name}", near.country, near.subdivision, latitude, longitude, near.time_zone)


def _by_point(place: Place) -> str:
    return f"{_degrees(place.latitude)},{_degrees(place.longitude)},{place.country}"


def _degrees(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _sorted(answers: Iterable[PlaceAnswer]) -> list[PlaceAnswer]:
    return sorted(answers, key=lambda answer: (-answer.places[0].population, answer.label))


def _near_cities(known: Gazetteer, key: str, country: str | None) -> list[str]:
    """Names like this one: first what is one letter away in any language, else what looks alike among the largest."""
    near: dict[int, City] = {}
    for guess in one_edit_away(key) if len(key) > 3 else ():
        near |= {city.id: city for city in known.cities(guess, country=country)}
    if not near:
        names = dict(reversed(known.names_in(country, key[0])))  # of equal names the most populous stays
        near = {names[name].id: names[name] for name in get_close_matches(key, names, n=SUGGESTIONS_MAX, cutoff=0.7)}
    ordered = sorted(near.values(), key=lambda city: -city.place.population)
    return [str(city.place) for city in ordered[:SUGGESTIONS_MAX]]


def _near_areas(known: Gazetteer, key: str, country: str | None) -> list[str]:
    """Names of subdivisions (of a country) or of countries that look like this one."""
    names = dict(known.area_names(country))
    found = dict.fromkeys(names[name] for name in get_close_matches(key, names, n=SUGGESTIONS_MAX, cutoff=0.7))
    return [f"{name}, {country}" if country else name for name in found]


def _unknown(name: str, within: str | None, near: list[str], *, small: bool = True) -> Refused:
    where = f" in {within}" if within else ""
    quoted = " or ".join(f'"{suggestion}"' for suggestion in near)
    meant = f"Did you mean {quoted}? " if near else ""
    smaller = "Places of less than 5,000 inhabitants are not listed; name the next town. " if small else ""
    return Refused(f"No place is known by the name {name!r}{where}.", hint=f"{meant}{smaller}{FORMS}")
