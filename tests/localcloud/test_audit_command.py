"""`tenantctl audit` through the real door: real clusters, the real store, and what somebody did behind the program."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from tenantctl.adapters.postgres.control import ControlSessions
from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings
from tenantctl.engine.ending import Ending
from tenantctl.sweeps.audits import Audit, audit, places
from tests.localcloud.company import PLACE, TENANTS_INSTANCE, Company, throw_away_company


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    with throw_away_company() as made:
        made.do("tenant", "create", "acme", "--based-in", PLACE, "--wait")
        made.do("run")
        yield made


@pytest.fixture(scope="module")
def world(company: Company) -> Iterator[CloudWorld]:
    with closing(CloudWorld(replace(load_settings(company.environment()), login="alice@example.com"))) as opened:
        yield opened


def found(world: CloudWorld, which: Audit) -> tuple[list[tuple[str, str]], list[str]]:
    """Codes and places of what is found, and the places that could not be looked at."""
    done = list(audit(world, places(world, which), ending=Ending()))
    findings = [(one.code, one.where) for place in done for one in place.findings]
    return sorted(findings), [one.place for one in done if one.unseen]


def test_what_the_store_lost_and_what_nobody_wrote_down(company: Company, world: CloudWorld) -> None:
    """In order, nothing is found; then by the command and by the audit duty, which comes to each place once a day."""
    fleet = json.loads(company.do("audit", "drift", "-o", "json"))
    assert (fleet["unseen"], fleet["findings"]) == ({}, [])
    assert fleet["audited"] > 10
    assert found(world, Audit.VAULT) == ([], [])
    copy = world.registry.backups(world.registry.find("acme").uid)[-1].copies[0]
    assert company.cloud.lose_object(copy.bucket, copy.object_name)
    world.vault.put(copy.bucket, "nobody/b1/dump.zst.age", b"what is this")
    where = f"copies in {copy.bucket}"
    answer = company.ask("audit", "vault", "--region", copy.region, "-o", "json")
    told = [(one["code"], one["where"], one["subject"]) for one in answer.json()["findings"]]
    assert told == [("copy-lost", where, copy.object_name), ("object-unknown", where, "nobody/b1/")]
    assert answer.code == 6
    company.do("local", "advance", "21h")
    lines = [json.loads(line) for line in company.ask("run", "--duty", "audit").out.splitlines()]
    (line,) = [line for line in lines if line["kind"] == "audit" and line["findings"]]
    alarms = sorted(one["alarm"] for one in line["findings"])
    assert (line["place"], alarms) == (where, ["copy-lost", "object-unknown"])
    again = [json.loads(line)["kind"] for line in company.ask("run", "--duty", "audit").out.splitlines()]
    assert "audit" not in again


def test_what_was_done_behind_the_program_is_told_and_left(world: CloudWorld) -> None:
    """A database of nobody, a login that was closed, versioning on a vault; set right by a person, told no more."""
    hosting = world.registry.find("acme").hosting
    bucket = world.storage_client.get_bucket(world.registry.backups(hosting.uid)[-1].copies[1].bucket)
    bucket.versioning_enabled = True
    bucket.patch()
    with ControlSessions(world.sessions).inside(TENANTS_INSTANCE, "postgres") as session:
        session.execute("CREATE DATABASE shop TEMPLATE template0")
        session.execute(f"ALTER ROLE {hosting.login} NOLOGIN".encode())
        findings, unseen = found(world, Audit.DRIFT)
        session.execute("DROP DATABASE shop")
        session.execute(f"ALTER ROLE {hosting.login} LOGIN".encode())
    assert unseen == []
    assert findings == [
        ("bucket-terms", f"bucket {bucket.name}"),
        ("database-unknown", f"instance {TENANTS_INSTANCE}"),
        ("logins-closed", f"instance {TENANTS_INSTANCE}"),
    ]
    bucket.versioning_enabled = False
    bucket.patch()
    assert found(world, Audit.DRIFT) == ([], [])


def test_an_instance_that_is_silent_is_unknown_and_not_empty(company: Company, world: CloudWorld) -> None:
    """Nothing is missing on it: it could not be looked at."""
    company.cloud.stop_instance(TENANTS_INSTANCE)
    try:
        assert found(world, Audit.DRIFT) == ([], [f"instance {TENANTS_INSTANCE}"])
    finally:
        company.cloud.start_instance(TENANTS_INSTANCE)
