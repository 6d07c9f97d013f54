"""Regions, places, the placement that joins them, and the operator's word on each region.

A `Placement` is stored with its tenant as the whole explanation: what was asked, what was known (with the versions of
the data and the digest of the policy), every region in order of distance with the reason for or against it, and what
was chosen. It is never computed again to move a tenant because the data changed.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import fields as fields_of
from functools import cached_property
from typing import Any, ClassVar, Final, Literal

from tenantctl.model.strict import STRICT

_TO_RECTIFYING: Final = 1.5 / (2 * 298.257223563 - 1)  # 3n/2, n the third flattening; what is left out is below 0.0003°
PlaceKind = Literal["coordinates", "city", "subdivision", "country"]


@dataclass(frozen=True)
class Region:
    """One region of the cloud, at the coordinates of its published metropolis (degrees, WGS84).

    A product flag is None where availability has not been confirmed; that is not a yes.
    """

    id: str
    city: str
    country: str
    jurisdiction: str
    latitude: float
    longitude: float
    cloud_sql: bool | None
    cloud_run: bool | None
    gcs: bool | None
    requires_approval: bool

    @cached_property
    def unit_vector(self) -> tuple[float, float, float]:
        """The region as a point on the unit sphere."""
        return unit_vector(self.latitude, self.longitude)

    @cached_property
    def product_missing(self) -> str | None:
        """The first product that a tenant needs and that is not confirmed here, in a sentence; None if all are."""
        for product, offered in (("Cloud SQL", self.cloud_sql), ("Cloud Storage", self.gcs)):
            if not offered:
                return f"{product} is {'not confirmed' if offered is None else 'not offered'} there"
        return None


def unit_vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    """The point on the unit sphere at these degrees, by their rectifying latitude.

    The sphere stands for the ellipsoid of WGS84: along a meridian its distances are exact, and everywhere within 0.2 %.
    With the degrees taken as they are, those north to south would be 0.7 % too long beside those east to west.
    """
    phi, lam = math.radians(latitude), math.radians(longitude)
    mu = phi - _TO_RECTIFYING * math.sin(2.0 * phi)
    ring = math.cos(mu)
    return (ring * math.cos(lam), ring * math.sin(lam), math.sin(mu))


@dataclass(frozen=True)
class RegionCatalogue:
    """All public regions, in the order of their ids, and the version of the data that says so."""

    version: str
    regions: tuple[Region, ...]

    @cached_property
    def jurisdictions(self) -> Mapping[str, str]:
        """Region → jurisdiction."""
        return {region.id: region.jurisdiction for region in self.regions}

    @cached_property
    def by_id(self) -> Mapping[str, Region]:
        """The regions by their ids."""
        return {region.id: region for region in self.regions}


@dataclass(frozen=True)
class Place:
    """One populated place or point: coordinates in degrees, the country as ISO 3166-1 alpha-2, an IANA time zone."""

    name: str
    country: str
    subdivision: str
    latitude: float
    longitude: float
    time_zone: str
    population: int = 0

    def __str__(self) -> str:
        return ", ".join(part for part in (self.name, self.subdivision, self.country) if part)


@dataclass(frozen=True)
class PlaceAnswer:
    """One thing that a text can mean.

    Args:
        kind: what it is.
        label: what to type so that only this is meant, such as "Springfield, IL, US".
        places: for a city or a point this one alone. For an area its most populous place, then the outermost of its
            places: if all of these are closest to one region, so is every populated place between them.
    """

    kind: PlaceKind
    label: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class PlaceAnswers:
    """Everything that a text can mean, the most populous first; never empty."""

    query: str
    data_version: str
    answers: tuple[PlaceAnswer, ...]


@dataclass(frozen=True)
class Candidate:
    """One region as considered: its distance in km, whether a tenant may be placed there, and why or why not."""

    region: str
    distance_km: float
    allowed: bool
    reason: str


@dataclass(frozen=True)
class Placement:
    """A decision with all that it rests on.

    Args:
        query: where the customer says they are based, as typed.
        place: what that was taken to be; the most populous place of an area.
        place_label: the same as a person would write it.
        place_kind: whether the text named a point, a city, a subdivision or a country.
        keep_in: the jurisdiction that was asked for, if any.
        kept_in: the jurisdiction that the data stays in, by request or by policy, if any.
        data_version: the versions of the regions and of the places.
        policy_digest: SHA-256 of the regions' policy.
        candidates: every region, the closest first.
        region: the chosen one.
        closest: the closest of all, allowed or not.
        deviation: why `region` is not `closest`; None where it is.
    """

    query: str
    place: Place
    place_label: str
    place_kind: PlaceKind
    keep_in: str | None
    kept_in: str | None
    data_version: str
    policy_digest: str
    candidates: tuple[Candidate, ...]
    region: str
    closest: str
    deviation: str | None

    @property
    def distance_km(self) -> float:
        """How far the chosen region is from the place."""
        return next(candidate.distance_km for candidate in self.candidates if candidate.region == self.region)

    def to_plain(self) -> dict[str, Any]:
        """Dictionaries, lists, strings, numbers and None only; `from_plain` gives back an equal placement."""
        plain = asdict(self)
        plain["candidates"] = list(plain["candidates"])
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Placement":
        """Read what `to_plain` wrote; KeyError or TypeError where it did not."""
        fields = {field.name: plain[field.name] for field in fields_of(cls)}  # more may stand beside it
        fields["place"] = Place(**fields["place"])
        fields["candidates"] = tuple(Candidate(**candidate) for candidate in fields["candidates"])
        return cls(**fields)


@dataclass(frozen=True)
class ResidencyPolicy:
    """Which countries share a jurisdiction, and whose customers stay in theirs.

    Args:
        jurisdictions: jurisdiction → its countries. A country in none is a jurisdiction of its own, by its own code.
        kept_at_home: jurisdictions whose customers' data stays inside without being asked for.
    """

    __pydantic_config__: ClassVar = STRICT

    jurisdictions: Mapping[str, tuple[str, ...]]
    kept_at_home: tuple[str, ...]

    def jurisdiction_of(self, country: str) -> str:
        """The jurisdiction of a country (ISO 3166-1 alpha-2): a group that is named here, or the country itself."""
        for jurisdiction, countries in self.jurisdictions.items():
            if country in countries:
                return jurisdiction
        return country


@dataclass(frozen=True)
class RegionPolicy:
    """The operator's word on one region.

    Args:
        state: open takes tenants; full takes none now; closed takes none and keeps no copies.
        partners: regions that may hold its backups, the preferred first.
        partners_abroad: the partners are meant to lie in other jurisdictions; without it that is a fault.
        why: the reason for the state, shown to whoever asks.
    """

    __pydantic_config__: ClassVar = STRICT

    state: Literal["open", "full", "closed"]
    partners: tuple[str, ...]
    partners_abroad: bool = False
    why: str = ""


@dataclass(frozen=True)
class CapacityPolicy:
    """How full instances may be made.

    Args:
        headroom_percent: how much of an instance's bytes newcomers leave free, for those who are there to grow.
    """

    __pydantic_config__: ClassVar = STRICT

    headroom_percent: int


@dataclass(frozen=True)
class RegionsPolicy:
    """`regions.yaml`: residency, capacity, overrides (country → regions to try in order), and the word on each region.

    A region that is not named takes no tenants.
    """

    __pydantic_config__: ClassVar = STRICT

    residency: ResidencyPolicy
    capacity: CapacityPolicy
    overrides: Mapping[str, tuple[str, ...]]
    regions: Mapping[str, RegionPolicy]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the policy, hexadecimal."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @cached_property
    def closed_because(self) -> Mapping[str, str | None]:
        """For each region that is named: why it takes nobody, whoever asks; None where it does."""
        return {
            region: None if word.state != "closed" else f"closed: {word.why}" if word.why else "closed by the operator"
            for region, word in self.regions.items()
        }

    @cached_property
    def full_because(self) -> Mapping[str, str]:
        """For each region that the operator called full: the reason."""
        return {
            region: f"full: {word.why}" if word.why else "full, by the operator's word"
            for region, word in self.regions.items()
            if word.state == "full"
        }


def regions_policy_faults(policy: RegionsPolicy, regions: Sequence[Region]) -> list[tuple[str, str]]:
    """(key, reason) for everything in the policy that cannot be, measured against the known regions."""
    known = {region.id: region for region in regions}
    faults = _residency_faults(policy.residency, {region.jurisdiction for region in regions})
    headroom = policy.capacity.headroom_percent
    if not 0 <= headroom <= 90:
        faults.append(("capacity.headroom_percent", f"must lie within 0 and 90, is {headroom}"))
    for country, order in policy.overrides.items():
        key = f"overrides.{country}"
        if not _is_country_code(country):
            faults.append((key, "must be a country as two capital letters"))
        if not order:
            faults.append((key, "names no region"))
        faults.extend((key, f"{region} is not a known region") for region in order if region not in known)
    for region_id, word in policy.regions.items():
        if region_id in known:
            faults.extend(_region_faults(region_id, word, policy, known))
        else:
            faults.append((f"regions.{region_id}", "is not a known region"))
    return faults


def _residency_faults(residency: ResidencyPolicy, of_regions: set[str]) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    belongs_to: dict[str, str] = {}
    for jurisdiction, countries in residency.jurisdictions.items():
        key = f"residency.jurisdictions.{jurisdiction}"
        if not countries:
            faults.append((key, "names no country"))
        for country in countries:
            if not _is_country_code(country):
                faults.append((key, f"{country!r} is not a country as two capital letters"))
            if country in belongs_to:
                faults.append((key, f"{country} is already in {belongs_to[country]}"))
            belongs_to[country] = jurisdiction
    faults.extend(
        ("residency.kept_at_home", f"{jurisdiction} is not a known jurisdiction")
        for jurisdiction in residency.kept_at_home
        if jurisdiction not in residency.jurisdictions and jurisdiction not in of_regions
    )
    return faults


def _region_faults(
    region_id: str, word: RegionPolicy, policy: RegionsPolicy, known: Mapping[str, Region]
) -> list[tuple[str, str]]:
    key = f"regions.{region_id}"
    faults: list[tuple[str, str]] = []
    if word.state != "closed" and not word.partners:
        faults.append((f"{key}.partners", f"a region that is {word.state} needs a partner for its backups"))
    if word.state != "closed" and not (known[region_id].cloud_sql and known[region_id].gcs):
        faults.append((f"{key}.state", f"{word.state}, but Cloud SQL and Cloud Storage are not confirmed there"))
    if len(set(word.partners)) < len(word.partners):
        faults.append((f"{key}.partners", "names a region twice"))
    for partner in word.partners:
        if partner == region_id:
            faults.append((f"{key}.partners", "a region cannot be its own partner"))
        elif partner not in known:
            faults.append((f"{key}.partners", f"{partner} is not a known region"))
        elif partner not in policy.regions or policy.regions[partner].state == "closed":
            faults.append((f"{key}.partners", f"{partner} is closed"))
        elif known[partner].jurisdiction != known[region_id].jurisdiction and not word.partners_abroad:
            reason = f"{partner} lies in {known[partner].jurisdiction}, {region_id} in {known[region_id].jurisdiction}"
            faults.append((f"{key}.partners", f"{reason}; if that is meant, say partners_abroad: true"))
    return faults


def _is_country_code(text: str) -> bool:
    return len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()
