"""The command line on a real local cloud: requests, refusals, and what each says."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.localcloud.company import HOME, PLACE, TENANTS_INSTANCE, Company, throw_away_company
from tests.rooms.callers import AUDIENCE, BILLING, Service, cloud_event, issuer, keys_file


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """One company for all tests of this file; each takes names of its own."""
    with throw_away_company() as made:
        made.do("tenant", "create", "settled", "--based-in", PLACE, "--wait")
        yield made


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("tenant", "create", "x", "--based-in", "Nowhereville, FR"), 3, "Nowhereville"),
        (("tenant", "create", "x", "--based-in", "Springfield, US"), 3, "Springfield, IL, US"),
        (("tenant", "create", "x", "--based-in", "US"), 3, "city"),
        (("tenant", "create", "x", "--based-in", "Brussels"), 3, "region"),
        (("tenant", "create", "settled", "--based-in", PLACE), 3, "is taken by a living tenant"),
        (("tenant", "create", "No_Good", "--based-in", PLACE), 3, "cannot be a tenant's name"),
        (("tenant", "create", "x", "--based-in", PLACE, "--extension", "plpython3u"), 3, "does not allow"),
        (("tenant", "create", "x", "--based-in", PLACE, "--connections", "0"), 3, "connections"),
        (("tenant", "create", "x"), 2, "--based-in"),
        (("tenant", "show", "nobody"), 4, "nobody"),
        (("tenant", "cancel", "settled", "--effective-at", "2001-01-01"), 3, "past"),
        (("tenant", "cancel", "settled", "--effective-at", "soon"), 2, "is no time"),
        (("tenant", "list", "--state", "lively"), 2, "lively"),
        (("backup", "verify", "settled", "--backup", "nonesuch"), 4, "nonesuch"),
        (("run", "--duty", "idle"), 2, "idle"),
        (("local", "advance", "-1d"), 2, ""),
        (("local", "advance", "yesterday"), 2, ""),
        (("instance", "add", "x", "--region", "mars-north1"), 3, "mars-north1"),
        (("instance", "add", TENANTS_INSTANCE, "--region", "us-west1"), 3, HOME),
    ],
)
def test_bad_input_is_refused_in_a_sentence(company: Company, arguments: tuple[str, ...], code: int, says: str) -> None:
    answer = company.ask(*arguments)
    assert answer.code == code, answer
    assert says in answer.err
    assert answer.err.count("\n") <= 20


def test_what_was_refused_changed_nothing(company: Company) -> None:
    """After all those refusals there is one tenant, as it was, and the instances that there were."""
    assert [one["name"] for one in json.loads(company.do("tenant", "list", "-o", "json"))][:1] == ["settled"]
    assert "x" not in {one["name"] for one in json.loads(company.do("tenant", "list", "-o", "json"))}
    assert company.tenant("settled")["wanted"] == "living"
    assert len(json.loads(company.do("instance", "list", "-o", "json"))) == 2


def test_cancelling_twice_is_a_quiet_yes(company: Company) -> None:
    company.do("tenant", "create", "twice", "--based-in", PLACE)
    assert "is cancelled with effect" in company.do("tenant", "cancel", "twice")
    assert "is cancelled already" in company.do("tenant", "cancel", "twice")
    intents = json.loads(company.do("tenant", "show", "twice", "-o", "json"))["requests"]
    assert [intent["kind"] for intent in intents] == ["create", "cancel"]


def test_the_actor_is_the_login_and_no_option_names_one(company: Company) -> None:
    company.do("tenant", "create", "of-bob", "--based-in", PLACE, identity="bob")
    assert {entry["actor"] for entry in company.journal("of-bob")} == {"bob@example.com"}
    assert company.ask("tenant", "list", identity="mallory").code == 3


def test_a_password_is_shown_once_and_works(company: Company) -> None:
    """The customer gets in with it over the connector, as its own role, and finds an empty schema."""
    shown = json.loads(company.do("tenant", "rotate-password", "settled", "-o", "json"))
    with company.session("settled", shown["password"]) as cursor:
        cursor.execute("CREATE TABLE orders (id int PRIMARY KEY); SELECT current_user")
        cursor.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'orders'")
        assert cursor.fetchone()[0] == shown["user"].replace("l_", "o_")
    assert shown["password"] not in json.dumps(company.journal("settled"))


def test_a_vault_that_answers_503_puts_off_and_alarms(company: Company) -> None:
    """Nothing is begun, the tenant is put off with an alarm, and the next sweep makes it good."""
    company.do("tenant", "create", "stormy", "--based-in", PLACE)
    fault = company.do("local", "fault", "add", "storage", "status").strip()
    answer = company.ask("run", "--tenant", "stormy")
    company.do("local", "fault", "clear", fault)
    assert answer.code == 5
    assert "does not answer" in answer.out
    assert json.loads(company.do("backup", "list", "stormy", "-o", "json")) == []
    assert "trouble" in company.do("tenant", "explain", "stormy")
    assert company.ask("doctor").code == 6
    assert "is complete in us-central1, us-south1" in company.do("backup", "now", "stormy")
    assert "trouble" not in company.do("tenant", "explain", "stormy")


def test_an_instance_that_refuses_connections_is_waited_for(company: Company) -> None:
    company.do("tenant", "create", "patient", "--based-in", PLACE)
    company.cloud.stop_instance(TENANTS_INSTANCE)
    try:
        answer = company.ask("run", "--tenant", "patient")
        assert "could not be looked at" in company.do("tenant", "explain", "patient")
    finally:
        company.cloud.start_instance(TENANTS_INSTANCE)
    assert answer.code == 6, "nothing was done, and an alarm is open"
    assert company.tenant("patient")["state"] == "requested"


def test_billing_is_served_and_a_kill_makes_nothing_twice(company: Company, tmp_path: Path) -> None:
    """Killed after its answer and started again, it knows the event; what was no event is listed."""
    uid = company.tenant("settled")["uid"]
    told = cloud_event(uid, 1, effective_at="2199-01-01T00:00:00Z")
    with served(company, tmp_path) as (service, process):
        assert service.tell(told).json()["outcome"] == "applied"
        process.kill()
    with served(company, tmp_path) as (service, process):
        assert service.tell(told).json()["outcome"] == "duplicate"
        assert service.tell({**told, "type": "subscription.paused"}).status_code == 422
        assert service.tell(told, token=issuer("stranger").token()).status_code == 401
        assert service.call("GET", f"/v1/tenants/{uid}").json()["leaves_at"] == "2199-01-01T00:00:00Z"
        process.terminate()
        assert process.wait(20) in {0, -signal.SIGTERM}
    assert company.tenant("settled")["wanted"] == "leaving"
    answer = company.ask("billing", "dead-letters", "list", "-o", "json")
    assert (answer.code, [one["fault"] for one in answer.json()]) == (6, ["unknown-type"])


@contextmanager
def served(company: Company, folder: Path) -> "Iterator[tuple[Service, subprocess.Popen[str]]]":
    """`tenantctl serve` as a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"TENANTCTL_SERVICE_AUDIENCE": AUDIENCE, "TENANTCTL_SERVICE_CALLERS": f"billing={BILLING}"}
    settings["TENANTCTL_SERVICE_KEYS"] = str(keys_file(folder))
    process = company.start("serve", "--port", str(port), **settings)
    service = Service(f"http://127.0.0.1:{port}")
    try:
        while process.poll() is None:
            with suppress(requests.ConnectionError):
                assert service.call("GET", "/ready", token=None).status_code == 200
                break
            time.sleep(0.1)
        yield service, process
    finally:
        process.kill()
        process.communicate()


def test_an_unreachable_registry_is_one_sentence(company: Company) -> None:
    company.cloud.stop_instance("registry")
    try:
        answers = [company.ask(*command) for command in (("tenant", "list"), ("run",), ("doctor",))]
    finally:
        company.cloud.start_instance("registry")
    assert [answer.code for answer in answers] == [5, 5, 5]
    assert all(len(answer.err.splitlines()) <= 2 for answer in answers[:2])


def test_the_journal_is_whole_and_every_command_speaks_json(company: Company) -> None:
    assert "whole" in company.do("journal", "verify")
    for command in (
        ("tenant", "list"),
        ("tenant", "show", "settled"),
        ("tenant", "explain", "settled"),
        ("tenant", "connect-info", "settled"),
        ("plan",),
        ("plan", "settled"),
        ("backup", "list", "settled"),
        ("journal", "show", "settled"),
        ("residue", "settled"),
        ("instance", "list"),
        ("policy", "show"),
        ("billing", "show", "settled"),
        ("region", "list"),
        ("region", "nearest", "Luik"),
        ("local", "status"),
    ):
        json.loads(company.do(*command, "-o", "json"))


def test_without_a_cloud_the_next_step_is_named(tmp_path) -> None:
    nowhere = Company(tmp_path / "nothing")
    answer = nowhere.ask("tenant", "list")
    assert answer.code == 3
    assert "tenantctl local up" in answer.err
