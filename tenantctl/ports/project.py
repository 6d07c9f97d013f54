"""The cloud project that everything lies in: who calls, which APIs answer there, and how often they may be called."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tenantctl.model.sighting import Sighting


@dataclass(frozen=True)
class RateSeen:
    """How often an API may be called: `limit` calls in its `unit`, such as 1/min/{project}; -1 is no limit."""

    api: str
    name: str
    unit: str
    limit: int


class Project(Protocol):
    """One project, only ever looked at.

    1. An API that does not answer is unreachable, never switched off.
    """

    def caller(self) -> str:
        """Who we are, once a token was really had.

        Raises:
            Refused: there are no credentials, or they are not taken.
            Transient: whoever gives tokens does not answer.
        """

    def apis(self) -> Sighting[frozenset[str]]:
        """The APIs that are switched on, such as sqladmin.googleapis.com."""

    def rates(self, api: str) -> Sighting[Sequence[RateSeen]]:
        """The limits on the rate of an API's calls."""
