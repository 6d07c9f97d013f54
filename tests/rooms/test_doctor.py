"""What the doctor says in production: of each thing that can be wrong its sentence, and the worst of them all."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from tenantctl import pgbin
from tenantctl.entrypoints.cli.main import cli
from tenantctl.model.errors import ExitCode, Refused, Transient
from tenantctl.model.sighting import Present, Sighting, Unreachable
from tenantctl.ports.instances import InstanceSeen
from tenantctl.ports.project import RateSeen
from tenantctl.sweeps.doctor import Finding, backlog_finding, clock_finding, examine, instance_faults, worst
from tenantctl.sweeps.doctor_project import CALLED, RATED, examine_programs, examine_project
from tests.house.repository import ROOT
from tests.rooms.company import Company

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAFE = InstanceSeen(
    "one", "us-south1", "RUNNABLE", "POSTGRES_18", True, (("cloudsql.iam_authentication", "on"),), (), True, False
)
ALL_ENABLED = Present(frozenset(CALLED))
LIMITED = Present((RateSeen("a", "calls", "1/min/{project}", 180),))
CONFIGURATION = ROOT / "tests/fixtures/terraform-configuration.json"


@dataclass(frozen=True)
class KnownProject:
    """A project that is as it was made; an exception in the caller's place is raised."""

    who: str | Exception = "audit@acme.iam.gserviceaccount.com"
    enabled: Sighting[frozenset[str]] = ALL_ENABLED
    limits: Sighting[Sequence[RateSeen]] = LIMITED

    def caller(self) -> str:
        if isinstance(self.who, Exception):
            raise self.who
        return self.who

    def apis(self) -> Sighting[frozenset[str]]:
        return self.enabled

    def rates(self, api: str) -> Sighting[Sequence[RateSeen]]:
        assert api in RATED
        return self.limits


def bad(findings: Iterator[Finding] | Sequence[Finding]) -> dict[str, Finding]:
    """Those that are not good, each with something to do."""
    found = {one.subject: one for one in findings if not one.good}
    assert all(one.remedy for one in found.values())
    return found


def test_a_project_in_order_has_no_fault() -> None:
    """Credentials, APIs and rates."""
    findings = list(examine_project(KnownProject()))
    assert bad(findings) == {}
    assert worst(findings) is ExitCode.OK
    assert [one.subject for one in findings] == ["credentials", "APIs", *(f"quotas of {api}" for api in RATED)]


@pytest.mark.parametrize(
    ("project", "subject", "says", "code"),
    [
        (KnownProject(who=Refused("no", hint="log in")), "credentials", "no", ExitCode.FINDINGS),
        (KnownProject(who=Transient("later")), "credentials", "later", ExitCode.UNREACHABLE),
        (
            KnownProject(enabled=Present(frozenset(CALLED) - {"sqladmin.googleapis.com"})),
            "APIs",
            "switched off: sqladmin.googleapis.com",
            ExitCode.FINDINGS,
        ),
        (KnownProject(enabled=Unreachable("403")), "APIs", "could not be looked at: 403", ExitCode.UNREACHABLE),
        (
            KnownProject(limits=Present((RateSeen("a", "Mutate requests", "1/min/{project}", 0),))),
            f"quotas of {RATED[0]}",
            "nothing may be called of: Mutate requests",
            ExitCode.FINDINGS,
        ),
        (KnownProject(limits=Unreachable("403")), f"quotas of {RATED[1]}", "could not", ExitCode.UNREACHABLE),
    ],
)
def test_what_is_wrong_with_a_project(project: KnownProject, subject: str, says: str, code: ExitCode) -> None:
    """Each by its subject, with the exit code of the worst."""
    findings = list(examine_project(project))
    assert says in bad(findings)[subject].sentence
    assert worst(findings) is code


def test_who_is_nobody_is_told_once() -> None:
    """Without credentials nothing of the project can be known."""
    assert len(list(examine_project(KnownProject(who=Refused("no", hint="log in"))))) == 1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, ""),
        ({"deletion_protected": False}, "may be deleted by anyone"),
        ({"recovers_to_any_moment": False}, "cannot be brought back to any moment"),
        ({"flags": ()}, "takes no IAM logins"),
        ({"public": True}, "has a public address"),
    ],
)
def test_what_protects_an_instance(changes: dict[str, object], fault: str) -> None:
    """Each protection is looked at; an address of this machine is no fault of a local cloud."""
    assert list(instance_faults(replace(SAFE, **changes), private=True)) == ([fault] if fault else [])  # type: ignore[arg-type]
    assert "has a public address" not in list(instance_faults(replace(SAFE, public=True), private=False))


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (-5, True), (6, False), (-3600, False)])
def test_clocks_must_agree(seconds: int, good: bool) -> None:
    """In either direction."""
    assert clock_finding(NOW + timedelta(seconds=seconds), NOW).good is good


def test_work_that_nobody_starts_is_found(tmp_path: Path) -> None:
    """A tenant that is due for days has not been looked at for as long."""
    company = Company()
    tenant = company.request("acme")
    fresh = [replace(tenant, due_at=NOW - timedelta(hours=23)), replace(tenant, due_at=NOW + timedelta(days=9))]
    assert backlog_finding(fresh, now=NOW).good
    late = backlog_finding([*fresh, replace(tenant, due_at=NOW - timedelta(hours=25))], now=NOW)
    assert not late.good
    assert "1 tenants are due" in late.sentence
    assert "acme" in late.sentence


def test_a_fleet_is_looked_at_with_the_registrys_own_instance() -> None:
    """It is not in the registry, and must be protected like any other."""
    company = Company()
    found = {one.subject: one for one in examine(company.world, registry_instance="registry")}
    assert found["instance registry"].sentence == "does not exist any more"
    assert found["backlog"].good
    assert "clock" not in found


@pytest.mark.parametrize(
    ("program", "says"), [("", "no program"), ("pg_dump (PostgreSQL) 17.2", "of version 17.2"), ("pg_dump", "version")]
)
def test_clients_that_cannot_dump_are_a_finding(
    program: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absent, too old, or not what they say."""
    for name in ("pg_dump", "pg_restore") if program else ():
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{program}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv(pgbin.BINDIR_VARIABLE, str(tmp_path))
    pgbin.find_programs.cache_clear()
    try:
        found = examine_programs()
    finally:
        pgbin.find_programs.cache_clear()
    assert not found.good
    assert says in found.sentence
    assert found.remedy


def test_without_credentials_just_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what can be known without them is looked at all the same."""
    monkeypatch.setenv("TENANTCTL_CONFIG", str(CONFIGURATION))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    answer = CliRunner().invoke(cli, ["doctor", "-o", "json"], standalone_mode=False)
    found = {one["subject"]: one for one in json.loads(answer.stdout)}
    assert [name for name, one in found.items() if not one["good"]] == ["credentials"]
    assert {"configuration", "PostgreSQL's clients", "policies"} <= found.keys()
    assert "gcloud auth application-default login" in found["credentials"]["remedy"]


def test_a_faulty_configuration_is_a_finding_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is looked at as far as it goes without."""
    monkeypatch.setenv("TENANTCTL_PROJECT", "")
    answer = CliRunner().invoke(cli, ["doctor", "-o", "json"], standalone_mode=False)
    found = {one["subject"]: one for one in json.loads(answer.stdout)}
    assert not found["configuration"]["good"]
    assert found["policies"]["good"]


def test_the_apis_that_are_called_are_those_that_terraform_switches_on() -> None:
    """And no other."""
    source = (ROOT / "terraform/modules/governance/main.tf").read_text()
    assert not [api for api in CALLED if f'"{api}"' not in source]
