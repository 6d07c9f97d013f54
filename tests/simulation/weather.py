"""What happens to the world around the tenants: outages, accidents to copies, faults in a turn, and new policies."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Final

from tenantctl.model.backup import RetentionClass
from tenantctl.model.policy import Term
from tests.simulation.acts import Act, act, cancelled, reinstated
from tests.simulation.faults import Fault
from tests.simulation.town import REGIONS, Town

FAULTS: Final = ("crash", "crash", "crash", "lost", "lost", "503", "503", "403", "409", "429", "twice", "empty")


@act("fault")
def fault(town: Town, one: Act, chance: Random) -> None:
    """A call of the tenant's next turns goes wrong: it is not made, not answered, made twice, or the worker dies."""
    kind = chance.choice(FAULTS)
    arm(town, one, Fault(int(2 ** chance.uniform(0, 7)), kind))


@act("pause")
def pause(town: Town, one: Act, chance: Random) -> None:
    """A worker sleeps in the middle of a turn, mostly past its lease, and wakes up when others have done the work."""
    asleep = timedelta(minutes=2 ** chance.uniform(0, 9))
    uid = town.households.get(one.household)
    if uid is not None:
        place = int(2 ** chance.uniform(0, 7))
        arm(town, one, Fault(place, "act", act=lambda: town.works_between(uid, asleep)))


@act("request-in-the-middle")
def request_in_the_middle(town: Town, one: Act, chance: Random) -> None:
    """A request comes in while a worker is in the middle of a turn."""
    request = chance.choice((cancelled, reinstated))

    def ask() -> None:
        if (tenant := town.tenant_of(one.household)) is not None:
            request(town, tenant)

    arm(town, one, Fault(int(2 ** chance.uniform(0, 7)), "act", act=ask))


@act("region-out")
def region_out(town: Town, one: Act, chance: Random) -> None:
    """A region's vaults, keys or key buckets do not answer for hours or days; all of them, or some."""
    region = chance.choice(REGIONS)
    places = chance.sample(
        [town.vault.unreachable, town.keys.unreachable, town.key_store.unreachable], chance.randint(1, 3)
    )
    for place in places:
        place.add(region)

    def back() -> None:
        for place in places:
            place.discard(region)

    town.injected += 1
    town.later(outage(chance), back)


@act("instance-out")
def instance_out(town: Town, one: Act, chance: Random) -> None:
    """An instance does not answer for hours or days."""
    server = town.servers[chance.choice(("tenants-1", "tenants-2", "verify-1"))]
    server.reachable = False
    town.injected += 1
    town.later(outage(chance), lambda: setattr(server, "reachable", True))


@act("dumps-break-off")
def dumps_break_off(town: Town, one: Act, chance: Random) -> None:
    """Every dump breaks off for some hours."""
    town.servers.dump_breaks_after = chance.randrange(3)
    town.injected += 1
    town.later(timedelta(hours=chance.uniform(1, 8)), lambda: setattr(town.servers, "dump_breaks_after", None))


@act("workers-rest")
def workers_rest(town: Town, one: Act, chance: Random) -> None:
    """No worker runs at all for hours or days."""
    town.injected += 1
    town.workers_rest_until = max(town.workers_rest_until, town.moment + outage(chance))


@act("buckets-rest")
def buckets_rest(town: Town, one: Act, chance: Random) -> None:
    """No bucket deletes anything for up to three weeks."""
    town.injected += 1
    town.vault.resting_until = town.moment + timedelta(days=chance.uniform(1, 21))


@act("copy-vanishes")
def copy_vanishes(town: Town, one: Act, chance: Random) -> None:
    """A copy of a backup, mostly the newest, is gone from its bucket, or its manifest is, or its bytes are spoilt."""
    uid = town.households.get(one.household)
    there = [
        copy
        for made in (town.truth.lives[uid].backups.values() if uid else ())
        for copy in made.copies.values()
        if copy.gone_at is None
    ]
    if not there:
        return
    copy = chance.choice(there[-2:] if chance.random() < 0.7 else there)
    town.injected += 1
    how = chance.random()
    if how < 0.6:
        town.vault.lose(copy.bucket, copy.name)
    elif how < 0.8:
        manifest = copy.name.replace("dump.zst.age", "manifest.json")
        if town.vault._buckets[copy.bucket].objects.get(manifest) is not None:
            town.vault.lose(copy.bucket, manifest)
    else:
        town.vault.damage(copy.bucket, copy.name)


@act("bucket-eased")
def bucket_eased(town: Town, one: Act, chance: Random) -> None:
    """Somebody gives a region's daily bucket another word on soft delete, and takes it back some days later."""
    region = chance.choice(REGIONS[:2])
    names = [
        name for name, bucket in town.vault._buckets.items() if bucket.terms.region == region and "-daily-" in name
    ]
    town.injected += 1
    for name in names:
        terms = town.vault._buckets[name].terms
        town.vault.make_bucket(name, replace(terms, soft_delete_seconds=7 * 86400))

    def put_right() -> None:
        for name in names:
            town.vault.make_bucket(name, replace(town.vault._buckets[name].terms, soft_delete_seconds=0))

    town.later(timedelta(hours=chance.uniform(6, 72)), put_right)


@act("new-policy")
def new_policy(town: Town, one: Act, chance: Random) -> None:
    """The company changes its mind: grace, how soon to destroy, and the terms of what is backed up from now on."""
    lifecycle = replace(
        town.policies.lifecycle,
        grace_days=chance.choice((21, 21, 22, 28, 35)),
        destroy_within_days=chance.choice((1, 7, 14)),
    )
    age = chance.choice((26, 31, 45))
    classes = dict(town.policies.backups.classes)
    if classes[RetentionClass.DAILY] != classes[RetentionClass.MONTHLY]:  # where each backup must last for a month
        classes[RetentionClass.DAILY] = Term(age - 1, age)
    final = chance.choice((200, 300, 331))
    classes[RetentionClass.FINAL] = Term(final - 1, final)
    backups = replace(town.policies.backups, classes=classes)
    assert not [*lifecycle.faults(), *backups.faults()], "it would not have been loaded"
    town.make_buckets(classes)
    town.policies = replace(town.policies, lifecycle=lifecycle, backups=backups, digest=f"{one.id}")


def arm(town: Town, one: Act, waiting: Fault) -> None:
    """Lets a fault wait for its place in the tenant's turns."""
    if (uid := town.households.get(one.household)) is not None:
        town.faults.setdefault(uid, []).append(waiting)


def outage(chance: Random) -> timedelta:
    """Mostly hours, sometimes days."""
    return timedelta(hours=2 ** chance.uniform(0, 7.5))
