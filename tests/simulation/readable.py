"""What the invariants ask of a backup: where it can be read, and which of its keys are left."""

from collections.abc import Iterator
from datetime import datetime

from tests.simulation.town import Town
from tests.simulation.truth import MadeBackup
from tests.simulation.witnessed import is_kept


def readable_in(town: Town, made: MadeBackup, since: datetime) -> Iterator[str]:
    """The regions in which a copy can be opened; accidents since then count for nothing, nobody can know them yet."""
    keys = bool(made.keys) or registry_has_key(town, made)
    for region, copy in made.copies.items():
        if keys and (copy.gone_at is None or (copy.vanished and copy.gone_at >= since)):
            yield region


def keys_left(town: Town, made: MadeBackup) -> bool:
    name = f"{made.uid}/{made.id}.key"
    return any(is_kept(town.key_store, region, name) for region in made.keys) or registry_has_key(town, made)


def registry_has_key(town: Town, made: MadeBackup) -> bool:
    return any(copy.wrapped_key for copy in town.registry.book(made.uid).backups[made.id].copies)
