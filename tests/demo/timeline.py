"""How the demo is told: a date, what happened, and what of the promises it shows.

Plain text of at most `WIDTH` columns: readable on a terminal, in a log, and in a mail.
"""

import textwrap
from datetime import datetime
from typing import Final, TextIO

from tests.demo.ledger import Ledger, Promise

WIDTH: Final = 110
INDENT: Final = 14
KEPT, BROKEN = "✓", "✗"


class Timeline:
    """Prints chapters, sentences and checks; enters the checks into its ledger.

    Args:
        out: where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._first: datetime | None = None
        self.ledger = Ledger()

    def line(self, text: str = "") -> None:
        """A line as it is."""
        print(text, file=self._out, flush=True)

    def chapter(self, now: datetime, title: str) -> None:
        """A new date on the clock of the cloud, in UTC, and what this part is about."""
        self._first = self._first or now
        day = f"day {(now.date() - self._first.date()).days}"
        self.line()
        self.line(f"{now:%Y-%m-%d}  {title}  ({day})")

    def say(self, sentence: str) -> None:
        """What happened."""
        self._wrapped(sentence, "- ")

    def check(self, promise: Promise, expected: str, *, holds: bool, evidence: str) -> bool:
        """A look at a promise: what was expected, and what shows that it is so, or is not."""
        self.ledger.add(promise, expected, holds=holds, evidence=evidence)
        if holds:
            self._wrapped(f"{expected}: {evidence}", f"{KEPT} ")
        else:
            self._wrapped(f"NOT SO: {expected}; instead: {evidence}", f"{BROKEN} ")
        return holds

    def verdict(self) -> bool:
        """Everything that was promised, each with how often it was looked at; whether all of it was kept."""
        self.line()
        self.line("What was promised, and what was seen")
        for promise in Promise:
            checks = self.ledger.of(promise)
            mark = KEPT if self.ledger.kept(promise) else BROKEN
            held = sum(check.holds for check in checks)
            self.line(f"  {mark} {promise}")
            self.line(f"      {held} of {len(checks)} checks hold" if checks else "      it was never looked at")
            for check in checks:
                if not check.holds:
                    self._wrapped(f"{check.expected}; instead: {check.evidence}", f"{BROKEN} ")
        return self.ledger.whole

    def _wrapped(self, text: str, mark: str) -> None:
        first, rest = " " * (INDENT - len(mark)) + mark, " " * INDENT
        flat = " ".join(text.split())
        self.line(textwrap.fill(flat, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False))
