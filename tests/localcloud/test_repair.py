"""A backup that is short of a copy is completed from its own, with the real clients: a KMS refuses, and then wraps."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tenantctl.backups.keys import open_identity
from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings
from tenantctl.model.backup import Backup, BackupState
from tenantctl.model.errors import ExitCode
from tests.localcloud.company import HOME, PLACE, Company, throw_away_company

TENANT, PARTNER = "patched", "us-central1"


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    with throw_away_company() as made:
        made.do("tenant", "create", TENANT, "--based-in", PLACE, "--wait")
        yield made


def newest(world: CloudWorld) -> Backup:
    uid = world.registry.find(TENANT).uid
    return max(world.registry.backups(uid), key=lambda one: one.begun_at)


def test_a_region_whose_kms_refuses_is_made_good(company: Company) -> None:
    """Short and alarmed at once, complete after the next run; the copy that came late opens by its own region's key."""
    company.cloud.advance(timedelta(hours=1))
    fault = company.cloud.add_fault("kms", "status", path=f"/{PARTNER}/.*:encrypt", status=403)
    answer = company.ask("backup", "now", TENANT)
    assert answer.code == ExitCode.FINDINGS, answer
    assert "short of copies" in answer.err
    world = CloudWorld(load_settings(company.environment()))
    try:
        short = newest(world)
        assert (short.state, short.regions_holding()) == (BackupState.SHORT, (HOME,))
        assert PARTNER in next(
            one.reason for one in world.registry.alarms(short.tenant_uid) if one.code == "short-of-copies"
        )
        company.cloud.clear_faults(fault)
        company.cloud.advance(timedelta(hours=1))
        company.do("run", "--tenant", TENANT)
        whole = next(one for one in world.registry.backups(short.tenant_uid) if one.id == short.id)
        assert whole.state is BackupState.COMPLETE
        assert {copy.region: (copy.size, copy.crc32c) for copy in whole.copies} == dict.fromkeys(
            (HOME, PARTNER), (whole.copies[0].size, whole.copies[0].crc32c)
        )
        assert world.registry.alarms(short.tenant_uid) == []
        company.cloud.add_fault("kms", "status", path=f"/{HOME}/.*:decrypt", status=403)
        assert open_identity(world, whole).recipient == whole.recipient
    finally:
        world.close()
        company.cloud.clear_faults()
    events = [entry["event"] for entry in company.journal(TENANT)]
    assert events.index("backup-short") < events.index("copy-repair-begun") < events.index("copy-repaired")
    listed = json.loads(company.do("backup", "list", TENANT, "-o", "json"))
    assert short.id in str(listed)
