"""Lives a script through: act after act, and between them a turn for each tenant whenever it is due.

After every act and every turn the invariants are asked. The world stops at the first violation, at a mistake that is
no answer, and at a tenant that keeps its workers busy without an end.
"""

import traceback
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final
from unittest.mock import patch

from tenantctl.backups.schedule import Slot, _slot
from tenantctl.model.calendar import add_months
from tenantctl.model.policy import Night
from tests.simulation.acts import perform
from tests.simulation.invariants import AFTER_EACH_TURN, AT_THE_END, ask, ask_of
from tests.simulation.script import Script
from tests.simulation.stand_ins import stand_ins
from tests.simulation.town import START, TURNS_AT_ONCE_MAX, Town, monthly, nightly

BUCKETS_LOOK: Final = timedelta(hours=6)  # how often the buckets' lifecycle runs
POLICIES: Final = {"nightly": cache(nightly), "monthly": cache(monthly)}
# How often the workers' job starts; 0 is whenever somebody is due. Where a policy looks once a month, a tenant that
# waits for a person or for an outage to end is not asked after each hour of its years.
JOB_EVERY: Final = {"nightly": timedelta(0), "monthly": timedelta(days=1)}


@dataclass(frozen=True)
class Lived:
    """What came of a world; `years` are those of all its tenants together, from request to forgotten."""

    years: float
    steps: int
    faults: int
    checks: int
    violations: tuple[str, ...]


def live(script: Script) -> Lived:
    """Lives one world through."""
    with ExitStack() as patched:
        town = Town(script.seed, ask, POLICIES[script.cadence]())
        patched.enter_context(stand_ins(town.chance))
        if script.cadence == "monthly":
            patched.enter_context(patch("tenantctl.backups.planning.newest_slot", newest_month))
            patched.enter_context(patch("tenantctl.backups.planning.next_slot", next_month))
        try:
            _live(town, script)
        except Exception:  # noqa: BLE001 - whatever is no answer of the program's is a finding
            town.truth.violations.append(f"at {town.moment}: {traceback.format_exc(limit=-6)}")
    lived = ((life.forgotten_at or town.moment) - life.created_at for life in town.truth.lives.values())
    return Lived(
        sum(lived, timedelta()) / timedelta(days=365.25),
        town.steps + len(script.acts),
        town.injected,
        town.truth.checks,
        tuple(town.truth.violations),
    )


def _live(town: Town, script: Script) -> None:
    end = START + timedelta(hours=script.hours)
    acts = [(START + timedelta(hours=one.at), one) for one in reversed(script.acts)]
    buckets_at, busy = START, 0
    while town.moment < end and not town.truth.violations:
        uid, due_at = _next_due(town, end, JOB_EVERY[script.cadence])
        act_at = acts[-1][0] if acts else end
        later_at = town.next_later()
        moment = max(town.moment, min(due_at, act_at, later_at or end))
        busy = busy + 1 if moment == town.moment else 0
        assert busy < TURNS_AT_ONCE_MAX * len(town.truth.lives) + 100, f"tenant {uid} keeps its workers busy for ever"
        town.moment = moment
        if moment >= buckets_at:
            town.vault.expire()
            buckets_at = moment + BUCKETS_LOOK
        if later_at is not None and later_at <= moment:
            town.do_later()
        elif acts and act_at <= moment:
            perform(town, acts.pop()[1])
        elif uid is not None:
            town.work(uid)
            ask_of(town, town.truth.lives[uid], AFTER_EACH_TURN)
    if not town.truth.violations:
        for life in town.truth.lives.values():
            ask_of(town, life, AT_THE_END)


def _next_due(town: Town, end: datetime, job_every: timedelta) -> tuple[str | None, datetime]:
    """Whose turn is next, and when: not before the workers have rested, and their job has started."""
    found, due_at = None, end
    for uid, book in town.registry.books().items():
        if book.tenant.due_at < due_at and not book.is_done_with:
            found, due_at = uid, book.tenant.due_at
    due_at = max(due_at, town.workers_rest_until)
    return found, min(START - (START - due_at) // job_every * job_every, end) if job_every else due_at


def newest_month(uid: str, time_zone: str, night: Night, *, now: datetime) -> Slot:
    """The slot of the month's first night, where backups are made once a month."""
    slots = (_month(uid, time_zone, night, now, ago) for ago in (-1, 0, 1, 2))
    return next(slot for slot in slots if slot.due_at <= now)


def next_month(uid: str, time_zone: str, night: Night, *, now: datetime) -> Slot:
    """The slot after it."""
    slots = (_month(uid, time_zone, night, now, -ahead) for ahead in (-1, 0, 1, 2))
    return next(slot for slot in slots if slot.due_at > now)


def _month(uid: str, time_zone: str, night: Night, now: datetime, ago: int) -> Slot:
    return _slot(uid, time_zone, night, add_months(now.replace(day=1), -ago).date())
