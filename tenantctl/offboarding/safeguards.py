"""What must hold, all at once, before a database is destroyed. Pure rules, each with its reason.

They are asked in planning and again just before the act, on facts read anew.
A rule that cannot know says no.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenantctl.model.backup import Backup, BackupState, CopyState, RetentionClass, VerificationLevel
from tenantctl.model.calendar import rfc3339
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Blocker
from tenantctl.model.policy import Policies
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Tenant, Wanted


@dataclass(frozen=True)
class Safeguard:
    """One condition of a destruction: its code, whether it holds, and what was found."""

    code: str
    holds: bool
    finding: str


def safeguards(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Safeguard]:
    """Every condition, met or not, in the order in which a person would ask."""
    tenant = facts.tenant
    yield Safeguard("state", tenant.state is State.DEACTIVATED, f"the tenant is {tenant.state}")
    yield _intent(tenant, now=now)
    yield _grace(tenant, now=now)
    yield _closed(facts)
    final = final_backup(facts)
    yield _final_backup(tenant, final)
    yield _copies_seen(final, policies, now=now)
    yield _marker(facts)


def destruction_blockers(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Blocker]:
    """The conditions that are not met; an alarm once the time in which to destroy is over."""
    due = facts.tenant.destroy_after
    overdue = due is not None and now > due + timedelta(days=policies.lifecycle.destroy_within_days)
    for safeguard in safeguards(facts, policies, now=now):
        if not safeguard.holds:
            yield Blocker(safeguard.code, safeguard.finding, since=due, alarm=overdue)


def final_backup(facts: Facts) -> Backup | None:
    """The newest complete final backup that was begun after the logins were closed."""
    closed_at = facts.tenant.logins_closed_at
    if closed_at is None:
        return None
    finals = [
        backup
        for backup in facts.backups
        if backup.retention_class is RetentionClass.FINAL
        and backup.state is BackupState.COMPLETE
        and backup.begun_at >= closed_at
    ]
    return max(finals, key=lambda backup: backup.begun_at, default=None)


def _intent(tenant: Tenant, *, now: datetime) -> Safeguard:
    wanted = tenant.wanted is Wanted.LEAVING and tenant.intent_effective_at <= now
    if wanted and tenant.logins_closed_at is not None and tenant.logins_closed_at < tenant.intent_effective_at:
        return Safeguard("intent", False, "it was cancelled anew after the logins were closed: grace counts from then")
    return Safeguard("intent", wanted, f"the newest request wants it {tenant.wanted}")


def _grace(tenant: Tenant, *, now: datetime) -> Safeguard:
    if tenant.destroy_after is None:
        return Safeguard("grace", False, "no grace has been counted")
    over = now >= tenant.destroy_after
    return Safeguard("grace", over, f"grace {'ended' if over else 'lasts until'} {rfc3339(tenant.destroy_after)}")


def _closed(facts: Facts) -> Safeguard:
    match facts.logins:
        case Present(seen) if not seen.can_log_in and seen.sessions == 0:
            closed_at = facts.tenant.logins_closed_at
            if closed_at is None:
                return Safeguard("logins-closed", False, "seen closed, but since when was never recorded")
            return Safeguard("logins-closed", True, f"closed since {rfc3339(closed_at)}, and seen closed")
        case Present(seen):
            return Safeguard("logins-closed", False, f"the login is open, or used by {seen.sessions} sessions")
        case Gone():
            return Safeguard("logins-closed", False, "the instance does not show the login")
        case Unreachable(reason):
            return Safeguard("logins-closed", False, f"could not look: {reason}")


def _final_backup(tenant: Tenant, final: Backup | None) -> Safeguard:
    if final is None:
        return Safeguard("final-backup", False, "no complete backup was begun after the logins were closed")
    verified = final.verified_level is VerificationLevel.RESTORED
    word = f"verified {rfc3339(final.verified_at)}" if verified and final.verified_at else "not verified by a restore"
    return Safeguard("final-backup", verified, f"backup {final.id}, begun {rfc3339(final.begun_at)}, is {word}")


def _copies_seen(final: Backup | None, policies: Policies, *, now: datetime) -> Safeguard:
    if final is None:
        return Safeguard("copies-seen", False, "there is no final backup whose copies could be seen")
    fresh = timedelta(hours=policies.lifecycle.copies_seen_within_hours)
    regions = sorted(
        {
            copy.region
            for copy in final.copies
            if copy.state is CopyState.WRITTEN and copy.seen_at is not None and now - copy.seen_at <= fresh
        }
    )
    enough = len(regions) >= policies.backups.copies_min
    seen = ", ".join(regions) or "no region"
    hours = policies.lifecycle.copies_seen_within_hours
    return Safeguard(
        "copies-seen", enough, f"seen within {hours} hours in {seen}; {policies.backups.copies_min} needed"
    )


def _marker(facts: Facts) -> Safeguard:
    match facts.database:
        case Present(seen):
            ours = seen.marker == facts.tenant.hosting.marker
            return Safeguard("marker", ours, f"the database says: {seen.marker or 'nothing'}")
        case Gone():
            return Safeguard("marker", False, "the instance does not show the database")
        case Unreachable(reason):
            return Safeguard("marker", False, f"could not look: {reason}")
