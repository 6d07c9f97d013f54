"""The certificate on a real local cloud: a whole life through the command line, verified where there is no cloud."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localcloud.company import PLACE, Answer, Company, throw_away_company

SMALL_VERIFIER = Path(__file__).resolve().parents[2] / "docs/certificate/verify.py"
# The program in a process that knows of no cloud and can connect to nothing.
OFFLINE = """
import socket, sys

def refuse(*_arguments):
    raise AssertionError("verifying asked the network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from tenantctl.__main__ import main
main()
"""
LEAPS = ("335d", "9d")  # past the last copies' age and the lifecycle's lag; past the platform's windows


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """One company, whose tenant `gone` is destroyed, and `here` lives."""
    with throw_away_company() as made:
        for name in ("gone", "here"):
            made.do("tenant", "create", name, "--based-in", PLACE)
        made.do("run", "--tenant", "gone")
        made.do("tenant", "cancel", "gone")
        made.do("run", "--tenant", "gone")
        made.do("local", "advance", "23d")
        made.ask("run", "--tenant", "gone")
        yield made


def uid_of_gone(company: Company) -> str:
    """The dead are named by uid."""
    dead = json.loads(company.do("tenant", "list", "--state", "destroyed", "--state", "forgotten", "-o", "json"))
    uid: str = dead[0]["uid"]
    return uid


def offline(folder: Path, *arguments: str) -> Answer:
    """A command in a clean process: none of our variables, another home, and no network."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENANTCTL_")}
    environment |= {"HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    ended = subprocess.run(
        [sys.executable, "-c", OFFLINE, "certificate", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return Answer(ended.returncode, ended.stdout, ended.stderr)


def test_a_life_is_certified_at_its_destruction_and_at_its_end(company: Company, tmp_path: Path) -> None:
    """Issued by the program, checked by it without a cloud, and by the small verifier without the program."""
    uid = uid_of_gone(company)
    key, first, last = tmp_path / "key.pem", tmp_path / "destroyed.json", tmp_path / "forgotten.json"
    key.write_text(company.do("certificate", "public-key"))
    said = company.do("certificate", uid, "-o", str(first), "--html", str(tmp_path / "first.html"), "--issuer", "Us")
    assert "Certificate of gone, destroyed" in said
    assert "Issued by Us" in (tmp_path / "first.html").read_text()
    found = json.loads(first.read_text())["certificate"]
    (database,) = [place for place in found["places"] if place["kind"] == "database"]
    assert database["state"] == "gone"
    assert "reported database and roles absent at" in database["proof"]
    assert offline(tmp_path, "verify", str(first), "--public-key", str(key)).out.count("remain") == 1

    for leap in LEAPS:
        company.do("local", "advance", leap)
        company.ask("run", "--tenant", uid)
    assert company.tenant(uid)["state"] == "forgotten"
    company.do("certificate", "issue", uid, "-o", str(last), "--name", "Gone, Inc.")
    found = json.loads(last.read_text())["certificate"]
    assert (found["state"], found["counts"]["remaining"], found["latest"]) == ("forgotten", 0, None)
    assert (found["tenant"]["name"], found["tenant"]["name_source"]) == ("Gone, Inc.", "stated")
    answer = offline(tmp_path, "verify", str(last), "--public-key", str(key))
    assert answer.code == 0
    assert "nothing remains" in answer.out
    for certificate in (first, last):
        small = [sys.executable, "-I", str(SMALL_VERIFIER), str(certificate), str(key)]
        assert subprocess.run(small, capture_output=True, check=False, env={}).returncode == 0
    assert [entry["event"] for entry in company.journal(uid)].count("certificate-issued") == 2
    assert "whole" in company.do("journal", "verify")


def test_bad_input_is_refused_in_a_sentence(company: Company, tmp_path: Path) -> None:
    """Each with the exit code that it has everywhere."""
    uid, there = uid_of_gone(company), tmp_path / "there.json"
    content = company.do("certificate", uid)
    there.write_text(content)
    for arguments, code, says in (
        (("here",), 3, "Tenant here is"),
        (("nobody",), 4, "nobody"),
        ((uid, "-o", str(there)), 3, "File exists"),
    ):
        answer = company.ask("certificate", *arguments)
        assert (answer.code, says in answer.err + answer.out) == (code, True), (arguments, answer)
    assert company.ask("certificate", "verify", str(there)).code == 0, "the local cloud's own key is trusted there"
    assert there.read_text() == content
