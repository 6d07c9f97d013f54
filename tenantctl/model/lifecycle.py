"""The states of a tenant and the one table of transitions between them.

The table is the only place that says what may follow what. It is asserted at
import, its comments are what the journal logs, and the diagram in the
documentation is generated from it (`diagram`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tenantctl.model.errors import Refused


class State(StrEnum):
    """Where a tenant stands; only a confirmed step moves it."""

    REQUESTED = "requested"
    ACTIVE = "active"
    MOVING = "moving"
    DEACTIVATING = "deactivating"
    DEACTIVATED = "deactivated"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"
    FORGOTTEN = "forgotten"


class Event(StrEnum):
    """What was confirmed about the world, and moves a tenant to its next state."""

    DATABASE_READY = "database-ready"
    REQUEST_WITHDRAWN = "request-withdrawn"
    MOVE_STARTED = "move-started"
    MOVE_ENDED = "move-ended"
    CANCELLATION_EFFECTIVE = "cancellation-effective"
    FINAL_BACKUP_VERIFIED = "final-backup-verified"
    REINSTATED = "reinstated"
    GRACE_ENDED = "grace-ended"
    ERASURE_APPROVED = "erasure-approved"
    DATABASE_GONE = "database-gone"
    RESIDUE_LAPSED = "residue-lapsed"


@dataclass(frozen=True)
class Transition:
    """One row of the table: from, because of, to, and the comment that is logged."""

    source: State
    event: Event
    target: State
    comment: str


TRANSITIONS: Final = (
    Transition(State.REQUESTED, Event.DATABASE_READY, State.ACTIVE, "the database answers and its login opens"),
    Transition(State.REQUESTED, Event.REQUEST_WITHDRAWN, State.FORGOTTEN, "cancelled before anything was created"),
    Transition(
        State.ACTIVE,
        Event.MOVE_STARTED,
        State.MOVING,
        "to another region: copied while the customer works, or restored after a loss",
    ),
    Transition(State.MOVING, Event.MOVE_ENDED, State.ACTIVE, "arrived, or undone: one living database either way"),
    Transition(
        State.ACTIVE, Event.CANCELLATION_EFFECTIVE, State.DEACTIVATING, "closing the logins, then the final backup"
    ),
    Transition(
        State.DEACTIVATING, Event.FINAL_BACKUP_VERIFIED, State.DEACTIVATED, "closed, and the final backup is proved"
    ),
    Transition(
        State.DEACTIVATING, Event.REINSTATED, State.ACTIVE, "the customer came back while the logins were closing"
    ),
    Transition(State.DEACTIVATED, Event.REINSTATED, State.ACTIVE, "the customer came back within grace"),
    Transition(State.DEACTIVATED, Event.GRACE_ENDED, State.DESTROYING, "no way back from here"),
    Transition(State.ACTIVE, Event.ERASURE_APPROVED, State.DESTROYING, "erasure asked for and approved by two people"),
    Transition(State.MOVING, Event.ERASURE_APPROVED, State.DESTROYING, "erasure asked for and approved by two people"),
    Transition(
        State.DEACTIVATING, Event.ERASURE_APPROVED, State.DESTROYING, "erasure asked for and approved by two people"
    ),
    Transition(
        State.DEACTIVATED, Event.ERASURE_APPROVED, State.DESTROYING, "erasure asked for and approved by two people"
    ),
    Transition(State.DESTROYING, Event.DATABASE_GONE, State.DESTROYED, "the instance itself says so; copies remain"),
    Transition(
        State.DESTROYED, Event.RESIDUE_LAPSED, State.FORGOTTEN, "every copy and every other residue is proved gone"
    ),
)
_NEXT: Final = {(row.source, row.event): row for row in TRANSITIONS}
assert len(_NEXT) == len(TRANSITIONS), "one target per (state, event)"
assert all(row.source is not State.FORGOTTEN for row in TRANSITIONS), "forgotten is the end"
assert {row.source for row in TRANSITIONS} | {State.FORGOTTEN} == set(State), "no state is a dead end but the last"
assert {row.event for row in TRANSITIONS} == set(Event), "no event without a place"

DEAD: Final = frozenset({State.DESTROYED, State.FORGOTTEN})  # these have given their names back
LIVING: Final = frozenset({State.REQUESTED, State.ACTIVE, State.MOVING, State.DEACTIVATING, State.DEACTIVATED})
REINSTATABLE: Final = frozenset(row.source for row in TRANSITIONS if row.event is Event.REINSTATED)


def transition(state: State, event: Event) -> Transition:
    """The row that `event` takes a tenant in `state` along.

    Raises:
        Refused: the table has no such row.
    """
    row = _NEXT.get((state, event))
    if row is None:
        raise Refused(f"A tenant that is {state} cannot take {event}.")
    return row


def diagram() -> str:
    """The table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> requested"]
    lines += [f"    {row.source} --> {row.target}: {row.event}" for row in TRANSITIONS]
    return "\n".join([*lines, "    forgotten --> [*]"])
