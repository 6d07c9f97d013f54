"""Carries a plan out step by step: level-triggered, fenced, journalled.

Safe to run again after any crash: a step that the world shows as done is not
done again, and one whose end was not seen is left to the next sweep.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from tenantctl.engine.actions import Action, Actions, Work
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.plan import DUTY_OF, Blocker, Do, Duty, Step

BEGUN: Final = "step-begun"
DONE: Final = "step-done"
KNOWN: Final = frozenset(Do)

Progress = Callable[[Step], None]


class Outcome(StrEnum):
    """How far a plan was carried."""

    DONE = "done"
    WAITING = "waiting"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Result:
    """What came of a plan; `steps` are those that were carried out in this run."""

    outcome: Outcome
    steps: tuple[Step, ...] = ()
    blockers: tuple[Blocker, ...] = ()


def execute(
    work: Work, actions: Actions, *, duty: Duty | None = None, progress: Progress = lambda step: None
) -> Result:
    """Carries out the plan of `work`, from its first step that the world does not show as done.

    With a `duty`, it ends before the first step that is another's.

    Raises:
        Transient: something did not answer; running again goes on from there.
        LeaseLost: somebody else has the tenant, or something newer is wanted of it.
        Refused: an adapter found that the step must not be done.
    """
    carried_out: list[Step] = []
    troubles: list[Transient | Refused] = []
    blockers: list[Blocker] = []
    for step in work.plan.steps:
        if duty not in {None, DUTY_OF[step.do]}:
            break
        work.heartbeat.renew()
        try:
            ended = _carry_out(work, step, actions[step.do], progress, carried_out)
        except (Transient, Refused) as trouble:
            if not work.plan.each_alone:
                raise
            troubles.append(trouble)
            continue
        if ended is not None and (ended.outcome is not Outcome.BLOCKED or not work.plan.each_alone):
            return ended
        blockers += ended.blockers if ended is not None else ()
    if troubles:
        raise troubles[0]
    return Result(Outcome.BLOCKED if blockers else Outcome.DONE, tuple(carried_out), tuple(dict.fromkeys(blockers)))


def _carry_out(work: Work, step: Step, action: Action, progress: Progress, carried_out: list[Step]) -> Result | None:
    """Carries one step out, unless the world shows it as done; a result if the plan ends here."""
    if action.is_done(work, step):
        return None
    blockers = tuple(action.guard(work, step))
    if blockers:
        return Result(Outcome.BLOCKED, tuple(carried_out), blockers)
    progress(step)
    _perform(work, step, action)
    if not action.is_done(work, step):
        return Result(Outcome.WAITING, tuple(carried_out), (unconfirmed(f"{step.do} does not show its effect yet"),))
    if not action.journals_itself:
        _write(work, DONE, step)
    carried_out.append(step)
    return None


def unconfirmed(reason: str) -> Blocker:
    """What is told of work whose end was not seen: it may be a matter of minutes, or of a person."""
    return Blocker("unconfirmed", reason, alarm=True)


def _perform(work: Work, step: Step, action: Action) -> None:
    if action.journals_itself:
        action.act(work, step)
        return
    _write(work, BEGUN, step)
    with work.heartbeat.beating():
        action.act(work, step)


def finish_evidence(work: Work, actions: Actions) -> None:
    """Writes the end of steps that a crash parted from it: the effect is in the world, its evidence was not.

    Called when a lease was taken over, or after trouble; the journal is read for
    what it lacks, never for what to do next. Steps that only another version
    knows are left to it.
    """
    newest: dict[tuple[str, str], tuple[str, Step]] = {}
    for entry in work.world.registry.entries(work.tenant.uid):
        if entry.event in {BEGUN, DONE} and (step := _step_of(entry.body)) is not None:
            newest[step.do, step.subject] = (entry.event, step)
    for event, step in newest.values():
        if event == BEGUN and _can_be_seen(work, actions, step):
            _write(work, DONE, step, found=True)


@lru_cache(maxsize=2**16)
def _step_of(body: str) -> Step | None:
    """The step that an entry is about; while something is in trouble, the same entries are read again and again."""
    said = json.loads(body)
    return Step(Do(said["do"]), said["subject"], said["reason"], said["argument"]) if said["do"] in KNOWN else None


def _can_be_seen(work: Work, actions: Actions, step: Step) -> bool:
    """Whether the world shows the effect; where what it was an effect on is gone since, it shows nothing."""
    try:
        return actions[step.do].is_done(work, step)
    except Refused:
        return False


def _write(work: Work, event: str, step: Step, *, found: bool = False) -> None:
    body = {"do": step.do.value, "subject": step.subject, "reason": step.reason, "argument": step.argument}
    if found:
        body["found"] = "the effect of an earlier run was found in the world"
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        writes.journal(event, **body)
