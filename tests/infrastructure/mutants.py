"""Plants each known mistake in a copy of the infrastructure, and sees that it is found.

`python -m tests.infrastructure.mutants` needs terraform 1.11 or newer, and the provider where `terraform init` finds it
(TF_CLI_CONFIG_FILE may name a mirror). It closes with `killed N of N`, and ends with 1 if a mistake survives.

The checkout is never touched. The run begins with no mistake at all, which nothing may find.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.infrastructure.mutant_list import BY_GOVERNANCE, BY_PLANS, BY_REGION, BY_TERMS, MUTANTS
from tests.simulation.mutant import Mutant
from tests.simulation.mutants import TESTS_FAILED, chosen_from, closed, copied

COPIED: Final = ("terraform", "tenantctl", "tests", "policies", "pyproject.toml", "README.md", "docs", ".gitignore")
EXAMPLE: Final = "examples/trial/terraform.tfvars.json"
NO_MISTAKE: Final = Mutant(
    "no mistake", "terraform/main.tf", "", "", (*BY_TERMS, *BY_REGION, *BY_GOVERNANCE, *BY_PLANS)
)
INIT: Final = ("terraform", "init", "-backend=false", "-input=false", "-no-color")
PLAN: Final = ("terraform", "plan", "-refresh=false", "-input=false", "-no-color", f"-var-file={EXAMPLE}", "-out=plan")


def main(arguments: Sequence[str]) -> int:
    """Runs; 0 if every mistake was found."""
    chosen = chosen_from(MUTANTS, arguments, prog="python -m tests.infrastructure.mutants")
    with copied(COPIED) as original:
        begun = _run(INIT, original / "terraform")
        found = (_end(begun) if begun.returncode else None) or verdict(NO_MISTAKE, original)
        if found is not None:
            print(f"Something is found without any mistake:\n{found}", file=sys.stderr)
            return 1
        return closed(chosen, lambda one: None if verdict(one, original) else "nothing finds it")


def verdict(mutant: Mutant, original: Path) -> str | None:
    """The end of what found the mistake; None if nothing did."""
    with _copy(original) as root:
        file, folder = root / mutant.file, root / "terraform"
        if mutant.old:
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        for test in mutant.found_by:
            if test.endswith(".tftest.hcl"):
                ended = _run(("terraform", "test", "-no-color", f"-filter={test.removeprefix('terraform/')}"), folder)
                found = ended.returncode != 0
            else:
                if test in BY_PLANS:
                    planned = _planned(folder)
                    if planned.returncode:
                        return _end(planned)
                ended = _run((sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test), root)
                found = ended.returncode == TESTS_FAILED
            if found:
                return _end(ended)
    return None


@contextmanager
def _copy(original: Path) -> Iterator[Path]:
    """A copy of the copy, with the provider that was found for it."""
    with copied(()) as root:
        shutil.copytree(original, root, symlinks=True, dirs_exist_ok=True)
        yield root


def _planned(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Plans the example, and lays the plan where the tests look for it."""
    ended = _run(PLAN, folder)
    if ended.returncode == 0:
        ended = _run(("terraform", "show", "-json", "plan"), folder)
        plans = folder.parent / "plans"
        plans.mkdir()
        (plans / "trial.json").write_text(ended.stdout, encoding="utf-8")
    return ended


def _run(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    root = folder if (folder / "terraform").is_dir() else folder.parent
    surroundings = {
        **os.environ,
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TERRAFORM_PLANS": str(root / "plans"),
        "TF_VAR_repository_folder": str(root),
    }
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)


def _end(ended: "subprocess.CompletedProcess[str]") -> str:
    return "\n".join((ended.stdout + ended.stderr).splitlines()[-5:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
