"""The table of faults: what was tried on the whole path of a backup. docs/FAULTS.md is written from it."""

from typing import Final

from tests.faults.kills import KILLS
from tests.faults.row import Row

TABLE: Final[tuple[Row, ...]] = (*KILLS,)
