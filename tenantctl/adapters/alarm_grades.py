"""How loudly each alarm is told: from the file that Terraform makes the alert policies of, and from nowhere else."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

import tenantctl

UNKNOWN: Final = "ERROR"  # a code that the file does not have is told, and not kept back


@cache
def alarm_grades() -> Mapping[str, str]:
    """Code → CRITICAL, ERROR or WARNING, from the checkout that the program runs from, else as it was packaged."""
    package = Path(tenantctl.__file__).parent
    places = (package.parent / "terraform/modules/governance/alarms.yaml", package / "_alarms.yaml")
    for path in places:
        if path.is_file():
            said: Mapping[str, str] = YAML(typ="safe", pure=True).load(path)
            return said
    return {}


def grade_of(code: str) -> str:
    """How loudly an alarm is told."""
    return alarm_grades().get(code, UNKNOWN)
