"""How a tenant comes to be: pure."""

from datetime import datetime, timedelta

from tenantctl.model.facts import Facts
from tenantctl.model.plan import Blocker, Do, Plan, Step
from tenantctl.model.sighting import Gone, Unreachable
from tenantctl.model.tenant import Wanted


def plan_arrival(facts: Facts, *, now: datetime) -> Plan:
    """Roles, database, schema, and only then the open login.

    A request that is cancelled before anything was made is withdrawn; once
    something stands on the instance, the tenant is finished first and then
    leaves the ordinary way, so that there is one way of dropping databases.
    """
    tenant = facts.tenant
    uid, hosting = tenant.uid, tenant.hosting
    for sight in (facts.database, facts.roles):
        if isinstance(sight, Unreachable):
            reason = f"instance {hosting.instance} could not be looked at: {sight.reason}"
            blocker = Blocker("instance-unreachable", reason, alarm=True)
            return Plan(uid, "create", blockers=(blocker,), next_look=now + timedelta(minutes=5))
    cancelled = tenant.wanted is Wanted.LEAVING and tenant.intent_effective_at <= now
    if cancelled and isinstance(facts.database, Gone) and isinstance(facts.roles, Gone):
        return Plan(uid, "withdraw", (Step(Do.MARK_WITHDRAWN, uid, "cancelled before anything was created"),))
    return Plan(
        uid,
        "create",
        (
            Step(Do.CREATE_ROLES, uid, f"an owner that cannot log in, and a closed login, on {hosting.instance}"),
            Step(Do.CREATE_DATABASE, uid, f"with its marker, on {hosting.instance} in {hosting.region}"),
            Step(Do.PREPARE_DATABASE, uid, "schema owner, and the extensions asked for"),
            Step(Do.OPEN_LOGINS, uid, "all is in place"),
            Step(Do.MARK_ACTIVE, uid, "the instance shows the database and its open login"),
        ),
    )
