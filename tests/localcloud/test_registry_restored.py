"""A registry that was really brought back from a dump, on a local cloud, through the public command line alone."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tenantctl.bootstrap.administration import LOCAL_MIGRATOR
from tenantctl.localcloud.template import ADMIN_ROLE
from tenantctl.pgbin import find_programs
from tests.house.repository import ROOT
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

    def run_as_migrator(self, command: str) -> None:
        """A command of PostgreSQL's, as the runbook has it, on the registry and as its migrator."""
        place = {"PGHOST": self._place["host"], "PGPORT": self._place["port"], "PGUSER": LOCAL_MIGRATOR}
        program, *arguments = shlex.split(command)
        subprocess.run(
            [str(find_programs().path(program)), *arguments],
            env={**os.environ, **place, "PGDATABASE": REGISTRY},
            check=True,
            capture_output=True,
        )

    @staticmethod
    def _has_registry(place: dict[str, str]) -> bool:
        with psycopg.connect(make_conninfo(**place, dbname="postgres")) as session:
            return session.execute("SELECT FROM pg_database WHERE datname = %s", [REGISTRY]).fetchone() is not None


def from_the_runbook(program: str, file: Path) -> str:
    """The runbook's own command line with this program, on this file."""
    (line,) = re.findall(rf"^\$ ({program} .*)$", (ROOT / "docs/RUNBOOK.md").read_text(), re.MULTILINE)
    return str(line).replace("registry.dump", str(file))


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
    superuser.run_as_migrator(from_the_runbook("pg_dump", tmp_path / "registry.dump"))
    company.do("local", "advance", "10d")
    company.do("run")
    assert "Locked anchor" in company.do("registry", "anchor")
    company.do("registry", "status")
    superuser.run_as_migrator(from_the_runbook("pg_restore", tmp_path / "registry.dump"))
    assert json.loads(company.do("db", "current", "-o", "json"))["pending"] == []

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


def test_a_schema_that_nobody_here_knows_is_worked_on_by_nobody(company: Company) -> None:
    """By a worker as a job or at a shell, and by no other command; what is wrong is one sentence with what to do."""
    assert company.do("db", "upgrade") == "Nothing is pending.\n"
    assert company.do("db", "upgrade", "--sql") == ""
    assert "may work" in company.do("db", "grant", BOB)
    known = json.loads(company.do("db", "current", "-o", "json"))
    assert (known["revision"], known["pending"]) == (known["head"], [])
    with Superuser(company).connect() as session:
        session.execute("UPDATE alembic_version SET version_num = '9999'")
        session.execute('COMMENT ON TABLE alembic_version IS \'{"works_with": "9999"}\'')
        try:
            for command in (("run",), ("tenant", "list"), ("db", "upgrade"), ("freeze", "all", "--reason", "x")):
                answer = company.ask(*command)
                assert (answer.code, answer.err.count("\n")) == (3, 2), command
                assert "older than the registry's schema" in answer.err
            job = company.start("run", CLOUD_RUN_JOB="tenantctl-backup")
            job.communicate(timeout=300)
            assert job.returncode == 3  # the platform shows it as failed
            shown = company.ask("db", "current", "-o", "json")
            assert (shown.code, shown.json()["revision"]) == (3, "9999")
            found = {one["subject"]: one for one in company.ask("doctor", "-o", "json").json()}
            assert not found["registry"]["good"]
        finally:
            session.execute("UPDATE alembic_version SET version_num = %s", [known["head"]])
            session.execute(
                f'COMMENT ON TABLE alembic_version IS \'{{"works_with": "{known["works_with"]}"}}\''.encode()
            )
    company.do("run")
