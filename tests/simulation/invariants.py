"""The invariants of docs/INVARIANTS.md that can be asked of a world, by their numbers there.

Each is a small function of what the world really contains and of what its witness saw; what the registry claims is
never believed, it is what is judged. Those of `AT` are asked at the moment of a happening, those of `AFTER_EACH_TURN`
of a tenant whenever a worker has let go of it, and those of `AT_THE_END` when a world's time is over.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from tenantctl.model.backup import RetentionClass
from tenantctl.model.journal import FIRST_LINK, Entry, broken_links
from tenantctl.model.lifecycle import TRANSITIONS, State
from tenantctl.model.tenant import Tenant
from tests.simulation.stand_ins import sealed
from tests.simulation.town import Town
from tests.simulation.truth import Happening, Life, MadeBackup
from tests.simulation.witnessed import is_kept, is_there

GRACE: Final = timedelta(days=21)  # the promise itself; a policy may only give more
MOVES: Final = {(row.source, row.target) for row in TRANSITIONS}
A_LITTLE: Final = timedelta(hours=2)  # accidents to copies are seen when they are looked at next, and a little later

Rule = Callable[[Town, Happening], Iterator[str]]
StateRule = Callable[[Town, Life], Iterator[str]]


def no_early_drop(town: Town, told: Happening) -> Iterator[str]:
    """1: only after 21 days of 24 hours of closed logins, and not before any end of grace that was on record."""
    life = town.truth.lives[told.uid]
    if life.erasure_approved_at is not None and told_of_erasure(town, told):
        return
    if life.closed_since is None:
        yield "its database was dropped while its customer could log in"
    elif told.at - life.closed_since < GRACE:
        yield f"its database was dropped after {told.at - life.closed_since} of closed logins"
    if life.promised is None or told.at < life.promised:
        yield f"its database was dropped at {told.at}, but kept until {life.promised} was the promise"


def no_early_end_of_grace(town: Town, told: Happening) -> Iterator[str]:
    """1: nor is the point of no return passed any earlier, or while somebody wants the tenant back."""
    before, after = told.found["before"], told.found["after"]
    if after.state is State.DESTROYING and before.state is not State.DESTROYING:
        yield from no_early_drop(town, told)
        if after.wanted == "living":
            yield "its destruction began though it is wanted"
        yield from nothing_while_held_or_frozen(town, told, since_renewal=False)
        yield from within_the_cap(town, told, "destroy")
    if after.state is State.DEACTIVATING and before.state is not State.DEACTIVATING:
        yield from (
            found for found in nothing_while_held_or_frozen(town, told, since_renewal=False) if "frozen" in found
        )
        yield from within_the_cap(town, told, "deactivate")


def grace_is_never_shortened(town: Town, told: Happening) -> Iterator[str]:
    """2: what was promised in this closing is kept, or the tenant is active again."""
    before, after = told.found["before"], told.found["after"]
    if before.destroy_after is not None and before.destroy_after != after.destroy_after:
        if after.destroy_after is None:
            if after.state is not State.ACTIVE:
                yield f"its grace was forgotten while it is {after.state}"
        elif after.destroy_after < before.destroy_after:
            yield f"its grace was shortened from {before.destroy_after} to {after.destroy_after}"


def no_drop_without_final_backup(town: Town, told: Happening) -> Iterator[str]:
    """4: a final backup of this very closing held all that was dropped, in two regions, and was restored once."""
    life = town.truth.lives[told.uid]
    if life.erasure_approved_at is not None and told_of_erasure(town, told):
        return
    for made in life.backups.values():
        if made.retention_class is RetentionClass.FINAL and made.archive == told.found["archive"]:
            after_closing = life.closed_since is not None and made.begun_at >= life.closed_since
            if after_closing and made.restored_at is not None:
                hours = town.policies.lifecycle.copies_seen_within_hours
                if len(list(_readable_in(town, made, told.at - timedelta(hours=hours + 2)))) >= 2:
                    return
    yield "its database was dropped without a proved final backup in two regions"


def nothing_of_anothers(town: Town, told: Happening) -> Iterator[str]:
    """5: what a worker does to a database, it does to that of the tenant whose turn it is."""
    if town.truth.turn != told.uid:
        yield f"it was {told.kind} in the turn of {town.truth.turn}"
    if told.kind == "dropped" and told.found["owner"] != told.uid:
        yield f"what was dropped in its name was the database of {told.found['owner']}"


def moves_follow_the_table(town: Town, told: Happening) -> Iterator[str]:
    """6: no state follows another that the table does not let follow."""
    before, after = told.found["before"], told.found["after"]
    if before.state is not after.state and (before.state, after.state) not in MOVES:
        yield f"it went from {before.state} to {after.state}"


def no_key_goes_early(town: Town, told: Happening) -> Iterator[str]:
    """8: a backup that exists is not made unreadable before the term of its last copy."""
    made: MadeBackup = told.found["backup"]
    made.keys_gone_at = told.at if not made.keys else None
    early = [copy for copy in made.copies.values() if copy.gone_at is None and told.at < copy.term_ends]
    life = town.truth.lives[told.uid]
    if life.held and min(life.held.values()) < (town.truth.renewed_at or told.at):
        yield f"the key of backup {made.id} was removed while it was held"
    if early and made.id in _claimed(town, told.uid) and not told_of_erasure(town, told):
        yield f"the key of backup {made.id} was removed in {told.found['region']} before {early[0].term_ends}"


def nothing_readable_late(town: Town, life: Life) -> Iterator[str]:
    """9 and 15: twelve months after its making no byte of a backup can be read: it is gone, or its keys are."""
    while town.truth.promises and town.truth.promises[0][0] <= town.moment:
        _, uid, backup_id = town.truth.promises.popleft()
        made = town.truth.lives[uid].backups[backup_id]
        left = [copy.region for copy in made.copies.values() if is_there(town.vault, copy.bucket, copy.name)]
        kept = timedelta(days=town.policies.backups.key_residue_days)
        shredded = made.keys_gone_at is not None and made.keys_gone_at + kept <= town.moment
        if town.truth.lives[uid].was_held:
            continue  # held copies are the one exception to a term
        if left and (not shredded or _registry_has_key(town, made)):
            yield f"backup {made.id}, begun {made.begun_at}, can still be read in {', '.join(left)}"


def lapsed_is_gone(town: Town, told: Happening) -> Iterator[str]:
    """12 and 25: what is said to have lapsed or never to have been is not there, and its term is over."""
    said = json.loads(told.found["entry"].body)
    copy = town.truth.lives[told.uid].backups[said["backup"]].copies.get(said["region"])
    if copy is None:
        return
    if is_there(town.vault, copy.bucket, copy.name):
        yield f"its journal says that {copy.name} is gone from {copy.region}, where it is"
    if told.found["entry"].event == "copy-lapsed" and told.at < copy.term_ends:
        yield f"its journal says that {copy.name} lapsed before its term, {copy.term_ends}"
    if told.found["entry"].event == "copy-absent":
        yield f"its journal says that {copy.name}, which was sealed, never was"


def closed_is_closed(town: Town, told: Happening) -> Iterator[str]:
    """33: when closing is put on record nobody can log in, and nobody still is."""
    life = town.truth.lives[told.uid]
    if life.closed_since is None:
        yield "its journal says that the logins are closed, and somebody can log in"
    said = json.loads(told.found["entry"].body)
    if datetime.fromisoformat(said["destroy_after"]) - told.at < GRACE - timedelta(seconds=1):
        yield f"its grace ends {said['destroy_after']}, too early"


def complete_is_complete(town: Town, told: Happening) -> Iterator[str]:
    """11 and 66: a backup that is said to be complete holds the dump, whole, wherever it is said to be."""
    said = json.loads(told.found["entry"].body)
    made = town.truth.lives[told.uid].backups[said["backup"]]
    if told.found["entry"].event == "backup-complete" and len(said["regions"]) < town.policies.backups.copies_min:
        yield f"backup {made.id} is called complete in {said['regions']}"
    recipient = told.found["book"].backups[made.id].recipient
    for region in said["regions"]:
        copy = made.copies.get(region)
        if copy is None or made.archive is None or copy.content != sealed(made.archive, recipient):
            yield f"backup {made.id} is not in {region}, where its journal says it is"
        elif not copy.vanished and not is_there(
            town.vault, copy.bucket, copy.name.replace("dump.zst.age", "manifest.json")
        ):
            yield f"backup {made.id} has no manifest in {region}, and was called complete"


def one_backup_a_slot(town: Town, told: Happening) -> Iterator[str]:
    """14 and 23: of two backups of one slot, only one is complete."""
    said, book = json.loads(told.found["entry"].body), told.found["book"]
    same = [one for one in book.backups.values() if one.slot == said["slot"] and one.state == "complete"]
    if len(same) > 1:
        yield f"slot {said['slot']} has {len(same)} complete backups"


def proved_was_restored(town: Town, told: Happening) -> Iterator[str]:
    """66: a backup that is said to be proved can be opened, and holds what was dumped."""
    said = json.loads(told.found["entry"].body)
    made = town.truth.lives[told.uid].backups[said["backup"]]
    made.restored_at = told.at
    copy = made.copies.get(said["region"])
    if copy is None or made.archive is None or not copy.content.endswith(b"\n" + made.archive):
        yield f"backup {made.id} was called proved, and is not what was dumped"


def chain_holds(town: Town, told: Happening) -> Iterator[str]:
    """29: each entry continues the one before it."""
    entry, life = told.found["entry"], town.truth.lives[told.uid]
    if (entry.sequence, entry.previous) != (life.entries + 1, life.head or FIRST_LINK):
        yield f"entry {entry.sequence} of its journal does not continue entry {life.entries}"
    if entry.hash != entry.expected_hash():
        yield f"entry {entry.sequence} of its journal does not have its own hash"
    life.entries, life.head = entry.sequence, entry.hash


def sealed_is_on_record(town: Town, told: Happening) -> Iterator[str]:
    """30: no object comes into a vault before the inventory of places knows it."""
    made = told.found["backup"]
    places = {residue.place for residue in town.registry.book(told.uid).residues.values() if residue.lapsed_at is None}
    for copy in made.copies.values():
        if copy.gone_at is None and f"gs://{copy.bucket}/{copy.name}" not in places:
            yield f"{copy.name} is in {copy.region} and in no inventory"


def done_is_done(town: Town, told: Happening) -> Iterator[str]:
    """66: a step that the journal calls done has its effect in the world."""
    said, life = json.loads(told.found["entry"].body), town.truth.lives[told.uid]
    instance, database = life.place
    server = town.servers[instance]
    match said["do"]:
        case "drop-database" if database in server.databases:
            yield "its journal says that the database is dropped, and it is there"
        case "drop-roles" if f"l_{told.uid}_1" in server.roles:
            yield "its journal says that the roles are dropped, and its login is there"
        case "create-database" if database not in server.databases and life.dropped_at is None:
            yield "its journal says that the database is made, and it is not there"
        case "shred-key" if _keys_left(town, life.backups[said["subject"]]):
            yield f"its journal says that the key of {said['subject']} is shredded, and it is not"


def destroyed_is_gone(town: Town, told: Happening) -> Iterator[str]:
    """25 and 66: what is called destroyed is not on its instance any more, neither database nor login."""
    instance, database = town.truth.lives[told.uid].place
    if database in town.servers[instance].databases or f"l_{told.uid}_1" in town.servers[instance].roles:
        yield "it is called destroyed, and its instance has its database or login"


def forgotten_is_gone(town: Town, told: Happening) -> Iterator[str]:
    """67: nothing of a forgotten tenant is anywhere, no hold is open, and every window of the platform has passed."""
    if town.truth.lives[told.uid].held:
        yield "it is forgotten, and was held"
    life, lifecycle = town.truth.lives[told.uid], town.policies.lifecycle
    for made in life.backups.values():
        there = [copy.region for copy in made.copies.values() if is_there(town.vault, copy.bucket, copy.name)]
        if there:
            yield f"it is forgotten, and backup {made.id} is in {', '.join(there)}"
        if _keys_left(town, made):
            yield f"it is forgotten, and the key of backup {made.id} is kept"
        elif made.keys_gone_at is not None:
            yield from _passed(told.at, made.keys_gone_at, town.policies.backups.key_residue_days, "a key's")
    if life.dropped_at is not None:
        yield from _passed(told.at, life.dropped_at, lifecycle.instance_backup_days, "the instance's")
        yield from _passed(told.at, life.blanked_at or told.at, lifecycle.registry_backup_days, "the registry's")
    instance, database = life.place
    if database in town.servers[instance].databases:
        yield "it is forgotten, and its database is there"
    if any(name.removeprefix("s_") in life.backups for name in town.servers["verify-1"].databases):
        yield "it is forgotten, and a restore of it is still there"


def names_go_with_the_rest(town: Town, told: Happening) -> Iterator[str]:
    """31: the name is blanked when nothing else remains to be found by it."""
    after: Tenant = told.found["after"]
    if after.name is None and told.found["before"].name is not None:
        town.truth.lives[told.uid].blanked_at = told.at
        if after.state not in {State.DESTROYED, State.REQUESTED, State.FORGOTTEN}:
            yield f"its name was blanked while it is {after.state}"


def nothing_while_held_or_frozen(town: Town, told: Happening, *, since_renewal: bool = True) -> Iterator[str]:
    """47: nothing is destroyed while held or frozen by what the registry had when the worker last heard of it."""
    known_until = (town.truth.renewed_at or told.at) if since_renewal else told.at
    if any(since < known_until for since in town.truth.lives[told.uid].held.values()):
        yield f"it was held, and {told.kind} at {told.at}"
    if any(since < known_until for since in town.truth.frozen.values()):
        yield f"its region was frozen, and {told.kind} at {told.at}"


def within_the_cap(town: Town, told: Happening, act: str) -> Iterator[str]:
    """48: within 24 hours no more leave than the cap allows, but for those that two people let through, or erased."""
    life, caps = town.truth.lives[told.uid], town.policies.lifecycle.caps
    day = timedelta(hours=24)
    let_through = life.let_through_at.get(act)
    exempt = (let_through is not None and told.at - let_through <= day) or told_of_erasure(town, told)
    done = sum(one == act and told.at - at < day for one, at in town.truth.departures)
    town.truth.departures.append((act, told.at))
    cap = caps.destroy if act == "destroy" else caps.deactivate
    alive = sum(book.tenant.state not in {State.DESTROYED, State.FORGOTTEN} for book in town.registry.books().values())
    most = min(cap.tenants_max, int(max(alive, caps.percent_of_at_least) * cap.percent_max / 100))
    if not exempt and done + 1 > most:
        yield f"it was the {done + 1}th to {act} within a day, and {most} may be"


def told_of_erasure(town: Town, told: Happening) -> bool:
    """Whether two people approved the erasure of this tenant, and the registry says that it goes by that."""
    approved = town.truth.lives[told.uid].erasure_approved_at is not None
    return approved and town.registry.book(told.uid).tenant.wanted == "erased"


def effects_happen_once(town: Town, told: Happening) -> Iterator[str]:
    """23: nothing that was made is made again, and nothing that was dropped comes back."""
    life = town.truth.lives[told.uid]
    if life.dropped_at is not None:
        yield f"its database was {told.kind} after it had been dropped"


def within_rpo_or_alarmed(town: Town, life: Life) -> Iterator[str]:
    """41: an active tenant has a backup within the stated hours that opens in two regions, or an open alarm."""
    book = town.registry.book(life.uid)
    if book.tenant.state is not State.ACTIVE or book.alarms or book.lease is not None:
        return
    oldest = town.moment - timedelta(hours=town.policies.backups.rpo_hours)
    if life.came_at is None or life.came_at > oldest or town.workers_rest_until > oldest:
        return
    seen_after = timedelta(hours=town.policies.backups.look_at_copies_every_hours) + A_LITTLE
    for made in reversed(life.backups.values()):
        if made.begun_at < oldest:
            break
        if len(list(_readable_in(town, made, town.moment - seen_after))) >= 2:
            return
    newest = next(reversed(life.backups.values()), None)
    begun_at = newest.begun_at if newest else None
    yield f"it is active, without a good backup since {oldest} and without an alarm; its newest is of {begun_at}"


def grace_ends_in_time(town: Town, life: Life) -> Iterator[str]:
    """3: what still stands in the way of a destruction after `destroy_within_days` has an alarm."""
    book = town.registry.book(life.uid)
    tenant = book.tenant
    if tenant.state is not State.DEACTIVATED or tenant.destroy_after is None or book.alarms or book.lease is not None:
        return
    begins = max(tenant.destroy_after, town.workers_rest_until, life.released_at or tenant.destroy_after)
    allowed = timedelta(days=town.policies.lifecycle.destroy_within_days + 1)
    if not life.held and town.moment > begins + allowed:
        yield f"its grace ended {tenant.destroy_after}, and nothing happens and nobody is told"


def chains_are_whole(town: Town, life: Life) -> Iterator[str]:
    """29: from the first entry to the last."""
    book = town.registry.book(life.uid)
    yield from broken_links(book.entries, book.head)


def everybody_who_left_is_forgotten(town: Town, life: Life) -> Iterator[str]:
    """67: nobody is kept beyond the promise: a year after its destruction, and some weeks, a tenant is forgotten."""
    book = town.registry.book(life.uid)
    late = life.dropped_at is not None and town.moment - life.dropped_at > timedelta(days=430)
    if late and book.tenant.state is not State.FORGOTTEN and not book.alarms:
        yield f"it was destroyed {life.dropped_at}, and is still {book.tenant.state} without an alarm"


def _readable_in(town: Town, made: MadeBackup, since: datetime) -> Iterator[str]:
    """The regions in which a copy can be opened; accidents since then count for nothing, nobody can know them yet."""
    keys = bool(made.keys) or _registry_has_key(town, made)
    for region, copy in made.copies.items():
        if keys and (copy.gone_at is None or (copy.vanished and copy.gone_at >= since)):
            yield region


def _keys_left(town: Town, made: MadeBackup) -> bool:
    name = f"{made.uid}/{made.id}.key"
    return any(is_kept(town.key_store, region, name) for region in made.keys) or _registry_has_key(town, made)


def _registry_has_key(town: Town, made: MadeBackup) -> bool:
    return any(copy.wrapped_key for copy in town.registry.book(made.uid).backups[made.id].copies)


def _claimed(town: Town, uid: str) -> set[str]:
    """The backups that the registry counts as such."""
    return {one.id for one in town.registry.book(uid).backups.values() if one.state in {"complete", "short"}}


def _passed(now: datetime, since: datetime, days: int, whose: str) -> Iterator[str]:
    if now < since + timedelta(days=days):
        yield f"it is forgotten {now}, and {whose} own backups reach back {days} days, beyond {since}"


AT: Final[Mapping[str, tuple[tuple[int, Rule], ...]]] = {
    "created": ((5, nothing_of_anothers), (23, effects_happen_once)),
    "opened": ((5, nothing_of_anothers), (23, effects_happen_once)),
    "closed": ((5, nothing_of_anothers),),
    "altered": ((5, nothing_of_anothers),),
    "dropped": (
        (1, no_early_drop),
        (4, no_drop_without_final_backup),
        (5, nothing_of_anothers),
        (23, effects_happen_once),
        (47, nothing_while_held_or_frozen),
    ),
    "key-removed": ((8, no_key_goes_early),),
    "sealed": ((30, sealed_is_on_record),),
    "row": (
        (1, no_early_end_of_grace),
        (2, grace_is_never_shortened),
        (6, moves_follow_the_table),
        (31, names_go_with_the_rest),
    ),
}
AT_ENTRY: Final[Mapping[str, tuple[tuple[int, Rule], ...]]] = {
    "backup-complete": ((11, complete_is_complete), (14, one_backup_a_slot)),
    "backup-short": ((11, complete_is_complete),),
    "backup-verified": ((66, proved_was_restored),),
    "copy-lapsed": ((12, lapsed_is_gone),),
    "copy-absent": ((25, lapsed_is_gone),),
    "logins-closed": ((33, closed_is_closed),),
    "step-done": ((66, done_is_done),),
    "database-gone": ((25, destroyed_is_gone),),
    "residue-lapsed": ((67, forgotten_is_gone),),
}
AFTER_EACH_TURN: Final[tuple[tuple[int, StateRule], ...]] = (
    (9, nothing_readable_late),
    (41, within_rpo_or_alarmed),
    (3, grace_ends_in_time),
)
AT_THE_END: Final[tuple[tuple[int, StateRule], ...]] = ((29, chains_are_whole), (67, everybody_who_left_is_forgotten))


def ask(town: Town, told: Happening) -> None:
    """Asks every invariant that a happening could break, and puts what it finds on record."""
    rules = AT.get(told.kind, ())
    if told.kind == "entry":
        _note(town, 29, told.uid, chain_holds(town, told))
        entry: Entry = told.found["entry"]
        rules = AT_ENTRY.get(entry.event, ())
    for number, rule in rules:
        _note(town, number, told.uid, rule(town, told))


def ask_of(town: Town, life: Life, rules: tuple[tuple[int, StateRule], ...]) -> None:
    """Asks these invariants of one tenant as it stands."""
    for number, rule in rules:
        _note(town, number, life.uid, rule(town, life))


def _note(town: Town, number: int, uid: str, found: Iterator[str]) -> None:
    town.truth.checks += 1
    for sentence in found:
        town.truth.violations.append(f"invariant {number} at {town.moment:%Y-%m-%d %H:%M:%S}, tenant {uid}: {sentence}")
