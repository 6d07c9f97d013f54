"""The Dockerfile as steps: its stages with their instructions, and one of them carried out in a bare folder."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.house.repository import ROOT

DOCKERFILE = ROOT / "Dockerfile"
TARGET, WORKSHOP = "/opt/tenantctl", "/build"  # where the image has the program, and where it is made


@dataclass(frozen=True)
class Stage:
    """One stage: its name, empty for the last, and its instructions in order."""

    name: str
    instructions: Sequence[tuple[str, str]]

    def of(self, word: str) -> list[str]:
        """What stands after each instruction of this word."""
        return [rest for instruction, rest in self.instructions if instruction == word]


def stages(text: str) -> tuple[list[tuple[str, str]], list[Stage]]:
    """What stands before the first stage, and the stages."""
    bare = re.sub(r"(?m)^\s*#.*\n", "", text)
    lines = [line.strip() for line in re.sub(r"\\\n\s*", "", bare).splitlines() if line.strip()]
    before: list[tuple[str, str]] = []
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append((rest.partition(" AS ")[2], []))
        (found[-1][1] if found else before).append((word, rest.strip()))
    return before, [Stage(name, instructions) for name, instructions in found]


def context(folder: Path) -> None:
    """Copies what the image is made of, by .dockerignore, which allows what it names and nothing else."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, target = ROOT / line[1:], folder / line[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)


def carry_out(stage: Stage, folder: Path) -> None:
    """Runs a stage's commands as they stand, below `folder` and not below the root; its COPY gives the context."""
    workshop = folder / WORKSHOP[1:]
    context(workshop)
    (folder / TARGET[1:]).parent.mkdir(parents=True)
    for command in stage.of("RUN"):
        here = command.replace(f"{WORKSHOP}/", f"{workshop}/").replace(TARGET, f"{folder}{TARGET}")
        environment = {
            **clean(folder),
            "PIP_NO_COMPILE": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        # pip is set up by the machine: from which index, and with which certificates.
        environment |= {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))
        }
        ended = subprocess.run(
            ["sh", "-ec", here], cwd=workshop, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{here}\n{ended.stdout}\n{ended.stderr}"


def clean(folder: Path) -> Mapping[str, str]:
    """An environment that knows nothing of this machine's user."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "PATH": os.defpath, "LC_ALL": "C.UTF-8"}
