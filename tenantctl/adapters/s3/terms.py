"""What an S3 bucket says of itself, in the terms that all vaults have.

- *locked, lock_days*: the bucket's default retention, if its mode is compliance. Its owner may change it for objects to
  come, never for those that are there: it is looked at before each write, and each object's own date after.
- *age_days*: S3's lifecycle first hides an object behind a marker, and deletes its bytes some days after that. The age
  is the sum of both, and there is one only if every version, and the parts of uploads that never ended, go that way.
  S3 counts from the following midnight (UTC), each time: bytes are gone up to two days later, then as late as it likes.
- *versioning*: Object Lock demands it. What the field asks is whether something outlives a deletion without limit: True
  only if no rule deletes the versions that are not current.
- *soft_delete_seconds*: 0, there is no such thing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tenantctl.adapters.s3.answers import explaining
from tenantctl.model.errors import NotFound, Transient
from tenantctl.ports.vault import BucketSeen

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def bucket_seen(client: "S3Client", bucket: str, **owner: Any) -> BucketSeen:
    """A bucket's terms; `owner` is what names the account that it must belong to.

    Raises:
        NotFound: S3 says that there is no such bucket.
        Transient: S3 does not answer, or its answer is cut short.
        Refused: we may not know.
    """
    doing = f"look at s3://{bucket}"
    with explaining(doing):
        retention = _default_retention(client, bucket, owner)
        rules = _rules(client, bucket, owner)
        region = client.head_bucket(Bucket=bucket, **owner).get("BucketRegion")
    if not region:
        raise Transient(f"The answer about s3://{bucket} is cut short.")
    age_days, outlives = _expiry(rules)
    return BucketSeen(
        region=region.lower(),
        locked=retention.get("Mode") == "COMPLIANCE",
        lock_days=_days_of(retention),
        age_days=age_days,
        soft_delete_seconds=0,
        versioning=outlives,
    )


def _default_retention(client: "S3Client", bucket: str, owner: dict[str, Any]) -> Mapping[str, Any]:
    try:
        with explaining(f"look at s3://{bucket}"):
            answer = client.get_object_lock_configuration(Bucket=bucket, **owner)
    except NotFound as error:
        if "ObjectLockConfigurationNotFoundError" in error.sentence:
            return {}
        raise
    if "ObjectLockConfiguration" not in answer:
        raise Transient(f"The answer about s3://{bucket} is cut short.")
    return answer["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention", {})


def _days_of(retention: Mapping[str, Any]) -> int | None:
    """A default retention in days; S3 takes a year for 365 of them."""
    return retention.get("Days") or 365 * retention.get("Years", 0) or None


def _rules(client: "S3Client", bucket: str, owner: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
    try:
        with explaining(f"look at s3://{bucket}"):
            answer = client.get_bucket_lifecycle_configuration(Bucket=bucket, **owner)
    except NotFound as error:
        if "NoSuchLifecycleConfiguration" in error.sentence:
            return ()
        raise
    if "Rules" not in answer:
        raise Transient(f"The answer about s3://{bucket} is cut short.")
    return answer["Rules"]


def _expiry(rules: Sequence[Mapping[str, Any]]) -> tuple[int | None, bool]:
    """After how many days everything is deleted, None if something is not; and whether versions are kept for ever."""
    whole = [rule for rule in rules if rule["Status"] == "Enabled" and _is_for_all(rule)]
    hidden = [rule["Expiration"]["Days"] for rule in whole if rule.get("Expiration", {}).get("Days")]
    deleted = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in whole
        if rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
        and not rule["NoncurrentVersionExpiration"].get("NewerNoncurrentVersions")
    ]
    forgotten = [rule for rule in whole if rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")]
    age_days = min(hidden) + min(deleted) if hidden and deleted and forgotten else None
    return age_days, not deleted


def _is_for_all(rule: Mapping[str, Any]) -> bool:
    """Whether a rule is for all objects: its filter, or the prefix of older rules, leaves none out."""
    selection = rule.get("Filter", {})
    return set(selection) <= {"Prefix"} and not selection.get("Prefix") and not rule.get("Prefix")
