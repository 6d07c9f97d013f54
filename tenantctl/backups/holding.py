"""What a legal hold means for a tenant's backups: copies held and let go, keys kept, reviews that are due. Pure.

While a hold is open every copy that exists is to be held by its own store, those
that are written meanwhile too, and no key is shredded. Once none is open, each copy
that may be held is let go, and its term goes on. That a copy may be held is written
down before its store is asked, and until it was seen let go.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tenantctl.model.backup import Backup, Copy, CopyState
from tenantctl.model.calendar import ONE_DAY, rfc3339
from tenantctl.model.decisions import Hold, Standing
from tenantctl.model.facts import Facts
from tenantctl.model.plan import Blocker, Do, Plan, Step

ASKED_AGAIN_AFTER: Final = timedelta(minutes=30)
NAMED_MAX: Final = 20  # copies that an alarm names


def is_held(standing: Standing | None) -> bool:
    """Whether the law wants the tenant's data kept. Nobody asked: then it may."""
    return standing is None or bool(standing.holds)


def with_holding(facts: Facts, planned: Plan, *, now: datetime) -> Plan:
    """The plan, with what its holds ask of it: first of all, since a copy that lapses today is not held tomorrow.

    A store that does not answer keeps nothing else of the plan from being carried out.
    """
    standing = facts.standing
    if standing is None:
        return planned
    if standing.holds:
        steps, blockers = (
            _placing(facts, standing, now=now),
            (*_not_placed(facts, standing, now=now), *_reviews(standing, now=now)),
        )
    else:
        steps, blockers = _releasing(facts, now=now), tuple(_not_released(facts))
    looks = [look for look in (planned.next_look, *_looks(facts, standing, now=now)) if look is not None]
    following = None if planned.next_look is None else min(looks)
    steps, blockers = (*steps, *planned.steps), (*planned.blockers, *blockers)
    return replace(planned, steps=steps, blockers=blockers, next_look=following)


def copies_to_hold(backups: Sequence[Backup]) -> tuple[Copy, ...]:
    """The copies that exist, and were not seen held."""
    copies = (copy for backup in backups if not backup.is_settled for copy in backup.copies)
    return tuple(copy for copy in copies if copy.state is CopyState.WRITTEN and copy.held_at is None)


def copies_to_release(backups: Sequence[Backup]) -> tuple[Copy, ...]:
    """The copies that may be held, whatever became of their backups."""
    return tuple([copy for backup in backups if backup.may_be_held for copy in backup.copies if copy.may_be_held])


def kept_places(holds: Sequence[Hold], backups: Sequence[Backup]) -> frozenset[str]:
    """The ids of the places that last as long as a hold does: copies that are held, or are about to be, and keys."""
    copies = [copy for backup in backups for copy in backup.copies]
    kept = {copy.residue_id for copy in copies if copy.may_be_held}
    if holds:
        kept |= {copy.residue_id for copy in copies if copy.state is CopyState.WRITTEN}
        kept |= {copy.key_residue_id for copy in copies if copy.wrapped_key is not None}
    return frozenset(kept)


def holding_sentence(holds: Sequence[Hold], backups: Sequence[Backup]) -> str | None:
    """How many copies their stores were seen to hold, and why; None where no hold means anything to them."""
    copies = [
        copy for backup in backups for copy in backup.copies if copy.state is CopyState.WRITTEN or copy.may_be_held
    ]
    if holds:
        seen = sum(copy.held_at is not None for copy in copies)
        which = "a legal hold" if len(holds) == 1 else f"{len(holds)} legal holds"
        return (
            f"under {which}: {seen} of {len(copies)} copies are held by their stores; none lapses, no key is shredded"
        )
    left = sum(copy.may_be_held for copy in copies)
    return f"under no legal hold any more: {left} copies are still to be let go by their stores" if left else None


def to_ask(copies: Sequence[Copy], *, now: datetime) -> tuple[Copy, ...]:
    """Those of them whose stores are to be asked now: for the first time, or again after a while."""
    return tuple(
        copy
        for copy in copies
        if copy.held_at is not None or copy.hold_asked_at is None or copy.hold_asked_at + ASKED_AGAIN_AFTER <= now
    )


def _placing(facts: Facts, standing: Standing, *, now: datetime) -> tuple[Step, ...]:
    asked = to_ask(copies_to_hold(facts.unsettled), now=now)
    if not asked:
        return ()
    reason = f"under a legal hold since {rfc3339(_since(standing))}: copies that are not held yet: {len(asked)}"
    return (Step(Do.HOLD_COPIES, facts.tenant.uid, reason),)


def _releasing(facts: Facts, *, now: datetime) -> tuple[Step, ...]:
    asked = to_ask(copies_to_release(facts.unsettled), now=now)
    if not asked:
        return ()
    reason = f"no legal hold stands any more: copies whose terms go on: {len(asked)}"
    return (Step(Do.RELEASE_COPIES, facts.tenant.uid, reason),)


def _not_placed(facts: Facts, standing: Standing, *, now: datetime) -> Iterator[Blocker]:
    """The alarm on copies that could not be held, or that nobody has tried to hold for a day."""
    since = _since(standing)
    left = [
        copy
        for copy in copies_to_hold(facts.unsettled)
        if copy.may_be_held or max(since, copy.written_at or copy.intended_at) + ONE_DAY <= now
    ]
    if left:
        reason = f"under a legal hold, and yet not held by their stores: {_named(left)}"
        yield Blocker("hold-not-placed", reason, since, alarm=True)


def _not_released(facts: Facts) -> Iterator[Blocker]:
    """The alarm on copies that their stores still hold, though nobody wants it."""
    left = [copy for copy in copies_to_release(facts.unsettled) if copy.held_at is None]
    if left:
        reason = f"under no legal hold any more, and yet not let go by their stores: {_named(left)}"
        yield Blocker("hold-not-released", reason, alarm=True)


def _reviews(standing: Standing, *, now: datetime) -> Iterator[Blocker]:
    """The alarm on holds of which somebody should have asked whether they are still needed; cases stay unnamed."""
    late = [hold for hold in standing.holds if hold.review_by < now]
    if late:
        which = ", ".join(f"hold {hold.id} by {rfc3339(hold.review_by)}" for hold in late)
        since = min(hold.review_by for hold in late)
        yield Blocker("hold-review-overdue", f"to be reviewed: {which}", since, alarm=True)


def _looks(facts: Facts, standing: Standing, *, now: datetime) -> Iterator[datetime]:
    """When to look again: daily under a hold, when a review is due, and where a store is to be asked again."""
    if standing.holds:
        yield now + ONE_DAY
        yield from (hold.review_by for hold in standing.holds if hold.review_by > now)
    asked = copies_to_hold(facts.unsettled) if standing.holds else copies_to_release(facts.unsettled)
    again = (copy.hold_asked_at + ASKED_AGAIN_AFTER for copy in asked if copy.hold_asked_at is not None)
    yield from (moment for moment in again if moment > now)


def _since(standing: Standing) -> datetime:
    return min(hold.placed_at for hold in standing.holds)


def _named(copies: Sequence[Copy]) -> str:
    more = f" and {len(copies) - NAMED_MAX} more" if len(copies) > NAMED_MAX else ""
    return ", ".join(copy.address for copy in copies[:NAMED_MAX]) + more
