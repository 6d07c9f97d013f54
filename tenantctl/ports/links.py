"""Links by which somebody without an account fetches one object, until they end."""

from datetime import timedelta
from typing import Protocol


class Links(Protocol):
    """What signs links to objects; a link opens its one object for reading, and ends by itself."""

    def check(self) -> None:
        """Whether links can be signed at all: asked before anything is written that one is wanted to.

        Raises:
            Refused: they cannot, and why.
        """

    def signed(self, bucket: str, name: str, *, valid: timedelta) -> str:
        """A link to an object, from now on for so long.

        Raises:
            Refused: it cannot be signed.
            Transient: who signs does not answer.
        """
