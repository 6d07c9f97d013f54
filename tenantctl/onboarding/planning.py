"""How a tenant comes to be, after waiting for room if it must, and one that lost its region anew: pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from tenantctl.model.facts import Facts
from tenantctl.model.plan import Blocker, Do, Plan, Step
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Tenant, Wanted

ROOM_LOOKED_FOR_EVERY: Final = timedelta(minutes=10)


def plan_arrival(facts: Facts, *, now: datetime) -> Plan:
    """Roles, database, schema, its data if it has any, and only then the open login.

    A request that is cancelled before anything was made is withdrawn; once
    something stands on the instance, the tenant is finished first and then
    leaves the ordinary way, so that there is one way of dropping databases.
    """
    tenant = facts.tenant
    if not tenant.is_placed:
        return plan_waiting(facts, now=now)
    if (silent := _silent(facts)) is not None:
        return Plan(tenant.uid, "create", blockers=(silent,), next_look=now + timedelta(minutes=5))
    cancelled = is_cancelled(tenant, now=now)
    if cancelled and isinstance(facts.database, Gone) and isinstance(facts.roles, Gone):
        return Plan(
            tenant.uid, "withdraw", (Step(Do.MARK_WITHDRAWN, tenant.uid, "cancelled before anything was created"),)
        )
    # Nobody waits for its data any more, and a backup that cannot be restored must not keep it from leaving.
    return Plan(tenant.uid, "create", tuple(_making(facts, with_data=not cancelled)))


def plan_waiting(facts: Facts, *, now: datetime) -> Plan:
    """A tenant that waits for room gets it in its turn, or is withdrawn: nothing of it stands anywhere yet."""
    tenant, seen = facts.tenant, facts.waiting
    if is_cancelled(tenant, now=now):
        step = Step(Do.MARK_WITHDRAWN, tenant.uid, "cancelled while it waited for room")
        return Plan(tenant.uid, "withdraw", (step,))
    if seen is None:
        blocker = Blocker("queue-not-seen", "nobody looked at its place among those that wait for room")
        return Plan(tenant.uid, "place", blockers=(blocker,), next_look=now + ROOM_LOOKED_FOR_EVERY)
    if seen.placement is None:
        because = (
            f"it is number {seen.position} of {seen.length} that wait for room, first of all in {tenant.hosting.region}"
        )
        return Plan(tenant.uid, "wait for room", next_look=now + ROOM_LOOKED_FOR_EVERY, because=because)
    region = seen.placement.region
    return Plan(tenant.uid, "place", (Step(Do.PLACE, tenant.uid, f"{region} has room for it by now", region),))


def is_cancelled(tenant: Tenant, *, now: datetime) -> bool:
    """Whether a tenant that is only requested is not wanted any more."""
    return tenant.wanted is not Wanted.LIVING and tenant.intent_effective_at <= now


def plan_rehosting(facts: Facts, *, now: datetime) -> Plan:
    """The next generation of a tenant whose region was lost, filled from a backup.

    A cancellation waits until it is there: what leaves, too, leaves with its data.
    """
    if (silent := _silent(facts)) is not None:
        return Plan(facts.tenant.uid, "rehost", blockers=(silent,), next_look=now + timedelta(minutes=5))
    return Plan(facts.tenant.uid, "rehost", tuple(_making(facts, with_data=True)))


def former_steps(facts: Facts) -> Iterator[Step]:
    """What is to be done about databases left behind in a lost region: closed if seen, written off if gone."""
    for former in facts.formers:
        match former.logins:
            case Present(seen) if seen.can_log_in or seen.sessions:
                reason = f"{former.hosting.instance} answers again, and the tenant works elsewhere"
                yield Step(Do.CLOSE_FORMER, former.residue_id, reason)
        if isinstance(former.database, Gone):
            reason = f"{former.hosting.instance} shows {former.hosting.database} no more"
            yield Step(Do.PROVE_FORMER_GONE, former.residue_id, reason)


def _making(facts: Facts, *, with_data: bool) -> Iterator[Step]:
    """The steps from nothing to an open database.

    Of a database that is filled from a backup, the first ones are left out once they
    are done: whose duty a plan is, is that of its first step.
    """
    tenant = facts.tenant
    uid, hosting, origin = tenant.uid, tenant.hosting, tenant.restored_from
    if origin is None or not (facts.prepared or tenant.restored_at):
        yield Step(Do.CREATE_ROLES, uid, f"an owner that cannot log in, and a closed login, on {hosting.instance}")
        if facts.adopts:
            reason = f"its marker, its owner and its name, on {hosting.instance}; its data as it is"
            yield Step(Do.ADOPT_DATABASE, uid, reason)  # its name may be its customer's: no word of it in the journal
        else:
            yield Step(Do.CREATE_DATABASE, uid, f"with its marker, on {hosting.instance} in {hosting.region}")
        yield Step(Do.PREPARE_DATABASE, uid, "schema owner, and the extensions asked for")
    if origin is not None and tenant.awaits_data and with_data:
        yield Step(Do.RESTORE_DATA, uid, f"from backup {origin.backup_id} of tenant {origin.tenant_uid}")
    if with_data or not tenant.awaits_data:
        yield Step(Do.OPEN_LOGINS, uid, "all is in place")
        yield Step(Do.MARK_ACTIVE, uid, "the instance shows the database and its open login")
    else:
        yield Step(Do.MARK_ACTIVE, uid, "cancelled before its data came; it leaves as every tenant does")


def _silent(facts: Facts) -> Blocker | None:
    for sight in (facts.database, facts.roles):
        if isinstance(sight, Unreachable):
            reason = f"instance {facts.tenant.hosting.instance} could not be looked at: {sight.reason}"
            return Blocker("instance-unreachable", reason, alarm=True)
    return None
