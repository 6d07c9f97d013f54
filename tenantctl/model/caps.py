"""How much of what takes something from customers may happen within a day."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tenantctl.model.strict import STRICT


@dataclass(frozen=True)
class Cap:
    """How much of one act may happen in a region within 24 hours: so many tenants, and so many percent; 0 is none."""

    __pydantic_config__: ClassVar = STRICT

    tenants_max: int
    percent_max: int

    def faults(self) -> Iterator[tuple[str, str]]:
        """(key, reason) for each number that cannot be."""
        if self.tenants_max < 0:
            yield "tenants_max", f"must not be negative, is {self.tenants_max}"
        if not 0 <= self.percent_max <= 100:
            yield "percent_max", f"must lie within 0 and 100, is {self.percent_max}"


@dataclass(frozen=True)
class Caps:
    """What nobody exceeds alone, whatever asked for it; percentages are of `percent_of_at_least` tenants or more."""

    __pydantic_config__: ClassVar = STRICT

    percent_of_at_least: int
    deactivate: Cap
    destroy: Cap

    def faults(self) -> Iterator[tuple[str, str]]:
        """(key, reason) for each number that cannot be."""
        if self.percent_of_at_least < 1:
            yield "percent_of_at_least", f"must be at least 1, is {self.percent_of_at_least}"
        for key, cap in (("deactivate", self.deactivate), ("destroy", self.destroy)):
            yield from ((f"{key}.{name}", reason) for name, reason in cap.faults())
