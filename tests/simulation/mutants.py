"""`make mutants`: plants each known mistake in a copy of the code, and sees that it is found.

The checkout is never touched. A mistake whose old text does not stand exactly once in its file is refused by name, and
one that no test finds survives: either ends the run with 1. `--page` writes docs/MUTANTS.md from the list.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.simulation.mutant import Mutant
from tests.simulation.mutant_list import MUTANTS

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs/MUTANTS.md"
COPIED: Final = ("tenantctl", "tests", "policies", "pyproject.toml", "README.md")
TESTS_FAILED: Final = 1  # pytest's exit code; 2 and more say that nothing was tested
AT_ONCE: Final = 2
SECONDS_MAX: Final = 900

INTRODUCTION: Final = """\
# Mutants

Known mistakes, each of which some test finds. `make mutants` plants them one at a time in a copy of the code, runs the
tests named beside each, and closes with `killed N of N`. Written by `make docs`; a test holds it equal to the list in
`tests/simulation/mutant_list.py`.

| | What is wrong then | Planted in | Found by |
|---|---|---|---|
"""


def main(arguments: Sequence[str]) -> int:
    """Runs; 0 if every mistake was found."""
    return closed(chosen_from(MUTANTS, arguments, prog="python -m tests.simulation.mutants"), tried)


def chosen_from(mutants: Iterable[Mutant], arguments: Sequence[str], *, prog: str) -> Sequence[Mutant]:
    """The mistakes that a command line asks for; where one of them cannot be planted, the process ends with 1."""
    parser = argparse.ArgumentParser(prog=prog, description="Plant known mistakes, and see that each is found.")
    parser.add_argument("--only", default="", help="those whose name has these words")
    asked = parser.parse_args(arguments)
    chosen = [mutant for mutant in mutants if asked.only in mutant.name]
    if refused := [sentence for mutant in chosen if (sentence := why_not(mutant, ROOT))]:
        sys.exit("\n".join(refused))
    return chosen


def closed(chosen: Sequence[Mutant], tried: Callable[[Mutant], str | None]) -> int:
    """Tries them, some at a time, and tells of each; 0 if every one was found.

    Args:
        chosen: what is planted.
        tried: None if the mistake was found; else what is to be told of it.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        survivors = 0
        for mutant, verdict in zip(chosen, pool.map(tried, chosen), strict=True):
            survivors += verdict is not None
            print(f"{'killed  ' if verdict is None else 'SURVIVED'} {mutant.name}", flush=True)
            if verdict:
                print(verdict)
    print(f"killed {len(chosen) - survivors} of {len(chosen)}")
    return 1 if survivors else 0


def why_not(mutant: Mutant, root: Path) -> str | None:
    """Why a mistake cannot be planted; None if it can."""
    file = root / mutant.file
    count = file.read_text(encoding="utf-8").count(mutant.old) if file.is_file() else 0
    if count == 1:
        return None
    return f"{mutant.name}: {mutant.file} has its old text {count} times, and not once; mend the list of mutants."


def tried(mutant: Mutant) -> str | None:
    """None if the mistake was found; else the end of what its tests printed."""
    with copied() as root:
        file = root / mutant.file
        file.write_text(file.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.found_by]
        surroundings = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            ended = subprocess.run(
                command, cwd=root, env=surroundings, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            return None  # work that never ends is noticed, too
        if ended.returncode == TESTS_FAILED:
            return None
        return "\n".join((ended.stdout + ended.stderr).splitlines()[-5:])


@contextmanager
def copied(names: Sequence[str] = COPIED) -> Iterator[Path]:
    """A copy of all that the tests need, until the block ends; databases may be asked to read it."""
    folder = Path(tempfile.mkdtemp(prefix="tenantctl-mutant-"))
    folder.chmod(0o755)
    try:
        for name in names:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def page() -> str:
    """docs/MUTANTS.md."""
    rows = [
        f"| {number} | {mutant.name} | `{mutant.file}` | {', '.join(map(_pointer, mutant.found_by))} |"
        for number, mutant in enumerate(MUTANTS, 1)
    ]
    return INTRODUCTION + "\n".join(rows) + "\n"


def _pointer(test: str) -> str:
    """A test as the papers point at it: file and dotted name."""
    file, *names = test.partition("[")[0].split("::")
    return f"`{file}:{'.'.join(names)}`" if names else f"`{file}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
