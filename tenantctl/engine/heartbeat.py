"""A lease kept alive while long work runs, and the word to stop when it is lost.

A dump can take longer than a lease. The heartbeat renews it in the background;
a renewal that is refused (the lease was taken over, or a newer request came in),
or that breaks in a way nobody foresaw, sets the word to stop, and `check`, called
between two pieces of work, raises it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from tenantctl.engine.ending import Ending
from tenantctl.model.errors import LeaseLost, Transient
from tenantctl.ports.registry import Lease, Registry


class Heartbeat:
    """Renews one lease, on demand or in the background, until its worker is told to end."""

    def __init__(self, registry: Registry, lease: Lease, *, lease_for: timedelta, ending: Ending | None = None) -> None:
        self.lease = lease
        self._ending = ending or Ending()
        self._registry = registry
        self._lease_for = lease_for
        self._lost: LeaseLost | None = None

    def renew(self) -> None:
        """Renews now.

        Raises:
            LeaseLost: somebody else has the tenant, something newer is wanted of it, or its worker is to end.
            Transient: the registry does not answer.
        """
        self.check()
        self.lease = self._registry.renew(self.lease, lease_for=self._lease_for)

    def check(self) -> None:
        """Raises LeaseLost if there is no renewal in the background any more, or the worker was told to end."""
        self._ending.check()
        if self._lost is not None:
            raise self._lost

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Renews at a third of the lease's length for as long as the block runs."""
        stop = threading.Event()
        beat = threading.Thread(target=self._beat, args=(stop,), name=f"heartbeat-{self.lease.tenant_uid}", daemon=True)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(self._lease_for.total_seconds() / 3):
            try:
                self.lease = self._registry.renew(self.lease, lease_for=self._lease_for)
            except LeaseLost as lost:
                self._lost = lost
                return
            except Transient:
                continue  # the lease still runs for two more beats; its end is noticed by the next fenced write
            except Exception as broken:  # noqa: BLE001 - a thread that died of it would leave the work without a lease
                self._lost = LeaseLost(f"The lease on tenant {self.lease.tenant_uid} cannot be renewed: {broken!r}")
                self._lost.__cause__ = broken
                return
