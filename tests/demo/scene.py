"""Who and what takes part in the demo: three customers, the command line, a witness, and the clock."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tests.demo.commands import CommandLine
from tests.demo.customers import Content, Customers, Login
from tests.demo.evidence import Json, duration, moment
from tests.demo.timeline import Timeline
from tests.demo.witness import Witness

REGIONS: Final = ("us-south1", "us-central1", "europe-west1", "europe-west4")


@dataclass
class Guest:
    """A customer of the demo; what is learnt of it on the way stands here too."""

    name: str
    based_in: str
    business: str
    extensions: tuple[str, ...] = ()
    uid: str = ""
    region: str = ""
    instance: str = ""
    login: Login | None = None
    content: Content | None = None
    leaving: Json = field(default_factory=dict)  # what was known of it when it had been deactivated

    @property
    def way_in(self) -> Login:
        """How it logs in, as it was told."""
        assert self.login is not None, "it was told when it came"
        return self.login


@dataclass
class Scene:
    """Everything that the chapters share."""

    cli: CommandLine
    timeline: Timeline
    customers: Customers
    witness: Witness
    stays: Guest = field(default_factory=lambda: Guest("southlake-tools", "Southlake, TX, US", "a tool maker"))
    leaves: Guest = field(
        default_factory=lambda: Guest("atelier-luik", "Luik", "a workshop with an ERP", ("btree_gist", "citext"))
    )
    returns: Guest = field(default_factory=lambda: Guest("boekhandel-assen", "Assen, NL", "a small bookshop"))

    @property
    def guests(self) -> tuple[Guest, ...]:
        """All three."""
        return (self.stays, self.leaves, self.returns)

    def side_by_side(self, work: Callable[[Guest], None]) -> None:
        """Does the same with all three at once."""
        with ThreadPoolExecutor(len(self.guests)) as pool:
            try:
                list(pool.map(work, self.guests))
            except BaseException:  # interrupted, or one of them failed: the others are not waited for
                self.cli.end()
                raise

    def now(self) -> datetime:
        """The time on the cloud's clock, in UTC."""
        return moment(self.cli.json("local", "status")["clock"])

    def advance(self, span: timedelta, title: str) -> datetime:
        """Moves the clock, and opens the chapter of the new date."""
        self.cli.ask("local", "advance", duration(span))
        now = self.now()
        self.timeline.chapter(now, title)
        return now

    def sweep(self) -> Sequence[Json]:
        """Has the program do what is due, as a scheduled job would; what became of each tenant."""
        answer = self.cli.ask("run", "--json-lines")
        turns = [turn for turn in map(json.loads, answer.output.splitlines()) if turn["kind"] == "tenant"]
        for turn in turns:
            if turn["trouble"]:
                self.timeline.say(f"The program reports trouble with {turn['uid']}: {turn['trouble']}")
        return turns

    def residues(self, guest: Guest) -> Sequence[Json]:
        """Every place that ever held bytes of a customer."""
        found: Sequence[Json] = self.cli.json("residue", guest.uid, "--all")
        return found
