"""Who and what takes part in the demo: three customers, the command line, a witness, and the clock."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

from tests.demo.commands import CommandLine
from tests.demo.customers import Content, Customers, Login
from tests.demo.evidence import Json, duration, in_two_regions, moment, regions_holding
from tests.demo.ledger import Promise
from tests.demo.timeline import Timeline
from tests.demo.witness import Witness

Result = TypeVar("Result")

WORKERS: Final = 2
SHORTLY: Final = timedelta(minutes=20)  # places that come up one after the other are looked at together
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
    clock: datetime  # what the cloud's clock showed when it was last looked at, in UTC
    stays: Guest = field(default_factory=lambda: Guest("southlake-tools", "Southlake, TX, US", "a tool maker"))
    leaves: Guest = field(
        default_factory=lambda: Guest("atelier-luik", "Luik", "a workshop with an ERP", ("btree_gist", "citext"))
    )
    returns: Guest = field(default_factory=lambda: Guest("boekhandel-assen", "Assen, NL", "a small bookshop"))

    @property
    def guests(self) -> tuple[Guest, ...]:
        """All three."""
        return (self.stays, self.leaves, self.returns)

    def side_by_side(self, work: Callable[[Guest], Result]) -> list[Result]:
        """Does the same with all three at once; what came of each, in order."""
        with ThreadPoolExecutor(len(self.guests)) as pool:
            try:
                return list(pool.map(work, self.guests))
            except BaseException:  # interrupted, or one of them failed: the others are not waited for
                self.cli.end()
                raise

    def advance(self, span: timedelta, title: str) -> None:
        """Moves the clock, and opens the chapter of the new date."""
        said = self.cli.ask("local", "advance", duration(span)).output
        self.clock = moment(said.split()[-1].rstrip("."))
        self.timeline.chapter(self.clock, title)

    def advance_beyond(self, until: datetime, title: str) -> None:
        """Moves the clock to shortly after a moment to come."""
        self.advance(until - self.clock + SHORTLY, title)

    def sweep(self) -> Sequence[Json]:
        """Has two workers at once do what is due, as scheduled jobs would; what became of each tenant."""
        answers = self.cli.together(*[("run", "--json-lines")] * WORKERS)
        lines = [line for answer in answers for line in answer.output.splitlines()]
        turns = [turn for turn in map(json.loads, lines) if turn["kind"] == "tenant"]
        for turn in turns:
            if turn["trouble"]:
                self.timeline.say(f"The program reports trouble with {turn['uid']}: {turn['trouble']}")
        return turns

    def residues(self, guest: Guest) -> Sequence[Json]:
        """Every place that ever held bytes of a customer."""
        found: Sequence[Json] = self.cli.json("residue", guest.uid, "--all")
        return found

    def check_backup(self, guest: Guest, backup: Json) -> None:
        """A backup is what the program says and what the buckets themselves show."""
        seen = [self.witness.size(copy["bucket"], copy["object_name"]) for copy in backup["copies"]]
        self.timeline.check(
            Promise.TWO_REGIONS,
            f"the {backup['retention_class']} backup of {guest.name} lies in two regions",
            holds=in_two_regions(backup) and seen == [backup["size"]] * len(backup["copies"]),
            evidence=f"{', '.join(sorted(regions_holding(backup)))}; {backup['rows']:,} rows;"
            f" the buckets show {' and '.join(f'{size or 0:,}' for size in seen)} bytes",
        )
