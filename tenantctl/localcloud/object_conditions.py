"""Preconditions: a request that names what it believes is there, and is refused if it is wrong.

All four of Cloud Storage's (generation and metageneration, to match and not to match) on every verb, also for the
source of a copy. They are checked before retention and holds: 412 comes before 403.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tenantctl.localcloud.object_refusals import Refusal, condition_not_met, invalid, not_modified

PARAMETERS: Final = ("ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch", "ifMetagenerationNotMatch")
SOURCE_PARAMETERS: Final = tuple(name.replace("if", "ifSource", 1) for name in PARAMETERS)


def whole_number(text: str, name: str) -> int:
    """Read a number of the query.

    Raises:
        Refusal: 400, it is not a whole number of at most 64 bits.
    """
    if not text.isascii() or not text.isdigit() or int(text) >= 2**63:
        raise invalid(f"Invalid value for {name}: {text!r}")
    return int(text)


@dataclass(frozen=True)
class Preconditions:
    """What a request requires of the object (generation 0 means: there is none) or of the bucket."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str], *, source: bool = False) -> "Preconditions":
        """Read the preconditions of a query, or with `source` those on the source of a copy.

        Raises:
            Refusal: 400, a value is not a number.
        """
        names = SOURCE_PARAMETERS if source else PARAMETERS
        return cls(*(whole_number(query[name], name) if name in query else None for name in names))

    def check(self, generation: int | None, metageneration: int | None) -> None:
        """Check before a change; None stands for an object that does not exist.

        Raises:
            Refusal: 412, a precondition does not hold.
        """
        self._refuse(generation, metageneration, if_unchanged=condition_not_met())

    def check_read(self, generation: int, metageneration: int) -> None:
        """Check before a read.

        Raises:
            Refusal: 412 where something was to match, 304 where it was not to match and does.
        """
        self._refuse(generation, metageneration, if_unchanged=not_modified())

    def _refuse(self, generation: int | None, metageneration: int | None, *, if_unchanged: Refusal) -> None:
        present = generation or 0
        if self.generation_match is not None and self.generation_match != present:
            raise condition_not_met()
        if self.metageneration_match is not None and self.metageneration_match != metageneration:
            raise condition_not_met()
        if self.generation_not_match is not None and self.generation_not_match == present:
            raise if_unchanged
        if self.metageneration_not_match is not None and self.metageneration_not_match == metageneration:
            raise if_unchanged
