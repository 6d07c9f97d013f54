"""The programs that a dump and a restore run, met in the middle of their work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from tenantctl.adapters.postgres.child_process import ChildProcess


@contextmanager
def met_at_work(module: ModuleType, action: Callable[[ChildProcess], object], *, piece: int = 2) -> Iterator[None]:
    """Does something to the next child of a module when it is about to be read from, or fed, for the nth time.

    Args:
        module: The adapter that starts it.
        action: What is done, once.
        piece: Which piece of its bytes would come next.
    """
    done: list[bool] = []

    class Met(ChildProcess):
        pieces = 0

        def read(self, seconds: float) -> bytes:
            self._meet()
            return super().read(seconds)

        def feed(self, chunk: bytes) -> bool:
            self._meet()
            return super().feed(chunk)

        def finish(self) -> int:
            self.pieces = max(self.pieces, piece - 1)  # small archives end before that piece: then at their end
            self._meet()
            return super().finish()

        def _meet(self) -> None:
            self.pieces += 1
            if self.pieces == piece and not done:
                done.append(True)
                action(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ChildProcess", Met)
        yield
    assert done, "nobody came by"
