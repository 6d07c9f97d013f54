"""What people write when they say where they are based, and what it is taken to be."""

import random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantctl.model.errors import Refused
from tenantctl.model.region import PlaceAnswer
from tenantctl.placement.catalogue import DATA, region_catalogue
from tenantctl.placement.gazetteer import Gazetteer, gazetteer
from tenantctl.placement.geocode import geocode
from tenantctl.placement.nearest import rank
from tenantctl.placement.spelling import key_hash, name_key, one_edit_away


def labels(text: str) -> list[str]:
    return [answer.label for answer in geocode(text).answers]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Southlake, TX, US", "Southlake, TX, US"),
        ("southlake,texas,usa", "Southlake, TX, US"),
        ("  Southlake ;  TX ; United States ", "Southlake, TX, US"),
        ("Luik", "Liège, WAL, BE"),
        ("Luik, WAL, BE", "Liège, WAL, BE"),
        ("Williamstown, NJ, US", "Williamstown, NJ, US"),  # which West Orange was called once
        ("LIEGE, belgique", "Liège, WAL, BE"),
        ("東京", "Tokyo, Tokyo, JP"),
        ("東京、日本", "Tokyo, Tokyo, JP"),
        ("Αθήνα", "Athens, Attica, GR"),
        ("Kiev", "Kyiv, Kyiv, UA"),
        ("Київ, Україна", "Kyiv, Kyiv, UA"),
        ("Koeln", "Köln, NW, DE"),
        ("KÖLN, Deutschland", "Köln, NW, DE"),
        ("Springfield, IL", "Springfield, IL, US"),
        ("Springfield, Illinois, US", "Springfield, IL, US"),
        ("Paris, Texas", "Paris, TX, US"),
        ("Łódź", "Łódź, Lodz Voivodeship, PL"),
        ("lodz, pl", "Łódź, Lodz Voivodeship, PL"),
        ("Bern, BE", "Bern, BE, CH"),
        ("New York, US", "New York City, NY, US"),
        ("Washington, D.C.", "Washington, DC, US"),
        ("Saint-Denis, RE", "Saint-Denis, RE, RE"),
        ("Toronto, ON", "Toronto, ON, CA"),
        ("İstanbul", "Istanbul, Istanbul, TR"),
    ],
)
def test_one_city_is_found_by_any_of_its_names(text: str, label: str) -> None:
    """Other languages, other spellings, codes and names of states and countries lead to the one city that is meant."""
    assert labels(text) == [label]


def test_springfield_is_many_places() -> None:
    """All eight cities of that name of some size are candidates, the largest first, and none is chosen."""
    found = labels("Springfield, US")
    assert found[0] == "Springfield, MO, US"
    assert {f"Springfield, {state}, US" for state in ("IL", "MO", "OH", "TN", "VA", "MA", "OR")} <= set(found)


def test_a_country_is_not_a_town_of_its_name() -> None:
    """Lebanon is the country, though Pennsylvania and Tennessee have a Lebanon each."""
    (answer,) = geocode("Lebanon").answers
    assert (answer.kind, answer.label, answer.places[0].name) == ("country", "Lebanon", "Beirut")


def test_a_country_is_not_a_part_of_itself() -> None:
    """Réunion is a country code and its own subdivision; Mexico is also a state of Mexico."""
    assert [(answer.kind, answer.label) for answer in geocode("Reunion").answers] == [("country", "Reunion")]
    assert [(answer.kind, answer.label) for answer in geocode("México").answers] == [("country", "Mexico")]


def test_georgia_stays_two_places() -> None:
    """A state and a country of one name are both offered."""
    assert {(answer.kind, answer.label) for answer in geocode("Georgia").answers} == {
        ("country", "Georgia"),
        ("subdivision", "GA, US"),
    }


@pytest.mark.parametrize(
    ("text", "latitude", "longitude", "country"),
    [
        ("51.5,-0.12", 51.5, -0.12, "GB"),
        (" 51.5 , -0.12 ", 51.5, -0.12, "GB"),
        ("51.5 -0.12", 51.5, -0.12, "GB"),
        ("33.9S, 151.2E", -33.9, 151.2, "AU"),
        ("-17.0,179.99", -17.0, 179.99, "FJ"),
        ("-16.9,-179.99", -16.9, -179.99, "FJ"),
        ("46.2044,6.1432,CH", 46.2044, 6.1432, "CH"),
        ("90,0", 90.0, 0.0, "SJ"),
        ("-90,0", -90.0, 0.0, "AR"),
    ],
)
def test_coordinates_are_taken_as_they_are(text: str, latitude: float, longitude: float, country: str) -> None:
    """The point itself is placed; country and time zone are those of the closest town."""
    (answer,) = geocode(text).answers
    place = answer.places[0]
    assert (answer.kind, place.latitude, place.longitude, place.country) == (
        "coordinates",
        latitude,
        longitude,
        country,
    )
    assert place.time_zone


def test_a_point_on_a_border_may_be_in_either_country() -> None:
    """Between Basel and Saint-Louis the coordinates alone do not say whose law applies; with a country they do."""
    point = "47.585,7.575"
    assert {answer.places[0].country for answer in geocode(point).answers} >= {"CH", "FR"}
    assert labels(f"{point},FR") == [f"{point},FR"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("91,0", "not on the globe"),
        ("0,180.5", "not on the globe"),
        ("48.85,2.35,Japan", "does not lie in Japan"),
        ("48.85,2.35,Nowhereland", "Nowhereland"),
        ("", "not understood"),
        (" , ", "not understood"),
        ("!!!", "not understood"),
        ("a, b, c, d", "not understood"),
        ("Sprngfield", "Sprngfield"),
        ("Qqqqwwww", "Qqqqwwww"),
        ("Paris, Fraance", "Fraance"),
        ("Paris, Bavarria, DE", "Bavarria"),
        ("Paris, TX, Atlantis", "Atlantis"),
        ("Atlantis, TX, US", "Atlantis"),
        ("x" * 201, "201 characters"),
    ],
)
def test_what_is_not_a_place_is_refused_by_name(text: str, said: str) -> None:
    """One sentence names what was not understood, and the hint says what to write."""
    with pytest.raises(Refused) as refused:
        geocode(text)
    assert said in refused.value.sentence
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Sprngfield", "Springfield, MO, US"),
        ("Marsielle, France", "Marseille"),
        ("Colonge, Germany", "Köln, NW, DE"),
        ("Fraance", "France"),
        ("Paris, Fraance", "France"),
        ("Munich, Bavarria, DE", "Bavaria, DE"),
    ],
)
def test_near_spellings_are_offered(text: str, meant: str) -> None:
    """A slip of one letter or two finds what was probably meant."""
    with pytest.raises(Refused) as refused:
        geocode(text)
    assert meant in refused.value.hint


@given(st.text(max_size=40))
def test_no_text_crashes_the_geocoder(text: str) -> None:
    """Whatever is typed is either a place or refused."""
    try:
        answers = geocode(text).answers
    except Refused:
        return
    assert answers
    assert all(answer.places for answer in answers)


def sample(count: int) -> list[tuple[str, str]]:
    """(label of a city, its country) of cities all over the world."""
    source = random.Random(11)
    known: Gazetteer = gazetteer()
    cities = [known.outline(str(source.randint(1, 69_000)))[0] for _ in range(count)]
    return [(str(city.place), city.place.country) for city in cities]


def test_labels_can_be_typed() -> None:
    """What is offered as the way to say it is understood, and means nothing else than places of that name."""
    for label, country in sample(300):
        answers = geocode(label).answers
        assert label in {str(answer.places[0]) for answer in answers}
        assert {answer.places[0].country for answer in answers} == {country}
        for answer in answers:
            typed = {point_of(one) for one in geocode(answer.label).answers}
            assert point_of(answer) in typed


def point_of(answer: PlaceAnswer) -> tuple[float, float]:
    return (answer.places[0].latitude, answer.places[0].longitude)


def test_the_outline_of_a_country_stands_for_all_its_places() -> None:
    """Whatever regions there are: if the outline is closest to one, so is every place; and the other way round."""
    source = random.Random(3)
    regions = region_catalogue().regions
    known = gazetteer()
    places = {
        iso: [city.place for _, city in known.names_in(iso, "")] for iso in ("BE", "CH", "PT", "NZ", "FJ", "CL", "NO")
    }
    assert all(places.values())
    for menu in [regions, *(source.sample(regions, 6) for _ in range(8))]:
        for iso, everywhere in places.items():
            (country,) = known.countries(name_key(iso))
            outline = {rank(c.place.latitude, c.place.longitude, menu)[0][1].id for c in known.outline(country.outline)}
            whole = {rank(place.latitude, place.longitude, menu)[0][1].id for place in everywhere}
            assert (len(outline) == 1) == (len(whole) == 1)


def test_spelling_ignores_case_accents_and_punctuation() -> None:
    """Keys are equal where people think the names are, and differ where they do not."""
    assert name_key("St. John\u2019s") == name_key("ST JOHNS") == "stjohns"
    assert name_key("São Paulo") == name_key("sao-paulo")
    assert name_key("Straße") == "strasse"
    assert name_key("Łódź") == "lodz"
    assert name_key("Ísafjörður") == "isafjordur"
    assert name_key("दिल्ली") != name_key("दल")
    assert name_key("…") == ""


def test_one_edit_away_covers_the_four_slips() -> None:
    """Left out, swapped, replaced, put in."""
    assert {"pari", "prais", "paras", "parise"} <= set(one_edit_away("paris"))


def test_every_place_has_a_time_zone_that_exists() -> None:
    """Grace ends with the day where the customer is based, so the zone must be one that Python knows."""
    source = random.Random(5)
    for number in source.sample(range(1, 69_000), 400):
        zone = gazetteer().outline(str(number))[0].place.time_zone
        assert ZoneInfo(zone).key == zone


def test_the_table_is_small_and_its_names_do_not_collide() -> None:
    """It is shipped with the program, so it stays under 9 MB; the hashes of well-known names differ."""
    assert (DATA / "places.sqlite").stat().st_size <= 9_000_000
    names = {name_key(label) for label, _ in sample(500)}
    assert len({key_hash(name) for name in names}) == len(names)
