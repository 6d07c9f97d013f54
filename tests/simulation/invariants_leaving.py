"""Invariants of leaving: grace, destruction, holds, freezes, caps, and what is left of the forgotten.

Small functions of what the world really contains; their numbers are those of docs/INVARIANTS.md.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from tenantctl.model.backup import RetentionClass
from tenantctl.model.lifecycle import TRANSITIONS, State
from tenantctl.model.tenant import Tenant
from tests.simulation.readable import keys_left, readable_in
from tests.simulation.town import Town
from tests.simulation.truth import Happening, Life
from tests.simulation.witnessed import is_there

GRACE: Final = timedelta(days=21)  # the promise itself; a policy may only give more
MOVES: Final = {(row.source, row.target) for row in TRANSITIONS}


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
                if len(list(readable_in(town, made, told.at - timedelta(hours=hours + 2)))) >= 2:
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


def closed_is_closed(town: Town, told: Happening) -> Iterator[str]:
    """33: when closing is put on record nobody can log in, and nobody still is."""
    life = town.truth.lives[told.uid]
    if life.closed_since is None:
        yield "its journal says that the logins are closed, and somebody can log in"
    said = json.loads(told.found["entry"].body)
    if datetime.fromisoformat(said["destroy_after"]) - told.at < GRACE - timedelta(seconds=1):
        yield f"its grace ends {said['destroy_after']}, too early"


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
        if keys_left(town, made):
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


def grace_ends_in_time(town: Town, life: Life) -> Iterator[str]:
    """3: what still stands in the way of a destruction after `destroy_within_days` has an alarm."""
    book = town.registry.book(life.uid)
    tenant = book.tenant
    if tenant.state is not State.DEACTIVATED or tenant.destroy_after is None or book.alarms or book.lease is not None:
        return
    # Whoever asks for it back on the last day has asked for something that is due from then on.
    since = max(tenant.destroy_after, tenant.intent_effective_at)
    begins = max(since, town.workers_rest_until, life.released_at or since)
    allowed = timedelta(days=town.policies.lifecycle.destroy_within_days + 1)
    if not life.held and town.moment > begins + allowed:
        yield f"its grace ended {tenant.destroy_after}, and nothing happens and nobody is told"


def everybody_who_left_is_forgotten(town: Town, life: Life) -> Iterator[str]:
    """67: nobody is kept beyond the promise: a year after its destruction, and some weeks, a tenant is forgotten."""
    book = town.registry.book(life.uid)
    late = life.dropped_at is not None and town.moment - life.dropped_at > timedelta(days=430)
    if late and book.tenant.state is not State.FORGOTTEN and not book.alarms:
        yield f"it was destroyed {life.dropped_at}, and is still {book.tenant.state} without an alarm"


def _passed(now: datetime, since: datetime, days: int, whose: str) -> Iterator[str]:
    if now < since + timedelta(days=days):
        yield f"it is forgotten {now}, and {whose} own backups reach back {days} days, beyond {since}"
