"""A database handed out through the command line and brought in again, on real clusters, by way of real programs."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenantctl.pgbin import find_programs
from tests.contracts.foreign_dumps import Abroad
from tests.localcloud.company import HOME, PLACE, Company, throw_away_company

TICKET = ("--reference", "SUPPORT-3")


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    with throw_away_company(HOME) as made:
        for name in ("acme", "bolt", "cask"):
            made.do("tenant", "create", name, "--based-in", PLACE, "--wait")
        yield made


def manifest_of(archive: Path) -> dict[str, Any]:
    """The manifest beside an archive that is what it says, and that the public program can read."""
    said: dict[str, Any] = json.loads(Path(f"{archive}.manifest.json").read_text())
    assert said["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    listed = subprocess.run(
        [str(find_programs().path("pg_restore")), "--list", str(archive)], check=True, capture_output=True
    )
    assert b"TABLE DATA public customers" in listed.stdout
    return said


def test_out_and_in_again_every_checksum_is_the_same(company: Company, customer: Abroad, tmp_path: Path) -> None:
    """In from elsewhere, out of one tenant, into the next, out of that in grace, into a third: the same content."""
    foreign = tmp_path / "shop.dump"
    foreign.write_bytes(customer.dump("--format=custom"))
    company.do("tenant", "import", "acme", str(foreign))
    first, second = tmp_path / "first.dump", tmp_path / "second.dump"
    said = company.do("tenant", "export", "acme", "-o", str(first), *TICKET)
    assert "from the database" in said
    company.do("tenant", "import", "bolt", str(first))
    company.do("tenant", "cancel", "bolt", "--wait")
    said = company.do("tenant", "export", "bolt", "-o", str(second), *TICKET)
    assert "from the backup" in said
    company.do("tenant", "import", "cask", str(second))
    third = tmp_path / "third.dump"
    company.do("tenant", "export", "cask", "-o", str(third), *TICKET)
    tables = [manifest_of(path)["tables"] for path in (first, second, third)]
    assert len(tables[0]) == 8
    assert tables[0] == tables[1] == tables[2]
    assert [entry["event"] for entry in company.journal("bolt") if entry["event"].startswith("export")] == [
        "export-begun",
        "export-done",
    ]
    assert company.tenant("bolt")["state"] == "deactivated"
    answer = company.ask("tenant", "import", "bolt", str(foreign))
    assert (answer.code, "is deactivated" in answer.err) == (3, True), answer


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nonesuch", "-o", "x", *TICKET), 4, "nonesuch"),
        (("acme", "-o", "/nowhere/x", *TICKET), 3, "no folder"),
        (("acme", "-o", "/dev/null", *TICKET), 3, "exists"),
        (("acme", "-o", "/tmp/x", "--reference", " "), 3, "refers to something"),
        (("acme", "-o", "/tmp/x"), 2, "--reference"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(company: Company, arguments: tuple[str, ...], code: int, says: str) -> None:
    answer = company.ask("tenant", "export", *arguments)
    assert (answer.code, says in answer.err) == (code, True), answer


def test_into_the_bucket_and_on_the_inventory(company: Company) -> None:
    """The bucket deletes it at its age, and until then it is a place like every other; a local cloud signs no link."""
    company.do("tenant", "create", "dent", "--based-in", PLACE, "--wait")
    answer = company.ask("tenant", "export", "dent", "-o", "gs://", "--link-valid", "24h", *TICKET)
    assert (answer.code, "signs no links" in answer.err) == (3, True), answer
    for stray, code, says in (
        (("gs://elsewhere",), 3, "alone, which deletes"),
        (("x", "--link-valid", "1d"), 2, "gs://"),
    ):
        answer = company.ask("tenant", "export", "dent", "-o", *stray, *TICKET)
        assert (answer.code, says in answer.err) == (code, True), answer
    assert "export" not in company.do("residue", "dent")
    exported = json.loads(company.do("tenant", "export", "dent", "-o", "gs://", *TICKET, "--output", "json"))
    assert exported["archive"].startswith("gs://")
    assert exported["link"] is None
    assert exported["archive"] in company.do("residue", "dent")
    company.do("local", "advance", "12d")
    company.do("run")
    lapsed = [entry for entry in company.journal("dent") if entry["event"] == "place-lapsed"]
    assert [HOME in entry["body"] for entry in lapsed] == [True]
