"""The regions as shipped: read once from the package's own data, checked, and given a version."""

import json
from functools import cache
from pathlib import Path
from typing import Final

from tenantctl.model.region import Region, RegionCatalogue

DATA: Final = Path(__file__).parent / "data"
_FIELDS: Final = tuple(Region.__dataclass_fields__)


@cache
def region_catalogue() -> RegionCatalogue:
    """All public regions, ordered by id.

    Raises:
        ValueError: the file that was shipped names a region twice or lacks a field, which is a bug of this package.
    """
    document = json.loads((DATA / "regions.json").read_text(encoding="utf-8"))
    regions = sorted((_region(entry) for entry in document["regions"]), key=lambda region: region.id)
    if len({region.id for region in regions}) != len(regions):
        raise ValueError("regions.json names a region twice")
    return RegionCatalogue(version=document["version"], regions=tuple(regions))


def _region(entry: dict[str, object]) -> Region:
    missing = [field for field in _FIELDS if field not in entry]
    if missing:
        raise ValueError(f"regions.json: {entry.get('id')} lacks {', '.join(missing)}")
    return Region(**{field: entry[field] for field in _FIELDS})  # type: ignore[arg-type]
