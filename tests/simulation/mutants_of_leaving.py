"""Known mistakes in what lets a tenant leave: grace, safeguards, caps, approvals and the destruction itself."""

from typing import Final

from tests.simulation.mutant import Mutant

SAFEGUARDS: Final = "tenantctl/offboarding/safeguards.py"
DESTRUCTION: Final = "tenantctl/offboarding/destruction.py"
STEPS: Final = "tenantctl/offboarding/steps.py"
LEAVING_PLANS: Final = "tenantctl/offboarding/planning.py"
GRACE: Final = "tenantctl/offboarding/grace.py"
CAPS: Final = "tenantctl/offboarding/caps.py"
DECISIONS: Final = "tenantctl/model/decisions.py"

BY_SAFEGUARDS: Final = ("tests/rooms/test_rules_safeguards.py",)
BY_GRACE: Final = ("tests/rooms/test_rules_grace.py",)
BY_DECISIONS: Final = ("tests/rooms/test_decisions.py",)
BY_ASKED_FOR: Final = ("tests/simulation/test_what_mutants_asked_for.py",)

LEAVING: Final = (
    Mutant(
        "grace is over a day early",
        SAFEGUARDS,
        "over = now >= tenant.destroy_after",
        "over = now >= tenant.destroy_after - timedelta(days=1)",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "nobody asks whether grace is over",
        SAFEGUARDS,
        "    yield _grace(tenant, now=now)\n",
        "",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "grace is over only after its end, and not at it (> for >=)",
        SAFEGUARDS,
        "over = now >= tenant.destroy_after",
        "over = now > tenant.destroy_after",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "grace is counted in days of the calendar, not in hours",
        GRACE,
        "closed_at + timedelta(days=policy.grace_days)",
        'closed_at.astimezone(__import__("zoneinfo").ZoneInfo(time_zone)) + timedelta(days=policy.grace_days)',
        BY_GRACE,
    ),
    Mutant(
        "grace ends at its hour, not with the day",
        GRACE,
        "return end_of_local_day(closed_at + timedelta(days=policy.grace_days), time_zone)",
        "return closed_at + timedelta(days=policy.grace_days)",
        BY_GRACE,
    ),
    Mutant(
        "a new policy shortens a grace that runs",
        GRACE,
        "max(current, candidate)",
        "candidate",
        BY_GRACE,
    ),
    Mutant(
        "the registry lets a grace be shortened",
        "tenantctl/adapters/registry_rules.py",
        '"destroy_after": max(destroy_after, tenant.destroy_after or destroy_after)',
        '"destroy_after": destroy_after',
        ("tests/contracts/test_registry_contract.py::TestInMemory",),
    ),
    Mutant(
        "a deactivation that took long does not count grace anew",
        STEPS,
        "until = never_earlier(writes.tenant.destroy_after, from_here)",
        "until = writes.tenant.destroy_after or from_here",
        BY_ASKED_FOR,
    ),
    Mutant(
        "a final backup counts until the end of its term, and beyond",
        SAFEGUARDS,
        "return newest if newest is not None and _lapses_at(newest) > lasts_until else None",
        "return newest",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "open sessions do not count as an open login",
        SAFEGUARDS,
        "case Present(seen) if not seen.can_log_in and seen.sessions == 0:",
        "case Present(seen) if not seen.can_log_in:",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "a login that could not be looked at counts as closed",
        SAFEGUARDS,
        'Safeguard("logins-closed", False, f"could not look: {reason}")',
        'Safeguard("logins-closed", True, f"could not look: {reason}")',
        BY_SAFEGUARDS,
    ),
    Mutant(
        "a final backup of an earlier closing counts",
        "tenantctl/model/backup.py",
        "        and backup.begun_at >= closed_at\n    ]",
        "    ]",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "a final backup that was only read, not restored, counts",
        SAFEGUARDS,
        "verified = final.verified_level is VerificationLevel.RESTORED",
        "verified = final.verified_level is not None",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "copies that were seen long ago count as seen",
        SAFEGUARDS,
        "now - copy.seen_at <= fresh",
        "now >= copy.seen_at",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "a final backup in one region is enough",
        SAFEGUARDS,
        "enough = len(regions) >= policies.backups.copies_min",
        "enough = len(regions) >= 1",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "the name of a database is enough, whatever its marker says",
        SAFEGUARDS,
        "ours = seen.marker == facts.tenant.hosting.marker",
        "ours = True",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "a database that could not be looked at counts as this tenant's",
        SAFEGUARDS,
        'Safeguard("marker", False, f"could not look: {reason}")',
        'Safeguard("marker", True, f"could not look: {reason}")',
        BY_SAFEGUARDS,
    ),
    Mutant(
        "the adapter drops by name, and compares no marker",
        "tenantctl/adapters/postgres/markers.py",
        "if found is not None and found[0] != hosting.marker:",
        "if found is not None and found[0] is None:",
        ("tests/contracts/test_databases.py",),
    ),
    Mutant(
        "a legal hold does not keep a database from being destroyed",
        SAFEGUARDS,
        "    if not standing.holds:\n",
        "    if True:\n",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "a freeze does not keep a database from being destroyed",
        SAFEGUARDS,
        "    if not standing.freezes:\n",
        "    if True:\n",
        BY_SAFEGUARDS,
    ),
    Mutant(
        "a waiver is good for every safeguard",
        SAFEGUARDS,
        'WAIVABLE: Final = frozenset({"copies-seen", "notice"})',
        'WAIVABLE: Final = frozenset({"copies-seen", "notice", "hold", "grace", "final-backup"})',
        BY_ASKED_FOR,
    ),
    Mutant(
        "of more than the cap allows, as many as it allows are done",
        CAPS,
        "if count.acted + count.due <= most:",
        "if count.acted < most:",
        BY_DECISIONS,
    ),
    Mutant(
        "a percentage is rounded up",
        CAPS,
        "cap.percent_max * max(tenants, caps.percent_of_at_least) // 100)",
        "-(-cap.percent_max * max(tenants, caps.percent_of_at_least) // 100))",
        BY_ASKED_FOR,
    ),
    Mutant(
        "a cap of zero means no cap",
        CAPS,
        "return min(cap.tenants_max, ",
        "return min(cap.tenants_max or 1_000_000, ",
        BY_DECISIONS,
    ),
    Mutant(
        "a batch lets through who is not among its members",
        CAPS,
        ' and uid in batch.content["members"]:',
        ":",
        BY_DECISIONS,
    ),
    Mutant(
        "one person's approval is enough",
        DECISIONS,
        "PEOPLE_MIN: Final = 2",
        "PEOPLE_MIN: Final = 1",
        BY_DECISIONS,
    ),
    Mutant(
        "one person who approves twice is two",
        DECISIONS,
        "moments = sorted({approval.actor: approval.at for approval in self.approvals}.values())",
        "moments = sorted(approval.at for approval in self.approvals)",
        BY_ASKED_FOR,
    ),
    Mutant(
        "an approval is good for ever",
        DECISIONS,
        "return now < (self.expires_at if approved_at is None else approved_at + APPROVED_FOR)",
        "return True",
        BY_DECISIONS,
    ),
    Mutant(
        "an approval can be used twice",
        DECISIONS,
        "        if self.spent_at is not None:\n            return False\n",
        "",
        BY_ASKED_FOR,
    ),
    Mutant(
        "a newer request does not stop a destruction",
        DESTRUCTION,
        "            refuse_newer_intent(work, writes)\n            tenant = writes.tenant\n",
        "            tenant = writes.tenant\n",
        BY_ASKED_FOR,
    ),
    Mutant(
        "a database is dropped whatever the tenant's state",
        DESTRUCTION,
        'compares the marker in the same session."""\n        yield from _only_while_destroying(work)\n',
        'compares the marker in the same session."""\n',
        BY_ASKED_FOR,
    ),
    Mutant(
        "an instance that does not answer has no database (unreachable read as gone)",
        "tenantctl/ports/databases.py",
        "        case Gone():\n            return None\n",
        "        case Gone() | Unreachable():\n            return None\n",
        BY_ASKED_FOR,
    ),
    Mutant(
        "a destruction is recorded though the instance did not answer",
        DESTRUCTION,
        'case Unreachable(reason):\n                    yield Blocker("instance-unreachable"',
        'case Unreachable(reason) if False:\n                    yield Blocker("instance-unreachable"',
        BY_ASKED_FOR,
    ),
    Mutant(
        "a worker that slept drops what is held by now, or another's to do",
        DESTRUCTION,
        "        work.heartbeat.renew()\n        work.world.databases.drop_database(",
        "        work.world.databases.drop_database(",
        ("tests/simulation/test_findings.py",),
    ),
    Mutant(
        "a closing that did not last is not taken back before the login is closed again",
        LEAVING_PLANS,
        "    elif earlier:\n",
        "    elif False:\n",
        ("tests/simulation/test_findings.py",),
    ),
)
