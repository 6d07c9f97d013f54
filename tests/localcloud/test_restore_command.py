"""Backups brought back through the command line, on real clusters: as a new tenant, and after a lost region."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.localcloud.company import HOME, PLACE, TENANTS_INSTANCE, Company, throw_away_company

PARTNER = "us-central1"
BASIS = ("--ground", "customer-request", "--reference", "SUPPORT-1")
INCIDENT = ("--ground", "incident", "--reference", "INC-9")
SCHEMA = (
    "CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL)",
    "INSERT INTO orders SELECT n, 'Zoë''s order ' || n FROM generate_series(1, 500) n",
    "CREATE TABLE private (id int, owner name DEFAULT current_user)",
    "INSERT INTO private VALUES (1)",
    "ALTER TABLE private ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON private USING (owner IS NOT NULL)",
    "CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS orders FROM orders",
    "GRANT SELECT ON orders TO PUBLIC",
)


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """Two regions that are partners; one tenant with data and a backup of it, and what was written afterwards."""
    with throw_away_company(HOME, PARTNER) as made:
        made.do("tenant", "create", "acme", "--based-in", PLACE, "--extension", "citext", "--wait")
        with made.session("acme") as cursor:
            for statement in SCHEMA:
                cursor.execute(statement)
        made.do("backup", "now", "acme")
        with made.session("acme") as cursor:
            cursor.execute("DELETE FROM orders WHERE id > 400")
        yield made


@pytest.fixture(scope="module")
def backup(company: Company) -> str:
    """The id of the backup that is restored."""
    return newest(company, "acme")


def ask(cursor: Any, question: str) -> Any:
    cursor.execute(question)
    return cursor.fetchone()[0]


def newest(company: Company, name: str) -> str:
    """The id of a tenant's newest complete backup."""
    backups = json.loads(company.do("backup", "list", name, "-o", "json"))
    return str([one for one in backups if one["state"] == "complete"][-1]["id"])


def test_a_backup_becomes_a_new_tenant(company: Company, backup: str) -> None:
    """Rows, policies, views and grants as they were when it was made; the old one as it is; evidence in both chains."""
    said = company.do("backup", "restore", backup, "--into", "acme-again", *BASIS, "--wait")
    assert "is active" in said
    with company.session("acme-again") as cursor:
        assert ask(cursor, "SELECT count(*) FROM orders") == 500
        assert ask(cursor, "SELECT orders FROM counted") == 500
        assert ask(cursor, "SELECT count(*) FROM private") == 1
        assert ask(cursor, "SELECT policyname FROM pg_policies") == "mine"
        assert ask(cursor, "SELECT relacl::text LIKE '%,=r/%' FROM pg_class WHERE relname = 'orders'")
        assert ask(cursor, "SELECT count(*) FROM pg_extension WHERE extname = 'citext'") == 1
        uid = company.tenant("acme-again")["uid"]
        assert ask(cursor, "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'") == f"o_{uid}_1"
    with company.session("acme") as cursor:
        assert ask(cursor, "SELECT count(*) FROM orders") == 400
    shown = company.tenant("acme-again")
    assert shown["restored_from"] == {"backup_id": backup, "tenant_uid": company.tenant("acme")["uid"]}
    asked = next(entry for entry in company.journal("acme") if entry["event"] == "restore-requested")
    assert json.loads(asked["body"])["reference"] == "SUPPORT-1"
    assert "customer-request" in company.journal("acme-again")[0]["body"]
    assert "is complete" in company.do("backup", "now", "acme-again")
    assert "whole" in company.do("journal", "verify")


def test_a_drill_reads_the_region_that_is_asked_for_and_leaves_nothing(company: Company, backup: str) -> None:
    """Each region's copy, the same backup twice; and by its id alone."""
    for region in (HOME, PARTNER):
        (one,) = json.loads(company.do("backup", "drill", "--backup", backup, "--from", region, "-o", "json"))
        assert (one["good"], one["region"], one["tables"]) == (True, region, 2)
    verified = [e for e in company.journal("acme") if e["event"] == "backup-verified"]
    assert [json.loads(entry["body"])["region"] for entry in verified[-2:]] == [HOME, PARTNER]
    company.do("backup", "drill", "--all-due")
    residues = json.loads(company.do("residue", "acme", "-o", "json"))
    assert not [line for line in residues if line["kind"] == "scratch"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("restore",), 2, "--ground"),
        (("restore", *BASIS), 2, "--into"),
        (("restore", "BACKUP", *BASIS), 2, "--into"),
        (("restore", "BACKUP", "--into", "x", "--to", PARTNER, *BASIS), 2, "--fleet alone"),
        (("restore", "BACKUP", "--into", "x", "--fleet", HOME, *BASIS), 2, "--fleet takes neither"),
        (("restore", "nonesuch", "--into", "x", *BASIS), 4, "nonesuch"),
        (("restore", "BACKUP", "--into", "acme", *BASIS), 3, "never restored over one"),
        (("restore", "BACKUP", "--into", "No_Good", *BASIS), 3, "cannot be a tenant's name"),
        (("restore", "BACKUP", "--into", "x", "--ground", "incident", "--reference", " "), 3, "refers to something"),
        (("restore", "BACKUP", "--into", "x", "--ground", "curiosity", "--reference", "1"), 2, "curiosity"),
        (("restore", "--fleet", HOME, *INCIDENT), 3, "is not lost"),
        (("restore", "--fleet", "mars-north1", *INCIDENT), 3, "mars-north1"),
        (("restore", "--fleet", HOME, "--to", "mars-north1", *INCIDENT), 3, "mars-north1"),
        (("restore", "--fleet", HOME, "--parallel", "0", *INCIDENT), 2, "parallel"),
        (("drill",), 2, "--all-due"),
        (("drill", "acme", "--all-due"), 2, "--all-due"),
        (("drill", "acme", "--backup", "nonesuch"), 4, "nonesuch"),
        (("drill", "acme", "--from", "europe-west1"), 6, "no copy in europe-west1"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    company: Company, backup: str, arguments: tuple[str, ...], code: int, says: str
) -> None:
    answer = company.ask("backup", *(backup if word == "BACKUP" else word for word in arguments))
    assert answer.code == code, answer
    assert says in answer.err + answer.out


def test_what_was_refused_made_nothing(company: Company) -> None:
    """After all those refusals there is no tenant of that name."""
    assert "x" not in {one["name"] for one in json.loads(company.do("tenant", "list", "-o", "json"))}


def test_a_lost_region_is_restored_elsewhere() -> None:
    """Several tenants at a time, from the other region's copies, while nothing of the lost one answers."""
    with throw_away_company(HOME, PARTNER) as company:
        names = ["t0", "t1"]
        for name in names:
            company.do("tenant", "create", name, "--based-in", PLACE, "--wait")
        with company.session("t0") as cursor:
            for statement in SCHEMA:
                cursor.execute(statement)
        company.do("tenant", "create", "gone", "--based-in", PLACE, "--wait")
        company.do("tenant", "cancel", "gone", "--wait")
        for name in names:
            company.do("backup", "now", name)
        with company.session("t0") as cursor:
            cursor.execute("INSERT INTO orders VALUES (9999, 'lost')")
        before = {name: company.tenant(name) for name in names}
        company.cloud.stop_instance(TENANTS_INSTANCE)
        company.cloud.add_fault("storage", "status", path=f"{HOME}|keys-{HOME}", status=503)
        company.cloud.add_fault("kms", "status", path=HOME, status=503)
        answer = company.ask("backup", "restore", "--fleet", HOME, "--to", "partners", *INCIDENT, "-o", "json")
        ended = answer.json()
        assert answer.code == 0, ended
        outcomes = {one["name"]: one["outcome"] for one in ended["tenants"]}
        assert outcomes == {**dict.fromkeys(names, "restored"), "gone": "stays"}
        assert ended["within_rto"]
        assert 0 <= ended["oldest_data_hours"] < 1
        for name in names:
            now = company.tenant(name)
            assert (now["state"], now["uid"]) == ("active", before[name]["uid"])
            assert (now["hosting"]["region"], now["hosting"]["generation"]) == (PARTNER, 2)
        with company.session("t0") as cursor:
            assert ask(cursor, "SELECT count(*) FROM orders") == 500
            assert ask(cursor, "SELECT orders FROM counted") == 500
        again = company.ask("backup", "restore", "--fleet", HOME, *INCIDENT)
        assert again.code == 0
        assert "0 restored" in again.out
        assert "former-database" in company.do("tenant", "explain", "t0")
        company.cloud.clear_faults()
        company.cloud.start_instance(TENANTS_INSTANCE)
        company.do("local", "advance", "2h")
        company.ask("run", "--tenant", before["t0"]["uid"])
        closed = [e for e in company.journal("t0") if "close-former" in e["body"] and e["event"] == "step-done"]
        assert closed
        assert "whole" in company.do("journal", "verify")
