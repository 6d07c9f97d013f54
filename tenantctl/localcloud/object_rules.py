"""What keeps an object, and which changes of its metadata are allowed: pure rules, with `now` as an argument.

An object is kept by its holds, by its bucket's retention policy, counted from its creation or from the release of an
event-based hold, and by its own retention configuration; by whichever ends last. Keeping forbids deletion and
overwriting, never reading nor a change of other metadata. A locked retention configuration only grows, custom time only
moves forward.

Documents are the JSON resources of Cloud Storage, without the fields that are derived when one is shown. The key
`_retentionStart`, which no answer shows, holds the time from which a released object's retention counts anew.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from tenantctl.localcloud.object_refusals import Refusal, forbidden, held, invalid, retained

Document: TypeAlias = dict[str, Any]

RETENTION_START: Final = "_retentionStart"
STORAGE_CLASSES: Final = frozenset(
    {"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL", "DURABLE_REDUCED_AVAILABILITY"}
)
_TEXTS: Final = ("cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType")
_HOLDS: Final = ("temporaryHold", "eventBasedHold")
_CHANGEABLE: Final = (*_TEXTS, *_HOLDS, "metadata", "customTime", "retention", "contexts")
_KEPT_BY_UPDATE: Final = (*_HOLDS, "customTime", "retention")


def format_time(moment: datetime) -> str:
    """Write a time as Cloud Storage does: RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: object) -> datetime:
    """Read an RFC 3339 time with its offset.

    Raises:
        Refusal: 400, it is none.
    """
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise invalid(f"Invalid value for an RFC 3339 time: {text!r}")
    return moment.astimezone(UTC)


def kept_until(document: Mapping[str, Any], bucket: Mapping[str, Any]) -> datetime | None:
    """When the object's retention ends, by policy and configuration together; None if neither applies."""
    ends = []
    if policy := bucket.get("retentionPolicy"):
        start = parse_time(document.get(RETENTION_START, document["timeCreated"]))
        ends.append(_later(start, timedelta(seconds=int(policy["retentionPeriod"]))))
    if retention := document.get("retention"):
        ends.append(parse_time(retention["retainUntilTime"]))
    return max(ends, default=None)


def expiration_shown(document: Mapping[str, Any], bucket: Mapping[str, Any]) -> datetime | None:
    """The object's `retentionExpirationTime`; an event-based hold leaves it open."""
    return None if document.get("eventBasedHold") else kept_until(document, bucket)


def refuse_if_kept(document: Mapping[str, Any], bucket: Mapping[str, Any], now: datetime) -> None:
    """Refuse to let go of an object that something keeps.

    Raises:
        Refusal: 403, `forbidden` for a hold and `retentionPolicyNotMet` for retention.
    """
    if document.get("temporaryHold"):
        raise held(bucket["name"], document["name"], "Temporary")
    if document.get("eventBasedHold"):
        raise held(bucket["name"], document["name"], "Event-Based")
    until = kept_until(document, bucket)
    if until is not None and until > now:
        raise retained(bucket["name"], document["name"], until)


def is_kept(document: Mapping[str, Any], bucket: Mapping[str, Any], now: datetime) -> bool:
    """Say whether anything forbids to let go of this object."""
    try:
        refuse_if_kept(document, bucket, now)
    except Refusal:
        return True
    return False


def new_object(metadata: Mapping[str, Any], bucket: Mapping[str, Any], now: datetime) -> Document:
    """Return the document of an object that is being made with this metadata, without its content's fields.

    Raises:
        Refusal: 400, the metadata says something that this bucket's objects cannot have.
    """
    stamp = format_time(now)
    document: Document = {
        "storageClass": _storage_class(metadata.get("storageClass") or bucket["storageClass"]),
        "metageneration": "1",
        "timeCreated": stamp,
        "updated": stamp,
        "timeFinalized": stamp,
        "timeStorageClassUpdated": stamp,
    }
    if bucket.get("defaultEventBasedHold") and "eventBasedHold" not in metadata:
        document["eventBasedHold"] = True
    given = {key: value for key, value in metadata.items() if value is not None}
    return _changed(document, given, bucket, now, unlock=False)


def changed_object(
    document: Document,
    change: Mapping[str, Any],
    bucket: Mapping[str, Any],
    now: datetime,
    *,
    replace: bool = False,
    unlock: bool = False,
) -> Document:
    """Return the document after a PATCH, or with `replace` after a PUT.

    A PUT that leaves out holds, custom time or retention leaves them as they are: it never releases by omission.

    Args:
        document: The object as it is; it is not changed.
        change: The fields asked for; None removes one.
        bucket: The bucket's document.
        now: The time of the change.
        replace: Whether other fields that are left out are removed.
        unlock: Whether the request carries `overrideUnlockedRetention`.

    Raises:
        Refusal: 400 for what makes no sense, 403 for what the object's retention forbids.
    """
    full = dict(change)
    if replace:
        for key in set(_CHANGEABLE) - set(_KEPT_BY_UPDATE):
            full.setdefault(key, None)
        document = {key: value for key, value in document.items() if key != "metadata"}
    changed = _changed(document, full, bucket, now, unlock=unlock)
    changed["metageneration"] = str(int(document["metageneration"]) + 1)
    changed["updated"] = format_time(now)
    return changed


def _changed(
    document: Document, change: Mapping[str, Any], bucket: Mapping[str, Any], now: datetime, *, unlock: bool
) -> Document:
    changed = dict(document)
    for key in _CHANGEABLE:
        if key not in change:
            continue
        value = _checked(key, change[key], document, bucket, now, unlock=unlock)
        if value is None:
            changed.pop(key, None)
        else:
            changed[key] = value
    if document.get("eventBasedHold") and not changed.get("eventBasedHold"):
        changed[RETENTION_START] = format_time(now)
    if changed.get("eventBasedHold") and changed.get("retention"):
        raise invalid("An object cannot have both an event-based hold and a retention configuration.")
    return changed


def _checked(
    key: str, value: Any, document: Document, bucket: Mapping[str, Any], now: datetime, *, unlock: bool
) -> Any:
    if key == "retention":
        return _checked_retention(value or None, document.get("retention"), bucket, now, unlock=unlock)
    if key == "customTime":
        return _checked_custom_time(value, document.get("customTime"))
    if key == "metadata":
        return _merged_metadata(document.get("metadata", {}), value)
    if key in _HOLDS:
        if not isinstance(value, bool | None):
            raise invalid(f"Invalid value for {key}: {value!r}")
        return None if value is None and key not in document else bool(value)
    if key in _TEXTS and not isinstance(value, str | None):
        raise invalid(f"Invalid value for {key}: {value!r}")
    return value


def _checked_retention(
    asked: Any, present: Mapping[str, str] | None, bucket: Mapping[str, Any], now: datetime, *, unlock: bool
) -> Mapping[str, str] | None:
    if asked is None:
        if present and present["mode"] == "Locked":
            raise forbidden("The object's retention configuration is locked and cannot be removed.")
        if present and not unlock:
            raise forbidden("Removing a retention configuration needs overrideUnlockedRetention.")
        return None
    if bucket.get("objectRetention", {}).get("mode") != "Enabled":
        raise invalid("The bucket does not have object retention enabled.")
    if not isinstance(asked, Mapping) or asked.get("mode") not in ("Locked", "Unlocked"):
        raise invalid("An object's retention has the mode Locked or Unlocked.")
    until = parse_time(asked.get("retainUntilTime"))
    if present is None:
        if until <= now:
            raise invalid("An object's retainUntilTime lies in the future.")
    else:
        shorter = until < parse_time(present["retainUntilTime"])
        if present["mode"] == "Locked" and (shorter or asked["mode"] != "Locked"):
            raise forbidden("The object's retention configuration is locked: it cannot be unlocked or shortened.")
        if (shorter or asked["mode"] != present["mode"]) and not unlock:
            raise forbidden("Shortening a retention, or changing its mode, needs overrideUnlockedRetention.")
    return {"mode": asked["mode"], "retainUntilTime": format_time(until)}


def _checked_custom_time(asked: Any, present: str | None) -> str | None:
    if asked is None:
        if present:
            raise invalid("Custom time cannot be removed once it is set.")
        return None
    moment = parse_time(asked)
    if present and moment < parse_time(present):
        raise invalid(f"Custom time cannot be moved back from {present}.")
    return format_time(moment)


def _merged_metadata(present: Mapping[str, str], change: Any) -> dict[str, str] | None:
    if change is None:
        return None
    if not isinstance(change, Mapping) or not all(isinstance(value, str | None) for value in change.values()):
        raise invalid("An object's metadata maps texts to texts.")
    merged = {**present, **change}
    return {key: value for key, value in merged.items() if value is not None} or None


def _storage_class(text: Any) -> str:
    if text not in STORAGE_CLASSES:
        raise invalid(f'Invalid storage class "{text}"')
    return str(text)


def _later(start: datetime, period: timedelta) -> datetime:
    try:
        return start + period
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
