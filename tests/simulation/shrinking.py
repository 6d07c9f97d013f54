"""Makes a failing script short: acts are left out, in halves and then one by one, for as long as it still fails alike.

Since an act draws at random by its own number alone, leaving others out leaves it as it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tests.simulation.acts import Act
from tests.simulation.script import Script

TRIES_MAX: Final = 400

Fails = Callable[[Script], bool]


def shrunk(script: Script, fails: Fails, *, tries: int = TRIES_MAX) -> Script:
    """The shortest script that was found to fail too (delta debugging: Zeller's ddmin).

    Args:
        script: one that fails.
        fails: whether a script fails in the same way.
        tries: after how many scripts to be content with what was found.
    """
    acts, parts, left = list(script.acts), 2, tries
    while len(acts) > 1 and left > 0:
        size = max(len(acts) // parts, 1)
        for start in range(0, len(acts), size):
            without = acts[:start] + acts[start + size :]
            left -= 1
            if without and fails(_of(script, without)):
                acts, parts = without, max(parts - 1, 2)
                break
            if left <= 0:
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(acts))
    return _of(script, acts)


def _of(script: Script, acts: Sequence[Act]) -> Script:
    return replace(script, acts=tuple(acts))
