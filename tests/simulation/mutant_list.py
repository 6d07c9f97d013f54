"""Known mistakes, each a small change of one file, and what finds it: `make mutants` plants them one at a time.

A mistake is planted in a copy of the code, never in the checkout. Its old text stands exactly once in its file; a test
of the house holds that, so that a mistake which can no longer be planted is noticed at once.
"""

from typing import Final

from tests.simulation.mutant import Mutant
from tests.simulation.mutants_of_leaving import LEAVING
from tests.simulation.mutants_of_placement import PLACEMENT
from tests.simulation.mutants_of_work import WORK

MUTANTS: Final[tuple[Mutant, ...]] = (*LEAVING, *WORK, *PLACEMENT)
