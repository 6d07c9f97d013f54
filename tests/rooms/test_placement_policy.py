"""The regions' policy: what is shipped has no fault, and each thing that cannot be is found and named by its key."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tenantctl.adapters.policy_files import load_regions
from tenantctl.model.region import RegionPolicy, RegionsPolicy, ResidencyPolicy, regions_policy_faults
from tenantctl.placement.catalogue import region_catalogue
from tenantctl.placement.nearest import distance_km

REGIONS = region_catalogue().regions
BY_ID = region_catalogue().by_id
SHIPPED = load_regions(Path(__file__).parents[2] / "policies", REGIONS)


def changed(**words: RegionPolicy) -> RegionsPolicy:
    """The shipped policy with some regions' words replaced; underscores stand for hyphens."""
    regions: Mapping[str, RegionPolicy] = {name.replace("_", "-"): word for name, word in words.items()}
    return replace(SHIPPED, regions={**SHIPPED.regions, **regions})


def test_the_shipped_policy_has_no_fault_and_names_every_region() -> None:
    """Every region of the data has its word; nothing is left to silence."""
    assert regions_policy_faults(SHIPPED, REGIONS) == []
    assert set(SHIPPED.regions) == set(BY_ID)
    assert all(word.why for word in SHIPPED.regions.values() if word.state == "closed")


@pytest.mark.parametrize("region_id", sorted(name for name, word in SHIPPED.regions.items() if word.state == "open"))
def test_shipped_partners_are_near_but_not_next_door(region_id: str) -> None:
    """In the same jurisdiction, at least 150 km away, the closest first."""
    region = BY_ID[region_id]
    partners = [BY_ID[partner] for partner in SHIPPED.regions[region_id].partners]
    away = [distance_km((region.latitude, region.longitude), (p.latitude, p.longitude)) for p in partners]
    assert away == sorted(away)
    assert away[0] >= 150
    assert {partner.jurisdiction for partner in partners} == {region.jurisdiction}


def test_a_jurisdiction_with_one_region_takes_nobody_by_default() -> None:
    """Its backups would have to leave it, and somebody must have decided that."""
    lonely = [r.id for r in REGIONS if sum(other.jurisdiction == r.jurisdiction for other in REGIONS) == 1]
    assert "europe-west2" in lonely
    assert all(SHIPPED.regions[region_id].state == "closed" for region_id in lonely)


OPEN = RegionPolicy("open", ("us-east4",))


@pytest.mark.parametrize(
    ("policy", "key", "reason"),
    [
        (changed(mars_north1=OPEN), "regions.mars-north1", "not a known region"),
        (changed(us_south1=RegionPolicy("open", ())), "regions.us-south1.partners", "needs a partner"),
        (changed(us_south1=RegionPolicy("full", ())), "regions.us-south1.partners", "needs a partner"),
        (changed(us_south1=RegionPolicy("open", ("us-south1",))), "regions.us-south1.partners", "its own partner"),
        (changed(us_south1=RegionPolicy("open", ("mars-north1",))), "regions.us-south1.partners", "not a known region"),
        (changed(us_south1=RegionPolicy("open", ("us-east4", "us-east4"))), "regions.us-south1.partners", "twice"),
        (changed(europe_west9=RegionPolicy("open", ("europe-west2",))), "regions.europe-west9.partners", "is closed"),
        (changed(europe_west9=OPEN), "regions.europe-west9.partners", "partners_abroad: true"),
        (
            changed(asia_southeast3=RegionPolicy("open", ("us-east4",), True)),
            "regions.asia-southeast3.state",
            "confirmed",
        ),
        (replace(SHIPPED, overrides={"ZA": ("mars-north1",)}), "overrides.ZA", "not a known region"),
        (replace(SHIPPED, overrides={"ZA": ()}), "overrides.ZA", "names no region"),
        (replace(SHIPPED, overrides={"South Africa": ("us-east4",)}), "overrides.South Africa", "two capital letters"),
        (
            replace(SHIPPED, residency=ResidencyPolicy({"EU": ("FR",), "X": ("FR",)}, ())),
            "residency.jurisdictions.X",
            "already in EU",
        ),
        (
            replace(SHIPPED, residency=ResidencyPolicy({"EU": ("no",)}, ())),
            "residency.jurisdictions.EU",
            "two capital letters",
        ),
        (replace(SHIPPED, residency=ResidencyPolicy({"EU": ()}, ())), "residency.jurisdictions.EU", "names no country"),
        (replace(SHIPPED, residency=ResidencyPolicy({}, ("Atlantis",))), "residency.kept_at_home", "Atlantis"),
    ],
)
def test_what_cannot_be_is_a_fault(policy: RegionsPolicy, key: str, reason: str) -> None:
    """Each fault is found, alone, under its own key, with its reason."""
    faults = regions_policy_faults(policy, REGIONS)
    assert [found for found, _ in faults] == [key]
    assert reason in faults[0][1]


def test_closing_a_region_faults_those_that_rely_on_it() -> None:
    """A partner that is closed holds no copies, so every region that names it is named."""
    keys = {key for key, _ in regions_policy_faults(changed(us_east4=RegionPolicy("closed", ())), REGIONS)}
    assert keys == {f"regions.{name}.partners" for name, word in SHIPPED.regions.items() if "us-east4" in word.partners}


def test_partners_abroad_are_allowed_when_meant() -> None:
    """London opens with partners in the EU only by saying so."""
    assert regions_policy_faults(changed(europe_west2=RegionPolicy("open", ("europe-west1",), True)), REGIONS) == []
