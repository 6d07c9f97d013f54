"""The last look before a tenant is closed or destroyed, in the transaction that begins it: freezes, holds and caps."""

from collections.abc import Iterator
from contextlib import contextmanager

from tenantctl.engine.actions import Work
from tenantctl.model.decisions import Act, CapSeen
from tenantctl.model.errors import Transient
from tenantctl.model.plan import Blocker
from tenantctl.offboarding.caps import admission
from tenantctl.ports.registry import FencedWrites


@contextmanager
def admitted(work: Work, act: Act) -> Iterator[FencedWrites]:
    """The transaction in which an act begins and is counted; whoever counts the same waits for its end.

    Raises:
        Transient: something forbids it that planning had not seen; the next plan obeys it.
        Refused: the batch that lets it through has done so before.
    """
    region = work.tenant.hosting.region
    batch = work.world.decisions.batch(act, region)
    with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
        for freeze in writes.freezes():
            raise Transient(f"{freeze.scope} was frozen meanwhile: {freeze.reason}")
        if act is Act.DESTROY and writes.holds():
            raise Transient("The tenant came under a legal hold meanwhile.")
        seen = CapSeen(act, writes.cap_count(act), batch)
        answer = admission(work.world.policies.lifecycle.caps, work.tenant.uid, seen, now=writes.now)
        if not answer.admitted:
            raise Transient(f"The cap was reached meanwhile: {answer.finding}")
        writes.count_act(act, answer.batch)
        yield writes


def stopped(work: Work, *, held: bool = True) -> Iterator[Blocker]:
    """What stops a departure at its next step: a freeze of the region and, with `held`, a legal hold; read now."""
    decisions = work.world.decisions
    for freeze in decisions.freezes(work.tenant.hosting.region):
        reason = f"{freeze.scope} is frozen by {freeze.placed_by}: {freeze.reason}"
        yield Blocker("freeze", reason, freeze.placed_at)
    if held and decisions.holds(work.tenant.uid):
        yield Blocker("hold", "the tenant is under a legal hold", alarm=True)
