"""Thirteen months of two tenants on the local cloud's clock, with the real policies and nightly backups."""

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tenantctl.backups.age import Identity
from tenantctl.backups.keys import key_context, key_name, open_identity
from tenantctl.backups.stream import opened
from tenantctl.bootstrap import CloudWorld, policies
from tenantctl.config import load_settings
from tenantctl.localcloud.object_store import LIFECYCLE_LAG
from tenantctl.model.backup import Backup, BackupState, RetentionClass
from tenantctl.model.calendar import add_months
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.policy import Term
from tenantctl.sweeps.tenants import sweep
from tests.localcloud.company import PLACE, Company, throw_away_company
from tests.localcloud.owner import Owner, Stored, Try

LEAVES, STAYS = "leaves", "stays"
NIGHTS: Final = 35  # backed up one by one, so that there are copies of every class; weeks after that
MONTHS: Final = 13
TURNS: Final = 9  # weeks within which each object between its first week and its last has a turn
WEEK, NIGHT, MOMENT = timedelta(days=7), timedelta(days=1), timedelta(hours=1)
DELETE_NOW: Final = [{"action": {"type": "Delete"}, "condition": {"age": 0}}]


@dataclass(frozen=True)
class Loot:
    """What a thief copied while it was there: a sealed dump, its wrapped key, and where each lay."""

    backup: Backup
    region: str
    sealed: bytes
    wrapped: bytes

    @property
    def context(self) -> str:
        """What its key was wrapped for."""
        return key_context(self.backup.tenant_uid, self.backup.id)


@dataclass
class Year:
    """The company, its owner, and everything that was ever seen or tried."""

    company: Company
    world: CloudWorld
    owner: Owner
    began: datetime
    seen: set[Stored] = field(default_factory=set)
    tries: Counter[str] = field(default_factory=Counter)
    looks: int = 0

    @property
    def now(self) -> datetime:
        """The cloud's clock."""
        return datetime.fromisoformat(self.company.cloud.status()["clock"])

    def pass_time(self, span: timedelta) -> None:
        """Time passes, and the program does what is due; nothing may trouble it."""
        self.company.cloud.advance(span)
        self.work()

    def work(self) -> None:
        """One sweep, as a scheduled job makes it."""
        for turn in sweep(self.world):
            assert turn.trouble is None, (self.now, turn)
            assert not [blocker for blocker in turn.blockers if blocker.alarm], (self.now, turn)

    def attack(self) -> None:
        """Whatever the owner can try on everything that is there, and what is there afterwards."""
        before = self.owner.everything()
        self.check_terms(before)
        locked = self.locked_for_hours(before)
        by_bucket: dict[str, list[Stored]] = {}
        for one in locked:
            by_bucket.setdefault(one.bucket, []).append(one)
        free = {one.bucket for one in before.difference(locked)}  # what is out of its lock may be deleted, and would be
        now = self.now
        for place, one in enumerate(locked):
            if place % TURNS == self.looks % TURNS or is_young_or_old(one, now):
                self.tell(self.owner.try_object(one))
        for bucket, objects in by_bucket.items():
            chosen = objects[self.looks % len(objects)]
            self.tell(self.owner.try_at_length(chosen))
            self.tell(self.owner.try_settings(chosen))
            self.tell(self.owner.try_bucket(bucket))
            if bucket not in free:
                self.tell(self.owner.try_force(bucket))
        assert self.owner.everything() == before, f"{self.now}: something changed under the tries"
        self.shorten_lifecycles([bucket for bucket in by_bucket if bucket not in free])
        assert self.owner.everything() == before, f"{self.now}: a lifecycle deleted what is locked"
        self.looks += 1

    def locked_for_hours(self, found: frozenset[Stored]) -> list[Stored]:
        """Those whose lock lasts longer than any number of tries, the oldest first."""
        soon = self.now + 3 * MOMENT
        locked = (one for one in found if soon < one.created + lock_of(one))
        return sorted(locked, key=lambda one: (one.created, one.bucket, one.name))

    def tell(self, tries: Iterator[Try]) -> None:
        """Counts tries; one that the store did not answer as it must ends the test by name."""
        for one in tries:
            self.tries[one.what] += 1
            assert one.held, f"week {self.looks}, after {sum(self.tries.values()):,} tries: {one}"

    def shorten_lifecycles(self, buckets: Sequence[str]) -> None:
        """Buckets whose lifecycle says "delete at once", through a run of it; the lock stands before it."""
        rules = {bucket: self.owner.set_lifecycle(bucket, DELETE_NOW) for bucket in buckets}
        self.company.cloud.advance(MOMENT)
        for bucket, before in rules.items():
            self.owner.set_lifecycle(bucket, before)
            self.tries["lifecycle shortened"] += 1

    def check_terms(self, found: frozenset[Stored]) -> None:
        """Each object that was ever seen is there, unchanged, while its lock lasts, and gone once its age is over."""
        self.seen |= found
        now = self.now
        early = [one for one in self.seen - found if now < one.created + lock_of(one)]
        late = [one for one in found if now > one.created + age_of(one) + LIFECYCLE_LAG + MOMENT]
        assert not early, f"{now}: gone before their time: {early}"
        assert not late, f"{now}: still there: {late}"


def term_of(stored: Stored) -> Term:
    """The term of an object, by its bucket's name: that of a class of backups, or of anchors."""
    if "-anchors-" in stored.bucket:
        return policies().anchors.term
    return next(term for one, term in policies().backups.classes.items() if f"-{one}-" in stored.bucket)


def lock_of(stored: Stored) -> timedelta:
    """How long an object is locked."""
    return timedelta(days=term_of(stored).lock_days)


def is_young_or_old(stored: Stored, now: datetime) -> bool:
    """Whether this is the first week of an object, or the last of its lock: where an hour too few would show."""
    return now < stored.created + WEEK or now + WEEK > stored.created + lock_of(stored)


def age_of(stored: Stored) -> timedelta:
    """The age at which its bucket deletes an object."""
    return timedelta(days=term_of(stored).age_days)


@pytest.fixture(scope="module")
def year() -> Iterator[Year]:
    """A company with one tenant, and its first backup."""
    with throw_away_company() as company:
        company.do("tenant", "create", LEAVES, "--based-in", PLACE)
        with (
            closing(CloudWorld(load_settings(company.environment()))) as world,
            closing(Owner(company.cloud)) as owner,
        ):
            made = Year(company, world, owner, datetime.now(UTC))
            made.work()
            yield made


def test_thirteen_months(year: Year) -> None:
    """At no moment could a copy be altered or deleted early, and at the end nothing is left that a key could open.

    The owner of the cloud tries each week, on every bucket, on each object in its first week and in the last of its
    lock, and on others in their turn. One tenant leaves after five weeks; another
    comes and stays, so that there are young copies in every week.
    """
    uid = year.company.tenant(LEAVES)["uid"]
    for night in range(NIGHTS):
        year.pass_time(NIGHT)
        if night % 7 == 6:
            year.attack()
    year.company.do("tenant", "cancel", LEAVES, "--cause", "contract ended", "--instructed-by", "the customer")
    year.work()
    loot = steal(year, uid)
    year.company.do("tenant", "create", STAYS, "--based-in", PLACE)
    year.work()
    assert {one.backup.retention_class for one in loot} == set(RetentionClass)
    while year.now + WEEK < add_months(year.began, MONTHS):
        year.pass_time(WEEK)
        year.attack()
    print(f"{year.looks} weeks, {len(year.seen)} objects, {sum(year.tries.values()):,} tries: {dict(year.tries)}")
    check_forgotten(year, uid)
    check_loot(year, uid, loot)
    check_living(year)


def steal(year: Year, uid: str) -> list[Loot]:
    """A sealed dump of each class with its wrapped key, copied by somebody who may read everything; they open."""
    world = year.world
    backups = [one for one in world.registry.backups(uid) if one.state is BackupState.COMPLETE]
    chosen = {one.retention_class: one for one in backups}
    loot = []
    for backup in chosen.values():
        copy = backup.copies[0]
        sealed = year.owner.content(copy.bucket, copy.object_name)
        wrapped = year.owner.content(key_bucket_of(year, copy.region), key_name(uid, backup.id))
        assert base64.b64decode(copy.wrapped_key or "") == wrapped
        assert opens(sealed, open_identity(world, backup))
        loot.append(Loot(backup, copy.region, sealed, wrapped))
    return loot


def check_forgotten(year: Year, uid: str) -> None:
    """Nothing of who left is in any bucket, every place has lapsed, and the registry holds no key."""
    assert year.owner.left_of(f"{uid}/") == []
    world = year.world
    tenant = world.registry.tenant(uid)
    assert tenant.state is State.FORGOTTEN, year.company.do("tenant", "explain", uid)
    assert [one for one in world.registry.residues(uid) if one.lapsed_at is None or one.proof is None] == []
    assert [copy for one in world.registry.backups(uid) for copy in one.copies if copy.wrapped_key] == []


def check_loot(year: Year, uid: str, loot: Sequence[Loot]) -> None:
    """No key that is left anywhere opens what was stolen; a wrapped key that was stolen with it is another matter.

    Shredding removes every stored place of a wrapped key. It takes back nothing from who copied one before, and may ask
    KMS to unwrap it: that is the right that the registry's own backups are kept from by their date.
    """
    world = year.world
    known = {one.id: one for one in world.registry.backups(uid)}
    for one in loot:
        with pytest.raises(Refused, match="No key opens backup"):
            open_identity(world, known[one.backup.id])
    left = list(every_identity(year, world))
    assert left, "who stays has keys"
    for one in loot:
        assert not [identity for identity in left if opens(one.sealed, identity)]
        unwrapped = world.keys.unwrap(one.region, one.wrapped, context=one.context)
        assert opens(one.sealed, Identity.parse(unwrapped.decode()))


def check_living(year: Year) -> None:
    """Who stayed has copies of every class that it should have, and a fresh one."""
    world = year.world
    tenant = world.registry.find(STAYS)
    newest = max(world.registry.backups(tenant.uid), key=lambda one: one.begun_at)
    assert newest.state is BackupState.COMPLETE
    assert year.now - newest.begun_at < WEEK
    months = [one for one in year.owner.everything() if f"-{RetentionClass.MONTHLY}-" in one.bucket]
    assert len({one.created.month for one in months}) >= 11


def every_identity(year: Year, world: CloudWorld) -> Iterator[Identity]:
    """Each identity that can be had from the key buckets or the registry."""
    for bucket in year.owner.buckets(of_keys=True):
        region = bucket.location.lower()
        for one in year.owner.objects(bucket.name, versions=True):
            tenant_uid, backup_id = one.name.removesuffix(".key").split("/")
            context = key_context(tenant_uid, backup_id)
            wrapped = year.owner.content(bucket.name, one.name)
            yield Identity.parse(world.keys.unwrap(region, wrapped, context=context).decode())
    for tenant in world.registry.tenants():
        for backup in world.registry.backups(tenant.uid):
            if any(copy.wrapped_key for copy in backup.copies):
                yield open_identity(world, backup)


def key_bucket_of(year: Year, region: str) -> str:
    """The key bucket of a region."""
    return str(next(one.name for one in year.owner.buckets(of_keys=True) if one.location.lower() == region))


def opens(sealed: bytes, identity: Identity) -> bool:
    """Whether an identity opens a sealed dump, to its last byte."""
    try:
        return bool(b"".join(opened([sealed], identity)))
    except Refused:
        return False
