"""Who watches work go on: told when a plan and a step begin and how they end, and never able to change either."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from tenantctl.engine.actions import Action, Actions, Work
from tenantctl.model.plan import Blocker, Do, Plan, Step


class Observer(Protocol):
    """What is told of work; each block lasts as long as what it is about, and lets every exception through."""

    def plan(self, plan: Plan) -> AbstractContextManager[object]:
        """A plan is carried out."""

    def step(self, plan: Plan, step: Step) -> AbstractContextManager[object]:
        """A step of it acts on the world."""


class Unobserved:
    """Nobody watches."""

    def plan(self, plan: Plan) -> AbstractContextManager[object]:
        """Nothing is told."""
        return nullcontext()

    def step(self, plan: Plan, step: Step) -> AbstractContextManager[object]:
        """Nothing is told."""
        return nullcontext()


def observed(actions: Actions, observer: Observer) -> Mapping[Do, Action]:
    """The same actions, with each effect told."""
    return {do: _Observed(action, observer) for do, action in actions.items()}


@dataclass(frozen=True)
class _Observed:
    action: Action
    observer: Observer

    @property
    def journals_itself(self) -> bool:
        return self.action.journals_itself

    def is_done(self, work: Work, step: Step) -> bool:
        return self.action.is_done(work, step)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        return self.action.guard(work, step)

    def act(self, work: Work, step: Step) -> None:
        with self.observer.step(work.plan, step):
            self.action.act(work, step)
