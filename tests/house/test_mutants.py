"""Each known mistake can still be planted, and its page is what the list says; `make mutants` sees that it is found."""

import pytest

from tests.house.repository import ROOT
from tests.simulation.mutant import Mutant
from tests.simulation.mutant_list import MUTANTS
from tests.simulation.mutants import PAGE, page, why_not


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_can_be_planted(mutant: Mutant) -> None:
    """Its old text stands once in its file, what is planted differs, and the tests that find it exist."""
    assert why_not(mutant, ROOT) is None
    assert mutant.new != mutant.old
    assert all((ROOT / test.partition("::")[0]).is_file() for test in mutant.found_by)


def test_what_cannot_be_planted_is_refused() -> None:
    """A list that has fallen behind the code is noticed by name."""
    lost = Mutant("lost", "tenantctl/model/errors.py", "nobody wrote this", "", ())
    twice = Mutant("twice", "tenantctl/model/errors.py", "exit_code", "", ())
    assert "0 times" in str(why_not(lost, ROOT))
    assert "times" in str(why_not(twice, ROOT))


def test_the_page_is_the_list() -> None:
    """And each mistake has a name of its own; there are at least 25."""
    assert PAGE.read_text(encoding="utf-8") == page()
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25
