"""Commands as an SRE meets them on a bad day: exit codes that schedules rest on, sentences instead of tracebacks."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tenantctl.config import load_settings
from tenantctl.entrypoints.cli.main import run
from tenantctl.model.errors import ExitCode, Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import IntentKind, Tenant
from tests.rooms.company import PARTNER, TENANTS_INSTANCE, Company, company_at_a_shell


@pytest.fixture
def company(monkeypatch: pytest.MonkeyPatch) -> Company:
    return company_at_a_shell(monkeypatch)


def state(company: Company, tenant: Tenant) -> State:
    return company.registry.tenant(tenant.uid).state


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_moment_that_no_calendar_has_is_a_wrong_command_line(company: Company, moment: str) -> None:
    company.create()
    assert run(["tenant", "cancel", "acme", "--effective-at", moment]) == ExitCode.USAGE


def test_a_backup_that_failed_is_not_verified_but_said_to_have_failed(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a traceback nor another alarm's words."""
    tenant = company.create()
    company.advance(days=1)
    company.run_until_killed(80)
    company.advance(minutes=10)
    company.run()
    failed = [one for one in company.registry.backups(tenant.uid) if one.state == "failed"]
    assert failed, "the killed attempt was given up"
    assert run(["backup", "verify", "acme", "--backup", failed[0].id]) == ExitCode.FINDINGS
    assert f"Backup {failed[0].id} is not good" in capsys.readouterr().err


def test_a_backup_without_a_copy_is_not_said_to_be_verified(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = company.create()
    company.run()
    backup = company.registry.backups(tenant.uid)[0]
    for copy in backup.copies:
        company.vault.lose(copy.bucket, copy.object_name)
    company.advance(days=2)
    company.run()
    assert run(["backup", "verify", "acme", "--backup", backup.id]) == ExitCode.WAITING
    printed = capsys.readouterr()
    assert "has no copy" in printed.err
    assert "is verified" not in printed.out


def test_a_backup_that_is_short_of_copies_is_a_finding(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever makes one before an upgrade must not read success where one region has nothing."""
    tenant = company.create()
    company.run()
    for name in list(company.vault._buckets):
        if PARTNER in name:
            company.vault.drop_bucket(name)
    assert run(["backup", "now", "acme"]) == ExitCode.FINDINGS
    assert "short" in capsys.readouterr().err
    assert "short-of-copies" in company.alarms(tenant)


@pytest.mark.parametrize(
    ("trouble", "code"), [(Transient("no answer"), ExitCode.UNREACHABLE), (Refused("never"), ExitCode.FINDINGS)]
)
def test_a_run_in_which_something_was_refused_is_not_a_good_run(
    company: Company, trouble: Exception, code: ExitCode
) -> None:
    company.create()
    company.advance(days=1)

    def broken(*_: object) -> None:
        raise trouble

    company.databases.dump = broken  # type: ignore[method-assign, assignment]
    assert run(["run"]) == code


def test_a_run_that_met_an_alarm_is_not_a_good_run_and_names_it(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    company.deactivated()
    company.servers[TENANTS_INSTANCE].reachable = False
    company.advance(days=2)
    capsys.readouterr()
    assert run(["run", "--json-lines"]) == ExitCode.FINDINGS
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    turn = next(line for line in lines if line["kind"] == "tenant")
    assert turn["blockers"] == ["instance-unreachable"]


def test_a_run_that_waits_for_nothing_but_time_is_a_good_run(company: Company) -> None:
    company.deactivated()
    company.advance(days=1)
    assert run(["run"]) == ExitCode.OK


def test_a_journal_that_grows_while_it_is_read_is_whole(company: Company) -> None:
    """An incident that none is costs somebody's night."""
    tenant = company.create()
    entries = company.registry.entries

    def growing(uid: str) -> Any:
        read = entries(uid)
        if not grown:
            grown.append(uid)
            company.registry.record_intent(
                company.registry.tenant(uid),
                IntentKind.CANCEL,
                cause="test",
                instructing_party="customer",
                effective_at=company.moment + timedelta(days=1),
            )
        return read

    grown: list[str] = []
    company.registry.entries = growing  # type: ignore[method-assign]
    assert run(["journal", "verify", "acme"]) == ExitCode.OK
    assert grown == [tenant.uid]


def test_waiting_for_a_cancellation_of_what_was_never_created_ends_well(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = company.request()
    assert run(["tenant", "cancel", "acme", "--wait"]) == ExitCode.OK
    assert state(company, tenant) is State.FORGOTTEN
    assert "forgotten" in capsys.readouterr().out


def test_waiting_goes_on_when_another_has_the_tenant_meanwhile(company: Company) -> None:
    """A lease that is lost is somebody else at work, and not the end of what is waited for."""
    tenant = company.create()
    lost: list[object] = []
    close = company.databases.close_logins

    def slow(hosting: Any) -> None:
        close(hosting)
        if not lost:
            lost.append(hosting)
            company.moment += timedelta(minutes=6)

    company.databases.close_logins = slow  # type: ignore[method-assign]
    assert run(["tenant", "cancel", "acme", "--wait"]) == ExitCode.OK
    assert state(company, tenant) is State.DEACTIVATED


def test_nobody_is_named_as_anothers_uid(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that names a uid must not reach the tenant that chose it for a name."""
    victim = company.request("victim")
    uid = next_uid_that_is_a_name(company, victim)
    assert run(["tenant", "create", uid, "--based-in", "Southlake, TX, US"]) == ExitCode.REFUSED
    assert "uid" in capsys.readouterr().err


def next_uid_that_is_a_name(company: Company, tenant: Tenant) -> str:
    number = 0
    while not tenant.uid[0].isalpha():
        number += 1
        tenant = company.request(f"victim-{number}")
    return tenant.uid


@pytest.mark.parametrize("name", ["TENANTCTL_PROJECT", "TENANTCTL_REGISTRY_INSTANCE"])
def test_a_blank_or_half_set_production_is_not_a_local_cloud(name: str, tmp_path: Any) -> None:
    """Whoever sets one of these means production: the local cloud beside it is not worked on instead."""
    environment = {"TENANTCTL_LOCAL_DIR": str(tmp_path), name: ""}
    with pytest.raises(Refused, match="TENANTCTL_"):
        load_settings(environment)
