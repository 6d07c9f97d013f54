"""Known mistakes, each a small change of one file, and what finds it: `make mutants` plants them one at a time.

A mistake is planted in a copy of the code, never in the checkout. Its old text stands exactly once in its file; a test
of the house holds that, so that a mistake which can no longer be planted is noticed at once.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Attributes:
        name: what is wrong with the program then, in a few words.
        file: below the root of the repository.
        old: what stands there, exactly once.
        new: what is planted in its place.
        found_by: tests, as pytest names them, at least one of which must fail.
    """

    name: str
    file: str
    old: str
    new: str
    found_by: tuple[str, ...]


SAFEGUARDS: Final = "tenantctl/offboarding/safeguards.py"
DESTRUCTION: Final = "tenantctl/offboarding/destruction.py"
STEPS: Final = "tenantctl/offboarding/steps.py"
GRACE: Final = "tenantctl/offboarding/grace.py"
CAPS: Final = "tenantctl/offboarding/caps.py"
AUDIT: Final = "tenantctl/backups/audit.py"
CARE: Final = "tenantctl/backups/planning.py"
KEYS: Final = "tenantctl/backups/keys.py"
EXECUTOR: Final = "tenantctl/engine/executor.py"
WORKER: Final = "tenantctl/engine/worker.py"
DECISIONS: Final = "tenantctl/model/decisions.py"
POLICY: Final = "tenantctl/model/policy.py"

BY_SAFEGUARDS: Final = ("tests/rooms/test_rules_safeguards.py",)
BY_GRACE: Final = ("tests/rooms/test_rules_grace.py",)
BY_LIFE: Final = ("tests/rooms/test_life.py",)
BY_CRASHES: Final = ("tests/rooms/test_crashes.py",)
BY_DECISIONS: Final = ("tests/rooms/test_decisions.py",)
BY_ASKED_FOR: Final = ("tests/simulation/test_what_mutants_asked_for.py",)
BY_SIMULATION: Final = ("tests/simulation/test_simulation.py",)

MUTANTS: Final = (
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
        SAFEGUARDS,
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
        ("tests/rooms/test_review_leaving.py", "tests/simulation/test_simulation.py"),
    ),
    Mutant(
        "a database is dropped whatever the tenant's state",
        DESTRUCTION,
        'compares the marker in the same session."""\n        yield from _only_while_destroying(work)\n',
        'compares the marker in the same session."""\n',
        BY_SIMULATION,
    ),
    Mutant(
        "an instance that does not answer has no database (unreachable read as gone)",
        DESTRUCTION,
        "match work.world.databases.look(work.tenant.hosting):\n            case Gone():\n",
        "match work.world.databases.look(work.tenant.hosting):\n            case Gone() | Unreachable():\n",
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
        "a copy that is gone before its term has lapsed",
        AUDIT,
        "case Gone() if now < copy.lapses_at:",
        "case Gone() if now < copy.intended_at:",
        BY_LIFE,
    ),
    Mutant(
        "a copy whose vault is silent counts as gone",
        AUDIT,
        "            if isinstance(sight, Unreachable):\n",
        "            if isinstance(sight, Unreachable) and _record(work, copy, Gone()) is not None:\n",
        BY_LIFE,
    ),
    Mutant(
        "a manifest that goes later than its copy is taken for other bytes",
        AUDIT,
        "            if isinstance(manifest, Present):\n",
        "            if isinstance(manifest, Present) and copy.size is None:\n",
        ("tests/simulation/test_findings.py",),
    ),
    Mutant(
        "a window of the platform has passed when it begins",
        CARE,
        "residue.unreadable_after is not None and residue.unreadable_after <= now",
        "residue.unreadable_after is not None and residue.made_at <= now",
        BY_ASKED_FOR,
    ),
    Mutant(
        "a key is shredded before the term of its copies",
        CARE,
        "return max(copy.lapses_at for copy in backup.copies)",
        "return backup.begun_at + timedelta(days=20)",
        BY_SIMULATION,
    ),
    Mutant(
        "a key is shredded while somebody may still be about to keep it",
        CARE,
        "return backup.begun_at + timedelta(days=WRITING_DAYS_MAX)",
        "return backup.begun_at",
        ("tests/simulation/test_findings.py",),
    ),
    Mutant(
        "a key is shredded in one region only",
        KEYS,
        "wrapped = [copy for copy in backup.copies if copy.wrapped_key is not None]",
        "wrapped = [copy for copy in backup.copies if copy.wrapped_key is not None][:1]",
        BY_LIFE,
    ),
    Mutant(
        "a step that is done is done again",
        EXECUTOR,
        "    if action.is_done(work, step):\n        return None\n",
        "",
        BY_ASKED_FOR,
    ),
    Mutant(
        "what forbids a step is not asked just before it",
        EXECUTOR,
        "blockers = tuple(action.guard(work, step))",
        "blockers: tuple[Blocker, ...] = ()",
        ("tests/rooms/test_review_engine.py",),
    ),
    Mutant(
        "a step is called done whether or not its effect was seen",
        EXECUTOR,
        "    if not action.is_done(work, step):\n        return Result(Outcome.WAITING",
        "    if False:\n        return Result(Outcome.WAITING",
        ("tests/rooms/test_review_engine.py",),
    ),
    Mutant(
        "evidence is finished without a look at the world",
        EXECUTOR,
        "if event == BEGUN and _can_be_seen(work, actions, step):",
        "if event == BEGUN:",
        BY_ASKED_FOR,
    ),
    Mutant(
        "a lease that was taken over still writes (epoch unchecked)",
        "tenantctl/adapters/memory/registry_books.py",
        "(self.lease.owner, self.lease.epoch) == (lease.owner, lease.epoch)",
        "self.lease.owner == lease.owner",
        ("tests/contracts/test_registry_contract.py::TestInMemory",),
    ),
    Mutant(
        "half a dump becomes an object",
        "tenantctl/backups/stream.py",
        '    word: Literal["seal", "abort"] = "abort"\n',
        '    word: Literal["seal", "abort"] = "seal"\n',
        BY_LIFE,
    ),
    Mutant(
        "a promise of twelve months may be broken by a day",
        POLICY,
        "        if needed > allowed:\n",
        "        if needed > allowed + 1:\n",
        (
            "tests/rooms/test_policy_files.py",
            "tests/rooms/test_policy_arithmetic.py",
            "tests/rooms/test_rules_retention.py",
        ),
    ),
    Mutant(
        "a backup in one region is enough for the policy",
        POLICY,
        "        if self.copies_min < 2:\n",
        "        if self.copies_min < 1:\n",
        ("tests/rooms/test_policy_files.py",),
    ),
    Mutant(
        "an anchor that the registry does not know shows nothing",
        "tenantctl/evidence/restored.py",
        "    unknown = list(seen.unknown())\n",
        "    unknown: list[tuple[str, AnchorName]] = []\n",
        ("tests/rooms/test_registry_restored.py",),
    ),
    Mutant(
        "an edited entry of the journal is not found",
        "tenantctl/model/journal.py",
        "        if entry.hash != entry.expected_hash():\n",
        "        if entry.hash == entry.previous:\n",
        ("tests/rooms/test_journal_chain.py",),
    ),
    Mutant(
        "a tenant can be named like another's uid",
        "tenantctl/placement/newcomer.py",
        "        registry.tenant(name)\n",
        "        registry.tenant(name[:0])\n",
        ("tests/rooms/test_review_commands.py",),
    ),
    Mutant(
        "who came back while closing inherits the grace of the closing before",
        "tenantctl/offboarding/planning.py",
        "if seen_closed and closed_at is not None and closed_at >= tenant.intent_effective_at:",
        "if seen_closed and closed_at is not None:",
        ("tests/rooms/test_review_leaving.py",),
    ),
)
