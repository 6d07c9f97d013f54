"""The audits of a fleet, place by place: buckets against the ledger, instances and buckets against what is on record.

A place is audited as a whole, or its findings stay as they are: whatever ends a run, the next one goes on with those
that have waited longest. Findings are told and kept, and nothing is ever cleaned up.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Final

from tenantctl.engine.ending import Ending
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.finding import Changes, GradedFinding, PlaceAudited, bounded, unseen_for_long
from tenantctl.ports.world import World
from tenantctl.sweeps.drift import BucketKind, audit_bucket, audit_instance, known_buckets
from tenantctl.sweeps.vault_audit import audit_copies

AUDIT_EVERY: Final = timedelta(hours=20)  # once a day, whenever in the day its job comes to it
AUDIT_TAKES_MAX: Final = timedelta(hours=2)  # whoever began longer ago has died over it


class Audit(StrEnum):
    """What is held against what."""

    VAULT = "vault"
    DRIFT = "drift"


@dataclass(frozen=True)
class Place:
    """Somewhere to look; `look` yields what is wrong there, and `check`, which it calls now and then, may end it."""

    audit: Audit
    name: str
    region: str
    look: Callable[[Callable[[], None]], Iterator[GradedFinding]]


@dataclass(frozen=True)
class Audited:
    """What came of one place: what is open there now, and what changed; or why it could not be looked at."""

    place: str
    findings: Sequence[GradedFinding]
    changes: Changes
    unseen: str = ""


def places(world: World, audit: Audit | None = None, *, region: str | None = None) -> Sequence[Place]:
    """Everything that is audited, of one audit or of both, in one region or in all."""
    found: list[Place] = []
    for bucket in known_buckets(world):
        where = f"{bucket.kind} {bucket.name}"
        looks = partial(audit_bucket, world, bucket, where=where)
        found.append(Place(Audit.DRIFT, where, bucket.region, partial(_at_once, looks)))
        if bucket.kind in {BucketKind.VAULT, BucketKind.FORMER}:
            where = f"copies in {bucket.name}"
            found.append(Place(Audit.VAULT, where, bucket.region, partial(_copies, world, bucket.name, where)))
    for instance in world.registry.instances():
        where = f"instance {instance.name}"
        looks = partial(audit_instance, world, instance, where=where)
        found.append(Place(Audit.DRIFT, where, instance.region, partial(_at_once, looks)))
    return [one for one in found if audit in {None, one.audit} and region in {None, one.region}]


def due(known: Sequence[Place], audits: Iterable[PlaceAudited], *, now: datetime) -> Sequence[Place]:
    """The places whose audit is due, those that have waited longest first; what did not answer is due again."""
    told = {one.place: one for one in audits}

    def waited_since(place: Place) -> datetime | None:
        before = told.get(place.name)
        return None if before is None else before.audited_at

    ripe = [
        one
        for one in known
        if (at := waited_since(one)) is None or at + AUDIT_EVERY <= now or told[one.name].unseen_since is not None
    ]
    return sorted(ripe, key=lambda one: (waited_since(one) is not None, waited_since(one) or now, one.name))


def audit(world: World, wanted: Iterable[Place], *, ending: Ending, claimed: bool = False) -> Iterator[Audited]:
    """Looks at each place, and writes down what was found there.

    Args:
        world: where.
        wanted: the places.
        ending: whether to go on; asked between places, and between the pages of one.
        claimed: leave out what another worker is at.

    Raises:
        HandedBack: the worker was told to end; the place in its hands keeps its findings.
        Transient: the registry does not answer.
    """
    for place in wanted:
        if not ending.may_begin:
            return
        if claimed and not world.registry.begin_audit(place.name, unless_within=AUDIT_TAKES_MAX):
            continue
        yield _audited(world, place, ending)


def open_findings(world: World) -> Sequence[GradedFinding]:
    """All that is open, by place; what could not be audited for long among it."""
    registry = world.registry
    return [*registry.findings(), *unseen_for_long(registry.audits(), now=registry.now())]


def silent_for_long(world: World) -> Sequence[Audited]:
    """The places that could not be audited for so long that somebody has to be told."""
    registry = world.registry
    late = unseen_for_long(registry.audits(), now=registry.now())
    return [Audited(one.where, (one,), Changes((), ())) for one in late]


def forget_former_places(world: World) -> Sequence[Audited]:
    """Closes what is open in places that there are no more: no audit would ever come to them again."""
    names = {one.name for one in places(world)}
    gone = sorted({one.where for one in world.registry.findings() if one.where not in names})
    return [Audited(name, (), world.registry.record_audit(name, ())) for name in gone]


def _audited(world: World, place: Place, ending: Ending) -> Audited:
    try:
        found = tuple(bounded(place.look(ending.check)))
    except (Transient, Refused) as trouble:
        world.registry.record_unseen(place.name, trouble.sentence)
        return Audited(place.name, (), Changes((), ()), trouble.sentence)
    return Audited(place.name, found, world.registry.record_audit(place.name, found))


def _at_once(look: Callable[[], Iterator[GradedFinding]], check: Callable[[], None]) -> Iterator[GradedFinding]:
    check()
    yield from look()


def _copies(world: World, bucket: str, where: str, check: Callable[[], None]) -> Iterator[GradedFinding]:
    return audit_copies(world, bucket, where=where, check=check)
