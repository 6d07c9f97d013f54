"""The shape of the house: its floors and rooms, the size of its files, and how things are named."""

import ast
import re

import pytest

from tests.house.repository import PACKAGE, ROOT, definitions, files, python_files, tree

LINES_MAX = 350
FUNCTION_LINES_MAX = 69
BANNED = {"util", "utils", "manager", "managers", "handler", "handlers", "helper", "helpers"}

AT_THE_TOP = {".ci", "benchmarks", "docs", "policies", "tenantctl", "terraform", "tests"}
FLOORS = {"entrypoints", "adapters", "sweeps", "engine", "ports", "model", "localcloud"}
ROOMS = {"onboarding", "relocation", "offboarding", "custody", "billing", "evidence", "backups", "placement"}
BESIDE_THE_ROOMS = {
    "__init__.py",
    "__main__.py",
    "bootstrap",
    "config",
    "local_folder.py",
    "pgbin.py",
    "py.typed",
}
# Every room has the same files, so that who knows one knows all.
FILES_OF_A_ROOM = {
    "onboarding": {"request.py", "planning.py", "steps.py"},
    "offboarding": {"request.py", "planning.py", "steps.py", "safeguards.py"},
    "evidence": {"anchoring.py", "restored.py", "steps.py"},
    "backups": {"planning.py", "steps.py", "schedule.py", "retention.py"},
    "billing": {"request.py", "standing.py", "publishing.py"},
    "placement": {"planning.py", "residency.py", "nearest.py"},
    "sweeps": {"observe.py", "planning.py", "tenants.py"},
}
# The rules: what they may know of the time is what they are given.
PURE = ["model/*.py", "*/planning.py", "offboarding/safeguards.py", "offboarding/grace.py", "backups/schedule.py"]
PURE += ["offboarding/caps.py", "offboarding/notices.py", "offboarding/restraints.py", "backups/holding.py"]
PURE += ["evidence/restored.py", "backups/retention.py", "placement/nearest.py", "placement/residency.py"]
PURE += ["relocation/leaving.py"]
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "time_ns"}

PYTHON = python_files()


def test_the_top_has_the_fixed_folders() -> None:
    """A new folder at the top is a decision, not a habit."""
    folders = {path.relative_to(ROOT).parts[0] for path in files() if path.parent != ROOT}
    assert folders <= AT_THE_TOP


def test_the_package_has_the_designed_rooms() -> None:
    """Only the floors and rooms of the architecture exist, each with its capability inside."""
    found = {path.relative_to(PACKAGE).parts[0] for path in files(PACKAGE)}
    assert found <= FLOORS | ROOMS | BESIDE_THE_ROOMS
    assert found >= FLOORS | BESIDE_THE_ROOMS
    for room in found & ROOMS:
        code = [path for path in python_files(PACKAGE / room) if path.name != "__init__.py"]
        assert code, f"{room} is an empty room"


@pytest.mark.parametrize("room", sorted(FILES_OF_A_ROOM))
def test_a_room_has_its_files(room: str) -> None:
    """What a room intends, decides, does and rules stands where it stands in every other."""
    assert {path.name for path in python_files(PACKAGE / room)} >= FILES_OF_A_ROOM[room]


def test_files_and_functions_are_of_readable_size() -> None:
    """No file is longer than a reader takes in, and no function longer than a screen or two."""
    long = []
    for path in PYTHON:
        lines = len(path.read_text().splitlines())
        long += [f"{path}: {lines} lines"] if lines > LINES_MAX else []
        for name, node in definitions(path).items():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                long += [f"{path}: {name} has {length} lines"] if length > FUNCTION_LINES_MAX else []
    assert not long


def test_modules_say_what_they_promise() -> None:
    """Each module that has any code begins with a docstring."""
    assert not [path for path in PYTHON if path.read_text().strip() and not ast.get_docstring(tree(path))]


def test_names_say_what_things_are() -> None:
    """Nothing is called after what it is not: no utils, manager, handler, helper."""
    for path in PYTHON:
        names = [part.removesuffix(".py") for part in path.relative_to(ROOT).parts]
        names += [name.rpartition(".")[2] for name in definitions(path)]
        for name in names:
            words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
            assert not BANNED & {word.lower() for word in words}, f"{path}: {name}"


@pytest.mark.parametrize("pattern", PURE)
def test_rules_read_no_clock(pattern: str) -> None:
    """What the linter of imports cannot see: `datetime.now()` needs no import of its own."""
    paths = sorted(PACKAGE.glob(pattern))
    assert paths, "the rules that were meant have moved"
    for path in paths:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
                owner = ast.unparse(node.func.value)
                assert owner not in {"datetime", "date", "time"}, f"{path.name}:{node.lineno}: {ast.unparse(node)}"
