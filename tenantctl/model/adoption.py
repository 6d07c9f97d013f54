"""A living database that is not ours yet, as its instance shows it, and what keeps it from becoming so. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

ADOPTS = "adopts"
"""Under this key the name of the database to be adopted stands beside its placement, and is blanked with it."""


@dataclass(frozen=True)
class OwnerSeen:
    """A role that owns something in the database.

    `is_ours` says whether our logins may act as it; `elsewhere` names what it owns beside this database.
    """

    name: str
    is_ours: bool
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForeignSeen:
    """What is in a database, as far as it decides; `marker` is its comment, "" where it has none.

    `strange` names what no tenant's database may have: what reaches out of it, or acts by itself.
    """

    marker: str
    size: int
    server_major: int
    encoding: str
    extensions: tuple[str, ...] = ()
    owners: tuple[OwnerSeen, ...] = ()
    strange: tuple[str, ...] = ()
    sessions: int = 0


def reasons_against(seen: ForeignSeen, *, allowed_extensions: Collection[str], server_major: int) -> Iterator[str]:
    """Why the database cannot be adopted as it is, each in a clear sentence; nothing where it can."""
    if seen.marker:
        yield f"it carries a comment already, {seen.marker!r}: it is somebody's"
    if seen.server_major != server_major:
        yield f"its server is PostgreSQL {seen.server_major}, and ours are {server_major}"
    if seen.encoding != "UTF8":
        yield f"its encoding is {seen.encoding}, and a tenant's is UTF8"
    refused = sorted(set(seen.extensions) - set(allowed_extensions) - {"plpgsql"})
    if refused:
        yield f"the policy does not allow its extension {', '.join(refused)}"
    for owner in seen.owners:
        if not owner.is_ours:
            yield f"we may not act as the role {owner.name}, which owns something in it: grant it to our role first"
        if owner.elsewhere:
            yield f"the role {owner.name} owns something elsewhere too: {', '.join(owner.elsewhere)}"
    for one in seen.strange:
        yield f"it has {one}, which no tenant's database may have"
