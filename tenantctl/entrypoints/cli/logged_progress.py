"""Work as Cloud Logging is told of it: uids, digests and codes; a line for each alarm that stands after a turn.

The alert policies match on `jsonPayload.alarm`. A line is printed for every alarm that is open when a turn ends,
whichever run raised it: one that a crash kept back is told by the next turn.
"""

import logging
from typing import Final

from tenantctl.adapters.alarm_grades import grade_of
from tenantctl.adapters.json_log import failure, say
from tenantctl.engine.worker import Turn
from tenantctl.entrypoints.cli.progress import Progress
from tenantctl.model.anchor import Anchor
from tenantctl.model.errors import LeaseLost, TenantctlError, Transient
from tenantctl.model.plan import DUTY_OF, Step
from tenantctl.sweeps.audits import Audited

log: Final = logging.getLogger("tenantctl.work")


class LoggedProgress(Progress):
    """Tells the log what `Progress` tells a person, without its sentences."""

    def step(self, step: Step) -> None:
        """A step begins."""
        say(log, logging.INFO, "a step begins", step=step.do, subject=step.subject, duty=DUTY_OF[step.do])

    def turn(self, turn: Turn) -> None:
        """A tenant's turn ended; its alarms are told one by one."""
        about = {"tenant": turn.tenant_uid, "plan": turn.plan.digest if turn.plan else None}
        told = {
            **about,
            "purpose": turn.plan.purpose.replace(" ", "-") if turn.plan else None,
            "outcome": turn.outcome,
            "steps": [step.do for step in turn.steps],
            "blockers": [blocker.code for blocker in turn.blockers],
            "error": type(turn.trouble).__name__ if turn.trouble else None,
            "due_at": turn.due_at,
        }
        quiet = turn.trouble is None or isinstance(turn.trouble, LeaseLost)
        say(log, logging.INFO if quiet else logging.WARNING, "a turn ended", **told)
        for code in turn.alarms:
            say(log, logging.getLevelNamesMapping()[grade_of(code)], "an alarm is open", alarm=code, **about)
        for code in turn.cleared:
            say(log, logging.INFO, "an alarm was cleared", alarm_cleared=code, **about)

    def anchor(self, anchor: Anchor) -> None:
        """The anchor of the day was made."""
        say(log, logging.INFO, "an anchor is locked", anchor=anchor.number, count=anchor.entries)

    def audited(self, audited: Audited) -> None:
        """A place was audited; each kind of finding that is open there is told as an alarm."""
        place = audited.place.replace(" ", ":")
        if audited.unseen:
            say(log, logging.WARNING, "a place could not be audited", subject=place)
        for code in sorted({one.code for one in audited.findings}):
            say(log, logging.getLevelNamesMapping()[grade_of(code)], "an alarm is open", alarm=code, subject=place)
        still_open = {one.code for one in audited.findings}
        for code in sorted({one.code for one in audited.changes.cleared} - still_open):
            say(log, logging.INFO, "an alarm was cleared", alarm_cleared=code, subject=place)

    def note(self, message: str) -> None:
        """Something about the whole run."""
        say(log, logging.INFO, message)

    def failed(self, error: TenantctlError) -> None:
        """Why something did not come to its end, by its kind and by where it was raised."""
        level = logging.WARNING if isinstance(error, Transient) else logging.ERROR
        say(log, level, "something did not come to its end", **failure(type(error), error.__traceback__))
