"""A move through the command line, between real clusters, while the customer writes."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.localcloud.company import HOME, PLACE, Company, throw_away_company

PARTNER = "us-central1"


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    with throw_away_company(HOME, PARTNER) as made:
        for name in ("acme", "museum"):
            made.do("tenant", "create", name, "--based-in", PLACE, "--wait")
        yield made


def test_a_tenant_moves_while_its_customer_writes(company: Company) -> None:
    """What was confirmed is in the new place once, where the password that was shown before opens."""
    before = json.loads(company.do("tenant", "rotate-password", "acme", "-o", "json"))["password"]
    confirmed: list[int] = []
    stop = threading.Event()

    def write() -> None:
        with suppress(Exception), company.session("acme", before, autocommit=True) as cursor:  # until it is sent away
            cursor.execute("CREATE TABLE ledger (id int PRIMARY KEY)")
            number = 0
            while not stop.wait(0.005):
                number += 1
                cursor.execute(f"INSERT INTO ledger VALUES ({number})")
                confirmed.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(confirmed) < 5:
            assert writer.is_alive()
            stop.wait(0.05)
        dry = company.do("tenant", "move", "acme", "--to", PARTNER, "--dry-run")
        assert "may move to us-central1 while its customer works" in dry
        told = company.do("tenant", "move", "acme", "--to", PARTNER, "--wait", "-o", "json")
    finally:
        stop.set()
        writer.join()
    asked = json.loads(told)
    assert asked["move"]["verifier"] is None
    shown = company.tenant("acme")
    assert (shown["state"], shown["hosting"]["region"], shown["hosting"]["generation"]) == ("active", PARTNER, 2)
    with company.session("acme", asked["password"]) as cursor:
        cursor.execute("SELECT id FROM ledger ORDER BY id")
        there = [row[0] for row in cursor.fetchall()]
    assert len(confirmed) > 5
    assert there[: len(confirmed)] == confirmed
    assert len(there) <= len(confirmed) + 1  # one more was under way when the fence fell
    events = [entry["event"] for entry in company.journal("acme")]
    assert events.count("cut-over") == 1
    again = company.ask("tenant", "move", "acme", "--to", PARTNER)
    assert (again.code, "it is there already" in again.err) == (3, True)
    assert company.ask("tenant", "move", "acme", "--undo").code == 3


def test_what_no_replication_carries_moves_by_a_dump_that_was_agreed_to(company: Company) -> None:
    """A large object, rows that nothing tells apart and unlogged ones: told, agreed to, and all there."""
    before = json.loads(company.do("tenant", "rotate-password", "museum", "-o", "json"))["password"]
    with company.session("museum", before, autocommit=True) as cursor:
        cursor.execute("CREATE TABLE notes (it json); INSERT INTO notes SELECT '{}' FROM generate_series(1, 9)")
        cursor.execute("CREATE UNLOGGED TABLE quick AS SELECT generate_series(1, 7) AS id")
        cursor.execute("CREATE TABLE kept (id int GENERATED ALWAYS AS IDENTITY); INSERT INTO kept DEFAULT VALUES")
        cursor.execute("CREATE TABLE paper (scan oid); INSERT INTO paper SELECT lo_from_bytea(0, 'a scan')")
    dry = company.do("tenant", "move", "museum", "--to", PARTNER, "--dry-run")
    for told in ("1 large object stands", "public.notes has neither", "public.quick has rows", "out for about"):
        assert told in dry
    refused = company.ask("tenant", "move", "museum", "--to", PARTNER)
    assert (refused.code, "--accept-downtime" in refused.err) == (3, True)
    assert company.ask("tenant", "move", "museum", "--to", PARTNER, "--accept-downtime", "soon").code == 2
    told = company.do("tenant", "move", "museum", "--to", PARTNER, "--accept-downtime", "1h", "--wait", "-o", "json")
    asked = json.loads(told)
    assert asked["move"]["dumped_because"] == "rows that nothing tells apart, unlogged tables, large objects"
    shown = company.tenant("museum")
    assert (shown["state"], shown["hosting"]["region"]) == ("active", PARTNER)
    with company.session("museum", asked["password"]) as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM notes), (SELECT count(*) FROM quick), lo_get(scan) FROM paper")
        assert tuple(cursor.fetchone()) == (9, 7, b"a scan")
        cursor.execute("INSERT INTO kept DEFAULT VALUES RETURNING id")
        assert tuple(cursor.fetchone()) == (2,)
