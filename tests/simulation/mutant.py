"""A known mistake: a small change of one file, and what finds it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Attributes:
        name: what is wrong with the program then, in a few words.
        file: below the root of the repository.
        old: what stands there, exactly once.
        new: what is planted in its place.
        found_by: tests, as pytest names them, at least one of which must fail.
    """

    name: str
    file: str
    old: str
    new: str
    found_by: tuple[str, ...]
