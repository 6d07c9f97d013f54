"""The tables of duties and of alarms, as Terraform reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ruamel.yaml import YAML

from tests.infrastructure.plans import GOVERNANCE

PLACES = frozenset(
    {
        "project",
        "registry",
        "instances",
        "vaults",
        "anchors",
        "key_buckets",
        "exports",
        "keys",
        "signing_key",
        "itself",
        "outbound",
    }
)
EVERYBODY = {"allUsers", "allAuthenticatedUsers"}


@dataclass(frozen=True)
class Table:
    """Who may do what.

    Attributes:
        powers: power → its permissions.
        takes_away: permission that takes something away → the power and the one place that it is for.
        identities: service account → what it is for, what it runs, and place → its powers (`may`).
        people: kind of operator → `may`.
    """

    powers: Mapping[str, tuple[str, ...]]
    takes_away: Mapping[str, Mapping[str, str]]
    identities: Mapping[str, Mapping[str, Any]]
    people: Mapping[str, Mapping[str, Any]]

    @staticmethod
    def email(project: str, identity: str) -> str:
        """The address of an identity."""
        return f"tenantctl-{identity}@{project}.iam.gserviceaccount.com"

    def who(self, power: str) -> list[str]:
        """The identities that have a power, wherever."""
        return [name for name, one in self.identities.items() if any(power in powers for powers in one["may"].values())]

    def permissions(self, identity: str) -> set[tuple[str, str]]:
        """(place, permission) of everything that an identity may."""
        may = self.identities[identity]["may"]
        return {(place, one) for place, powers in may.items() for power in powers for one in self.powers[power]}

    def grants(self, project: str, operators: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], set[str]]:
        """(place, power) → the members that have it."""
        found: dict[tuple[str, str], set[str]] = {}
        for member, may in self._bearers(project, operators):
            for place, powers in may.items():
                for power in powers:
                    found.setdefault((place, power), set()).add(member)
        return found

    def _bearers(
        self, project: str, operators: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[tuple[str, Mapping[str, list[str]]]]:
        for name, one in self.identities.items():
            yield f"serviceAccount:{self.email(project, name)}", one["may"]
        for address, one in operators.items():
            yield f"user:{address}", self.people["operators"]["may"]
            if one.get("hands_on"):
                yield f"user:{address}", self.people["hands_on"]["may"]


@cache
def table() -> Table:
    """`duties.yaml`."""
    said = YAML(typ="safe").load(GOVERNANCE / "duties.yaml")
    powers = {power: tuple(permissions) for power, permissions in said["powers"].items()}
    return Table(powers, said["takes_away"], said["identities"], said["people"])


@cache
def alarms() -> Mapping[str, str]:
    """`alarms.yaml`: code → severity."""
    said: Mapping[str, str] = YAML(typ="safe").load(GOVERNANCE / "alarms.yaml")
    return said


@cache
def measures() -> Mapping[str, Mapping[str, Any]]:
    """`metrics.yaml`: metric → its panel, and its alert if it has one; numbers of the policies stand as `${...}`."""
    said: Mapping[str, Mapping[str, Any]] = YAML(typ="safe").load(GOVERNANCE / "metrics.yaml")
    return said
