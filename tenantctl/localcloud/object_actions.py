"""What can be done with objects, each as one piece of work in one transaction of the metadata.

The order of the checks is that of Cloud Storage: the bucket exists, the object exists, the preconditions hold (412),
nothing keeps the object (403). Letting go of a live object means: in a versioned bucket it becomes noncurrent, which
retention and holds do not forbid; otherwise it is removed, which they do. Removed versions are soft-deleted for as long
as the bucket's policy says, and gone after that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from tenantctl.localcloud.object_bytes import Digest
from tenantctl.localcloud.object_conditions import Preconditions
from tenantctl.localcloud.object_lifecycle import due_action, youngest_age
from tenantctl.localcloud.object_metadata import Transaction, Version
from tenantctl.localcloud.object_refusals import invalid, no_such_object, required
from tenantctl.localcloud.object_rules import (
    Document,
    changed_object,
    format_time,
    is_kept,
    new_object,
    refuse_if_kept,
)
from tenantctl.localcloud.permissions import refuse_overwriting

_CONTENT_FIELDS: Final = ("size", "crc32c", "md5Hash", "componentCount")
_NOT_COPIED: Final = ("temporaryHold", "eventBasedHold", "retention")
_LONGEST_NAME_BYTES: Final = 1024


@dataclass(frozen=True)
class Address:
    """Where an object is; without a generation the live version is meant."""

    bucket: str
    name: str
    generation: int | None = None


@dataclass(frozen=True)
class Content:
    """Bytes that are to become an object: the file that holds them, and the fields that describe them."""

    file: str
    fields: Mapping[str, Any]

    @classmethod
    def of_digest(cls, file: str, digest: Digest, *, components: int | None = None) -> "Content":
        """Describe bytes by their digest; a composed object has no MD5, but a number of components."""
        fields: dict[str, Any] = {"size": str(digest.size), "crc32c": digest.crc32c}
        if components is None:
            fields["md5Hash"] = digest.md5
        else:
            fields["componentCount"] = components
        return cls(file, fields)

    @classmethod
    def of_version(cls, version: Version) -> "Content":
        """Describe the bytes of a version that is there; the new object shares its file."""
        kept: dict[str, Any] = {name: version.document[name] for name in _CONTENT_FIELDS if name in version.document}
        return cls(version.file, kept)


def place_object(
    rows: Transaction,
    address: Address,
    content: Content,
    metadata: Mapping[str, Any],
    *,
    conditions: Preconditions,
    now: datetime,
) -> Version:
    """Make an object live, in the place of the one that is, if any.

    Raises:
        Refusal: 404 no bucket, 400 for a name or metadata that cannot be, 412, or 403 if what is there is kept.
    """
    bucket = rows.bucket(address.bucket)
    check_name(address.name)
    present = rows.live(address.bucket, address.name)
    if present is None:
        conditions.check(None, None)
    else:
        conditions.check(present.generation, present.metageneration)
    document = new_object(metadata, bucket, now)
    if present is not None:
        refuse_overwriting(address.bucket)
        _let_go(rows, bucket, present, now)
    document |= {"name": address.name, "bucket": address.bucket, **content.fields}
    generation = rows.next_generation(now)
    version = Version(address.bucket, address.name, generation, "live", content.file, document)
    rows.save_version(version)
    return version


def find_object(rows: Transaction, address: Address) -> Version:
    """Return the live version, or the one of a generation that is not soft-deleted.

    Raises:
        Refusal: 404, there is no such bucket, object or version.
    """
    rows.bucket(address.bucket)
    if address.generation is None:
        found = rows.live(address.bucket, address.name)
    else:
        found = rows.version(address.bucket, address.name, address.generation)
    if found is None or found.state == "deleted":
        raise no_such_object(address.bucket, address.name)
    return found


def find_soft_deleted(rows: Transaction, address: Address) -> Version:
    """Return a soft-deleted version, which only its generation names.

    Raises:
        Refusal: 404, there is none of this generation; 400, no generation is given.
    """
    rows.bucket(address.bucket)
    if address.generation is None:
        raise required("generation")
    found = rows.version(address.bucket, address.name, address.generation)
    if found is None or found.state != "deleted":
        raise no_such_object(address.bucket, address.name)
    return found


def delete_object(rows: Transaction, address: Address, *, conditions: Preconditions, now: datetime) -> None:
    """Delete the live object, or with a generation that version for good.

    Raises:
        Refusal: 404, 412, or 403 if it is kept.
    """
    version = find_object(rows, address)
    conditions.check(version.generation, version.metageneration)
    bucket = rows.bucket(address.bucket)
    if address.generation is None:
        _let_go(rows, bucket, version, now)
        return
    refuse_if_kept(version.document, bucket, now)
    _remove(rows, bucket, version, now)


def change_object(
    rows: Transaction,
    address: Address,
    change: Mapping[str, Any],
    *,
    conditions: Preconditions,
    now: datetime,
    replace_all: bool,
    unlock: bool,
) -> Version:
    """Change an object's metadata; retention and holds do not forbid that.

    Raises:
        Refusal: 404, 412, 400, or 403 if its retention configuration forbids this change.
    """
    version = find_object(rows, address)
    conditions.check(version.generation, version.metageneration)
    bucket = rows.bucket(address.bucket)
    document = changed_object(version.document, change, bucket, now, replace=replace_all, unlock=unlock)
    changed = replace(version, document=document)
    rows.save_version(changed)
    return changed


def copy_object(
    rows: Transaction,
    source: Version,
    address: Address,
    metadata: Mapping[str, Any] | None,
    *,
    conditions: Preconditions,
    now: datetime,
) -> Version:
    """Make a new object of a version's bytes; its age starts anew, and holds and retention stay behind.

    Args:
        rows: The transaction.
        source: What is copied.
        address: The new object.
        metadata: Its metadata; None or empty takes over the source's.
        conditions: What must hold of the object that it replaces.
        now: The time of the copy.

    Raises:
        Refusal: As `place_object`.
    """
    if not metadata:
        metadata = {key: value for key, value in source.document.items() if key not in _NOT_COPIED}
        if source.bucket != address.bucket:
            metadata.pop("storageClass")
    return place_object(rows, address, Content.of_version(source), metadata, conditions=conditions, now=now)


def restore_object(rows: Transaction, address: Address, *, conditions: Preconditions, now: datetime) -> Version:
    """Make a soft-deleted version live again, as a new object; the soft-deleted one stays until its time is over.

    Raises:
        Refusal: As `find_soft_deleted` and `place_object`.
    """
    return copy_object(rows, find_soft_deleted(rows, address), address, None, conditions=conditions, now=now)


def sweep_lifecycle(rows: Transaction, now: datetime, *, bucket_name: str, lag: timedelta) -> int:
    """Do what a bucket's lifecycle rules say was due `lag` ago, except where something keeps the object now.

    Returns:
        How many live or noncurrent versions went from where they were.
    """
    bucket = rows.find_bucket(bucket_name)
    rules: Sequence[Document] = (bucket or {}).get("lifecycle", {}).get("rule", ())
    if bucket is None or not rules:
        return 0
    as_of, gone = now - lag, 0
    for version in rows.versions(bucket_name, created_by=as_of - youngest_age(rules)):
        live = version.state == "live"
        newer = 0 if live else rows.newer_versions(version)
        action = due_action(version.document, rules, as_of, live=live, newer_versions=newer)
        if action is None:
            continue
        if action["type"] == "SetStorageClass":
            moved = {"storageClass": action["storageClass"], "timeStorageClassUpdated": format_time(now)}
            rows.save_version(replace(version, document={**version.document, **moved}))
        elif not is_kept(version.document, bucket, now):
            if live:
                _let_go(rows, bucket, version, now)
            else:
                _remove(rows, bucket, version, now)
            gone += 1
    return gone


def purge_soft_deleted(rows: Transaction, now: datetime) -> int:
    """Remove the soft-deleted versions whose time is over, where hard deletion is not paused; return how many went."""
    gone = 0
    for version in rows.past_hard_delete(now):
        if not rows.bucket(version.bucket)["softDeletePolicy"].get("hardDeletePause"):
            rows.drop_version(version)
            gone += 1
    return gone


def lose_versions(rows: Transaction, bucket_name: str, name: str) -> bool:
    """Lose an object and all its versions without a trace, as no request can: a disaster to be rehearsed."""
    lost = [version for version in rows.versions(bucket_name) if version.name == name]
    for version in lost:
        rows.drop_version(version)
    return bool(lost)


def check_name(name: str) -> None:
    """Check an object's name.

    Raises:
        Refusal: 400, no object can have this name.
    """
    length = len(name.encode("utf-8", "surrogatepass"))
    if not 0 < length <= _LONGEST_NAME_BYTES or "\n" in name or "\r" in name or name in (".", ".."):
        raise invalid(f"Invalid object name: {name!r}")


def _let_go(rows: Transaction, bucket: Document, version: Version, now: datetime) -> None:
    """Take a live version out of its place: noncurrent in a versioned bucket, else removed."""
    if (bucket.get("versioning") or {}).get("enabled"):
        document = {**version.document, "timeDeleted": format_time(now)}
        rows.save_version(replace(version, state="noncurrent", document=document))
        return
    refuse_if_kept(version.document, bucket, now)
    _remove(rows, bucket, version, now)


def _remove(rows: Transaction, bucket: Document, version: Version, now: datetime) -> None:
    duration = timedelta(seconds=int(bucket["softDeletePolicy"]["retentionDurationSeconds"]))
    if not duration:
        rows.drop_version(version)
        return
    times = {"softDeleteTime": format_time(now), "hardDeleteTime": format_time(now + duration)}
    document = {**version.document, "timeDeleted": format_time(now), **times}
    rows.save_version(replace(version, state="deleted", document=document))
