"""The invariants of docs/INVARIANTS.md that can be asked of a world, by their numbers there.

Each is a small function of what the world really contains and of what its witness saw; what the registry claims is
never believed, it is what is judged. Those of `AT` are asked at the moment of a happening, those of `AFTER_EACH_TURN`
of a tenant whenever a worker has let go of it, and those of `AT_THE_END` when a world's time is over.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tenantctl.model.journal import Entry
from tests.simulation.invariants_keeping import (
    chain_holds,
    chains_are_whole,
    complete_is_complete,
    done_is_done,
    lapsed_is_gone,
    no_key_goes_early,
    nothing_readable_late,
    one_backup_a_slot,
    proved_was_restored,
    sealed_is_on_record,
    within_rpo_or_alarmed,
)
from tests.simulation.invariants_leaving import (
    closed_is_closed,
    destroyed_is_gone,
    effects_happen_once,
    everybody_who_left_is_forgotten,
    forgotten_is_gone,
    grace_ends_in_time,
    grace_is_never_shortened,
    moves_follow_the_table,
    names_go_with_the_rest,
    no_drop_without_final_backup,
    no_early_drop,
    no_early_end_of_grace,
    nothing_of_anothers,
    nothing_while_held_or_frozen,
)
from tests.simulation.town import Town
from tests.simulation.truth import Happening, Life

Rule = Callable[[Town, Happening], Iterator[str]]
StateRule = Callable[[Town, Life], Iterator[str]]


AT: Final[Mapping[str, tuple[tuple[int, Rule], ...]]] = {
    "created": ((5, nothing_of_anothers), (23, effects_happen_once)),
    "opened": ((5, nothing_of_anothers), (23, effects_happen_once)),
    "closed": ((5, nothing_of_anothers),),
    "altered": ((5, nothing_of_anothers),),
    "dropped": (
        (1, no_early_drop),
        (4, no_drop_without_final_backup),
        (5, nothing_of_anothers),
        (23, effects_happen_once),
        (47, nothing_while_held_or_frozen),
    ),
    "key-removed": ((8, no_key_goes_early),),
    "sealed": ((30, sealed_is_on_record),),
    "row": (
        (1, no_early_end_of_grace),
        (2, grace_is_never_shortened),
        (6, moves_follow_the_table),
        (31, names_go_with_the_rest),
    ),
}
AT_ENTRY: Final[Mapping[str, tuple[tuple[int, Rule], ...]]] = {
    "backup-complete": ((11, complete_is_complete), (14, one_backup_a_slot)),
    "backup-short": ((11, complete_is_complete),),
    "backup-verified": ((66, proved_was_restored),),
    "copy-lapsed": ((12, lapsed_is_gone),),
    "copy-absent": ((25, lapsed_is_gone),),
    "logins-closed": ((33, closed_is_closed),),
    "step-done": ((66, done_is_done),),
    "database-gone": ((25, destroyed_is_gone),),
    "residue-lapsed": ((67, forgotten_is_gone),),
}
AFTER_EACH_TURN: Final[tuple[tuple[int, StateRule], ...]] = (
    (9, nothing_readable_late),
    (41, within_rpo_or_alarmed),
    (3, grace_ends_in_time),
)
AT_THE_END: Final[tuple[tuple[int, StateRule], ...]] = ((29, chains_are_whole), (67, everybody_who_left_is_forgotten))


def ask(town: Town, told: Happening) -> None:
    """Asks every invariant that a happening could break, and puts what it finds on record."""
    rules = AT.get(told.kind, ())
    if told.kind == "entry":
        _note(town, 29, told.uid, chain_holds(town, told))
        entry: Entry = told.found["entry"]
        rules = AT_ENTRY.get(entry.event, ())
    for number, rule in rules:
        _note(town, number, told.uid, rule(town, told))


def ask_of(town: Town, life: Life, rules: tuple[tuple[int, StateRule], ...]) -> None:
    """Asks these invariants of one tenant as it stands."""
    for number, rule in rules:
        _note(town, number, life.uid, rule(town, life))


def _note(town: Town, number: int, uid: str, found: Iterator[str]) -> None:
    town.truth.checks += 1
    for sentence in found:
        town.truth.violations.append(f"invariant {number} at {town.moment:%Y-%m-%d %H:%M:%S}, tenant {uid}: {sentence}")
