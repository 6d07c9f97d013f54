"""A plan of Terraform's as its own JSON has it (`terraform show -json`): what would be made, by type and address."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tenantctl.bootstrap import catalogue, jurisdictions, policies
from tenantctl.model.policy import Policies
from tests.house.repository import ROOT

TERRAFORM = ROOT / "terraform"
GOVERNANCE = TERRAFORM / "modules/governance"

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """One resource that would be made."""

    address: str
    type: str
    values: Values

    def block(self, *names: str) -> Values:
        """A nested block that there is once; empty where there is none."""
        found: Values = self.values
        for name in names:
            inside = found.get(name) or []
            found = inside[0] if len(inside) == 1 else {}
        return found


@dataclass(frozen=True)
class Plan:
    """A whole plan for an empty project."""

    document: Values

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """From a file."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    @cached_property
    def resources(self) -> tuple[Planned, ...]:
        """Everything that would be made."""
        return tuple(_below(self.document["planned_values"]["root_module"]))

    def of(self, kind: str, *, address: str = "") -> tuple[Planned, ...]:
        """Resources of a type, without its `google_`; only those that have these words in their address."""
        return tuple(one for one in self.resources if one.type == f"google_{kind}" and address in one.address)

    def variable(self, name: str) -> Any:
        """What was asked for."""
        return self.document["variables"][name]["value"]

    def output(self, name: str) -> Any:
        """An output, as far as it is known beforehand."""
        return self.document["planned_values"]["outputs"][name]["value"]

    @property
    def project(self) -> str:
        """The project's id."""
        return str(self.variable("project"))

    @property
    def prefix(self) -> str:
        """How each bucket's name begins."""
        return str(self.variable("bucket_prefix"))

    @property
    def homes(self) -> list[str]:
        """The regions that host tenants."""
        instances = self.variable("instances").values()
        return sorted({one["region"] for one in instances if one.get("role", "tenants") == "tenants"})

    @property
    def policies(self) -> Policies:
        """The policies of the checkout."""
        return policies(ROOT / "policies")

    @property
    def laws(self) -> Mapping[str, str]:
        """Region → jurisdiction."""
        return {**catalogue().jurisdictions, **jurisdictions(self.policies.regions)}


def _below(module: Values) -> Iterator[Planned]:
    for one in module.get("resources", ()):
        if one["mode"] == "managed":
            yield Planned(one["address"], one["type"], one["values"])
    for child in module.get("child_modules", ()):
        yield from _below(child)
