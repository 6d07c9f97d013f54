"""Documents of buckets: what a new one gets, and which changes are allowed. Pure rules, with `now` as an argument.

What Cloud Storage does and a newcomer does not expect is kept: soft delete is on for seven days unless it is turned
off, None puts that default back, an empty object changes nothing, `isLocked` and `effectiveTime` cannot be written, and
a locked retention policy only grows.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tenantctl.localcloud.object_lifecycle import checked_rules
from tenantctl.localcloud.object_refusals import Refusal, forbidden, invalid, not_emulated
from tenantctl.localcloud.object_rules import STORAGE_CLASSES, Document, format_time

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LABEL_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
_MULTI_REGIONS: Final = frozenset({"US", "EU", "ASIA"})
_DUAL_REGIONS: Final = frozenset({"NAM4", "EUR4", "EUR5", "EUR7", "EUR8", "ASIA1"})
_STORED_AS_GIVEN: Final = ("cors", "website", "logging", "billing", "encryption", "ipFilter", "acl", "defaultObjectAcl")
_CHANGEABLE: Final = (
    *_STORED_AS_GIVEN,
    "autoclass",
    "defaultEventBasedHold",
    "iamConfiguration",
    "labels",
    "lifecycle",
    "retentionPolicy",
    "rpo",
    "softDeletePolicy",
    "storageClass",
    "versioning",
)
_MAPPINGS: Final = (
    "autoclass",
    "customPlacementConfig",
    "hierarchicalNamespace",
    "iamConfiguration",
    "labels",
    "lifecycle",
    "retentionPolicy",
    "softDeletePolicy",
    "versioning",
)
_DAY_SECONDS: Final = 86_400
_HUNDRED_YEARS_SECONDS: Final = 3_155_760_000


def new_bucket(asked: Mapping[str, Any], now: datetime, *, object_retention: bool) -> Document:
    """Return the document of a new bucket.

    Args:
        asked: The request's resource.
        now: The time of creation.
        object_retention: Whether the request carries `enableObjectRetention`.

    Raises:
        Refusal: 400 for a name or value that Cloud Storage does not take, 501 for what the local cloud cannot do.
    """
    _check_shapes(asked)
    name = asked.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ("." not in name and len(name) > 63):
        raise invalid(f"Invalid bucket name: {name!r}")
    if (asked.get("hierarchicalNamespace") or {}).get("enabled"):
        raise not_emulated("buckets with a hierarchical namespace")
    stamp = format_time(now)
    document: Document = {
        "name": name,
        "timeCreated": stamp,
        "metageneration": "0",
        "storageClass": "STANDARD",
        **_placement(asked),
        "iamConfiguration": _access({}, {}, now),
        "softDeletePolicy": _soft_delete({}, None, now),
    }
    if object_retention:
        document["objectRetention"] = {"mode": "Enabled"}
    return changed_bucket(document, {key: value for key, value in asked.items() if value is not None}, now)


def changed_bucket(document: Document, change: Mapping[str, Any], now: datetime, *, replace: bool = False) -> Document:
    """Return the document after a PATCH, or with `replace` after a PUT.

    Raises:
        Refusal: 400 for a value that Cloud Storage does not take, 403 for what a locked policy forbids.
    """
    _check_shapes(change)
    full = {key: change.get(key) for key in _CHANGEABLE if replace or key in change}
    changed = dict(document)
    for key, value in full.items():
        kept = _checked(key, value, document, now)
        if kept is None:
            changed.pop(key, None)
        else:
            changed[key] = kept
    changed["metageneration"] = str(int(document["metageneration"]) + 1)
    changed["updated"] = format_time(now)
    return changed


def locked_bucket(document: Document, now: datetime) -> Document:
    """Return the document with its retention policy locked, which nothing undoes.

    Raises:
        Refusal: 400, the bucket has no retention policy.
    """
    policy = document.get("retentionPolicy")
    if not policy:
        raise invalid(f"Bucket '{document['name']}' has no retention policy to lock.")
    metageneration = str(int(document["metageneration"]) + 1)
    locked = {**policy, "isLocked": True}
    return {**document, "retentionPolicy": locked, "metageneration": metageneration, "updated": format_time(now)}


def _placement(asked: Mapping[str, Any]) -> dict[str, Any]:
    location = str(asked.get("location") or "US").upper()
    custom = asked.get("customPlacementConfig")
    if custom:
        regions = [str(region).upper() for region in custom.get("dataLocations") or ()]
        if len(regions) != 2 or len(set(regions)) != 2:
            raise invalid("A custom dual-region names exactly two dataLocations.")
        placed = {"location": location, "customPlacementConfig": {"dataLocations": regions}}
        return {**placed, "locationType": "dual-region", "rpo": "DEFAULT"}
    if location in _DUAL_REGIONS:
        return {"location": location, "locationType": "dual-region", "rpo": "DEFAULT"}
    if location in _MULTI_REGIONS:
        return {"location": location, "locationType": "multi-region", "rpo": "DEFAULT"}
    return {"location": location, "locationType": "region"}


def _checked(key: str, value: Any, document: Document, now: datetime) -> Any:
    if key == "retentionPolicy":
        return _retention(document, value, now)
    if key == "softDeletePolicy":
        return _soft_delete(document.get(key) or {}, value, now)
    if key == "lifecycle":
        return _lifecycle(document.get(key), value)
    if key == "labels":
        return _labels(document.get(key) or {}, value)
    if key == "iamConfiguration":
        return _access(document.get(key) or {}, value, now)
    if key == "rpo":
        return _recovery_point(document, value)
    if key == "storageClass":
        if value is not None and value not in STORAGE_CLASSES:
            raise invalid(f'Invalid storage class "{value}"')
        return value or "STANDARD"
    if key == "autoclass" and (value or {}).get("enabled"):
        raise not_emulated("Autoclass")
    if key == "defaultEventBasedHold" and not isinstance(value, bool | None):
        raise invalid(f"Invalid value for {key}: {value!r}")
    if key == "versioning" and value:
        return {"enabled": bool(value.get("enabled"))}
    return value


def _retention(document: Document, asked: Mapping[str, Any] | None, now: datetime) -> Document | None:
    present = document.get("retentionPolicy")
    locked = bool(present and present.get("isLocked"))
    if asked is None:
        if locked:
            message = f"Bucket '{document['name']}' has a locked Retention Policy which cannot be removed."
            raise Refusal(403, "retentionPolicyNotMet", message)
        return None
    if asked.get("retentionPeriod") is None:
        return present
    period = _number(asked["retentionPeriod"], "retentionPeriod")
    if not 0 < period <= _HUNDRED_YEARS_SECONDS:
        raise invalid("Retention policy must have a retention period greater than 0 and less than 100 years.")
    if present is None:
        return {"retentionPeriod": str(period), "effectiveTime": format_time(now)}
    if locked and period < int(present["retentionPeriod"]):
        raise forbidden(
            f"Cannot reduce retention duration of a locked Retention Policy for bucket '{document['name']}'."
        )
    return {**present, "retentionPeriod": str(period)}


def _soft_delete(present: Document, asked: Mapping[str, Any] | None, now: datetime) -> Document:
    stamp = format_time(now)
    if asked is None:
        return {"retentionDurationSeconds": str(7 * _DAY_SECONDS), "effectiveTime": stamp}
    policy = dict(present)
    if asked.get("retentionDurationSeconds") is not None:
        seconds = _number(asked["retentionDurationSeconds"], "retentionDurationSeconds")
        if seconds != 0 and not 7 * _DAY_SECONDS <= seconds <= 90 * _DAY_SECONDS:
            raise invalid("Soft delete policy must have a retention duration between 7 days and 90 days.")
        policy |= {"retentionDurationSeconds": str(seconds), "effectiveTime": stamp}
    if "hardDeletePause" in asked:
        policy.pop("hardDeletePause", None)
        if (asked["hardDeletePause"] or {}).get("enabled"):
            policy["hardDeletePause"] = {"enabled": True, "effectiveTime": stamp}
    return policy


def _lifecycle(present: Document | None, asked: Mapping[str, Any] | None) -> Document | None:
    if asked is None:
        return None
    if "rule" not in asked:
        return present
    rules = checked_rules(asked["rule"])
    return {"rule": rules} if rules else None


def _labels(present: Mapping[str, str], change: Mapping[str, str | None] | None) -> dict[str, str] | None:
    if not change:
        return None
    for key, value in change.items():
        if not _LABEL_KEY.fullmatch(key) or (value is not None and not _LABEL_VALUE.fullmatch(str(value))):
            raise invalid(f"Invalid user label: {key} with value {value}")
    return {key: value for key, value in {**present, **change}.items() if value is not None} or None


def _access(present: Document, change: Mapping[str, Any] | None, now: datetime) -> Document:
    change = change or {}
    prevention = change.get("publicAccessPrevention", present.get("publicAccessPrevention", "inherited"))
    if prevention not in ("inherited", "enforced", "unspecified"):
        raise invalid(f"Invalid value for publicAccessPrevention: {prevention!r}")
    asked = change.get("uniformBucketLevelAccess") or change.get("bucketPolicyOnly")
    if not isinstance(asked, Mapping | None):
        raise invalid(f"Invalid value for uniformBucketLevelAccess: {asked!r}")
    uniform = present.get("uniformBucketLevelAccess", {"enabled": False})
    if asked is not None and bool(asked.get("enabled")) != uniform["enabled"]:
        uniform = {"enabled": True, "lockedTime": _in_ninety_days(now)} if asked.get("enabled") else {"enabled": False}
    access = {"uniformBucketLevelAccess": uniform, "bucketPolicyOnly": uniform}
    return {**access, "publicAccessPrevention": "inherited" if prevention == "unspecified" else prevention}


def _in_ninety_days(now: datetime) -> str:
    return format_time(datetime.fromtimestamp(now.timestamp() + 90 * _DAY_SECONDS, tz=now.tzinfo))


def _recovery_point(document: Document, asked: Any) -> str | None:
    if asked is None or asked == "DEFAULT":
        return None if document["locationType"] == "region" else "DEFAULT"
    if asked != "ASYNC_TURBO" or document["locationType"] != "dual-region":
        raise invalid(f"The rpo {asked!r} is not available for a bucket in a {document['locationType']}.")
    return "ASYNC_TURBO"


def _check_shapes(asked: Mapping[str, Any]) -> None:
    for key in _MAPPINGS:
        if not isinstance(asked.get(key), Mapping | None):
            raise invalid(f"Invalid value for {key}: {asked[key]!r}")


def _number(value: Any, name: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise invalid(f"Invalid value for {name}: {value!r}")
    return int(text)
