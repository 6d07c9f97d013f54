"""How work is shown while it goes on: lines for a person on a terminal, JSON lines for a log."""

import json
import sys
from collections.abc import Iterator

import click

from tenantctl.engine.worker import Turn
from tenantctl.model.anchor import Anchor
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import ExitCode, Refused, TenantctlError, Transient
from tenantctl.model.plan import Step
from tenantctl.sweeps.audits import Audited


class Progress:
    """Prints steps as they begin and turns as they end; JSON lines where stdout is no terminal.

    Args:
        as_json: JSON lines, or text; None has the terminal decide.
        err: to stderr, for a command whose answer stands on stdout.
        with_turns: text tells the steps of a turn when it ends, all together: several go on side by side.
    """

    def __init__(self, *, as_json: bool | None = None, err: bool = False, with_turns: bool = False) -> None:
        self._with_turns = with_turns
        self._json = not sys.stdout.isatty() if as_json is None else as_json
        self._err = err

    def step(self, step: Step) -> None:
        """A step begins."""
        if self._json:
            self._line("step", do=step.do.value, subject=step.subject, reason=step.reason)
        elif not self._with_turns:
            self._text(step)

    def turn(self, turn: Turn) -> None:
        """A tenant's turn ended."""
        due = rfc3339(turn.due_at) if turn.due_at else None
        if self._json:
            self._line(
                "tenant",
                uid=turn.tenant_uid,
                purpose=turn.plan.purpose if turn.plan else None,
                plan=turn.plan.digest if turn.plan else None,
                outcome=turn.outcome.value if turn.outcome else None,
                steps=[step.do.value for step in turn.steps],
                blockers=[blocker.code for blocker in turn.blockers],
                trouble=turn.trouble.sentence if turn.trouble else None,
                due_at=due,
            )
            return
        for step in turn.steps if self._with_turns else ():
            self._text(step)
        click.echo(f"  {turn.label}: {_summary(turn)}{f'; next look {due}' if due else ''}", err=self._err)

    def anchor(self, anchor: Anchor) -> None:
        """The anchor of the day was made."""
        if self._json:
            self._line("anchor", number=anchor.number, digest=anchor.digest, chains=anchor.chains)
        else:
            click.echo(
                f"  journal: {anchor.sentence} is locked, {anchor.entries} entries in {anchor.chains} chains",
                err=self._err,
            )

    def audited(self, audited: Audited) -> None:
        """A place was audited, or could not be; what is open there is told again each time."""
        if self._json:
            open_now = [{"alarm": one.code, "grade": one.grade, "subject": one.subject} for one in audited.findings]
            cleared = [{"alarm": one.code, "subject": one.subject} for one in audited.changes.cleared]
            unseen = audited.unseen or None
            self._line("audit", place=audited.place, findings=open_now, cleared=cleared, unseen=unseen)
            return
        if audited.unseen:
            click.echo(f"  {audited.place}: could not be audited: {audited.unseen}", err=self._err)
        for one in audited.findings:
            click.echo(f"  {audited.place}: {one.grade}: {one.code} {one.subject}: {one.sentence}", err=self._err)
        for one in audited.changes.cleared:
            click.echo(f"  {audited.place}: no more: {one.code} {one.subject}", err=self._err)

    def note(self, message: str) -> None:
        """Something about the whole run, beside its answer."""
        click.echo(message, err=True)

    def failed(self, error: TenantctlError) -> None:
        """Why something did not come to its end."""
        click.echo(f"tenantctl: {error.sentence}", err=True)

    def _text(self, step: Step) -> None:
        click.echo(f"    {step.do} {step.subject}: {step.reason}", err=self._err)

    def _line(self, kind: str, **content: object) -> None:
        click.echo(json.dumps({"kind": kind, **content}, ensure_ascii=False), err=self._err)


def _summary(turn: Turn) -> str:
    if turn.trouble is not None:
        return f"put off: {turn.trouble.sentence}"
    if turn.blockers:
        return f"blocked: {'; '.join(blocker.reason for blocker in turn.blockers)}"
    done = f"{len(turn.steps)} steps done" if turn.steps else "nothing to do"
    because = f": {turn.plan.because}" if turn.plan is not None and turn.plan.because else ""
    return f"{done}{because}"


def follow(turns: Iterator[Turn], progress: Progress) -> tuple[int, int]:
    """Shows every turn; how many there were, and the exit code that the worst of them gives."""
    count, codes = 0, {ExitCode.OK}
    for turn in turns:
        progress.turn(turn)
        count += 1
        codes.add(_code(turn))
    worst_first = (ExitCode.CAPPED, ExitCode.FINDINGS, ExitCode.UNREACHABLE, ExitCode.OK)
    return count, next(code for code in worst_first if code in codes)


def _code(turn: Turn) -> ExitCode:
    """Findings where a person is told; a tenant that somebody else has now is no trouble."""
    match turn.trouble:
        case Transient():
            return ExitCode.UNREACHABLE
        case Refused():
            return ExitCode.FINDINGS
        case _ if any(blocker.code == "cap" for blocker in turn.blockers):
            return ExitCode.CAPPED
        case _:
            return ExitCode.FINDINGS if any(blocker.alarm for blocker in turn.blockers) else ExitCode.OK
