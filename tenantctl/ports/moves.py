"""What the registry keeps of moves; a part of the port `Registry`, and of the writes of its transactions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from tenantctl.model.move import Move


class MoveBook(Protocol):
    """The moves on record."""

    def moves(self, uid: str) -> Sequence[Move]:
        """The tenant's moves, oldest first."""


class MoveWrites(Protocol):
    """What a transaction on one leased tenant writes of its moves."""

    def begin_move(
        self,
        region: str,
        *,
        cause: str,
        instructing_party: str,
        not_before: datetime | None,
        verifier: str | None,
        headroom_percent: int = 0,
        dumped_because: str | None = None,
        expected_seconds: int | None = None,
        accepted_seconds: int | None = None,
    ) -> Move:
        """Chooses another instance, in any region, for the tenant's next generation, and writes that it moves there.

        The database to come has its line in the residue inventory from here on. The tenant stays where it is.

        Raises:
            Refused: no other instance of the region has room, or the tenant is moving already.
        """

    def put_move(self, move: Move) -> None:
        """Writes what was decided of a move that is on record."""

    def cut_over(self, move: Move, explanation: Mapping[str, Any]) -> None:
        """Places the tenant where the move leads; journalled, with both places, for whoever leads customers there."""
