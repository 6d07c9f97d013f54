"""Leaving through the command line on a real local cloud: freeze, cap, approval, hold, last hour, erasure, papers.

The parts follow one another as a morning's work would; each is one test, and they share the company.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tenantctl.adapters.policy_files import policies_folder
from tests.localcloud.company import HOME, PLACE, Answer, Company, throw_away_company

ALICE, BOB = "alice@example.com", "bob@example.com"
REFUSED, CAPPED = 3, 8
NAMES = ("early", "batch-1", "batch-2", "erased")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company whose policy lets one tenant of a region be closed in a day."""
    folder = tmp_path_factory.mktemp("policies") / "policies"
    shutil.copytree(policies_folder(), folder)
    path, yaml = folder / "lifecycle.yaml", YAML()
    content = yaml.load(path.read_text(encoding="utf-8"))
    content["caps"]["deactivate"]["tenants_max"] = 1
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    with throw_away_company() as made:
        for name in NAMES:
            made.do("tenant", "create", name, "--based-in", PLACE)
        made.do("run")
        yield replace(made, policies=folder)


def state(company: Company, name: str) -> str:
    """Where a tenant stands, also once its name is free for another."""
    everyone = json.loads(company.do("tenant", "list", "-o", "json"))
    return str(next(one["state"] for one in everyone if one["name"] == name))


def uid_of(company: Company, name: str) -> str:
    """The dead are named by uid."""
    everyone = json.loads(company.do("tenant", "list", "-o", "json"))
    return str(next(one["uid"] for one in everyone if one["name"] == name))


def the_proposal(company: Company) -> dict[str, Any]:
    """The one thing that waits for approval."""
    (one,) = json.loads(company.do("approval", "list", "-o", "json"))
    found: dict[str, Any] = one
    return found


def refused(answer: Answer, says: str, code: int = REFUSED) -> None:
    """One clear sentence, and what to do."""
    assert answer.code == code, answer
    assert says in answer.err
    assert answer.err.count("\n") <= 3 or code == 2


def test_1_a_freeze_stops_a_closing_until_it_is_ended(company: Company) -> None:
    assert "Frozen since" in company.do("freeze", HOME, "--reason", "the audit looks odd")
    company.do("tenant", "cancel", "early")
    company.ask("run")
    assert state(company, "early") == "active"
    assert "the audit looks odd" in company.do("tenant", "explain", "early")
    assert "alice@example.com" in company.do("freeze")
    refused(company.ask("unfreeze", "all", "--reason", "why"), "no freeze of all", 4)
    company.do("unfreeze", HOME, "--reason", "it was nothing", identity=BOB)
    company.do("local", "advance", "2h")
    company.do("run")
    assert state(company, "early") == "deactivated"


def test_2_beyond_the_cap_two_people_let_one_batch_through(company: Company) -> None:
    company.do("local", "advance", "25h")
    for name in ("batch-1", "batch-2"):
        company.do("tenant", "cancel", name)
    assert company.ask("run").code == CAPPED
    assert {state(company, name) for name in ("batch-1", "batch-2")} == {"active"}
    digest = the_proposal(company)["digest"]
    shown = company.do("approval", "show", digest)
    assert company.tenant("batch-1")["uid"] in shown
    refused(company.ask("approve", "0123456789abcdef"), digest, 4)
    assert "One more person must" in company.do("approve", digest, identity=ALICE)
    refused(company.ask("approve", digest, identity=ALICE), "two approvals are two people's")
    assert "Two people have" in company.do("approve", digest, identity=BOB)
    company.do("local", "advance", "2h")
    company.do("run")
    assert {state(company, name) for name in ("batch-1", "batch-2")} == {"deactivated"}
    acts = [entry["event"] for entry in company.journal("batch-1")]
    assert "cancellation-effective" in acts


def test_3_a_customer_comes_back_in_the_last_hour(company: Company) -> None:
    until = datetime.fromisoformat(company.tenant("early")["destroy_after"])
    now = datetime.fromisoformat(json.loads(company.do("local", "status", "-o", "json"))["clock"])
    minutes = int((until - now - timedelta(minutes=50)).total_seconds() // 60)
    company.do("local", "advance", f"{minutes}m")
    company.do("tenant", "reinstate", "early", "--wait")
    assert state(company, "early") == "active"
    assert company.tenant("early")["destroy_after"] is None


def test_4_a_held_tenant_outlives_its_grace(company: Company) -> None:
    refused(company.ask("hold", "place", "batch-1", "--review-by", "2031-01-01"), "--case", 2)
    refused(company.ask("hold", "place", "batch-1", "--case", "AZ 12/26", "--review-by", "2001-01-01"), "passed")
    company.do("hold", "place", "batch-1", "--case", "AZ 12/26", "--review-by", "2031-01-01")
    company.do("local", "advance", "3d")
    company.ask("run")
    assert (state(company, "batch-1"), state(company, "batch-2")) == ("deactivated", "destroyed")
    assert "AZ 12/26" in company.do("hold", "list")
    assert "[ ] hold" in company.do("tenant", "explain", "batch-1")
    refused(company.ask("hold", "release", "batch-1", "--case", "AZ 13/26", "--reason", "x"), "no hold for case", 4)
    company.do("hold", "release", "batch-1", "--case", "AZ 12/26", "--reason", "order of yesterday", identity=BOB)
    company.ask("run")
    assert state(company, "batch-1") == "destroyed"


def test_5_the_certificate_is_verified_without_a_cloud(company: Company, tmp_path: Path) -> None:
    uid = uid_of(company, "batch-1")
    paper, key = tmp_path / "certificate.json", tmp_path / "key.pem"
    company.do("certificate", uid, "-o", str(paper))
    key.write_text(company.do("certificate", "public-key"))
    assert "AZ 12/26" not in paper.read_text()
    assert "hold" not in paper.read_text()
    nowhere = replace(company, folder=tmp_path / "no-cloud")
    nowhere.do("certificate", "verify", str(paper), "--public-key", str(key))
    paper.write_text(paper.read_text().replace(uid, uid[:-1] + ("a" if uid[-1] != "a" else "b"), 1))
    assert nowhere.ask("certificate", "verify", str(paper), "--public-key", str(key)).code != 0


def test_6_an_erasure_takes_two_people(company: Company) -> None:
    uid = company.tenant("erased")["uid"]
    refused(company.ask("tenant", "erase", "erased"), "--basis", 2)
    refused(company.ask("tenant", "erase", "erased", "--basis", "law", "--reference", " "), "refers to something")
    asked = company.do("tenant", "erase", "erased", "--basis", "customer", "--reference", "SUPPORT-1")
    assert "One more person must" in asked
    company.do("run")
    assert state(company, "erased") == "active"
    company.do("approve", the_proposal(company)["digest"], identity=BOB)
    company.ask("run")
    company.ask("run", "--tenant", uid)
    assert state(company, "erased") == "destroyed"
    kinds = {place["kind"] for place in json.loads(company.do("residue", uid, "-o", "json"))}
    assert "copy" in kinds
    assert "key" not in kinds
    refused(company.ask("tenant", "reinstate", uid), "cannot be reinstated")


def test_7_the_journal_is_whole_and_names_who_decided(company: Company) -> None:
    assert "The journal is whole" in company.do("journal", "verify")
    approvals = [entry["actor"] for entry in company.journal(uid_of(company, "erased")) if entry["event"] == "approved"]
    assert approvals == [ALICE, BOB]
