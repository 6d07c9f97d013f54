"""The contracts of the house: kept as it stands, and each proved to bite by breaking it in a copy."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house.repository import PACKAGE, ROOT, python_files

CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}

BREACHES = [
    pytest.param("floors", "ports/vault.py", "import tenantctl.engine.executor", id="a lower floor imports an upper"),
    pytest.param("floors", "engine/worker.py", "import tenantctl.backups.steps", id="the engine learns a capability"),
    pytest.param("floors", "backups/steps.py", "import tenantctl.offboarding.steps", id="copies depend on leaving"),
    pytest.param("floors", "offboarding/steps.py", "import tenantctl.onboarding.steps", id="rooms on one floor meet"),
    pytest.param("floors", "sweeps/tenants.py", "import tenantctl.adapters.retry", id="a sweep reaches technology"),
    pytest.param("floors", "helpers/__init__.py", "", id="a room that nobody designed"),
    pytest.param("model-is-pure", "model/unread.py", "import time", id="the model reads a clock"),
    pytest.param("model-is-pure", "model/unread.py", "import sqlalchemy", id="the model reaches technology"),
    pytest.param("planning-is-pure", "sweeps/planning.py", "import os", id="planning reads the environment"),
    pytest.param(
        "planning-is-pure", "onboarding/planning.py", "import tenantctl.ports.vault", id="planning asks a port"
    ),
    pytest.param("planning-is-pure", "offboarding/safeguards.py", "import logging", id="a safeguard logs"),
    pytest.param(
        "planning-is-pure", "backups/schedule.py", "from google.cloud import storage", id="a rule reaches out"
    ),
    pytest.param("planning-is-pure", "placement/nearest.py", "import subprocess", id="a rule starts a program"),
    pytest.param("localcloud-stands-apart", "localcloud/clock.py", "import tenantctl.model.calendar", id="it peeks"),
    pytest.param(
        "only-local-knows-localcloud", "config/__init__.py", "import tenantctl.localcloud.clock", id="it is relied on"
    ),
    pytest.param(
        "only-local-knows-localcloud", "entrypoints/cli/work.py", "import tenantctl.localcloud", id="it leaks"
    ),
]


def verdicts(folder: Path) -> dict[str, bool]:
    """Runs import-linter in a folder: contract id → whether it is kept."""
    linter = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    ended = subprocess.run([*linter, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)
    # Names are wrapped at the terminal's width.
    said = " ".join(ended.stdout.split())
    found = {key: re.search(rf"{re.escape(name)} (KEPT|BROKEN)", said) for key, name in CONTRACTS.items()}
    assert all(found.values()), f"a contract was not looked at:\n{ended.stdout}\n{ended.stderr}"
    kept = {key: match is not None and match[1] == "KEPT" for key, match in found.items()}
    assert (ended.returncode == 0) == all(kept.values())
    return kept


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package's code and of the contracts."""
    for path in python_files(PACKAGE):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def test_the_house_keeps_its_contracts(house: Path) -> None:
    """Every contract holds for the code as it is."""
    assert verdicts(house) == dict.fromkeys(CONTRACTS, True)


@pytest.mark.parametrize(("contract", "file", "line"), BREACHES)
def test_a_breach_breaks_its_contract_and_no_other(house: Path, contract: str, file: str, line: str) -> None:
    """One forbidden import, or one room too many, is seen, and named for what it is."""
    path = house / "tenantctl" / file
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}\n{line}\n")
    assert verdicts(house) == {key: key != contract for key in CONTRACTS}


def test_every_contract_is_proved() -> None:
    """No contract stands in the settings without a breach that shows it biting."""
    assert {str(breach.values[0]) for breach in BREACHES} == set(CONTRACTS)
