"""A registry that was really brought back from a dump, on a local cloud, through the public command line alone."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tenantctl.localcloud.template import ADMIN_ROLE
from tenantctl.pgbin import find_programs
from tests.localcloud.company import PLACE, Company, throw_away_company

ALICE, BOB = "alice@example.com", "bob@example.com"
REGISTRY = "tenantctl"


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """One company for the tests of this file."""
    with throw_away_company() as running:
        yield running


class Superuser:
    """The bootstrap superuser of the registry's cluster, who goes past the program."""

    def __init__(self, company: Company) -> None:
        folder = Path(str(company.cloud.file.sockets))
        ports = [path.name.rpartition(".")[2] for path in folder.glob(".s.PGSQL.*[0-9]")]
        self._places = [{"host": str(folder), "port": port, "user": ADMIN_ROLE} for port in ports]
        self._place = next(place for place in self._places if self._has_registry(place))

    def connect(self) -> psycopg.Connection[Any]:
        """A session in which no trigger acts."""
        session = psycopg.connect(make_conninfo(**self._place, dbname=REGISTRY), autocommit=True)
        session.execute("SET session_replication_role = replica")
        session.execute("SET search_path = registry")
        return session

    def dump(self, file: Path) -> None:
        """Takes a backup of the registry."""
        self._run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={REGISTRY}")

    def restore(self, file: Path) -> None:
        """Puts the backup in the registry's place."""
        self._run("pg_restore", "--clean", "--if-exists", "--exit-on-error", f"--dbname={REGISTRY}", str(file))

    def _run(self, program: str, *arguments: str) -> None:
        place = {"PGHOST": self._place["host"], "PGPORT": self._place["port"], "PGUSER": self._place["user"]}
        command = [str(find_programs().path(program)), *arguments]
        subprocess.run(command, env={**os.environ, **place}, check=True, capture_output=True)

    @staticmethod
    def _has_registry(place: dict[str, str]) -> bool:
        with psycopg.connect(make_conninfo(**place, dbname="postgres")) as session:
            return session.execute("SELECT FROM pg_database WHERE datname = %s", [REGISTRY]).fetchone() is not None


def test_a_restored_registry_destroys_nothing_until_two_people_have_reconciled_it(
    company: Company, tmp_path: Path
) -> None:
    """Dump, go on, restore: the tenant is past its grace, and stays; reconciled, it goes."""
    superuser = Superuser(company)
    company.do("tenant", "create", "goes", "--based-in", PLACE)
    company.do("run")
    uid = company.tenant("goes")["uid"]
    company.do("tenant", "cancel", "goes")
    company.do("run")
    assert company.tenant(uid)["state"] == "deactivated"
    superuser.dump(tmp_path / "registry.dump")
    company.do("local", "advance", "10d")
    company.do("run")
    assert "Locked anchor" in company.do("registry", "anchor")
    company.do("registry", "status")
    superuser.restore(tmp_path / "registry.dump")

    told = company.ask("registry", "status")
    assert told.code == 6
    assert "This registry was restored: anchor" in told.err
    company.do("local", "advance", "15d")
    assert company.ask("run").code == 6
    assert company.tenant(uid)["state"] == "deactivated"
    alarms = {line["code"] for line in json.loads(company.do("tenant", "explain", uid, "-o", "json"))["alarms"]}
    assert "blocked/registry-restored" in alarms
    assert "registry-restored" in company.ask("doctor").out

    looked = company.ask("registry", "reconcile", "--dry-run", "-o", "json")
    assert looked.code == 6
    found = looked.json()
    assert {"anchor-unknown", "chain-shorter"} <= {one["code"] for one in found["findings"]}
    assert found["unseen"] == []
    wrong = company.ask("registry", "reconcile", "--accept", "0" * 16)
    assert (wrong.code, wrong.err.count("\n")) == (3, 2)
    assert "any more" in wrong.err
    accept = ("registry", "reconcile", "--accept", found["digest"])
    assert "Another person" in company.do(*accept, identity=ALICE)
    assert company.ask(*accept, identity=ALICE).code == 3
    assert company.ask("registry", "status").code == 6
    assert "trusted again" in company.do(*accept, identity=BOB)

    company.do("registry", "status")
    company.do("local", "advance", "2h")
    company.do("run")
    assert company.tenant(uid)["state"] == "destroyed"
    assert "whole" in company.do("journal", "verify")


def test_what_goes_past_every_trigger_is_found_by_the_anchors(company: Company) -> None:
    """The newest entry cut off, its head set back: every link holds, and the anchor has it."""
    company.do("tenant", "create", "stays", "--based-in", PLACE)
    company.do("run")
    company.do("registry", "anchor")
    assert "whole" in company.do("journal", "verify")
    uid = company.tenant("stays")["uid"]
    with Superuser(company).connect() as session:
        session.execute(
            "DELETE FROM journal WHERE tenant_uid = %s AND sequence = (SELECT max(sequence) FROM journal"
            " WHERE tenant_uid = %s)",
            [uid, uid],
        )
        session.execute(
            "UPDATE journal_heads h SET sequence = j.sequence, hash = j.hash FROM (SELECT * FROM journal"
            " WHERE tenant_uid = %s ORDER BY sequence DESC LIMIT 1) j WHERE h.tenant_uid = j.tenant_uid",
            [uid],
        )
    found = company.ask("journal", "verify", "-o", "json")
    assert found.code == 6
    (fault,) = found.json()["faults"]
    assert uid in fault
    assert "and the chain ends at entry" in fault
    assert company.ask("journal", "verify", "stays").code == 6
    refused = company.ask("registry", "anchor")
    assert refused.code == 3
    assert "some were cut off" in refused.err
