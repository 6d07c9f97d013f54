"""What is to be thought of an instance and of a bucket, held against what the registry and the policies say. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tenantctl.backups.terms import bucket_faults
from tenantctl.model.facts import Census
from tenantctl.model.finding import Grade, GradedFinding
from tenantctl.model.lifecycle import DEAD, State
from tenantctl.model.policy import Term
from tenantctl.model.tenant import Instance, Tenant, Wanted, marked_tenant, tenants_role
from tenantctl.ports.instances import InstanceSeen
from tenantctl.ports.vault import BucketSeen

BUCKET_TERMS: Final = "bucket-terms"
BUCKET_MISSING: Final = "bucket-missing"
INSTANCE_DRIFT: Final = "instance-drift"
DATABASE_UNKNOWN: Final = "database-unknown"
DATABASE_OF_THE_DEAD: Final = "database-of-the-dead"
DATABASE_ELSEWHERE: Final = "database-elsewhere"
DATABASE_MISSING: Final = "database-missing"
MARKER_DIFFERS: Final = "marker-differs"
ROLES_MISSING: Final = "roles-missing"
ROLES_UNKNOWN: Final = "roles-unknown"
LOGINS_OPEN: Final = "logins-open"
LOGINS_CLOSED: Final = "logins-closed"

HOSTED: Final = frozenset({State.ACTIVE, State.DEACTIVATING, State.DEACTIVATED})
# What is on every instance, and no tenant's: PostgreSQL's own, and Cloud SQL's.
EVERYWHERE: Final = frozenset({"postgres", "template0", "template1", "cloudsqladmin"})
_HANDS_OFF: Final = "Drop nothing by hand."


@dataclass(frozen=True)
class Counted:
    """Whom the registry knows of those that an instance shows: tenants by uid, and databases of earlier generations.

    `counted` has the (uid, generation) of every database that stands in the residue inventory as not gone yet;
    `at_work` the uids of tenants that somebody works on, or that are moving: their logins may be either way.
    """

    tenants: Mapping[str, Tenant]
    counted: frozenset[tuple[str, int]] = frozenset()
    at_work: frozenset[str] = frozenset()


def instance_findings(instance: Instance, seen: InstanceSeen, *, where: str) -> Iterator[GradedFinding]:
    """In what an instance is not as the registry has it."""
    if seen.region != instance.region:
        sentence, remedy = f"lies in {seen.region}, not in {instance.region}", "Ask who moved it: its tenants' law may."
        yield GradedFinding(INSTANCE_DRIFT, Grade.CRITICAL, where, "region", sentence, remedy)
    if not seen.deletion_protected:
        sentence, remedy = (
            "may be deleted by anyone who may delete",
            "Switch its deletion protection on: terraform apply",
        )
        yield GradedFinding(INSTANCE_DRIFT, Grade.CRITICAL, where, "deletion protection", sentence, remedy)
    if seen.state != "RUNNABLE":
        sentence, remedy = f"is {seen.state}", "Start it, or find out who stopped it."
        yield GradedFinding(INSTANCE_DRIFT, Grade.WARNING, where, "state", sentence, remedy)


def bucket_findings(seen: BucketSeen, region: str, term: Term, *, where: str) -> Iterator[GradedFinding]:
    """In what a bucket of locked objects is not as the policy has it: promises that it does not keep."""
    if faults := tuple(bucket_faults(seen, region, term)):
        yield bucket_differs(where, " and ".join(faults))


def bucket_differs(where: str, sentence: str) -> GradedFinding:
    """The finding that a bucket has other terms than it must have."""
    remedy = "Set it right with Terraform, and see who changed it; a lock cannot be mended: let a new bucket take over."
    return GradedFinding(BUCKET_TERMS, Grade.CRITICAL, where, "terms", sentence, remedy)


def census_findings(
    instance: str, census: Census, known: Counted, *, where: str, now: datetime
) -> Iterator[GradedFinding]:
    """In what the databases and roles on an instance are not as the registry has them.

    Args:
        instance: its name.
        census: everything on it.
        known: the tenants hosted there, and those that the census names.
        where: the place, as findings name it.
        now: the registry's time.
    """
    here = [one for one in known.tenants.values() if one.hosting.instance == instance and one.state not in DEAD]
    for tenant in here:
        if tenant.state in HOSTED and not tenant.awaits_data:
            yield from _of_tenant(tenant, census, where, at_work=tenant.uid in known.at_work, now=now)
    names = {one.hosting.database for one in here}
    for name, marker in sorted(census.databases.items()):
        if name not in names and name not in EVERYWHERE:
            yield from _stranger(name, marker, known, where)
    expected = {(one.uid, one.hosting.generation) for one in here} | known.counted
    for name, can_log_in in sorted(census.roles.items()):
        if tenants_role(name) not in expected:
            grade = Grade.CRITICAL if can_log_in else Grade.WARNING
            sentence = f"the role {'can log in' if can_log_in else 'is there'}, and no tenant's database is"
            yield GradedFinding(
                ROLES_UNKNOWN, grade, where, name, sentence, "Close it, and find out whose it was. " + _HANDS_OFF
            )


def _of_tenant(tenant: Tenant, census: Census, where: str, *, at_work: bool, now: datetime) -> Iterator[GradedFinding]:
    hosting, who = tenant.hosting, f"tenant {tenant.uid}"
    marker = census.databases.get(hosting.database)
    if marker is None:
        sentence = f"the registry has {who} {tenant.state} there, and there is no {hosting.database}"
        remedy = "Look for its certificate and its journal. If it was not to go: an incident; restore it from a backup."
        yield GradedFinding(DATABASE_MISSING, Grade.CRITICAL, where, hosting.database, sentence, remedy)
    elif marker != hosting.marker:
        sentence = f"it is to be the database of {who}, and its comment says {marker or 'nothing'!r}"
        remedy = "Whose it is decides what may be done to it: compare with the journal, then write the comment by hand."
        yield GradedFinding(MARKER_DIFFERS, Grade.CRITICAL, where, hosting.database, sentence, remedy)
    if missing := [name for name in (hosting.owner, hosting.login) if name not in census.roles]:
        sentence = f"{who} is {tenant.state}, and has no {' and no '.join(missing)}"
        remedy = "Nobody can log in, or nobody owns what is there: make the role again as its database has it."
        yield GradedFinding(ROLES_MISSING, Grade.CRITICAL, where, hosting.database, sentence, remedy)
    can_log_in = census.roles.get(hosting.login)
    wanted = None if can_log_in is None or at_work else _may_log_in(tenant, now=now)
    if wanted is not None and wanted != can_log_in:
        sentence = f"{who} is {tenant.state}, and its login {'cannot' if wanted else 'can'} log in"
        remedy = f"See who changed it: tenantctl journal show {tenant.uid}; then: tenantctl run --tenant {tenant.uid}"
        yield GradedFinding(
            LOGINS_CLOSED if wanted else LOGINS_OPEN, Grade.CRITICAL, where, hosting.login, sentence, remedy
        )


def _may_log_in(tenant: Tenant, *, now: datetime) -> bool | None:
    """Whether the customer must be able to log in, must not, or may be either way just now (None)."""
    leaving = tenant.wanted is not Wanted.LIVING and tenant.intent_effective_at <= now
    match tenant.state:
        case State.ACTIVE:
            return None if leaving else True
        case State.DEACTIVATED:
            return False if leaving else None
        case State.DEACTIVATING:
            return False if leaving and tenant.logins_closed_at is not None else None
        case _:
            return None


def _stranger(name: str, marker: str, known: Counted, where: str) -> Iterator[GradedFinding]:
    """A database that is not where the registry has one."""
    whose = marked_tenant(marker)
    if whose is None:
        sentence = f"no tenant's database is called so, and its comment says {marker or 'nothing'!r}"
        remedy = "Find out whose it is; nothing there is backed up, and nothing of it is ever destroyed. " + _HANDS_OFF
        yield GradedFinding(DATABASE_UNKNOWN, Grade.WARNING, where, name, sentence, remedy)
        return
    uid, generation = whose
    tenant = known.tenants.get(uid)
    if tenant is None:
        sentence, remedy = f"it bears the marker of tenant {uid}, and there is none", "The registry may be older. "
        yield GradedFinding(DATABASE_UNKNOWN, Grade.CRITICAL, where, name, sentence, remedy + _HANDS_OFF)
    elif tenant.state in DEAD:
        sentence = f"it bears the marker of tenant {uid}, which is {tenant.state}"
        remedy = "The instance was brought back, or the registry is wrong: find out which. " + _HANDS_OFF
        yield GradedFinding(DATABASE_OF_THE_DEAD, Grade.CRITICAL, where, name, sentence, remedy)
    elif (uid, generation) not in known.counted:
        at = tenant.hosting
        sentence = f"it bears the marker of tenant {uid}, which the registry has on {at.instance} as {at.database}"
        remedy = "A move was lost, or somebody made a copy: no line of the residue inventory has it. " + _HANDS_OFF
        yield GradedFinding(DATABASE_ELSEWHERE, Grade.CRITICAL, where, name, sentence, remedy)
