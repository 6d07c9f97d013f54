"""A move through the command line, between real clusters, while the customer writes."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.localcloud.company import HOME, PLACE, Company, throw_away_company

PARTNER = "us-central1"


@pytest.fixture
def company() -> Iterator[Company]:
    with throw_away_company(HOME, PARTNER) as made:
        made.do("tenant", "create", "acme", "--based-in", PLACE, "--wait")
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
