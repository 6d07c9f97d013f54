"""A quota that all workers share: each request takes a token from the registry first, and waits until it may be used.

It is a courtesy to the API, and no safeguard: where the registry does not give tokens, because it does not answer or is
not there yet, requests go out without, and the API itself says when they are too many.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from tenantctl.model.errors import TenantctlError, TurnedAway
from tenantctl.ports.work import WorkBook

WAIT_MAX: Final = timedelta(seconds=15)
BURST_SECONDS: Final = 10  # so much of a minute's tokens may go out at once
SILENCE_SECONDS: Final = 60.0  # after which a registry that did not answer is asked again


class SharedQuota:
    """Called before each request; returns when it may go out.

    Args:
        book: the registry; asked for when the first token is.
        name: of the quota.
        per_minute: how many requests of all together.
        sleep: takes seconds.
        clock: seconds that only ever grow.
    """

    def __init__(
        self,
        book: Callable[[], WorkBook],
        name: str,
        *,
        per_minute: int,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book, self._name, self._per_minute = book, name, per_minute
        self._sleep, self._clock = sleep, clock
        self._silent_until = 0.0

    def __call__(self) -> None:
        """Takes a token, and waits for its time.

        Raises:
            TurnedAway: so many wait already that it would take too long.
        """
        if self._clock() < self._silent_until:
            return
        burst = max(1, self._per_minute * BURST_SECONDS // 60)
        try:
            wait = self._book().take_token(self._name, per_minute=self._per_minute, burst=burst, wait_max=WAIT_MAX)
        except TenantctlError:
            self._silent_until = self._clock() + SILENCE_SECONDS
            return
        if wait is None:
            raise TurnedAway(
                f"All workers together ask {self._name} for as much as they may.", hint="Nothing was asked; try again."
            )
        if wait:
            self._sleep(wait.total_seconds())
