"""The plans for the examples are what the policies, the table of duties and the program ask for.

They are made by Terraform, and read from the folder that TERRAFORM_PLANS names: one `NAME.json` for each, as
`terraform show -json` prints it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.infrastructure import rules_of_data, rules_of_work
from tests.infrastructure.plans import Plan

FOLDER = os.environ.get("TERRAFORM_PLANS", "")
PLANS = sorted(Path(FOLDER).glob("*.json")) if FOLDER else []
RULES = (*rules_of_data.RULES, *rules_of_work.RULES)

pytestmark = pytest.mark.skipif(not PLANS, reason="TERRAFORM_PLANS names no folder with plans of Terraform's")


@pytest.fixture(scope="module", params=PLANS, ids=lambda path: path.stem)
def plan(request: pytest.FixtureRequest) -> Plan:
    """One plan."""
    return Plan.read(request.param)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_nothing_is_wrong_with(plan: Plan, rule: Callable[[Plan], Iterator[str]]) -> None:
    """Each rule's own sentence says what it asks for."""
    assert list(rule(plan)) == []
