"""The table of faults: what was tried on the whole path of a backup. docs/FAULTS.md is written from it."""

from typing import Final

from tests.faults.clocks import CLOCKS
from tests.faults.crashes import CRASHES
from tests.faults.damage import DAMAGE
from tests.faults.keys import KEYS
from tests.faults.kills import KILLS
from tests.faults.row import Row
from tests.faults.weather import WEATHER

TABLE: Final[tuple[Row, ...]] = (*KILLS, *CRASHES, *WEATHER, *DAMAGE, *KEYS, *CLOCKS)
INTRODUCTION: Final = """\
# Faults

What was made to go wrong on the whole path of a backup, from its begin to the shredding of its key, and what must come
of it. Each row is a test (`tests/faults/test_faults.py`) on a local cloud: the real clients, programs and servers, with
the fault put where the row says. Written by `make docs` from `tests/faults/table.py`.

After every one of them, once the trouble is over (`tests/faults/ending.py:ends_well`): `tenantctl run` ends well and
has nothing left to do; the newest backup is in two regions; every copy of a backup that is said to exist restores with
the checksums of the customer's tables; what the registry says of each copy is what its bucket shows, and none is left
that nobody looked for; every object in every bucket is on record as residue; no scratch database is left; the journal
is whole; and no alarm is open but those of the last column, which stay as the record of a loss.
"""


def page() -> str:
    """docs/FAULTS.md."""
    lines = [INTRODUCTION, "| No | Stage | Fault | How | What comes of it | Alarm meanwhile | Stays open |"]
    lines.append("|---|---|---|---|---|---|---|")
    for number, row in enumerate(TABLE, 1):
        alarm, lasting = row.alarm or "none", ", ".join(sorted(row.lasting)) or "nothing"
        lines.append(f"| {number} | {row.stage} | {row.fault} | {row.injected} | {row.then} | {alarm} | {lasting} |")
    return "\n".join(lines) + "\n"
