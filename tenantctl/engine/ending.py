"""The word that a worker is to end, from its platform or from the time that it was given.

With its time up, a worker begins with no other tenant. Told to end, it also hands back the one in its hands: at the
next look at its lease, as if something newer were wanted of the tenant, so that another worker goes on at once.
"""

import time
from collections.abc import Callable
from datetime import timedelta

from tenantctl.model.errors import HandedBack


class Ending:
    """Whether a worker may begin, and whether it may go on; one for a process, told from any thread or signal.

    Args:
        begins_for: for how long it begins with tenants; None for as long as any is due.
        clock: seconds that only ever grow.
    """

    def __init__(self, *, begins_for: timedelta | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = None if begins_for is None else clock() + begins_for.total_seconds()
        self._why: str | None = None

    def ask(self, why: str) -> None:
        """Tells the worker to end; a second word changes nothing."""
        self._why = self._why or why

    @property
    def is_asked(self) -> bool:
        """Whether it was told to end."""
        return self._why is not None

    @property
    def may_begin(self) -> bool:
        """Whether it may begin with another tenant."""
        return self._why is None and (self._until is None or self._clock() < self._until)

    def check(self) -> None:
        """Returns while the worker may go on.

        Raises:
            HandedBack: it was told to end.
        """
        if self._why is not None:
            raise HandedBack(f"This worker is to end: {self._why}.")
