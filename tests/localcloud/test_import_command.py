"""A customer's own dump through the command line, on real clusters, as an operator at a shell brings it in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contracts.foreign_dumps import Abroad
from tests.localcloud.company import HOME, PLACE, Company, throw_away_company

FOREIGN_ROWS = 8006  # 3000 customers, 5000 orders, 3 odd ones, 2 private ones, a size; a large object is one more


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    with throw_away_company(HOME) as made:
        for name in ("acme", "bolt"):
            made.do("tenant", "create", name, "--based-in", PLACE, "--wait")
        yield made


def test_in_and_on_record(company: Company, customer: Abroad, tmp_path: Path) -> None:
    """Looked at first, brought in whole, told what was left out; a second one is refused and changes nothing."""
    file = tmp_path / "shop.dump"
    file.write_bytes(customer.dump("--format=custom"))
    looked = company.do("tenant", "import", "acme", str(file), "--dry-run")
    for word in ("custom", "Odd One", "citext", "Big Boss", "EVENT TRIGGER", "Nothing was changed"):
        assert word in looked, looked
    assert not [entry for entry in company.journal("acme") if entry["event"].startswith("import")]
    said = company.do("tenant", "import", "acme", str(file))
    assert f"{FOREIGN_ROWS + 1} rows" in said
    assert "c_language" in said
    assert "rotate-password acme" in said
    again = company.ask("tenant", "import", "acme", str(file))
    assert (again.code, "not empty" in again.err) == (3, True), again
    events = [entry["event"] for entry in company.journal("acme") if entry["event"].startswith("import")]
    assert events == ["import-begun", "import-done"]
    assert "Big Boss" not in str(company.journal("acme"))
    company.do("tenant", "rotate-password", "acme")
    company.do("backup", "now", "acme")
    assert "verified by a restore" in company.do("backup", "verify", "acme")
    assert "nothing to undo" in company.do("tenant", "import", "acme", "--undo")


EMPTY = b"CREATE TABLE public.empty"
BAD: dict[str, tuple[Callable[[bytes], bytes | None], str]] = {
    "truncated": (lambda dump: dump[:-2000], "not whole"),
    "with a command for a shell": (lambda dump: dump.replace(EMPTY, b"\\! id\n" + EMPTY), "psql's"),
    "with an extension": (lambda dump: dump.replace(b"NOT EXISTS citext", b"NOT EXISTS postgis"), "--leave-out-ext"),
    "with what no server knows": (lambda dump: dump.replace(EMPTY, b"CREATE NOTHING"), "syntax error"),
    "no dump": (lambda _: b"hello\n", "no dump of PostgreSQL"),
    "no file": (lambda _: None, "no file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_refused_leaves_nothing(company: Company, customer: Abroad, tmp_path: Path, kind: str) -> None:
    """One sentence, and a database that is as empty as before."""
    content, says = BAD[kind]
    file = tmp_path / "shop.sql"
    made = content(customer.dump())
    if made is not None:
        file.write_bytes(made)
    answer = company.ask("tenant", "import", "bolt", str(file))
    assert answer.code == 3, answer
    assert says in answer.err
    assert "ALARM" not in company.do("tenant", "show", "bolt")
    assert "nothing to undo" in company.do("tenant", "import", "bolt", "--undo")


def test_one_that_is_killed_is_undone_by_the_next(company: Company, customer: Abroad, tmp_path: Path) -> None:
    """While it waits in the middle, it is killed; the alarm says so, and the next import begins anew and succeeds."""
    file = tmp_path / "slow.sql"
    dump = customer.dump()
    slow = b"\nSELECT pg_catalog.pg_sleep(1000);\n\n--\n-- PostgreSQL database dump complete"
    file.write_bytes(dump.replace(b"\n--\n-- PostgreSQL database dump complete", slow))
    process = company.start("tenant", "import", "bolt", str(file))
    while "import-unfinished" not in company.do("tenant", "show", "bolt"):
        assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    refused = company.ask("tenant", "rotate-password", "bolt")
    assert (refused.code, "broke off" in refused.err) == (3, True), refused
    company.do("local", "advance", "10m")
    file.write_bytes(dump)
    assert f"{FOREIGN_ROWS + 1} rows" in company.do("tenant", "import", "bolt", str(file))
    company.do("run")
    assert "ALARM" not in company.do("tenant", "show", "bolt")
