"""Expand, migrate, contract: what a migration of each kind may say, so that programs of two ages work side by side."""

import re
from typing import Any

import pytest

from tenantctl.adapters.postgres.migrations import is_built_beside, pending, statements, works_with

LAID_AT_ONCE = "0013"  # up to here no program worked on anything but its own revision
REVISIONS = pending(None)
SINCE = [one for one in REVISIONS if one.revision > LAID_AT_ONCE]
PHASES = {"expand", "migrate", "contract"}

# What an older program would stumble over, by what it is called in the sentence of a failure.
TAKES_AWAY = {
    "drops what is used": r"\bDROP\s+(TABLE|COLUMN|VIEW|FUNCTION|TYPE|SCHEMA|TRIGGER)\b",
    "renames": r"\bRENAME\b",
    "changes a type": r"\bALTER\s+TYPE\b|\bALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE\b",
    "demands what older programs do not write": r"\bSET\s+NOT\s+NULL\b",
    "adds a column that older programs cannot fill": r"\bADD\s+COLUMN\s+(?![^,;]*\bDEFAULT\b)[^,;]*\bNOT\s+NULL\b",
    "takes a right away": r"\bREVOKE\b",
    "moves data, which is a step of its own": r"(?m)^(UPDATE|DELETE)\b",
}
WAITED_FOR = "0016"  # up to here an index on a table in use was built within the transaction
INDEX = re.compile(r"\bCREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY\b)\w+\s+ON\s+(\w+)")
TABLE = re.compile(r"\bCREATE\s+TABLE\s+(\w+)")
DEFINES = re.compile(r"\b(CREATE|ALTER|DROP|GRANT|REVOKE|TRUNCATE)\b")
COMMENT = re.compile(r"--[^\n]*")
BODY = re.compile(r"\$\$.*?\$\$", re.DOTALL)  # what a function does is its own affair


def taken_away(sql: str) -> list[str]:
    """What of it an older program could not work beside."""
    bare = BODY.sub("", COMMENT.sub("", sql))
    return [what for what, pattern in TAKES_AWAY.items() if re.search(pattern, bare)]


def faults(phase: str, oldest: str | None, sql: str) -> list[str]:
    """What a migration of this phase must not say."""
    if phase not in PHASES:
        return [f"{phase!r} is none of {', '.join(sorted(PHASES))}"]
    if (phase == "contract") != (oldest is not None):
        return ["a contraction, and it alone, names the oldest revision whose programs work on: works_with"]
    if phase == "migrate":
        return ["it defines something"] if DEFINES.search(COMMENT.sub("", sql)) else []
    return taken_away(sql) if phase == "expand" else []


def test_each_migration_says_its_phase_and_keeps_to_it() -> None:
    """`phase = "expand"`, "migrate" or "contract" in its file: see the runbook, on moving the schema on."""
    wrong = {}
    for one in SINCE:
        module: Any = one.module
        found = faults(getattr(module, "phase", ""), getattr(module, "works_with", None), statements(one))
        wrong.update({one.revision: found} if found else {})
    assert not wrong


def waited_for(sql: str) -> set[str]:
    """The tables that nobody can write to while an index of it is built: those that it does not make itself."""
    bare = COMMENT.sub("", sql)
    return set(INDEX.findall(bare)) - set(TABLE.findall(bare))


def test_nobody_waits_for_an_index() -> None:
    """On a table that is in use it is built beside the work, and so is not in one revision with anything else."""
    for one in SINCE:
        sql = statements(one)
        assert one.revision <= WAITED_FOR or not waited_for(sql), one.revision
        others = [line for line in COMMENT.sub("", sql).split(";") if line.strip() and "CONCURRENTLY" not in line]
        assert is_built_beside(one) == ("CONCURRENTLY" in sql), one.revision
        assert not (is_built_beside(one) and others), one.revision


def test_the_rule_sees_the_indexes_of_old() -> None:
    """One on a new table keeps nobody."""
    assert waited_for(statements(next(one for one in SINCE if one.revision == WAITED_FOR))) == {"tenants"}
    assert waited_for("CREATE TABLE a (b int); CREATE UNIQUE INDEX c ON a (b);") == set()


def test_the_revisions_are_numbered_in_their_order() -> None:
    """The program knows its own by the newest file's name."""
    assert [one.revision for one in REVISIONS] == [f"{number:04}" for number in range(1, len(REVISIONS) + 1)]
    assert all(one.path.rpartition("/r")[2].startswith(f"{one.revision}_") for one in REVISIONS)


def test_what_was_laid_at_once_works_with_its_own_program() -> None:
    """Before the first release no two programs met."""
    assert works_with(LAID_AT_ONCE) == LAID_AT_ONCE
    assert all(works_with(one.revision) >= LAID_AT_ONCE for one in SINCE)


def test_the_rules_see_what_the_first_migrations_did() -> None:
    """Of those that were never run beside a program, one moved data; the others would have passed."""
    early = [one for one in REVISIONS if one.revision <= LAID_AT_ONCE]
    assert {one.revision: found for one in early if (found := taken_away(statements(one)))} == {
        "0008": ["moves data, which is a step of its own"]
    }


@pytest.mark.parametrize(
    ("phase", "oldest", "sql", "fault"),
    [
        ("expand", None, "ALTER TABLE a ADD COLUMN b text;", ""),
        ("expand", None, "ALTER TABLE a ADD COLUMN b int NOT NULL DEFAULT 0, ADD COLUMN c text;", ""),
        ("expand", None, "ALTER TABLE a ADD COLUMN b int NOT NULL;", "cannot fill"),
        ("expand", None, "ALTER TABLE a ADD COLUMN b int NOT NULL, ADD COLUMN c int DEFAULT 0;", "cannot fill"),
        ("expand", None, "ALTER TABLE a DROP COLUMN b;", "drops"),
        ("expand", None, "-- drop nothing: DROP TABLE a\nCREATE TABLE b (c int NOT NULL);", ""),
        ("expand", None, "ALTER TABLE a RENAME COLUMN b TO c;", "renames"),
        ("expand", None, "ALTER TABLE a ALTER COLUMN b TYPE bigint;", "type"),
        ("expand", None, "ALTER TABLE a ALTER COLUMN b SET DATA TYPE bigint;", "type"),
        ("expand", None, "ALTER TYPE a ADD VALUE 'b';", "type"),
        ("expand", None, "ALTER TABLE a ALTER COLUMN b SET NOT NULL;", "demands"),
        ("expand", None, "REVOKE SELECT ON a FROM b;", "right"),
        ("expand", None, "UPDATE a SET b = 1;", "moves data"),
        ("expand", "0013", "ALTER TABLE a ADD COLUMN b text;", "names the oldest"),
        ("migrate", None, "UPDATE a SET b = 1;", ""),
        ("migrate", None, "UPDATE a SET b = 1; ALTER TABLE a DROP COLUMN c;", "defines"),
        ("contract", "0014", "ALTER TABLE a DROP COLUMN b;", ""),
        ("contract", None, "ALTER TABLE a DROP COLUMN b;", "names the oldest"),
        ("", None, "SELECT 1;", "none of"),
    ],
)
def test_the_rules_find_what_they_are_for(phase: str, oldest: str | None, sql: str, fault: str) -> None:
    """Each kind of migration, as it should be and as it should not."""
    found = "; ".join(faults(phase, oldest, sql))
    assert fault in found
    assert bool(found) == bool(fault)
