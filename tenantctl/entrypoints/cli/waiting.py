"""`--wait`: following a request to its end, doing on the way what is due for that one tenant."""

import time

import click

from tenantctl.engine.executor import Outcome
from tenantctl.entrypoints.cli.progress import Progress
from tenantctl.model.errors import LeaseLost, StillWaiting
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Tenant
from tenantctl.ports.world import World
from tenantctl.sweeps.tenants import sweep

SECONDS_MAX = 900
PAUSE_SECONDS = 0.5


def wait_for(world: World, tenant: Tenant, *wanted: State, quiet: bool = False) -> Tenant:
    """Works until the tenant is in one of the wanted states; another worker that has it is waited for.

    Raises:
        StillWaiting: something is in the way, or it takes too long; the request stands.
    """
    progress = Progress(as_json=False)
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        turns = list(sweep(world, tenant=tenant.uid, progress=(lambda step: None) if quiet else progress.step))
        now_is = world.registry.tenant(tenant.uid)
        if now_is.state in wanted:
            if not quiet:
                click.echo(f"Tenant {now_is.label} is {now_is.state}.")
            return now_is
        for turn in turns:
            if isinstance(turn.trouble, LeaseLost):
                continue  # somebody else has it now, or a newer request came in
            if turn.trouble is not None:
                raise StillWaiting(
                    f"Tenant {now_is.label} is {now_is.state}: {turn.trouble.sentence}", hint=_hint(now_is)
                )
            if turn.plan is not None and (turn.outcome is Outcome.BLOCKED or not turn.plan.steps):
                reason = "; ".join(blocker.reason for blocker in turn.blockers) or turn.plan.because
                raise StillWaiting(f"Tenant {now_is.label} is {now_is.state}: {reason}", hint=_hint(now_is))
        time.sleep(PAUSE_SECONDS)
    raise StillWaiting(f"Tenant {tenant.label} is not {' or '.join(wanted)} yet.", hint=_hint(tenant))


def _hint(tenant: Tenant) -> str:
    return f"The request stands. See: tenantctl tenant explain {tenant.label}"
