"""Invariants of keeping: backups, copies, keys, and the truth and wholeness of the journal.

Small functions of what the world really contains; their numbers are those of docs/INVARIANTS.md.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from tenantctl.model.journal import FIRST_LINK, broken_links
from tenantctl.model.lifecycle import State
from tests.simulation.invariants_leaving import told_of_erasure
from tests.simulation.readable import keys_left, readable_in, registry_has_key
from tests.simulation.stand_ins import sealed
from tests.simulation.town import Town
from tests.simulation.truth import Happening, Life, MadeBackup, SealedCopy
from tests.simulation.witnessed import is_there

A_LITTLE: Final = timedelta(hours=2)  # accidents to copies are seen when they are looked at next, and a little later


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
        if left and (not shredded or registry_has_key(town, made)):
            yield f"backup {made.id}, begun {made.begun_at}, can still be read in {', '.join(left)}"


def lapsed_is_gone(town: Town, told: Happening) -> Iterator[str]:
    """12 and 25: what is said to have lapsed or never to have been is not there, and its term is over.

    A copy whose seal was answered to nobody, and which an accident took before anybody looked, nobody can know of.
    """
    said = json.loads(told.found["entry"].body)
    copy = town.truth.lives[told.uid].backups[said["backup"]].copies.get(said["region"])
    if copy is None:
        return
    if is_there(town.vault, copy.bucket, copy.name):
        yield f"its journal says that {copy.name} is gone from {copy.region}, where it is"
    if told.found["entry"].event == "copy-lapsed" and told.at < copy.term_ends:
        yield f"its journal says that {copy.name} lapsed before its term, {copy.term_ends}"
    if told.found["entry"].event == "copy-absent" and not (copy.vanished and _was_never_seen(told, copy)):
        yield f"its journal says that {copy.name}, which was sealed, never was"


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
    places = {residue.place for residue in town.registry.book(told.uid).open_residues.values()}
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
        case "shred-key" if keys_left(town, life.backups[said["subject"]]):
            yield f"its journal says that the key of {said['subject']} is shredded, and it is not"


def within_rpo_or_alarmed(town: Town, life: Life) -> Iterator[str]:
    """41: an active tenant has a backup within the stated hours that opens in two regions, or an open alarm.

    One whose worker gave way to a newer request is due again at once: it is asked about when that turn is over.
    """
    book = town.registry.book(life.uid)
    if book.tenant.due_at <= town.moment:
        return
    if book.tenant.state is not State.ACTIVE or book.alarms or book.lease is not None:
        return
    oldest = town.moment - timedelta(hours=town.policies.backups.rpo_hours)
    if life.came_at is None or life.came_at > oldest or town.workers_rest_until > oldest:
        return
    seen_after = timedelta(hours=town.policies.backups.look_at_copies_every_hours) + A_LITTLE
    for made in reversed(life.backups.values()):
        if made.begun_at < oldest:
            break
        if len(list(readable_in(town, made, town.moment - seen_after))) >= 2:
            return
    newest = next(reversed(life.backups.values()), None)
    begun_at = newest.begun_at if newest else None
    yield f"it is active, without a good backup since {oldest} and without an alarm; its newest is of {begun_at}"


def chains_are_whole(town: Town, life: Life) -> Iterator[str]:
    """29: from the first entry to the last."""
    book = town.registry.book(life.uid)
    yield from broken_links(book.entries, book.head)


def _claimed(town: Town, uid: str) -> set[str]:
    """The backups that the registry counts as such."""
    return {one.id for one in town.registry.book(uid).backups.values() if one.state in {"complete", "short"}}


def _was_never_seen(told: Happening, copy: SealedCopy) -> bool:
    """Whether the registry never had it as written."""
    said = json.loads(told.found["entry"].body)
    known = told.found["book"].backups[said["backup"]].copies
    return all(one.written_at is None for one in known if one.region == copy.region)
