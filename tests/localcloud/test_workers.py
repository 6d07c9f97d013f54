"""Workers that run side by side, and workers that are killed, on a real local cloud."""

import json
import random
import signal
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings
from tenantctl.model.lifecycle import Event
from tests.asking import ask_for_tenant
from tests.localcloud.company import PLACE, Company, throw_away_company

EVENTS = {event.value for event in Event}
TENANTS = 24
KILLS = 12


def steps(company: Company, name: str, kind: str = "step-begun") -> Counter[tuple[str, str]]:
    said = [json.loads(entry["body"]) for entry in company.journal(name) if entry["event"] == kind]
    return Counter((body["do"], body["subject"]) for body in said)


def test_two_workers_do_no_step_twice() -> None:
    """Two sweeps at once, each on three at a time: every journal shows each step begun once, and ended once."""
    with throw_away_company() as company:
        names = [f"tenant-{number}" for number in range(TENANTS)]
        _request_all(company, names)
        workers = [company.start("run", "--at-once", "3") for _ in range(2)]
        turns = [[json.loads(line) for line in worker.communicate(timeout=300)[0].splitlines()] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0]
        served = [{line["uid"] for line in lines if line["kind"] == "tenant"} for lines in turns]
        assert all(served), "both had work"
        assert not served[0] & served[1]
        assert len(served[0] | served[1]) == TENANTS
        assert "whole" in company.do("journal", "verify")
        for name in names[:: TENANTS // 8]:
            begun, done = steps(company, name), steps(company, name, "step-done")
            assert begun == done
            assert set(begun.values()) == {1}
            assert "back-up" in {do for do, _ in begun}


def test_a_worker_that_is_told_to_end_hands_back_what_it_holds() -> None:
    """SIGTERM in the middle of a life's first work: it ends well, and the next run goes on without waiting."""
    with throw_away_company() as company:
        _request_all(company, ["acme"])
        worker = company.start("run")
        assert worker.stdout is not None
        worker.stdout.readline()
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=60)
        assert worker.returncode == 0, said
        assert "handed back" in said
        assert company.tenant("acme")["state"] != "active"
        company.do("run")  # no lease has to end first
        assert company.tenant("acme")["state"] == "active"
        assert set(steps(company, "acme", "step-done").values()) == {1}


def test_a_worker_that_is_killed_at_any_moment_leaves_work_that_another_finishes() -> None:
    """Kill -9 of `tenantctl run` at random moments of two lives: the same end as if nothing had happened."""
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    print(f"seed {seed}")
    with throw_away_company() as company:
        company.do("tenant", "create", "stays", "--based-in", PLACE, "--extension", "citext")
        company.do("tenant", "create", "goes", "--based-in", PLACE)
        uid = company.tenant("goes")["uid"]
        killed = 0
        for request, state in (
            ((), "active"),
            (("tenant", "cancel", uid), "deactivated"),
            (("local", "advance", "25d"), "destroyed"),
        ):
            if request:
                company.do(*request)
            for _ in range(KILLS // 3 + 1):
                killed += _kill_in_the_middle(company, moments)
            _finish(company, uid, state, "10m")
        assert killed > KILLS // 2, "most were killed at work, and not when all was done"
        company.do("local", "advance", "340d")
        _finish(company, uid, "forgotten", "9d")
        assert "whole" in company.do("journal", "verify")
        moves = Counter(entry["event"] for entry in company.journal(uid) if entry["event"] in EVENTS)
        assert set(moves.values()) == {1}, moves
        assert json.loads(company.do("residue", uid, "-o", "json")) == []
        assert company.tenant("stays")["state"] == "active"
        backups = json.loads(company.do("backup", "list", "stays", "-o", "json"))
        slots = Counter(backup["slot"] for backup in backups if backup["state"] == "complete")
        assert set(slots.values()) == {1}
        assert "is complete in us-central1, us-south1" in company.do("backup", "now", "stays")


def _request_all(company: Company, names: list[str]) -> None:
    """Requests as the command line makes them, in one process: as many starts of Python prove nothing more."""
    with closing(CloudWorld(replace(load_settings(company.environment()), login="alice@example.com"))) as world:
        for name in names:
            ask_for_tenant(world, name)


def _kill_in_the_middle(company: Company, moments: random.Random) -> bool:
    """Kills a sweep some time after it said what it begins; whether it had begun anything."""
    company.do("local", "advance", "6m")  # the lease of the one that was killed before has ended
    worker = company.start("run")
    assert worker.stdout is not None
    begun = bool(worker.stdout.readline())
    time.sleep(moments.uniform(0.0, 1.0))
    worker.send_signal(signal.SIGKILL)
    worker.communicate(timeout=60)
    return begun


def _finish(company: Company, uid: str, state: str, pause: str) -> None:
    """Sweeps until the tenant is there; leases of the killed end, and what was put off comes back."""
    for _ in range(12):
        company.ask("run")
        if company.tenant(uid)["state"] == state:
            return
        company.do("local", "advance", pause)
    pytest.fail(company.do("tenant", "explain", uid))
