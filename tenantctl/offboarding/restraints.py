"""What holds a departure back whatever is due: freezes, legal holds, and caps. Pure."""

from collections.abc import Iterator
from datetime import datetime

from tenantctl.model.decisions import Act
from tenantctl.model.facts import Facts
from tenantctl.model.plan import Blocker, Do, Step
from tenantctl.model.policy import Policies
from tenantctl.offboarding.caps import admission


def departure_blockers(facts: Facts, policies: Policies, *, now: datetime) -> Iterator[Blocker]:
    """What keeps a cancelled tenant from being closed: a freeze of its region, or more closings than the cap allows."""
    if (frozen := frozen_blocker(facts)) is not None:
        yield frozen
        return
    if facts.standing is None or facts.standing.cap is None:
        yield Blocker("cap", "nobody counted what else is closed today", facts.tenant.intent_effective_at, alarm=True)
        return
    answer = admission(policies.lifecycle.caps, facts.tenant.uid, facts.standing.cap, now=now)
    if not answer.admitted:
        yield Blocker("cap", answer.finding, since=facts.tenant.intent_effective_at, alarm=True)


def stopping_blockers(facts: Facts) -> Iterator[Blocker]:
    """What stops a destruction that has begun, for as long as it lasts."""
    if (frozen := frozen_blocker(facts)) is not None:
        yield frozen
    if facts.standing is not None and facts.standing.holds:
        since = min(hold.placed_at for hold in facts.standing.holds)
        yield Blocker("hold", "a legal hold was placed while it was being destroyed", since, alarm=True)


def frozen_blocker(facts: Facts) -> Blocker | None:
    """The freeze that covers the tenant's region, or that nobody asked for one."""
    if facts.standing is None:
        return Blocker("freeze", "nobody asked whether its region is frozen")
    for freeze in facts.standing.freezes:
        return Blocker("freeze", f"{freeze.scope} is frozen by {freeze.placed_by}: {freeze.reason}", freeze.placed_at)
    return None


def batch_steps(facts: Facts, blockers: tuple[Blocker, ...], act: Act) -> Iterator[Step]:
    """Freezing what is due into a batch where the cap stands in the way, unless that was done."""
    cap = facts.standing.cap if facts.standing is not None else None
    if any(blocker.code == "cap" for blocker in blockers) and cap is not None and cap.batch is None:
        yield Step(Do.PROPOSE_BATCH, act.value, "more is due at once than the cap allows", facts.tenant.hosting.region)
