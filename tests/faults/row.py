"""One row of the table of faults."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.scene import Scene


@dataclass(frozen=True)
class Row:
    """A fault, and what must come of it.

    Attributes:
        stage: Where on the way of a backup it strikes.
        fault: What goes wrong.
        injected: How that is brought about here.
        then: What must be true because of it, beyond what must be true after every fault.
        commit: Brings it about, and asserts `then`.
        alarm: The alarm that is open for as long as the trouble lasts; None where it heals within the run, or where
            whoever could have raised one is dead.
        lasting: The alarms that stay open as the record of a loss.
        bulky: Whether it takes more bytes than fit into a pipe.
    """

    stage: str
    fault: str
    injected: str
    then: str
    commit: Callable[[Scene], None]
    alarm: str | None = None
    lasting: frozenset[str] = frozenset()
    bulky: bool = False
