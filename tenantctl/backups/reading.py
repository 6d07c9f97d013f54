"""One copy as it comes from its vault, and whether what came of it comes again: what a single reading cannot tell.

Bytes can be damaged on their way, and where they lie. What comes twice in the
same form lies so; what comes otherwise the second time was damaged on its way,
and nothing may be concluded of the copy.
"""

import hashlib
from collections.abc import Iterator

from tenantctl.engine.actions import Work
from tenantctl.model.backup import Copy
from tenantctl.model.errors import Damaged, NotFound


class Reading:
    """A reading of one copy; remembers how much came, and its checksum.

    Attributes:
        size: bytes that came so far.
    """

    def __init__(self, work: Work, copy: Copy) -> None:
        self.size = 0
        self._work, self._copy = work, copy
        self._sha256 = hashlib.sha256()
        self._damaged = False

    @property
    def sha256(self) -> str:
        """The hex SHA-256 of what came so far."""
        return self._sha256.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """The copy's bytes, piece by piece.

        Raises:
            NotFound: it is gone.
            Damaged: what came is not what its store says that it has.
            Transient: the store does not answer.
        """
        try:
            for chunk in self._work.world.vault.read(self._copy.bucket, self._copy.object_name):
                self._work.heartbeat.check()
                self._sha256.update(chunk)
                self.size += len(chunk)
                yield chunk
        except (Damaged, NotFound):
            self._damaged = True
            raise

    def comes_again(self) -> bool:
        """Whether a second reading brings the same bytes as far as this one came, and ends where this one broke off.

        Raises:
            Transient: the store does not answer.
        """
        if not self.size and not self._damaged:
            return True  # nothing was read that could have come otherwise
        again = Reading(self._work, self._copy)
        if not self.size and not self._damaged:
            return True  # it was refused before a byte came: nothing on the way can have harmed what nobody read
        try:
            for _ in again.chunks():
                if again.size >= self.size and not self._damaged:
                    break
        except (Damaged, NotFound):
            pass
        return (again.size, again.sha256) == (self.size, self.sha256)
