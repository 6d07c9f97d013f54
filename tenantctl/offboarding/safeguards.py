"""What must hold, all at once, before a database is destroyed. Pure rules, each with its reason.

They are asked in planning and again just before the act, on facts read anew.
A rule that cannot know says no.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tenantctl.evidence.restored import restored_because, untold_because
from tenantctl.model.backup import Backup, CopyState, VerificationLevel, newest_final
from tenantctl.model.calendar import rfc3339
from tenantctl.model.decisions import ProposalKind, Standing
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Blocker
from tenantctl.model.policy import Policies
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Tenant, Wanted
from tenantctl.offboarding.caps import admission
from tenantctl.offboarding.notices import missing

# What two people may waive once a destruction is overdue. The rest is what the promises themselves say: only an
# approved erasure goes past those, and a hold or a freeze is ended by name.
WAIVABLE: Final = frozenset({"copies-seen", "notice"})
# A cap that is exceeded is never usual, nor is a registry that may be older than the world.
ALWAYS_ALARMED: Final = frozenset({"cap", "registry", "registry-restored"})


# Two people put these aside by approving an erasure; all others stand, those that are added one day too.
NOT_ASKED_OF_AN_ERASURE: Final = frozenset(
    {"state", "intent", "grace", "logins-closed", "final-backup", "copies-seen", "subscription", "notice", "cap"}
)


@dataclass(frozen=True)
class Safeguard:
    """One condition of a destruction: its code, whether it holds, and what was found.

    `since` is from when it has been so, where that is known; `waiver` is the
    digest of what two people approved in its place.
    """

    code: str
    holds: bool
    finding: str
    since: datetime | None = None
    waiver: str | None = None


def safeguards(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Safeguard]:
    """Every condition, met or not, in the order in which a person would ask."""
    for safeguard in _conditions(facts, policies, now=now):
        if safeguard.holds:
            yield safeguard
        else:
            due = facts.tenant.destroy_after
            since = safeguard.since or (due if due is not None and due <= now else None)
            yield _waived(replace(safeguard, since=since), facts, policies, now=now)


def _conditions(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Safeguard]:
    tenant = facts.tenant
    yield Safeguard("state", tenant.state is State.DEACTIVATED, f"the tenant is {tenant.state}")
    yield _intent(tenant, now=now)
    yield _grace(tenant, now=now)
    yield _closed(facts)
    final = final_backup(facts, policies, now=now)
    yield _final_backup(facts, final)
    yield _copies_seen(final, policies, now=now)
    yield _marker(facts)
    yield _registry(facts, policies, now=now)
    yield _subscription(facts)
    yield _hold(facts.standing)
    yield _freeze(facts.standing)
    yield _notice(tenant, facts.standing, policies, now=now)
    yield _cap(tenant, facts.standing, policies, now=now)


def destruction_blockers(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Blocker]:
    """The conditions that are not met; an alarm once the time in which to destroy is over."""
    late = is_overdue(facts.tenant, policies, now=now)
    for safeguard in safeguards(facts, policies, now=now):
        if not safeguard.holds:
            # A hold lasts as long as its case: it is its review that is alarmed.
            alarm = safeguard.code in ALWAYS_ALARMED or (late and safeguard.code != "hold")
            yield Blocker(safeguard.code, safeguard.finding, since=safeguard.since, alarm=alarm)


def erasure_blockers(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Blocker]:
    """The conditions that stand for an approved erasure too, and are not met: somebody waits for it."""
    for safeguard in safeguards(facts, policies, now=now):
        if safeguard.code not in NOT_ASKED_OF_AN_ERASURE and not safeguard.holds:
            yield Blocker(safeguard.code, safeguard.finding, since=safeguard.since, alarm=True)


def is_overdue(tenant: Tenant, policies: Policies, *, now: datetime) -> bool:
    """Whether the time in which to destroy is over: then whatever still blocks pages, and some of it may be waived."""
    due = tenant.destroy_after
    return due is not None and now > due + timedelta(days=policies.lifecycle.destroy_within_days)


def final_backup(facts: Facts, policies: Policies, *, now: datetime) -> Backup | None:
    """The newest final backup of this closing, if it can be read for long enough yet; None if it has to be made.

    A destruction that waited for months, frozen or over a cap, may come when its final backup reaches its term. One
    counts only if every copy of it stays for the time within which a destruction is done, counted from now.
    """
    newest = newest_final(facts.backups, facts.tenant.logins_closed_at)
    lasts_until = now + timedelta(days=policies.lifecycle.destroy_within_days)
    return newest if newest is not None and _lapses_at(newest) > lasts_until else None


def _lapses_at(backup: Backup) -> datetime:
    """When the first of the copies that count reaches its age; with none of them, when the last of all does."""
    counted = (copy.lapses_at for copy in backup.copies if copy.state is CopyState.WRITTEN and not copy.off_cloud)
    return min(counted, default=backup.lapses_at or backup.begun_at)


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


def _final_backup(facts: Facts, final: Backup | None) -> Safeguard:
    closed_at = facts.tenant.logins_closed_at
    if final is None and (former := newest_final(facts.backups, closed_at)) is not None:
        too_soon = f"backup {former.id} lapses {rfc3339(_lapses_at(former))}: too soon to rest a destruction on"
        return Safeguard("final-backup", False, too_soon)
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
            if copy.state is CopyState.WRITTEN
            and not copy.off_cloud
            and copy.seen_at is not None
            and now - copy.seen_at <= fresh
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


def _registry(facts: Facts, policies: Policies, *, now: datetime) -> Safeguard:
    match facts.registry:
        case Unreachable(reason):
            return Safeguard("registry", False, f"its anchors were not looked at: {reason}")
        case seen if (restored := restored_because(seen)) is not None:
            return Safeguard("registry-restored", False, restored)
        case seen if (untold := untold_because(seen, policies.anchors, now=now)) is not None:
            return Safeguard("registry", False, untold)
        case seen:
            regions = ", ".join(seen.answered())
            return Safeguard("registry", True, f"it knows every anchor that {regions} shows")


def _subscription(facts: Facts) -> Safeguard:
    match facts.subscription:
        case Present(seen):
            return Safeguard("subscription", not seen.lasts, seen.finding)
        case Gone():
            return Safeguard("subscription", True, "billing has never heard of it")
        case Unreachable(reason):
            return Safeguard("subscription", False, f"nobody could say whether it is still paid for: {reason}")


def _hold(standing: Standing | None) -> Safeguard:
    if standing is None:
        return Safeguard("hold", False, "nobody asked whether it is under a legal hold")
    if not standing.holds:
        return Safeguard("hold", True, "it is under no legal hold")
    since = min(hold.placed_at for hold in standing.holds)
    count = len(standing.holds)
    return Safeguard("hold", False, f"it is under {'a legal hold' if count == 1 else f'{count} legal holds'}", since)


def _freeze(standing: Standing | None) -> Safeguard:
    if standing is None:
        return Safeguard("freeze", False, "nobody asked whether its region is frozen")
    if not standing.freezes:
        return Safeguard("freeze", True, "its region is not frozen")
    first = standing.freezes[0]
    finding = f"{first.scope} is frozen by {first.placed_by}: {first.reason}"
    return Safeguard("freeze", False, finding, first.placed_at)


def _notice(tenant: Tenant, standing: Standing | None, policies: Policies, *, now: datetime) -> Safeguard:
    if standing is None:
        return Safeguard("notice", False, "nobody asked whether the customer was told")
    lacking = missing(tenant, standing.notices, policies.lifecycle.notices, now=now)
    told = "delivered" if policies.lifecycle.notices.delivery_required else "put out"
    return Safeguard("notice", not lacking, lacking or f"every notice to the customer was {told}")


def _cap(tenant: Tenant, standing: Standing | None, policies: Policies, *, now: datetime) -> Safeguard:
    if standing is None or standing.cap is None:
        return Safeguard("cap", False, "nobody counted what else is destroyed today")
    answer = admission(policies.lifecycle.caps, tenant.uid, standing.cap, now=now)
    return Safeguard("cap", answer.admitted, answer.finding)


def _waived(safeguard: Safeguard, facts: Facts, policies: Policies, *, now: datetime) -> Safeguard:
    """The same condition, held by what two people approved in its place, if it may be and they did."""
    if safeguard.code not in WAIVABLE or facts.standing is None or not is_overdue(facts.tenant, policies, now=now):
        return safeguard
    for proposal in facts.standing.proposals:
        asked = proposal.kind is ProposalKind.WAIVER and proposal.content["blocker"] == safeguard.code
        if asked and proposal.is_approved(now=now):
            people = " and ".join(sorted({approval.actor for approval in proposal.approvals}))
            finding = f"{safeguard.finding}; waived by {people}"
            return replace(safeguard, holds=True, finding=finding, waiver=proposal.digest)
    return safeguard
