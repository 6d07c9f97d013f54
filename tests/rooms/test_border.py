"""A move across a border, on a company in memory: no new byte goes back, and what is still outside is told."""

from dataclasses import replace
from datetime import timedelta

from tenantctl.backups.planning import plan_verification
from tenantctl.bootstrap import policies
from tenantctl.model.backup import CopyState, bucket_name
from tenantctl.model.move import closed_regions
from tenantctl.model.sighting import Gone
from tenantctl.model.tenant import Instance, InstanceRole, Tenant
from tenantctl.ports.vault import BucketSeen
from tenantctl.relocation.outside import Place, placed, told
from tenantctl.relocation.request import request_move
from tenantctl.sweeps.tenants import carry_out
from tests.rooms.company import HOME, PARTNER, Company
from tests.rooms.moving_cases import ARRIVED, MOVE
from tests.rooms.test_relocation import backed_up, works

ABROAD, BESIDE = "northamerica-northeast1", "northamerica-northeast2"
OLD, NEW = (HOME, PARTNER), (ABROAD, BESIDE)
LAWS = {HOME: "US", PARTNER: "US", ABROAD: "CA", BESIDE: "CA"}


def test_a_jurisdiction_is_closed_to_who_moved_out_of_it_and_not_back() -> None:
    """Within one nothing is closed; before the cut-over neither."""
    out = (replace(ARRIVED, source_region=HOME, region=ABROAD),)
    assert closed_regions(out, ABROAD, LAWS) == {HOME, PARTNER}
    assert closed_regions(out, HOME, LAWS) == frozenset()
    assert closed_regions((MOVE,), ABROAD, LAWS) == frozenset()
    assert closed_regions((ARRIVED,), PARTNER, LAWS) == frozenset()


def moved_abroad() -> tuple[Company, Tenant]:
    """A tenant with a backup at home, moved to where its copies have buckets and keys of their own."""
    company = Company()
    for region in NEW:
        company.keys.make_key(region)
        company.key_store.make_bucket(region)
        for retention_class, term in policies().backups.classes.items():
            name = bucket_name("acme", region, retention_class, term.age_days)
            company.vault.make_bucket(name, BucketSeen.locked_for(region, term))
    company.registry.add_instance(Instance("abroad-1", ABROAD, InstanceRole.TENANTS, 400))
    company.registry.add_instance(Instance("abroad-v", ABROAD, InstanceRole.VERIFY, 400))
    tenant = backed_up(company)
    request_move(company.world, tenant, ABROAD, cause="our office moved", instructing_party="customer")
    moved = works(company, tenant)
    assert moved.hosting.region == ABROAD
    return company, moved


def copies(company: Company, tenant: Tenant) -> dict[str, list[tuple[str, CopyState]]]:
    return {
        backup.id: [(copy.region, copy.state) for copy in backup.copies]
        for backup in company.registry.backups(tenant.uid)
    }


def test_after_a_border_new_copies_go_to_the_new_place_alone() -> None:
    """Also where a partner of it lies in the jurisdiction that was left; old copies stay until their term."""
    company, tenant = moved_abroad()
    word = company.policies.regions.regions[ABROAD]
    further = replace(word, partners=(HOME, *word.partners), partners_abroad=True)
    regions = replace(company.policies.regions, regions={**company.policies.regions.regions, ABROAD: further})
    company.policies = replace(company.policies, regions=regions)
    before = copies(company, tenant)
    company.advance(days=1)
    company.run()
    made = {name: found for name, found in copies(company, tenant).items() if name not in before}
    assert [sorted(region for region, _ in found) for found in made.values()] == [[ABROAD, BESIDE]]
    assert {name: found for name, found in copies(company, tenant).items() if name in before} == before
    assert company.alarms(tenant) == set()


def test_what_is_lost_outside_is_not_made_again_there() -> None:
    """Nor is a restore tried there; the next backup, of the new place, takes its turn."""
    company, tenant = moved_abroad()
    newest = company.registry.backups(tenant.uid)[-1]
    lost = next(copy for copy in newest.copies if copy.region == PARTNER)
    company.vault.lose(lost.bucket, lost.object_name)
    company.advance(hours=12)
    company.run()
    assert (PARTNER, CopyState.WRITTEN) not in copies(company, tenant)[newest.id]
    turns = [carry_out(company.world, lambda world, one: plan_verification(one, newest, "asked for"), tenant)]
    assert [turn.trouble.sentence for turn in turns if turn.trouble] == [
        f"Backup {newest.id} is restored nowhere: its copies lie where acme has moved away from."
    ]
    company.advance(days=1)
    company.run()
    assert isinstance(company.vault.look(lost.bucket, lost.object_name), Gone)
    assert {region for region, _ in copies(company, tenant)[company.registry.backups(tenant.uid)[-1].id]} == set(NEW)


def test_what_is_outside_is_listed_until_when_and_by_whose_instruction() -> None:
    """Copies and keys by their dates, the database that was left with the days that it is kept at least."""
    company, tenant = moved_abroad()
    moves, laws = company.registry.moves(tenant.uid), company.world.jurisdictions

    def listed() -> list[Place]:
        lines = company.registry.residues(tenant.uid)
        return list(
            placed(
                tenant,
                lines,
                moves,
                instances=company.registry.instances(),
                jurisdictions=laws,
                policy=policies().lifecycle,
            )
        )

    outside = [one for one in listed() if one.outside]
    assert {one.region for one in outside} == set(OLD)
    assert {one.residue.kind.value for one in outside} == {"database", "copy", "key"}
    database = next(one for one in outside if one.residue.kind.value == "database")
    assert moves[0].cut_over_at is not None
    assert (database.residue.unreadable_after, database.not_before) == (
        None,
        moves[0].cut_over_at + timedelta(days=7 + 8),
    )
    said = told(tenant, listed(), moves, laws) or ""
    assert "Outside CA: 9 places in US, until 2027-" in said
    assert "on the instruction of customer (our office moved)" in said
    company.advance(days=9)
    for _ in range(3):
        company.run()
        company.advance(hours=2)
    kinds = {one.residue.kind.value for one in listed() if one.outside}
    assert kinds == {"instance-backups", "copy", "key"}  # the database was retired, and its instance remembers it
    company.advance(days=400)
    company.run()
    company.advance(days=2)
    company.run()
    assert told(tenant, listed(), moves, laws) is None
