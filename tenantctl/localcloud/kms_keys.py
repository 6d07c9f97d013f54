"""The resources of the local Cloud KMS: rings, keys and versions, and the states that a version passes through.

As in the real service, rings and keys are made once and never deleted, a version's number is never used again, and a
version ends by a destruction that is scheduled, and can be called off until it is due.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from tenantctl.localcloud.kms_records import (
    Document,
    KmsRecords,
    Version,
    format_time,
    parse_duration,
    parse_time,
)
from tenantctl.localcloud.kms_refusals import exists, invalid, missing, not_emulated, wrong_state

_IDENTIFIER: Final = re.compile(r"[a-zA-Z0-9_-]{1,63}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_SCHEDULED_DEFAULT: Final = "2592000s"  # 30 days, as in the real service
_SCHEDULED_LEAST: Final = timedelta(hours=24)
_SCHEDULED_MOST: Final = timedelta(days=120)
_ROTATION_LEAST: Final = timedelta(hours=24)
_ROTATION_MOST: Final = timedelta(days=36_500)
# What the versions of a key are like, by its purpose.
_TEMPLATES: Final = {
    "ENCRYPT_DECRYPT": {"protectionLevel": "SOFTWARE", "algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION"},
    "ASYMMETRIC_SIGN": {"protectionLevel": "SOFTWARE", "algorithm": "EC_SIGN_ED25519"},
}
_CHANGEABLE: Final = {"rotationPeriod", "nextRotationTime", "labels"}
_PAGE_MOST: Final = 1000
# The client sends enumerations as numbers, other tools as words.
_PURPOSES: Final = {1: "ENCRYPT_DECRYPT", 5: "ASYMMETRIC_SIGN"}
_STATES: Final = {1: "ENABLED", 2: "DISABLED"}
_WORDS: Final = {
    "protectionLevel": {1: "SOFTWARE"},
    "algorithm": {1: "GOOGLE_SYMMETRIC_ENCRYPTION", 40: "EC_SIGN_ED25519"},
}

Given = TypeVar("Given")


# Rings


def create_ring(
    rows: KmsRecords, now: datetime, *, body: Document, options: Mapping[str, str], location: str
) -> Document:
    """Make a key ring."""
    name = f"{location}/keyRings/{_identifier(options, 'keyRingId')}"
    if rows.ring(name) is not None:
        raise exists(name)
    ring = {"name": name, "createTime": format_time(now)}
    with rows.changing():
        rows.add_ring(ring)
    return ring


def get_ring(rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], ring: str) -> Document:
    """Show a key ring."""
    found = rows.ring(ring)
    if found is None:
        raise missing(ring)
    return found


def list_rings(
    rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], location: str
) -> Document:
    """Show the key rings of a location."""
    return _page("keyRings", rows.rings(location), options)


# Keys


def create_key(rows: KmsRecords, now: datetime, *, body: Document, options: Mapping[str, str], ring: str) -> Document:
    """Make a key with its first version."""
    if rows.ring(ring) is None:
        raise missing(ring)
    name = f"{ring}/cryptoKeys/{_identifier(options, 'cryptoKeyId')}"
    if options.get("skipInitialVersionCreation", "false").lower() == "true":
        raise not_emulated("keys without a first version")
    if rows.key(name) is not None:
        raise exists(name)
    purpose = _word(body.get("purpose"), _PURPOSES)
    if purpose not in _TEMPLATES:
        raise not_emulated(f"keys with the purpose {body.get('purpose')!r}")
    stated = body.get("versionTemplate", {})
    if not isinstance(stated, dict) or not isinstance(body.get("labels", {}), dict):
        raise invalid("version_template and labels are objects.")
    only = _TEMPLATES[purpose]
    template = {**only, **stated}
    if {field: _word(value, _WORDS.get(field, {})) for field, value in template.items()} != only:
        raise not_emulated(f"versions like {template}")
    known = {"name", "purpose", "versionTemplate", "destroyScheduledDuration", *_CHANGEABLE}
    if unknown := set(body) - known:
        raise not_emulated(f"keys with {', '.join(sorted(unknown))}")
    scheduled = body.get("destroyScheduledDuration", _SCHEDULED_DEFAULT)
    if not _SCHEDULED_LEAST <= _read(parse_duration, scheduled, "destroyScheduledDuration") <= _SCHEDULED_MOST:
        raise invalid("destroy_scheduled_duration must be between 24 hours and 120 days.")
    key = {
        "name": name,
        "purpose": purpose,
        "createTime": format_time(now),
        "versionTemplate": only,
        "destroyScheduledDuration": scheduled,
    }
    if purpose != "ENCRYPT_DECRYPT" and "rotationPeriod" in body:
        raise invalid("Only keys that encrypt rotate by themselves.")
    key |= _changes(body, {**key, **body}, now)
    with rows.changing():
        first = rows.add_version(name, now, only["algorithm"]).number
        if purpose == "ENCRYPT_DECRYPT":
            key["_primary"] = first
        rows.put_key(key)
    return _key_resource(rows, key)


def get_key(rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str) -> Document:
    """Show a key with its primary version."""
    return _key_resource(rows, _key(rows, key))


def list_keys(rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], ring: str) -> Document:
    """Show the keys of a ring."""
    if rows.ring(ring) is None:
        raise missing(ring)
    return _page("cryptoKeys", [_key_resource(rows, key) for key in rows.keys(ring)], options)


def change_key(rows: KmsRecords, now: datetime, *, body: Document, options: Mapping[str, str], key: str) -> Document:
    """Change a key's rotation or labels."""
    found = _key(rows, key)
    mask = _mask(options, _CHANGEABLE)
    kept = {name: value for name, value in found.items() if name not in mask}
    changes = {name: value for name, value in body.items() if name in mask}
    changed = {**kept, **_changes(changes, {**kept, **changes}, now)}
    with rows.changing():
        rows.put_key(changed)
    return _key_resource(rows, changed)


def update_primary(
    rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str
) -> Document:
    """Let another version encrypt."""
    found = _key(rows, key)
    if "_primary" not in found:
        raise invalid("Only keys that encrypt have a primary version.")
    stated = str(body.get("cryptoKeyVersionId"))
    version = rows.version(key, int(stated)) if _NUMBER.fullmatch(stated) else None
    if version is None:
        raise missing(f"{key}/cryptoKeyVersions/{stated}")
    if version.state != "ENABLED":
        raise wrong_state(version.name, version.state, "the primary version")
    found["_primary"] = version.number
    with rows.changing():
        rows.put_key(found)
    return _key_resource(rows, found)


# Versions


def create_version(
    rows: KmsRecords, now: datetime, *, body: Document, options: Mapping[str, str], key: str
) -> Document:
    """Add an enabled version, which is not the primary one."""
    algorithm = _key(rows, key)["versionTemplate"]["algorithm"]
    with rows.changing():
        return rows.add_version(key, now, algorithm).resource


def get_version(
    rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str, number: str
) -> Document:
    """Show a version."""
    return _version(rows, key, number).resource


def list_versions(
    rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str
) -> Document:
    """Show the versions of a key."""
    _key(rows, key)
    return _page("cryptoKeyVersions", [version.resource for version in rows.versions(key)], options)


def change_version(
    rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str, number: str
) -> Document:
    """Enable or disable a version."""
    _mask(options, {"state"})
    version = _version(rows, key, number)
    state = _word(body.get("state"), _STATES)
    if state not in _STATES.values():
        raise invalid("A version can be set to ENABLED or DISABLED.")
    if version.state not in _STATES.values():
        raise wrong_state(version.name, version.state, "enabled or disabled")
    return _written(rows, replace(version, state=state))


def destroy_version(
    rows: KmsRecords, now: datetime, *, body: Document, options: Mapping[str, str], key: str, number: str
) -> Document:
    """Schedule the destruction of a version."""
    version = _version(rows, key, number)
    if version.state not in _STATES.values():
        raise wrong_state(version.name, version.state, "scheduled for destruction")
    at = now + parse_duration(_key(rows, key)["destroyScheduledDuration"])
    return _written(rows, replace(version, state="DESTROY_SCHEDULED", destroys_at=at))


def restore_version(
    rows: KmsRecords, _now: datetime, *, body: Document, options: Mapping[str, str], key: str, number: str
) -> Document:
    """Call a destruction off; the version is then disabled."""
    version = _version(rows, key, number)
    if version.state != "DESTROY_SCHEDULED":
        raise wrong_state(version.name, version.state, "restored")
    return _written(rows, replace(version, state="DISABLED", destroys_at=None))


def _key(rows: KmsRecords, name: str) -> Document:
    found = rows.key(name)
    if found is None:
        raise missing(name)
    return found


def _version(rows: KmsRecords, key: str, number: str) -> Version:
    found = rows.version(key, int(number))
    if found is None:
        raise missing(f"{key}/cryptoKeyVersions/{number}")
    return found


def _written(rows: KmsRecords, version: Version) -> Document:
    with rows.changing():
        rows.put_version(version)
    return version.resource


def _key_resource(rows: KmsRecords, key: Document) -> Document:
    shown = {name: value for name, value in key.items() if not name.startswith("_")}
    if "_primary" not in key:
        return shown
    return {**shown, "primary": _version(rows, key["name"], str(key["_primary"])).resource}


def _changes(body: Document, whole: Document, now: datetime) -> Document:
    """What a request sets of the changeable fields, checked as parts of the whole key."""
    if ("rotationPeriod" in whole) != ("nextRotationTime" in whole):
        raise invalid("rotation_period and next_rotation_time go together.")
    period = _read(parse_duration, body["rotationPeriod"], "rotationPeriod") if "rotationPeriod" in body else None
    if period is not None and not _ROTATION_LEAST <= period <= _ROTATION_MOST:
        raise invalid("rotation_period must be between 24 hours and 100 years.")
    if "nextRotationTime" in body and _read(parse_time, body["nextRotationTime"], "nextRotationTime") <= now:
        raise invalid("next_rotation_time must be in the future.")
    return {name: body[name] for name in _CHANGEABLE & set(body)}


def _mask(options: Mapping[str, str], known: set[str]) -> set[str]:
    """The fields that a request is to change, in the JSON spelling."""
    fields = [field for field in options.get("updateMask", "").split(",") if field]
    mask = {re.sub(r"_(\w)", lambda found: found[1].upper(), field.split(".")[0]) for field in fields}
    if not mask or mask - known:
        raise invalid(f"update_mask must name some of: {', '.join(sorted(known))}.")
    return mask


def _identifier(options: Mapping[str, str], name: str) -> str:
    identifier = options.get(name, "")
    if not _IDENTIFIER.fullmatch(identifier):
        raise invalid(f"{name} must match the regular expression {_IDENTIFIER.pattern}.")
    return identifier


def _page(kind: str, resources: list[Document], options: Mapping[str, str]) -> Document:
    """One page of a list; the token of the next is how many came before it."""
    size, start = options.get("pageSize", "0"), options.get("pageToken") or "0"
    if not (_NUMBER.fullmatch(size) and _NUMBER.fullmatch(start)):
        raise invalid("page_size or page_token is invalid.")
    end = int(start) + min(int(size) or _PAGE_MOST, _PAGE_MOST)
    more = {"nextPageToken": str(end)} if end < len(resources) else {}
    return {kind: resources[int(start) : end], "totalSize": len(resources), **more}


def _word(value: Any, words: Mapping[int, str]) -> Any:
    return words.get(value, value) if isinstance(value, int) else value


def _read(parse: Callable[[object], Given], value: object, name: str) -> Given:
    try:
        return parse(value)
    except ValueError as error:
        raise invalid(f"Invalid value at '{name}': {error}") from error
