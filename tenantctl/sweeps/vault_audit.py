"""One bucket held against the ledger, both ways, in one pass over two lists that are sorted alike.

Neither list is ever in memory as a whole. What looks wrong in the lists may be a copy that was being written or was
expiring as they were read: it is looked at again by name, and only what is wrong then is told.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from tenantctl.model.backup import manifest_name, object_name
from tenantctl.model.errors import Transient
from tenantctl.model.finding import GradedFinding
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.audits import LedgerLine
from tenantctl.ports.vault import BucketSeen, ObjectListed, ObjectSeen
from tenantctl.ports.world import World
from tenantctl.sweeps.vault_rules import copy_findings, folder_of

PAGE: Final = 1000  # what Cloud Storage lists at once

Seen = TypeVar("Seen")


def audit_copies(
    world: World, bucket: str, *, where: str, check: Callable[[], None] = lambda: None
) -> Iterator[GradedFinding]:
    """Everything in which the ledger and a bucket differ, by name.

    Args:
        world: where both are.
        bucket: which.
        where: what findings call it.
        check: called for every page; what it raises ends the audit.

    Raises:
        Transient: the bucket does not answer, or is not there: nothing is known of what it has.
    """
    terms = _answered(world.vault.look_at_bucket(bucket), bucket)
    for folder, of_folder in itertools.groupby(_side_by_side(world, bucket, check), key=lambda one: one[0]):
        things = [thing for _, thing in of_folder]
        line = next((thing for thing in things if isinstance(thing, LedgerLine)), None)
        objects = {thing.name: thing.seen for thing in things if isinstance(thing, ObjectListed)}
        suspicious = copy_findings(folder, line, objects, terms, where=where, now=world.registry.now())
        if next(suspicious, None) is not None:
            yield from _second_look(world, bucket, folder, objects, terms, where=where)


def _side_by_side(
    world: World, bucket: str, check: Callable[[], None]
) -> Iterator[tuple[str, LedgerLine | ObjectListed]]:
    """Both lists as one, each thing with its folder, by the bytes of these."""
    ledger = ((folder_of(line.copy.object_name), line) for line in _ledger(world, bucket))
    objects = ((folder_of(one.name), one) for one in _objects(world, bucket, check))
    both: tuple[Iterable[tuple[str, LedgerLine | ObjectListed]], ...] = (ledger, objects)
    return heapq.merge(*both, key=lambda one: one[0])


def _ledger(world: World, bucket: str) -> Iterator[LedgerLine]:
    after = ""
    while page := world.registry.ledger(bucket, after=after, limit=PAGE):
        yield from page
        after = page[-1].copy.object_name


def _objects(world: World, bucket: str, check: Callable[[], None]) -> Iterator[ObjectListed]:
    after = ""
    while True:
        check()
        page = _answered(world.vault.objects(bucket, after=after, limit=PAGE), bucket)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].name


def _second_look(
    world: World, bucket: str, folder: str, listed: Iterable[str], terms: BucketSeen, *, where: str
) -> Iterator[GradedFinding]:
    """The findings of one backup, by name: first the ledger, which has a copy before the bucket has it."""
    uid, _, backup = folder.rstrip("/").partition("/")
    dump = object_name(uid, backup)
    line = world.registry.ledger_line(bucket, dump)
    objects: dict[str, ObjectSeen] = {}
    for name in sorted({*listed, dump, manifest_name(dump)}):
        sight = world.vault.look(bucket, name)
        if not isinstance(sight, Gone):
            objects[name] = _answered(sight, bucket)
    yield from copy_findings(folder, line, objects, terms, where=where, now=world.registry.now())


def _answered(sight: Sighting[Seen], bucket: str) -> Seen:
    match sight:
        case Present(seen):
            return seen
        case Gone():
            raise Transient(f"There is no bucket {bucket}: what became of its copies is unknown.")
        case Unreachable(reason):
            raise Transient(f"Bucket {bucket} does not answer: {reason}")
