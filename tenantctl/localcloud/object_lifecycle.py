"""Lifecycle rules: which are well formed, and what they say is to be done with an object. Pure, `now` is an argument.

All conditions of a rule must hold; of several rules that apply, Delete wins. Ages count from the creation of the
object, to the moment. The rules are read as of an earlier moment (`now` minus the lag of the service), and an object
that did not exist then is left alone: so a rule without any time in it is late as well.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from tenantctl.localcloud.object_refusals import invalid, not_emulated
from tenantctl.localcloud.object_rules import STORAGE_CLASSES, Document, parse_time

_DAYS: Final = ("age", "daysSinceCustomTime", "daysSinceNoncurrentTime", "numNewerVersions")
_DATES: Final = ("createdBefore", "customTimeBefore", "noncurrentTimeBefore")
_TEXTS: Final = ("matchesPrefix", "matchesSuffix", "matchesStorageClass")
_LONGEST_DAYS: Final = 2**31 - 1


def checked_rules(rules: Any) -> list[Document]:
    """Return the rules as Cloud Storage keeps them.

    Raises:
        Refusal: 400 for a rule that means nothing, 501 for one that the local cloud cannot carry out.
    """
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        raise invalid("lifecycle.rule is a list.")
    return [_checked_rule(rule) for rule in rules]


def due_action(
    document: Mapping[str, Any], rules: Sequence[Mapping[str, Any]], as_of: datetime, *, live: bool, newer_versions: int
) -> Mapping[str, str] | None:
    """Return the action that the rules say is due for this object, as of a moment; None if there is none.

    Args:
        document: The object.
        rules: The rules of its bucket.
        as_of: The moment at which the rules are read.
        live: Whether it is the live version.
        newer_versions: How many newer versions the object has.
    """
    if parse_time(document["timeCreated"]) > as_of:
        return None
    live = live or parse_time(document.get("timeDeleted", document["timeCreated"])) > as_of
    due = [
        rule["action"]
        for rule in rules
        if all(
            _holds(name, wanted, document, as_of, live=live, newer_versions=newer_versions)
            for name, wanted in rule["condition"].items()
        )
    ]
    changes = [action for action in due if action.get("storageClass") != document["storageClass"]]
    return next((action for action in changes if action["type"] == "Delete"), changes[0] if changes else None)


def youngest_age(rules: Sequence[Mapping[str, Any]]) -> timedelta:
    """The age that an object must have before any of these rules can apply to it."""
    return timedelta(days=min((min(rule["condition"].get("age", 0), 10**6) for rule in rules), default=0))


def _checked_rule(rule: Any) -> Document:
    if not isinstance(rule, Mapping) or not isinstance(rule.get("action"), Mapping):
        raise invalid("A lifecycle rule has an action.")
    action, condition = rule["action"], rule.get("condition")
    kind = action.get("type")
    if kind == "AbortIncompleteMultipartUpload":
        raise not_emulated("lifecycle of multipart uploads")
    if kind not in ("Delete", "SetStorageClass"):
        raise invalid(f"Invalid value for: {kind} is not a valid value")
    kept: Document = {"type": kind}
    if kind == "SetStorageClass":
        if action.get("storageClass") not in STORAGE_CLASSES:
            raise invalid("Lifecycle storage class rules must specify the destination storage class.")
        kept["storageClass"] = action["storageClass"]
    conditions = {
        name: _checked_condition(name, wanted)
        for name, wanted in (condition or {}).items()
        if wanted is not None and wanted != []
    }
    if not conditions:
        raise invalid("Lifecycle rules must have a condition.")
    return {"action": kept, "condition": conditions}


def _checked_condition(name: str, wanted: Any) -> Any:
    if name in _DAYS:
        days = int(wanted) if isinstance(wanted, str) and wanted.isdigit() else wanted
        if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= _LONGEST_DAYS:
            raise invalid(f"Lifecycle {name} condition must be a number of at least 0, but was {wanted!r}")
        return days
    if name in _DATES:
        try:
            return date.fromisoformat(wanted).isoformat()
        except (TypeError, ValueError) as error:
            raise invalid(f"Lifecycle {name} condition must be a date, but was {wanted!r}") from error
    if name in _TEXTS:
        if not isinstance(wanted, list) or not all(isinstance(text, str) and 0 < len(text) <= 1024 for text in wanted):
            raise invalid(f"Lifecycle {name} is a list of texts that are neither empty nor longer than 1024.")
        return wanted
    if name == "isLive":
        if not isinstance(wanted, bool):
            raise invalid("Lifecycle isLive condition is true or false.")
        return wanted
    raise not_emulated(f"the lifecycle condition {name}")


def _holds(
    name: str, wanted: Any, document: Mapping[str, Any], as_of: datetime, *, live: bool, newer_versions: int
) -> bool:
    if name == "isLive":
        return bool(wanted == live)
    if name == "numNewerVersions":
        return bool(newer_versions >= wanted)
    if name == "matchesPrefix":
        return any(document["name"].startswith(text) for text in wanted)
    if name == "matchesSuffix":
        return any(document["name"].endswith(text) for text in wanted)
    if name == "matchesStorageClass":
        return document["storageClass"] in wanted
    field = {
        "age": "timeCreated",
        "createdBefore": "timeCreated",
        "daysSinceCustomTime": "customTime",
        "customTimeBefore": "customTime",
        "daysSinceNoncurrentTime": "timeDeleted",
        "noncurrentTimeBefore": "timeDeleted",
    }[name]
    if field not in document:
        return False
    moment = parse_time(document[field])
    if name in _DATES:
        return moment < datetime.combine(date.fromisoformat(wanted), datetime.min.time(), UTC)
    return as_of - moment >= timedelta(days=min(wanted, 10**6))
