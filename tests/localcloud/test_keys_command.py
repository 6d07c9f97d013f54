"""The key store as a drill, through the real clients: the registry's keys lost, a bucket lost, a KMS lost."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.backups.planning import newest_complete
from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings
from tenantctl.model.backup import Backup
from tenantctl.sweeps.drills import run_drill
from tests.localcloud.company import HOME, PLACE, Company, throw_away_company

PARTNER = "us-central1"


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """A company with one tenant, and a backup of it."""
    with throw_away_company() as made:
        made.do("tenant", "create", "acme", "--based-in", PLACE, "--wait")
        made.do("backup", "now", "acme")
        yield made


def world_of(company: Company) -> CloudWorld:
    return CloudWorld(load_settings(company.environment()))


def lose(company: Company, *, registry: bool, buckets: tuple[str, ...]) -> list[Backup]:
    """Loses the wrapped keys in the registry, in key buckets, or both; what was there before."""
    uid = company.tenant("acme")["uid"]
    with closing(world_of(company)) as world:
        before = list(world.registry.backups(uid))
        for backup in before:
            for region in buckets:
                world.key_store.remove(region, f"{uid}/{backup.id}.key")
        if registry:
            world.registry.make_due(uid)
            lease = world.registry.claim("a fault", lease=timedelta(minutes=1), tenant=uid)
            assert lease is not None
            with world.registry.fenced(lease) as writes:
                for backup in before:
                    for copy in backup.copies:
                        writes.put_copy(replace(copy, wrapped_key=None))
            world.registry.release(lease, due_at=world.registry.now(), duty=None)
    return before


def keys_of(company: Company) -> dict[tuple[str, str], str | None]:
    backups = json.loads(company.do("backup", "list", "acme", "-o", "json"))
    return {(one["id"], copy["region"]): copy["wrapped_key"] for one in backups for copy in one["copies"]}


def test_the_registrys_keys_come_back_from_the_key_buckets(company: Company) -> None:
    """Found by the check, rebuilt byte for byte, and then there is nothing to find."""
    assert company.ask("backup", "keys", "check").code == 0
    before = keys_of(company)
    lose(company, registry=True, buckets=())
    found = company.ask("backup", "keys", "check", "-o", "json")
    assert found.code == 6
    assert {one["fault"] for one in found.json()["findings"]} == {"not-in-registry"}
    assert len(json.loads(company.do("backup", "keys", "rebuild", "-o", "json"))["rebuilt"]) == len(before)
    assert keys_of(company) == before
    assert company.ask("backup", "keys", "check").code == 0
    assert "whole" in company.do("journal", "verify")


def test_a_key_bucket_comes_back_from_the_registry_and_from_the_other_region(company: Company) -> None:
    lose(company, registry=False, buckets=(HOME,))
    found = company.ask("backup", "keys", "check", "-o", "json")
    assert {(one["region"], one["fault"]) for one in found.json()["findings"]} == {(HOME, "not-in-bucket")}
    company.do("backup", "keys", "rebuild")
    lose(company, registry=True, buckets=(HOME,))
    found = company.ask("backup", "keys", "check", "-o", "json")
    assert {one["fault"] for one in found.json()["findings"]} == {"nowhere", "not-in-registry"}
    company.do("backup", "keys", "rebuild")
    assert company.ask("backup", "keys", "check").code == 0


def test_with_one_regions_kms_lost_the_other_opens_everything(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drill of each region's copy goes through, whichever KMS is silent; with both silent it waits."""
    monkeypatch.setattr("tenantctl.bootstrap.PATIENCE_SECONDS", 1.0)  # the silence lasts longer than any patience
    with closing(world_of(company)) as world:
        tenant = world.registry.find("acme")
        backup = newest_complete(world.registry.backups(tenant.uid))
        assert backup is not None
        for silent in (HOME, PARTNER):
            fault = company.cloud.add_fault("kms", "status", path=silent, status=503)
            assert run_drill(world, tenant, backup, region=None).good
            company.cloud.clear_faults(fault)
        company.cloud.add_fault("kms", "status", status=503)
        drill = run_drill(world, tenant, backup, region=None)
        company.cloud.clear_faults()
        assert not drill.good
        assert "No key opens" in drill.reason
    (one,) = json.loads(company.do("backup", "drill", "--backup", backup.id, "-o", "json"))
    assert one["good"], "what could not be looked at was not taken for bad"
