"""Whoever is paged finds every alarm in the runbook: the codes in the program and those on paper are the same."""

import ast
import re
from collections.abc import Iterator

from tests.house.repository import PACKAGE, ROOT, python_files, tree

RUNBOOK = ROOT / "docs/RUNBOOK.md"
TOLD = ROOT / "terraform/modules/governance/alarms.yaml"
# The one blocker whose code is not written where it is made: those of the safeguards stand in their own file.
SAFEGUARDS = PACKAGE / "offboarding/safeguards.py"


def test_the_runbook_has_every_alarm_and_no_other() -> None:
    """What pages somebody is explained, and what is explained can page somebody."""
    explained = re.findall(r"^### `([^`]+)`$", RUNBOOK.read_text(), re.MULTILINE)
    assert len(explained) == len(set(explained))
    assert set(explained) == raised() | blocked() | found()


def test_every_alarm_says_what_to_do() -> None:
    """A name and an explanation are not enough at three in the morning."""
    for section in re.split(r"^### ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]:
        code, _, text = section.partition("\n")
        assert "*Do:*" in text.partition("\n## ")[0], code


def test_somebody_is_told_of_every_alarm() -> None:
    """Terraform makes an alert of each line of this file: code and severity."""
    told = dict(re.findall(r"^([^#\s]+): (CRITICAL|ERROR|WARNING)$", TOLD.read_text(), re.MULTILINE))
    assert set(told) == raised() | blocked() | found()
    assert len(told) == sum(not line.startswith("#") for line in TOLD.read_text().split("\n") if line)


def raised() -> set[str]:
    """Codes that are raised as they are; what the worker makes of blockers is `blocked` below."""
    found = set()
    of_work = dict(_constants(tree(PACKAGE / "model/work.py")))
    for path in python_files(PACKAGE):
        constants = {**of_work, **dict(_constants(tree(path)))}
        for call in _calls(tree(path), "raise_alarm"):
            code = call.args[0]
            match code:
                case ast.Constant(value=str(value)):
                    found.add(value)
                case ast.Name(id=name) if name in constants:
                    found.add(constants[name])
                case ast.JoinedStr() | ast.Name():  # the worker's, and adapters that hand a code through
                    assert path.parent.name in {"engine", "adapters"}, f"{path}:{call.lineno}: the code cannot be read"
                case _:
                    raise AssertionError(f"{path}:{call.lineno}: the code cannot be read")
    return found


def found() -> set[str]:
    """Codes of what audits find, which is told as alarms are; each is a constant."""
    constants = {name: value for path in python_files(PACKAGE) for name, value in _constants(tree(path))}
    codes = set()
    for path in python_files(PACKAGE):
        for call in _calls(tree(path), "GradedFinding"):
            match call.args[:1]:
                case [ast.Name(id=name)]:
                    codes.add(constants[name])
                case [ast.IfExp(body=ast.Name(id=one), orelse=ast.Name(id=other))]:
                    codes |= {constants[one], constants[other]}
                case _:  # as it was written down before
                    assert "adapters" in path.parts, f"{path}:{call.lineno}: the code cannot be read"
    return codes


def blocked() -> set[str]:
    """Codes of blockers that alarm, as the worker raises them."""
    found = set()
    for path in python_files(PACKAGE):
        for call in _calls(tree(path), "Blocker"):
            alarm = next((word.value for word in call.keywords if word.arg == "alarm"), None)
            if alarm is None or (isinstance(alarm, ast.Constant) and alarm.value is False):
                continue
            if path == SAFEGUARDS:
                found |= set(_safeguards())
            else:
                assert isinstance(call.args[0], ast.Constant), f"{path}:{call.lineno}: the code cannot be read"
                found.add(str(call.args[0].value))
    return {f"blocked/{code}" for code in found}


def _safeguards() -> Iterator[str]:
    for call in _calls(tree(SAFEGUARDS), "Safeguard"):
        assert isinstance(call.args[0], ast.Constant), "a safeguard's code is written where it is made"
        yield str(call.args[0].value)


def _calls(module: ast.Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and name == (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        ):
            yield node


def _constants(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(value))):
                yield name, value
