"""Reads the policies from their YAML files, and refuses whatever is not said exactly once and exactly right.

A missing or unknown key, a blank, a value of another type than its term has, a key that stands twice, a file that
cannot be read, and a number that breaks the arithmetic of the promise: each is a `PolicyFault` that names the file,
the dotted key and the reason. YAML is 1.2, so that `NO` is Norway, and types are strict, so that `"21"` is no number.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import tenantctl
from tenantctl.model.errors import PolicyFault, Refused
from tenantctl.model.policy import AnchorsPolicy, BackupsPolicy, LifecyclePolicy, Policies
from tenantctl.model.region import Region, RegionsPolicy, regions_policy_faults

LIFECYCLE_FILE: Final = "lifecycle.yaml"
BACKUPS_FILE: Final = "backups.yaml"
REGIONS_FILE: Final = "regions.yaml"
ANCHORS_FILE: Final = "anchors.yaml"
ENVIRONMENT_VARIABLE: Final = "TENANTCTL_POLICIES"

_WHOLE_FILE: Final = "the whole file"
_NUMBER_MAX: Final = 36_500  # a hundred years in days: what is above is a slip, and beyond the calendar when added up
_DEPTH_MAX: Final = 12
_DUPLICATE: Final = re.compile(r'found duplicate key "?([^"\s]+)"?')
_WORDS: Final = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a table of keys and values",
    "dataclass_type": "must be a table of keys and values",
}

Policy = TypeVar("Policy")
Rules = Callable[[Policy], Iterable[tuple[str, str]]]


def policies_folder() -> Path:
    """The folder with the policies in force.

    It is the one that TENANTCTL_POLICIES names, else `policies/` of the checkout that the program runs from, else the
    one that was packaged with the program.

    Raises:
        Refused: TENANTCTL_POLICIES is blank or names no folder, or there is none at all.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named is not None:
        if not named.strip() or not Path(named).is_dir():
            raise Refused(
                f"{ENVIRONMENT_VARIABLE} is {named!r}, which is not a folder.",
                hint="Let it name the folder with lifecycle.yaml, backups.yaml and the others, or unset it.",
            )
        return Path(named)
    package = Path(tenantctl.__file__).parent
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "policies").is_dir():
        return checkout / "policies"
    packaged = package / "_policies"
    if packaged.is_dir():
        return packaged
    raise Refused(
        "No policies were found, and there are no defaults for them.",
        hint=f"Let {ENVIRONMENT_VARIABLE} name the folder with lifecycle.yaml, backups.yaml and the others.",
    )


def load_lifecycle(folder: Path) -> LifecyclePolicy:
    """Read `lifecycle.yaml`.

    Raises:
        PolicyFault: its first fault.
    """
    return _read(folder, LIFECYCLE_FILE, LifecyclePolicy, LifecyclePolicy.faults).policy_or_raise()


def load_backups(folder: Path) -> BackupsPolicy:
    """Read `backups.yaml`.

    Raises:
        PolicyFault: its first fault.
    """
    return _read(folder, BACKUPS_FILE, BackupsPolicy, BackupsPolicy.faults).policy_or_raise()


def load_regions(folder: Path, known: Sequence[Region]) -> RegionsPolicy:
    """Read `regions.yaml`, measured against the known regions.

    Raises:
        PolicyFault: its first fault.
    """
    return _read(folder, REGIONS_FILE, RegionsPolicy, _rules_for_regions(known)).policy_or_raise()


def load_anchors(folder: Path, known: Sequence[Region], backups: BackupsPolicy | None) -> AnchorsPolicy:
    """Read `anchors.yaml`, measured against the known regions and the terms of backups.

    Raises:
        PolicyFault: its first fault.
    """
    return _read(folder, ANCHORS_FILE, AnchorsPolicy, _rules_for_anchors(known, backups)).policy_or_raise()


def load_policies(folder: Path, known: Sequence[Region]) -> Policies:
    """Read all policies, with a digest of their content: comments and order of keys do not change it.

    Raises:
        PolicyFault: the first fault of the first file that has one.
    """
    lifecycle, backups, regions = load_lifecycle(folder), load_backups(folder), load_regions(folder, known)
    for fault in _faults_between(lifecycle, backups, regions):
        raise fault
    anchors = load_anchors(folder, known, backups)
    policies: dict[str, Any] = {"lifecycle": lifecycle, "backups": backups, "regions": regions, "anchors": anchors}
    content = {name: asdict(policy) for name, policy in policies.items()}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    return Policies(lifecycle=lifecycle, backups=backups, regions=regions, anchors=anchors, digest=digest)


def policy_faults(folder: Path, known: Sequence[Region]) -> tuple[PolicyFault, ...]:
    """Every fault of every file, in the order of the files; empty if all is well."""
    backups = _read(folder, BACKUPS_FILE, BackupsPolicy, BackupsPolicy.faults)
    regions = _read(folder, REGIONS_FILE, RegionsPolicy, _rules_for_regions(known))
    lifecycle = _read(folder, LIFECYCLE_FILE, LifecyclePolicy, LifecyclePolicy.faults)
    return (
        *lifecycle.faults,
        *backups.faults,
        *_faults_between(lifecycle.policy, backups.policy, regions.policy),
        *regions.faults,
        *_read(folder, ANCHORS_FILE, AnchorsPolicy, _rules_for_anchors(known, backups.policy)).faults,
    )


def _faults_between(
    lifecycle: LifecyclePolicy | None, backups: BackupsPolicy | None, regions: RegionsPolicy | None
) -> Iterator[PolicyFault]:
    """What does not go together in policies that are well each by itself."""
    if lifecycle is not None and backups is not None:
        yield from (PolicyFault(LIFECYCLE_FILE, key, reason) for key, reason in lifecycle.faults_beside(backups))
    if backups is not None and regions is not None:
        yield from (PolicyFault(BACKUPS_FILE, key, reason) for key, reason in backups.faults_beside(regions))


def _rules_for_regions(known: Sequence[Region]) -> Rules[RegionsPolicy]:
    return lambda policy: regions_policy_faults(policy, known)


def _rules_for_anchors(known: Sequence[Region], backups: BackupsPolicy | None) -> Rules[AnchorsPolicy]:
    ids = {region.id for region in known}

    def rules(policy: AnchorsPolicy) -> Iterator[tuple[str, str]]:
        yield from policy.faults()
        yield from (("regions", f"{region} is no region") for region in policy.regions if region not in ids)
        yield from policy.faults_beside(backups) if backups is not None else ()

    return rules


@dataclass(frozen=True)
class _Outcome(Generic[Policy]):
    """What became of a file: its policy, or all faults of the first check that it did not pass."""

    policy: Policy | None
    faults: tuple[PolicyFault, ...]

    def policy_or_raise(self) -> Policy:
        if self.policy is None:
            raise self.faults[0]
        return self.policy


def _read(folder: Path, file: str, kind: type[Policy], rules: Rules[Policy]) -> _Outcome[Policy]:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - commands that read no policy do not pay for it

    try:
        content = _parse((folder / file).read_text(encoding="utf-8"), file)
    except PolicyFault as fault:
        return _Outcome(None, (fault,))
    except OSError as error:
        reason = f"cannot be read from {folder}: {error.strerror or error}"
        return _Outcome(None, (PolicyFault(file, _WHOLE_FILE, reason),))
    except UnicodeDecodeError:
        return _Outcome(None, (PolicyFault(file, _WHOLE_FILE, "is not text in UTF-8"),))
    unsaid = tuple(PolicyFault(file, key, reason) for key, reason in _unsaid(content))
    if unsaid:
        return _Outcome(None, unsaid)
    try:
        # As JSON, because there a list may become a tuple and a word an enum's member, and yet no text a number.
        policy = TypeAdapter(kind).validate_json(json.dumps(content))
    except ValidationError as error:
        return _Outcome(None, tuple(_shape_fault(file, detail) for detail in error.errors(include_url=False)))
    broken = tuple(PolicyFault(file, key, reason) for key, reason in rules(policy))
    return _Outcome(None, broken) if broken else _Outcome(policy, ())


def _parse(text: str, file: str) -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 - see above
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415 - see above

    loader = YAML(typ="safe", pure=True)  # pure: the C loader reads YAML 1.1, in which NO is false
    loader.allow_duplicate_keys = False
    try:
        content = loader.load(text)
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else _WHOLE_FILE
        duplicate = _DUPLICATE.match(error.problem or "")
        if duplicate:
            raise PolicyFault(file, duplicate.group(1), f"stands twice, again in {line}") from error
        raise PolicyFault(file, line, f"is not YAML: {error.problem or error.context}") from error
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        raise PolicyFault(file, _WHOLE_FILE, f"is not YAML: {str(error).splitlines()[0]}") from error
    if content is None or content == {}:
        raise PolicyFault(file, _WHOLE_FILE, "is empty, and there are no defaults")
    if not isinstance(content, dict):
        raise PolicyFault(file, _WHOLE_FILE, "must be a table of keys and values")
    return content


def _unsaid(content: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """(key, reason) for each blank, and for what no policy can hold."""
    if depth > _DEPTH_MAX:
        yield key, "is nested too deeply"
    elif content is None or (isinstance(content, str) and not content.strip()):
        yield key, "is blank, and there is no default"
    elif isinstance(content, dict):
        for name, value in content.items():
            dotted = f"{key}.{name}" if key else f"{name}"
            if isinstance(name, str) and name.strip():
                yield from _unsaid(value, dotted, depth + 1)
            else:
                yield dotted, "is a key that is not text"
    elif isinstance(content, list):
        for position, value in enumerate(content):
            yield from _unsaid(value, f"{key}.{position}", depth + 1)
    elif isinstance(content, float) and not math.isfinite(content):
        yield key, "must be a finite number"
    elif isinstance(content, int) and abs(content) > _NUMBER_MAX:
        yield key, f"is {content}, which is beyond {_NUMBER_MAX} and surely a slip"
    elif not isinstance(content, str | int | float):
        yield key, f"must not be a {type(content).__name__}; put text into quotation marks"


def _shape_fault(file: str, detail: Any) -> PolicyFault:
    """Say in plain words what pydantic found."""
    key = ".".join(str(part) for part in detail["loc"] if part != "[key]") or _WHOLE_FILE
    kind = detail["type"]
    if kind in ("missing", "missing_argument"):
        return PolicyFault(file, key, "is missing, and there is no default")
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return PolicyFault(file, key, "is not a known key")
    shown = json.dumps(detail["input"], ensure_ascii=False)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    if kind in ("enum", "literal_error"):
        return PolicyFault(file, key, f"must be one of {detail['ctx']['expected']}; is {shown}")
    return PolicyFault(file, key, f"{_WORDS.get(kind, detail['msg'])}; is {shown}")
