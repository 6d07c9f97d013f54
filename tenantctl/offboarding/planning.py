"""How a tenant leaves, or comes back: pure plans from what was seen.

Closing and final backup, grace, destruction, and the long wait until nothing
remains; and, until a destruction has begun, the way back.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tenantctl.backups.holding import is_held
from tenantctl.backups.planning import (
    open_residues,
    plan_backups,
    plan_upkeep,
    repair_steps,
    unsettled_copies,
    upkeep_moments,
    verification_step,
    waits_for_a_date,
)
from tenantctl.model.backup import BackupState, ResidueKind, RetentionClass, VerificationLevel, newest_final
from tenantctl.model.calendar import ONE_DAY, rfc3339
from tenantctl.model.decisions import Act, Proposal
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Blocker, Do, Plan, Step
from tenantctl.model.policy import Policies
from tenantctl.model.sighting import Present, Unreachable
from tenantctl.offboarding.notices import coming, overdue, to_put
from tenantctl.offboarding.restraints import batch_steps, departure_blockers, frozen_blocker, stopping_blockers
from tenantctl.offboarding.safeguards import destruction_blockers, erasure_blockers, final_backup

SOON: Final = timedelta(minutes=5)
PROOFS_FAILED_MAX: Final = 2  # final backups are locked for most of a year: after so many, one more a day


def plan_deactivation(facts: Facts, policies: Policies, *, now: datetime) -> Plan:
    """From a cancellation in effect to *deactivated*: closed, and the final backup proved by a restore."""
    uid = facts.tenant.uid
    steps: tuple[Step, ...] = ()
    if facts.tenant.state is State.ACTIVE:
        if kept := tuple(departure_blockers(facts, policies, now=now)):
            return _kept_back(facts, policies, kept, now=now)
        since = rfc3339(facts.tenant.intent_effective_at)
        steps += (Step(Do.MARK_DEACTIVATING, uid, f"cancelled with effect from {since}"),)
    elif (silent := _unreachable(facts)) is not None:
        upkeep = tuple(plan_upkeep(facts, policies.backups, now=now))
        return Plan(uid, "deactivate", upkeep, (silent,), next_look=now + SOON, each_alone=True)
    if closing := tuple(_closing(facts)):
        if (frozen := frozen_blocker(facts)) is not None:
            return Plan(uid, "deactivate", blockers=(frozen,), next_look=now + SOON)
        steps += closing
    if not steps:
        if (unproved := _unproved(facts, policies, now=now)) is not None:
            upkeep = tuple(plan_upkeep(facts, policies.backups, now=now))
            following = now + timedelta(hours=1)
            return Plan(uid, "deactivate", upkeep, (unproved,), next_look=following, each_alone=True)
        steps = tuple(_final_backup(facts, policies, now=now))
        if not any(step.do in {Do.BACK_UP, Do.REPAIR_COPY} for step in steps):
            steps += (Step(Do.MARK_DEACTIVATED, uid, "closed, and the final backup is proved"),)
    return Plan(uid, "deactivate", steps, next_look=now + SOON)


def plan_grace(facts: Facts, policies: Policies, *, now: datetime) -> Plan:
    """While deactivated: kept closed, its final backup kept whole, and destroyed once grace is over and all holds."""
    tenant = facts.tenant
    if (silent := _unreachable(facts)) is not None:
        # Terms do not wait for an instance: what has reached its own is shredded while nothing else can be done.
        upkeep = tuple(plan_upkeep(facts, policies.backups, now=now))
        return Plan(tenant.uid, "keep closed", upkeep, (silent,), next_look=now + SOON, each_alone=True)
    steps, blockers = tuple(_closing(facts)), tuple[Blocker, ...]()
    if not steps:
        steps = tuple(_notices(facts, policies, now=now))
        if (unproved := _unproved(facts, policies, now=now)) is not None:
            blockers = (unproved,)
        else:
            steps += tuple(_final_backup(facts, policies, now=now))
    steps += tuple(step for step in plan_upkeep(facts, policies.backups, now=now) if step not in steps)
    untold = tuple(_untold(facts, policies, now=now))
    looks = [now + timedelta(hours=policies.lifecycle.keep_closed_every_hours)]
    looks += coming(tenant, policies.lifecycle.notices, now=now)
    looks += upkeep_moments(facts, policies.backups, now=now)
    if tenant.destroy_after is not None and tenant.destroy_after > now:
        until = rfc3339(tenant.destroy_after)
        return Plan(
            tenant.uid,
            "keep closed",
            steps,
            (*blockers, *untold),
            next_look=min(tenant.destroy_after, *looks),
            because=f"grace lasts until {until}",
        )
    if steps or blockers:
        return Plan(tenant.uid, "prepare destruction", steps, (*blockers, *untold), next_look=now + SOON)
    planned = plan_destruction(facts, policies, now=now)
    return replace(planned, blockers=(*planned.blockers, *untold)) if planned.blockers else planned


def plan_destruction(facts: Facts, policies: Policies, *, now: datetime) -> Plan:
    """The destruction itself, or what stands in its way."""
    uid = facts.tenant.uid
    blockers = tuple(destruction_blockers(facts, policies, now=now))
    if blockers:
        steps = tuple(batch_steps(facts, blockers, Act.DESTROY))
        return Plan(uid, "destroy", steps, blockers, next_look=now + timedelta(hours=1))
    final = final_backup(facts, policies, now=now)
    assert final is not None, "the safeguards ask for one"
    regions = ", ".join(sorted(final.regions_holding()))
    steps = (
        Step(Do.ANCHOR_JOURNAL, uid, "what the destruction rests on is held fast outside the registry first"),
        Step(Do.MARK_DESTROYING, uid, f"grace is over, final backup {final.id} is verified, seen in {regions}"),
    )
    return Plan(uid, "destroy", steps + _dropping(facts))


def plan_rest_of_destruction(facts: Facts, *, now: datetime) -> Plan:
    """A destruction that has begun is finished: there is no way back."""
    if blockers := tuple(stopping_blockers(facts)):
        return Plan(facts.tenant.uid, "destroy", blockers=blockers, next_look=now + timedelta(hours=1))
    return Plan(facts.tenant.uid, "destroy", _dropping(facts))


def plan_erasure(facts: Facts, policies: Policies, approved: Proposal, *, now: datetime) -> Plan:
    """An erasure that two people approved: no grace and no final backup, and yet never the wrong database."""
    uid = facts.tenant.uid
    if blockers := tuple(erasure_blockers(facts, policies, now=now)):
        return Plan(uid, "erase", blockers=blockers, next_look=now + timedelta(hours=1))
    people = " and ".join(sorted({one.actor for one in approved.approvals}))
    reason = f"erasure {approved.digest} for the {approved.content['basis']}, approved by {people}"
    steps = (
        Step(Do.ANCHOR_JOURNAL, uid, "what the erasure rests on is held fast outside the registry first"),
        Step(Do.MARK_ERASING, uid, reason, approved.digest),
    )
    return Plan(uid, "erase", steps + _dropping(facts))


def plan_reinstatement(facts: Facts) -> Plan:
    """The way back: the logins open with the old password, and what was lifted for the dump is set again."""
    uid = facts.tenant.uid
    steps: tuple[Step, ...] = ()
    if any(backup.forced_row_security for backup in facts.backups):
        steps += (Step(Do.RESTORE_ROW_SECURITY, uid, "it was lifted for the final backup"),)
    steps += (
        Step(Do.OPEN_LOGINS, uid, "the customer came back"),
        Step(Do.MARK_REINSTATED, uid, "the instance shows the login open; grace no longer runs"),
    )
    return Plan(uid, "reinstate", steps)


def plan_forgetting(facts: Facts, policies: Policies, *, now: datetime) -> Plan:
    """After the destruction: each place is looked at until it has lapsed, and then the names go."""
    uid = facts.tenant.uid
    upkeep = tuple(plan_upkeep(facts, policies.backups, now=now))
    remaining = tuple(open_residues(facts.residues))
    if isinstance(facts.database, Present):
        shown = f"{facts.tenant.hosting.instance} shows the database of this tenant, which is destroyed"
        living = Blocker("living-database", shown, alarm=True)
        return Plan(uid, "forget", upkeep, (living,), next_look=now + timedelta(hours=1), each_alone=True)
    named = facts.tenant.name is not None
    if is_held(facts.standing) and all(waits_for_a_date(residue) for residue in remaining):
        kept = Blocker("hold", "under a legal hold: neither is its name blanked, nor is it forgotten")
        return Plan(uid, "forget", upkeep, (kept,), next_look=now + ONE_DAY, each_alone=True)
    if named and not upkeep and all(waits_for_a_date(residue) for residue in remaining):
        return Plan(uid, "forget", (Step(Do.BLANK_NAMES, uid, "its name here is all that a look could still find"),))
    if upkeep or remaining:
        looks = tuple(upkeep_moments(facts, policies.backups, now=now))
        because = f"{len(remaining)} places remain: {', '.join(sorted({residue.kind for residue in remaining}))}"
        following = min(looks, default=now + ONE_DAY)
        blockers = tuple(_overdue(facts, now=now))
        return Plan(uid, "forget", upkeep, blockers, next_look=following, because=because, each_alone=True)
    return Plan(uid, "forget", (Step(Do.MARK_FORGOTTEN, uid, "every place is proved gone or past its date"),))


def _kept_back(facts: Facts, policies: Policies, blockers: tuple[Blocker, ...], *, now: datetime) -> Plan:
    """A tenant that is not closed yet goes on being backed up; a cap that is exceeded is put to two people."""
    kept = plan_backups(facts, policies, now=now)
    steps = (*batch_steps(facts, blockers, Act.DEACTIVATE), *kept.steps)
    following = min(kept.next_look or now + SOON, now + timedelta(hours=1))
    return replace(kept, purpose="deactivate", steps=steps, blockers=(*kept.blockers, *blockers), next_look=following)


def _notices(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Step]:
    """Putting what the customer must be told into the outbox."""
    tenant = facts.tenant
    known = facts.standing.notices if facts.standing is not None else ()
    for kind in to_put(tenant, known, policies.lifecycle.notices, now=now):
        assert tenant.destroy_after is not None, "a notice belongs to a closing"
        yield Step(Do.PUT_NOTICE, kind, f"the database is to be destroyed after {rfc3339(tenant.destroy_after)}")


def _untold(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Blocker]:
    """An alarm for notices that must be delivered and were not for too long."""
    known = facts.standing.notices if facts.standing is not None else ()
    if late := overdue(facts.tenant, known, policies.lifecycle.notices, now=now):
        which = ", ".join(f"{notice.id} ({notice.kind})" for notice in late)
        reason = f"nobody has reported these as delivered: {which}"
        yield Blocker("notice-undelivered", reason, since=late[0].written_at, alarm=True)


def _overdue(facts: Facts, *, now: datetime) -> Iterator[Blocker]:
    """An alarm for places that should have lapsed and that no look will settle; copies have one of their own."""
    looked_at = {copy.residue_id for copy in unsettled_copies(facts.backups, facts.residues)}
    late = [
        residue.place
        for residue in open_residues(facts.residues)
        if residue.id not in looked_at
        and not waits_for_a_date(residue)
        and residue.unreadable_after is not None
        and residue.unreadable_after < now
        and not (residue.kind is ResidueKind.KEY and is_held(facts.standing))
    ]
    if late:
        yield Blocker("residue-overdue", f"past their date and not seen to lapse: {', '.join(late)}", alarm=True)


def _closing(facts: Facts) -> Iterator[Step]:
    """Closing the logins and recording when, unless they are closed, seen closed, and recorded.

    Each cancellation has a closing of its own: one that came after a reinstatement
    which nobody had carried out yet does not inherit the grace of the one before.
    That one did not last is written down before the logins are closed again: a worker
    that dies between the two must not leave them closed, as if they had been all along.
    """
    tenant = facts.tenant
    seen_closed = (
        isinstance(facts.logins, Present) and not facts.logins.value.can_log_in and facts.logins.value.sessions == 0
    )
    closed_at = tenant.logins_closed_at
    if seen_closed and closed_at is not None and closed_at >= tenant.intent_effective_at:
        return
    earlier = closed_at.isoformat() if closed_at else ""
    reason = "the login was found open again" if earlier else "no new session, and the open ones end"
    if seen_closed and earlier:
        reason = f"cancelled anew with effect from {rfc3339(tenant.intent_effective_at)}"
    elif earlier:
        yield Step(Do.RECORD_OPENING, tenant.uid, "the closing on record did not last", earlier)
    yield Step(Do.CLOSE_LOGINS, tenant.uid, reason)
    yield Step(Do.RECORD_CLOSING, tenant.uid, "grace counts from when the logins are seen closed", earlier)


def _unreachable(facts: Facts) -> Blocker | None:
    """What stands in the way where the instance did not answer: could not look is neither open nor closed."""
    if not isinstance(facts.logins, Unreachable):
        return None
    reason = f"instance {facts.tenant.hosting.instance} could not be looked at: {facts.logins.reason}"
    return Blocker("instance-unreachable", reason, alarm=True)


def _unproved(facts: Facts, policies: Policies, *, now: datetime) -> Blocker | None:
    """What stands in the way where final backups of this closing fail their proof, one after the other."""
    closed_at = facts.tenant.logins_closed_at
    failed = [
        backup
        for backup in facts.backups
        if backup.retention_class is RetentionClass.FINAL
        and backup.state is BackupState.FAILED
        and backup.completed_at is not None
        and (closed_at is None or backup.begun_at >= closed_at)
    ]
    if len(failed) < PROOFS_FAILED_MAX or final_backup(facts, policies, now=now) is not None:
        return None
    again = max(backup.begun_at for backup in failed) + ONE_DAY
    reason = f"{len(failed)} final backups failed their proof by a restore; the next is made after {rfc3339(again)}"
    return Blocker("final-backup", reason, alarm=True) if now < again else None


def _final_backup(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Step]:
    """The final backup of this closing, in enough regions, and its proof; nothing where all that is so.

    One that lacks a copy is completed from its others for as long as that may be,
    and then made anew; so is one that reaches its term while the database waits.
    """
    closed_at, policy = facts.tenant.logins_closed_at, policies.backups
    assert closed_at is not None, "closing comes before the final backup"
    newest, final = newest_final(facts.backups, closed_at), final_backup(facts, policies, now=now)
    closing = f"final-{closed_at:%Y%m%dT%H%M%SZ}"
    slot = f"{closing}-after-{newest.id}" if newest is not None else closing
    if final is None:
        begun = [one for one in facts.backups if one.slot.startswith(closing) and one.state is BackupState.SHORT]
        repairs = [step for one in begun for step in repair_steps(facts, one, policy, now=now)]
        since = f"the logins are closed since {rfc3339(closed_at)}"
        reason = since if newest is None else f"final backup {newest.id} reaches its term"
        yield from repairs or [Step(Do.BACK_UP, slot, reason, RetentionClass.FINAL.value)]
    elif len(final.regions_holding()) < policy.copies_min:
        repairs = list(repair_steps(facts, final, policy, now=now))
        yield from repairs
        served = any(b.slot == slot and b.state is BackupState.COMPLETE for b in facts.backups)
        if not repairs and not served:
            yield Step(Do.BACK_UP, slot, f"final backup {final.id} lost a copy", RetentionClass.FINAL.value)
    elif final.verified_level is not VerificationLevel.RESTORED:
        yield verification_step(final, "a final backup is always proved by a restore")


def _dropping(facts: Facts) -> tuple[Step, ...]:
    uid, hosting = facts.tenant.uid, facts.tenant.hosting
    return (
        Step(Do.DROP_DATABASE, uid, f"{hosting.database} on {hosting.instance}, if it bears this tenant's marker"),
        Step(Do.DROP_ROLES, uid, f"{hosting.login} and {hosting.owner}"),
        Step(Do.MARK_DESTROYED, uid, "the instance itself says that nothing is left"),
    )
