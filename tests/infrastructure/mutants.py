"""Plants each known mistake in a copy of the infrastructure, and sees that it is found: with Terraform, where it is.

`python -m tests.infrastructure.mutants --check COMMAND`, where `COMMAND FOLDER VARIABLES PLAN` validates, tests and
plans a folder, ends with another code than 0 if any of it fails, and writes the plan's JSON. It closes with
`killed N of N`.

The checkout is never touched. The run begins with no mistake at all, which nothing may find.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.infrastructure.mutant_list import BY_PLANS, BY_TERRAFORM, MUTANTS
from tests.simulation.mutant import Mutant
from tests.simulation.mutants import ROOT, TESTS_FAILED, copied, why_not

COPIED: Final = ("terraform", "tenantctl", "tests", "policies", "pyproject.toml", "README.md", "docs", ".gitignore")
EXAMPLE: Final = "terraform/examples/trial/terraform.tfvars.json"
AT_ONCE: Final = 2
NO_MISTAKE: Final = Mutant("no mistake", EXAMPLE, "", "", (*BY_TERRAFORM, *BY_PLANS))


def main(arguments: Sequence[str]) -> int:
    """Runs; 0 if every mistake was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.infrastructure.mutants", description=__doc__)
    parser.add_argument("--check", required=True, type=Path, help="the command that tests and plans a folder")
    parser.add_argument("--only", default="", help="those whose name has these words")
    asked = parser.parse_args(arguments)
    chosen = [mutant for mutant in MUTANTS if asked.only in mutant.name]
    if refused := [sentence for mutant in chosen if (sentence := why_not(mutant, ROOT))]:
        print(*refused, sep="\n", file=sys.stderr)
        return 1
    check = asked.check.resolve()
    if (found := verdict(NO_MISTAKE, check)) is not None:
        print(f"Something is found without any mistake:\n{found}", file=sys.stderr)
        return 1
    with ThreadPoolExecutor(AT_ONCE) as pool:
        survivors = 0
        for mutant, found in zip(chosen, pool.map(lambda one: verdict(one, check), chosen), strict=True):
            survivors += found is None
            print(f"{'killed  ' if found else 'SURVIVED'} {mutant.name}", flush=True)
    print(f"killed {len(chosen) - survivors} of {len(chosen)}")
    return 1 if survivors else 0


def verdict(mutant: Mutant, check: Path) -> str | None:
    """The end of what found the mistake; None if nothing did."""
    with copied(COPIED) as root:
        file = root / mutant.file
        if mutant.old:
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        plans = root / "plans"
        plans.mkdir()
        surroundings = {
            **os.environ,
            "PYTHONPATH": str(root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TERRAFORM_PLANS": str(plans),
            "TF_VAR_repository_folder": str(root),
        }
        tests = [test for test in mutant.found_by if test not in BY_TERRAFORM]
        if set(mutant.found_by) & {*BY_TERRAFORM, *BY_PLANS}:
            _run(
                ["terraform", "fmt", "-recursive", "terraform"], root, surroundings
            )  # a bad format is no mistake of ours
            ended = _run([str(check), "terraform", EXAMPLE, "plans/trial.json"], root, surroundings)
            if ended.returncode:
                return _end(ended)
        if not tests:
            return None
        ended = _run([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests], root, surroundings)
        return _end(ended) if ended.returncode == TESTS_FAILED else None


def _run(command: Sequence[str], root: Path, surroundings: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=root, env=surroundings, capture_output=True, text=True, check=False)


def _end(ended: "subprocess.CompletedProcess[str]") -> str:
    return "\n".join((ended.stdout + ended.stderr).splitlines()[-5:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
