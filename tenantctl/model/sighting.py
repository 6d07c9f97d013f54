"""What a look at the world answers: present, gone, or could not look.

Nothing irreversible may rest on "could not look", so the three answers are
three types, and no code can mistake one for another.
"""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Seen_co = TypeVar("Seen_co", covariant=True)


@dataclass(frozen=True)
class Present(Generic[Seen_co]):
    """It is there, and this is what was seen of it."""

    value: Seen_co


@dataclass(frozen=True)
class Gone:
    """The place itself answered, and the thing is not in it."""


@dataclass(frozen=True)
class Unreachable:
    """The place did not answer; whether the thing exists is unknown."""

    reason: str


Sighting: TypeAlias = Present[Seen_co] | Gone | Unreachable
