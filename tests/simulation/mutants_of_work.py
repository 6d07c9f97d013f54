"""Known mistakes in what keeps copies, keys and evidence, and in the engine that does the work."""

from typing import Final

from tests.simulation.mutant import Mutant

AUDIT: Final = "tenantctl/backups/audit.py"
CARE: Final = "tenantctl/backups/planning.py"
KEYS: Final = "tenantctl/backups/keys.py"
EXECUTOR: Final = "tenantctl/engine/executor.py"
POLICY: Final = "tenantctl/model/policy.py"

BY_LIFE: Final = ("tests/rooms/test_life.py",)
BY_ASKED_FOR: Final = ("tests/simulation/test_what_mutants_asked_for.py",)
BY_FINDINGS: Final = ("tests/simulation/test_findings.py",)
BY_QUIET: Final = ("tests/rooms/test_quiet.py",)
BY_SIMULATION: Final = ("tests/simulation/test_simulation.py",)

WORK: Final = (
    Mutant(
        "a copy that is gone before its term has lapsed",
        AUDIT,
        "case Gone() if now < copy.lapses_at:",
        "case Gone() if now < copy.intended_at:",
        BY_LIFE,
    ),
    Mutant(
        "a worker asks its own clock when to look again",
        "tenantctl/engine/worker.py",
        "_due_after(plan, result, registry.now())",
        "_due_after(plan, result, datetime.now().astimezone())",
        (f"{BY_SIMULATION[0]}::test_a_workers_own_clock_changes_nothing",),
    ),
    Mutant(
        "a copy that may still be sealed is looked for ahead of its time",
        CARE,
        "<= (now if copy.seen_at is None else later)",
        "<= later",
        BY_FINDINGS,
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
        "return backup.lapses_at",
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
    Mutant(
        "what rests is put off without being asked",
        "tenantctl/sweeps/planning.py",
        "if at_rest is not None and is_rest_over(at_rest, policy, now=now):",
        "if at_rest is not None and is_rest_over(at_rest, policy, now=now - timedelta(days=1)):",
        BY_QUIET,
    ),
    Mutant(
        "a copy that its store may hold for the law is at rest",
        "tenantctl/model/backup.py",
        "        return seen and self.hold_asked_at is None\n",
        "        return seen\n",
        BY_QUIET,
    ),
)
