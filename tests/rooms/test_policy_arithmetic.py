"""Terms that cannot be, or that break the promise, are refused in plain words."""

from pathlib import Path
from typing import Any

import pytest

from tenantctl.adapters import policy_files
from tests.rooms.test_policy_files import KNOWN, first_fault, put, rewrite, shipped_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped terms, with two regions that these tests know."""
    return shipped_folder(tmp_path)


@pytest.mark.parametrize(
    ("file", "key", "value", "reason"),
    [
        ("lifecycle.yaml", "grace_days", 0, "must be at least 1"),
        ("lifecycle.yaml", "grace_days", 10**30, "beyond"),
        ("lifecycle.yaml", "grace_days", -(10**30), "beyond"),
        ("lifecycle.yaml", "registry_backup_days", -1, "must not be negative"),
        ("lifecycle.yaml", "allowed_extensions", "hstore", "must be a list"),
        ("lifecycle.yaml", "allowed_extensions.0", 7, "must be text"),
        ("backups.yaml", "night", [1, 4], "must be a table"),
        ("backups.yaml", "classes.yearly", {"lock_days": 1, "age_days": 2}, "must be one of 'daily', 'weekly'"),
        ("backups.yaml", "classes.final.lock_days", 331, "must be less than age_days"),
        ("backups.yaml", "classes.final.lock_days", 328, "by at most 2"),
        ("backups.yaml", "classes.final", {"lock_days": 340, "age_days": 341}, "= 367 days, but 12 months"),
        ("backups.yaml", "promise_months", 0, "must be at least 1"),
        ("anchors.yaml", "regions", ["here-north1"], "must be at least 2"),
        ("anchors.yaml", "regions", ["here-north1", "here-north1"], "none of them twice"),
        ("anchors.yaml", "regions", ["here-north1", "nowhere1"], "nowhere1 is no region"),
        ("anchors.yaml", "every_hours", 0, "must lie within 1 and 24"),
        ("anchors.yaml", "lock_days", 401, "must be less than age_days"),
        ("backups.yaml", "promise_months", 36_500, None),
        ("backups.yaml", "copies_min", 1, "must be at least 2"),
        ("regions.yaml", "regions.here-north1.state", "ajar", "must be one of 'open', 'full' or 'closed'"),
        ("regions.yaml", "regions.here-north1.partners_abroad", "yes", "must be true or false"),
        ("regions.yaml", "regions.here-north1.partners", ["nowhere1"], "nowhere1 is not a known region"),
        ("regions.yaml", "regions.here-north1.partners", [], "needs a partner"),
    ],
)
def test_arithmetic_and_words(folder: Path, file: str, key: str, value: object, reason: str | None) -> None:
    """Terms that cannot be, or that break the promise, are refused in plain words."""

    def change(content: Any) -> None:
        if key.endswith(".0"):
            content[key.removesuffix(".0")][0] = value
        else:
            put(key, value)(content)

    rewrite(folder / file, change)
    if reason is None:
        policy_files.load_policies(folder, KNOWN)
        return
    fault = first_fault(folder)
    assert fault.file == file
    assert fault.key.startswith(key)
    assert reason in fault.reason


def test_an_anchor_outlives_what_it_may_have_to_prove_something_of(folder: Path) -> None:
    """The longest time for which a backup can be read is the least for which anchors are locked."""

    def shorten(content: Any) -> None:
        content.update({"lock_days": 356, "age_days": 357})

    rewrite(folder / "anchors.yaml", shorten)
    fault = first_fault(folder)
    assert (fault.file, fault.key) == ("anchors.yaml", "lock_days")
    assert "must be at least 357" in fault.reason
    assert [one.key for one in policy_files.policy_faults(folder, KNOWN)] == ["lock_days"]
