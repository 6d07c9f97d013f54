"""Every fault of the table, on the whole path: the real clients, programs and servers, on a local cloud."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from tenantctl.adapters.google import vault
from tenantctl.adapters.retry import Patience
from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings
from tests.faults.ending import ends_well
from tests.faults.row import Row
from tests.faults.scene import Scene
from tests.faults.table import TABLE, page
from tests.house.repository import ROOT
from tests.localcloud.company import HOME, TENANTS_INSTANCE, Company, throw_away_company

IMPATIENT_SECONDS = 1.0  # minutes of trouble are those that outlast all patience: here it is shorter than in production
PATIENT_SECONDS = 20.0  # trouble that heals within a run does so on a machine with much to do, too
ROWS_MIN = 40


def test_the_table_is_on_paper() -> None:
    """`make docs` would change nothing, and the table is as long as was promised."""
    assert (ROOT / "docs/FAULTS.md").read_text(encoding="utf-8") == page()
    assert len(TABLE) >= ROWS_MIN
    assert len({row.commit for row in TABLE}) == len(TABLE)


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """One company for all faults of this worker; each has its own tenant."""
    with throw_away_company() as made:
        # Each row has a tenant of its own, and all rows may come to one process.
        made.do("instance", "add", TENANTS_INSTANCE, "--region", HOME, "--databases-max", "200")
        yield made


@pytest.fixture
def world(company: Company, row: Row, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudWorld]:
    """The real adapters, a little impatient where the trouble outlasts them."""
    seconds = IMPATIENT_SECONDS if row.alarm is not None or row.lasting else PATIENT_SECONDS
    monkeypatch.setattr("tenantctl.bootstrap.PATIENCE_SECONDS", seconds)
    monkeypatch.setattr(vault, "Patience", lambda: Patience(seconds=seconds))
    settings = replace(load_settings(company.environment()), login="alice@example.com")
    with closing(CloudWorld(settings)) as made:
        yield made


def identifier(row: Row) -> str:
    """A row's name in a report."""
    number = TABLE.index(row) + 1
    return f"{number:02}-{row.stage}-{row.commit.__name__.replace('_', '-')}"


@pytest.mark.parametrize("row", TABLE, ids=identifier)
def test_a_fault_ends_in_a_true_state(row: Row, company: Company, world: CloudWorld) -> None:
    """It is told while it lasts; afterwards all is as `ends_well` says, and what claims to be a backup restores."""
    name = f"{row.stage}-{TABLE.index(row) + 1}".lower()
    scene = Scene.begin(company, world, name, bulky=row.bulky)
    try:
        row.commit(scene)
        if row.alarm is not None:
            assert row.alarm in scene.alarms()
        else:
            assert scene.alarms() <= row.lasting
        ends_well(scene, row.lasting)
    finally:
        scene.lift()
