"""Policies are read strictly: what is not said exactly once and exactly right is refused, by file, key and reason."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import tenantctl
from tenantctl.adapters import policy_files
from tenantctl.model.backup import RetentionClass
from tenantctl.model.errors import PolicyFault, Refused
from tenantctl.model.region import Region

SHIPPED = Path(policy_files.__file__).parents[2] / "policies"
KNOWN = tuple(
    Region(
        id=name,
        city="Somewhere",
        country=country,
        jurisdiction=country,
        latitude=50.0,
        longitude=4.0,
        cloud_sql=True,
        cloud_run=True,
        gcs=True,
        requires_approval=False,
    )
    for name, country in (("here-north1", "NO"), ("here-south1", "NO"))
)
REGIONS = """\
residency:
  jurisdictions:
    NO: [NO, SJ]
  kept_at_home: [NO]
capacity: {headroom_percent: 20}
overrides: {}
regions:
  here-north1: {state: open, partners: [here-south1]}
  here-south1: {state: full, partners: [here-north1], why: being enlarged}
"""


def shipped_folder(tmp_path: Path) -> Path:
    """The shipped terms, with two regions that this test knows."""
    for name in ("lifecycle.yaml", "backups.yaml"):
        shutil.copy(SHIPPED / name, tmp_path / name)
    (tmp_path / "regions.yaml").write_text(REGIONS, encoding="utf-8")
    shutil.copy(SHIPPED / "anchors.yaml", tmp_path / "anchors.yaml")
    rewrite(tmp_path / "anchors.yaml", put("regions", ["here-north1", "here-south1"]))
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of policies that tests may change."""
    return shipped_folder(tmp_path)


def rewrite(path: Path, change: Callable[[Any], None]) -> None:
    """Load a file, change its content, and write it back (JSON is YAML 1.2)."""
    content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def put(dotted: str, value: Any) -> Callable[[Any], None]:
    """A change that sets one dotted key."""

    def change(content: Any) -> None:
        *path, last = dotted.split(".")
        for name in path:
            content = content[name]
        content[last] = value

    return change


def leave_out(dotted: str) -> Callable[[Any], None]:
    """A change that removes one dotted key."""

    def change(content: Any) -> None:
        *path, last = dotted.split(".")
        for name in path:
            content = content[name]
        del content[last]

    return change


def dotted_keys(content: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a table."""
    for name, value in content.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from dotted_keys(value, f"{prefix}{name}.")


def value_of(content: Any, dotted: str) -> Any:
    """What stands at a dotted key."""
    for name in dotted.split("."):
        content = content[name]
    return content


def shipped(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((SHIPPED / name).read_text(encoding="utf-8"))


EVERY_KEY = [
    (name, key) for name in ("lifecycle.yaml", "backups.yaml", "anchors.yaml") for key in dotted_keys(shipped(name))
]
EVERY_KEY += [("regions.yaml", key) for key in ("residency", "residency.kept_at_home", "overrides", "regions")]
NUMBERS = [
    (name, key) for name, key in EVERY_KEY if name != "regions.yaml" and type(value_of(shipped(name), key)) is int
]


def first_fault(folder: Path) -> PolicyFault:
    with pytest.raises(PolicyFault) as caught:
        policy_files.load_policies(folder, KNOWN)
    return caught.value


def test_good_files_are_read(folder: Path) -> None:
    """The shipped terms are what the promise says, and NO is Norway."""
    policies = policy_files.load_policies(folder, KNOWN)
    assert policies.lifecycle.grace_days == 21
    assert policies.lifecycle.allowed_extensions[0] == "btree_gin"
    assert policies.backups.promise_months == 12
    assert set(policies.backups.classes) == set(RetentionClass)
    assert policies.backups.classes[RetentionClass.FINAL].lock_days == 330
    assert policies.regions.residency.jurisdictions == {"NO": ("NO", "SJ")}
    assert policies.regions.regions["here-south1"].why == "being enlarged"
    assert policy_files.policy_faults(folder, KNOWN) == ()


def test_regions_are_read_without_the_other_files(folder: Path) -> None:
    (folder / "lifecycle.yaml").unlink()
    (folder / "backups.yaml").unlink()
    assert policy_files.load_regions(folder, KNOWN).overrides == {}


def test_the_digest_names_the_content_and_not_its_form(folder: Path) -> None:
    """Comments, order and spelled-out defaults leave the digest as it is; any term changes it."""
    digest = policy_files.load_policies(folder, KNOWN).digest
    assert len(digest) == 16
    rewrite(folder / "lifecycle.yaml", lambda content: content.update(grace_days=content.pop("grace_days")))
    rewrite(folder / "regions.yaml", put("regions.here-north1.partners_abroad", False))
    assert policy_files.load_policies(folder, KNOWN).digest == digest
    rewrite(folder / "lifecycle.yaml", put("grace_days", 22))
    assert policy_files.load_policies(folder, KNOWN).digest != digest


@pytest.mark.parametrize(("file", "key"), EVERY_KEY)
def test_a_missing_key_is_refused(folder: Path, file: str, key: str) -> None:
    """No term has a default."""
    rewrite(folder / file, leave_out(key))
    fault = first_fault(folder)
    assert (fault.file, fault.key) == (file, key)
    assert "is missing" in fault.reason


@pytest.mark.parametrize("blank", [None, "", "  \t"])
@pytest.mark.parametrize(("file", "key"), EVERY_KEY)
def test_a_blank_is_refused(folder: Path, file: str, key: str, blank: str | None) -> None:
    """A blank is an error, never a default."""
    rewrite(folder / file, put(key, blank))
    fault = first_fault(folder)
    assert (fault.file, fault.key) == (file, key)
    assert "is blank" in fault.reason


@pytest.mark.parametrize("wrong", ["21", 21.5, 21.0, True, [21], {"days": 21}])
@pytest.mark.parametrize(("file", "key"), NUMBERS)
def test_a_number_of_another_type_is_refused(folder: Path, file: str, key: str, wrong: object) -> None:
    rewrite(folder / file, put(key, wrong))
    fault = first_fault(folder)
    assert (fault.file, fault.key) == (file, key)
    assert fault.reason == f"must be a whole number; is {json.dumps(wrong)}"


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("lifecycle.yaml", "grace_day"),
        ("lifecycle.yaml", "caps.destroy.tenants_min"),
        ("backups.yaml", "copies"),
        ("backups.yaml", "night.minutes"),
        ("backups.yaml", "classes.daily.age_weeks"),
        ("regions.yaml", "residency.home"),
        ("regions.yaml", "regions.here-north1.colour"),
    ],
)
def test_an_unknown_key_is_refused(folder: Path, file: str, key: str) -> None:
    """A misspelt key must not be read as nothing."""
    rewrite(folder / file, put(key, 3))
    fault = first_fault(folder)
    assert (fault.file, fault.key, fault.reason) == (file, key, "is not a known key")


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("", "the whole file", "is empty"),
        ("# only a comment\n", "the whole file", "is empty"),
        ("{}", "the whole file", "is empty"),
        ("- grace_days\n", "the whole file", "must be a table"),
        ("21", "the whole file", "must be a table"),
        ("grace_days: 21\ngrace_days: 22\n", "grace_days", "stands twice, again in line 2"),
        ("grace_days: [21\n", "line 2", "is not YAML"),
        ("grace_days: 21\n---\ngrace_days: 22\n", "line 2", "is not YAML"),
        ("grace_days: \x07\n", "the whole file", "is not YAML"),
        ("grace_days: !!python/object/apply:os.getcwd []\n", "line 1", "is not YAML"),
        ("grace_days: 2026-13-45\n", "the whole file", "is not YAML"),
        ("grace_days: 2026-11-23\n", "grace_days", "must not be a date"),
        ("grace_days: .inf\n", "grace_days", "finite"),
        ("grace_days: &loop [*loop]\n", "grace_days.0.0.0.0.0.0.0.0.0.0.0.0", "nested too deeply"),
        ("21: grace_days\n", "21", "is a key that is not text"),
        ("? [a, b]\n: 1\n", "('a', 'b')", "is a key that is not text"),
    ],
)
def test_what_is_no_policy_at_all_is_refused(folder: Path, text: str, key: str, reason: str) -> None:
    (folder / "lifecycle.yaml").write_text(text, encoding="utf-8")
    fault = first_fault(folder)
    assert (fault.file, fault.key) == ("lifecycle.yaml", key)
    assert reason in fault.reason


def test_files_that_cannot_be_read(folder: Path) -> None:
    """Missing, a folder, or not text: each is named, none is taken for empty."""
    (folder / "lifecycle.yaml").unlink()
    assert "No such file" in first_fault(folder).reason
    (folder / "lifecycle.yaml").mkdir()
    assert "directory" in first_fault(folder).reason
    (folder / "lifecycle.yaml").rmdir()
    (folder / "lifecycle.yaml").write_bytes(b"grace_days: \xff\xfe")
    assert first_fault(folder).reason == "is not text in UTF-8"


def test_all_faults_are_listed_at_once(folder: Path) -> None:
    """`policy check` shows everything that is wrong, file by file."""
    rewrite(folder / "lifecycle.yaml", put("grace_days", "21"))
    rewrite(folder / "lifecycle.yaml", leave_out("registry_backup_days"))
    rewrite(folder / "backups.yaml", put("copies_min", 1))
    (folder / "regions.yaml").unlink()
    found = [(fault.file, fault.key) for fault in policy_files.policy_faults(folder, KNOWN)]
    assert found == [
        ("lifecycle.yaml", "grace_days"),
        ("lifecycle.yaml", "registry_backup_days"),
        ("backups.yaml", "copies_min"),
        ("regions.yaml", "the whole file"),
    ]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(EVERY_KEY), anything)
def test_any_value_is_taken_or_refused_but_never_crashes(folder: Path, place: tuple[str, str], value: object) -> None:
    """Whatever stands at a key, the answer is a policy or a fault at or below that key."""
    file, key = place
    source = folder / file
    before = source.read_text(encoding="utf-8")
    content = YAML(typ="safe", pure=True).load(before)
    put(key, value)(content)
    try:
        with source.open("w", encoding="utf-8") as stream:
            YAML(typ="safe", pure=True).dump(content, stream)
        for fault in policy_files.policy_faults(folder, KNOWN):
            assert fault.file == file
            assert fault.reason
    finally:
        source.write_text(before, encoding="utf-8")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:{}[]-?!&*|>'\"% #\n\t,1.~<=\\\x00\ufeff")), max_size=40))
def test_any_text_is_refused_and_never_crashes(folder: Path, text: str) -> None:
    """No text, however broken, gets past the loader or out of it as another error."""
    (folder / "lifecycle.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(PolicyFault):
        policy_files.load_lifecycle(folder)


def test_the_folder_in_force(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's word comes first, and a blank or wrong one is refused rather than passed over."""
    monkeypatch.delenv("TENANTCTL_POLICIES", raising=False)
    assert policy_files.policies_folder() == SHIPPED
    monkeypatch.setenv("TENANTCTL_POLICIES", str(folder))
    assert policy_files.policies_folder() == folder
    for wrong in ("", " ", str(folder / "lifecycle.yaml"), str(folder / "none")):
        monkeypatch.setenv("TENANTCTL_POLICIES", wrong)
        with pytest.raises(Refused, match="is not a folder"):
            policy_files.policies_folder()


def test_an_installed_program_uses_its_packaged_policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkout around it, a folder that happens to be called policies is not ours."""
    package = tmp_path / "site-packages" / "tenantctl"
    (tmp_path / "site-packages" / "policies").mkdir(parents=True)
    package.mkdir()
    monkeypatch.delenv("TENANTCTL_POLICIES", raising=False)
    monkeypatch.setattr(tenantctl, "__file__", str(package / "__init__.py"))
    with pytest.raises(Refused, match="No policies were found"):
        policy_files.policies_folder()
    (package / "_policies").mkdir()
    assert policy_files.policies_folder() == package / "_policies"


def test_a_final_backup_that_would_not_outlast_grace_is_refused(folder: Path) -> None:
    """Else each destruction would wait for a new one, time and again: 21 + 2 * 7 days, and the next one is enough."""
    rewrite(folder / "backups.yaml", put("classes.final", {"lock_days": 34, "age_days": 35}))
    fault = first_fault(folder)
    assert (fault.file, fault.key) == ("lifecycle.yaml", "grace_days")
    assert "= 35 days, but final backups are deleted at an age of 35" in fault.reason
    rewrite(folder / "backups.yaml", put("classes.final", {"lock_days": 35, "age_days": 36}))
    assert policy_files.policy_faults(folder, KNOWN) == ()
