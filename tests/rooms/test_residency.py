"""Residency, obeyed after the placement too: by backups, by a restore elsewhere, and by the choice of a region."""

from dataclasses import replace

import pytest

from tenantctl.backups.terms import copy_regions, regions_with_copies
from tenantctl.bootstrap import catalogue, jurisdictions, policies
from tenantctl.custody.basis import Basis, Ground
from tenantctl.custody.restore import request_restore
from tenantctl.model.backup import bucket_name
from tenantctl.model.errors import Refused
from tenantctl.model.region import RegionPolicy, RegionsPolicy
from tenantctl.model.tenant import Tenant
from tenantctl.placement.elsewhere import PARTNERS, elsewhere
from tenantctl.placement.geocode import geocode
from tenantctl.placement.planning import plan_placement
from tenantctl.ports.vault import BucketSeen
from tests.rooms.company import HOME, PARTNER, Company

ABROAD, INSIDE = "northamerica-northeast2", PARTNER
SHIPPED = policies().regions
LAWS = jurisdictions(SHIPPED)


def with_partners(*partners: str, of: str = HOME) -> RegionsPolicy:
    """The shipped policy, with partners of one region that may lie abroad."""
    return replace(SHIPPED, regions={**SHIPPED.regions, of: RegionPolicy("open", partners, True)})


def company_with(regions: RegionsPolicy) -> Company:
    """A company that has buckets and keys abroad too."""
    made = Company(policies=replace(policies(), regions=regions))
    made.keys.make_key(ABROAD)
    made.key_store.make_bucket(ABROAD)
    for retention_class, term in policies().backups.classes.items():
        name = bucket_name("acme", ABROAD, retention_class, term.age_days)
        made.vault.make_bucket(name, BucketSeen.locked_for(ABROAD, term))
    return made


@pytest.fixture
def company() -> Company:
    """One whose home prefers a partner abroad, by its policy."""
    return company_with(with_partners(ABROAD, INSIDE))


def regions_of_copies(company: Company, tenant: Tenant) -> set[str]:
    return {copy.region for backup in company.registry.backups(tenant.uid) for copy in backup.copies}


# Placement


def test_a_region_whose_backups_would_leave_takes_none_of_those_who_stay() -> None:
    """London, opened with partners in the EU: for whoever may go anywhere, not for `--keep-in UK`."""
    open_london = with_partners("europe-west1", "europe-west9", of="europe-west2")
    anywhere = plan_placement(geocode("London, GB"), catalogue(), open_london, None)
    assert (anywhere.region, anywhere.kept_in) == ("europe-west2", None)
    with pytest.raises(Refused) as refused:
        plan_placement(geocode("London, GB"), catalogue(), open_london, None, keep_in="UK")
    assert "no partner in UK for its backups, which are kept there too: europe-west2 (0 km)" in refused.value.hint


def test_who_is_kept_at_home_by_the_policy_is_treated_like_who_asked() -> None:
    """Brussels with no partner but Ohio hosts no European; with one in the EU besides, it does."""
    for partners, region in ((("us-east4",), "europe-west3"), (("us-east4", "europe-west9"), "europe-west1")):
        placement = plan_placement(geocode("Luik"), catalogue(), with_partners(*partners, of="europe-west1"), None)
        assert (placement.region, placement.kept_in) == (region, "EU")


# Backups


def test_copies_of_who_stays_go_to_no_partner_abroad() -> None:
    """The own region always has one; partners elsewhere are left out, in the policy's order."""
    words = with_partners(ABROAD, INSIDE).regions
    assert copy_regions(words, HOME, LAWS, kept_in=None) == (HOME, ABROAD, INSIDE)
    assert copy_regions(words, HOME, LAWS, kept_in="US") == (HOME, INSIDE)
    assert set(regions_with_copies(words, HOME, LAWS, copies_min=2)) == {HOME, ABROAD, INSIDE}
    assert regions_with_copies(SHIPPED.regions, HOME, LAWS, copies_min=2) == (HOME, PARTNER)


def test_a_tenants_own_residency_rules_its_backups(company: Company) -> None:
    """Two of one region, whose preferred partner lies abroad: one asked to stay, and has no byte there."""
    free, stays = company.create("free"), company.create("stays", keep_in="US")
    assert (free.kept_in, stays.kept_in) == (None, "US")
    for tenant in (free, stays):
        company.cancel(tenant)
    company.advance(days=1)
    company.run()
    assert regions_of_copies(company, free) == {HOME, ABROAD}
    assert regions_of_copies(company, stays) == {HOME, INSIDE}
    assert company.alarms(stays) == set()


def test_a_region_that_is_down_sends_nothing_abroad(company: Company) -> None:
    """Who stays is short of a copy for a while, with an alarm, rather than have one elsewhere."""
    stays = company.create("stays", keep_in="US")
    company.vault.unreachable.add(INSIDE)
    company.advance(days=1)
    company.run()
    assert regions_of_copies(company, stays) == {HOME, INSIDE}
    assert "short-of-copies" in company.alarms(stays)


# Elsewhere


def test_a_restore_elsewhere_goes_where_data_and_backups_may_stay(company: Company) -> None:
    """Not abroad, and not to a region of the jurisdiction whose backups would go abroad."""
    policy = company.policies.regions
    free, stays = company.create("free"), company.create("stays", keep_in="US")
    anywhere = elsewhere(HOME, PARTNERS, company.registry.explanation(free.uid), policy, LAWS)
    assert anywhere.regions == (ABROAD, INSIDE)
    told = company.registry.explanation(stays.uid)
    inside = elsewhere(HOME, PARTNERS, told, policy, LAWS)
    assert inside.regions == (INSIDE,)
    assert inside.objections[ABROAD] == "outside US, where this tenant's data is kept"
    abroad_only = with_partners(ABROAD, of=INSIDE)
    lonely = elsewhere(HOME, INSIDE, told, abroad_only, LAWS)
    assert lonely.regions == ()
    assert lonely.objections[INSIDE] == "no partner in US for its backups, which are kept there too"


def test_a_backup_brought_back_as_a_new_tenant_stays_where_its_source_stays(company: Company) -> None:
    """It inherits the jurisdiction, and the size that its room is counted by."""
    source = company.create("source", keep_in="US")
    company.advance(days=1)
    company.run()
    backup = company.registry.backups(source.uid)[-1]
    basis = Basis(Ground.CUSTOMER_REQUEST, "TICKET-1")
    made = request_restore(company.world, company.registry.tenant(source.uid), backup, basis, name="again")
    assert made.kept_in == "US"
    assert made.size == company.registry.tenant(source.uid).size > 0
    company.run()
    company.advance(days=1)
    company.run()
    assert regions_of_copies(company, made) == {HOME, INSIDE}
