"""Makes buckets in S3 as a vault's must be: locked, expiring, private, and refusing what would put others before.

May be run again: what is there as it should be is left alone, what is there otherwise is refused and named.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenantctl.adapters.s3.answers import explaining
from tenantctl.adapters.s3.terms import bucket_seen
from tenantctl.adapters.watch import TimeLimits, Watch
from tenantctl.model.backup import RetentionClass, bucket_name
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.off_cloud import AGE_DAYS_MIN, HIDDEN_DAYS, aws_region
from tenantctl.model.policy import BackupsPolicy, Term
from tenantctl.ports.vault import BucketSeen

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import LifecycleRuleTypeDef

_FIRST_REGION = "us-east-1"  # which must not be named when a bucket is made there
_LIMITS = TimeLimits()


@dataclass(frozen=True)
class S3BucketPlan:
    """A bucket as it must be.

    Raises:
        ValueError: the term is too short for S3, which hides an object for a day before it deletes it.
    """

    name: str
    region: str
    term: Term

    def __post_init__(self) -> None:
        if self.term.age_days < AGE_DAYS_MIN:
            raise ValueError(f"in S3 an object is {AGE_DAYS_MIN} days old at least when it goes")

    @property
    def terms(self) -> BucketSeen:
        """What the bucket must say of itself."""
        return BucketSeen.locked_for(self.region, self.term)


def s3_bucket_plans(prefix: str, region: str, policy: BackupsPolicy) -> Iterator[S3BucketPlan]:
    """The buckets that a region such as `aws:eu-central-1` needs: one for each retention class.

    Raises:
        Refused: it is no region off Google's cloud.
        ValueError: a term is too short for S3.
    """
    for retention_class in RetentionClass:
        term = policy.classes[retention_class]
        name = bucket_name(prefix, region, retention_class, term.age_days)
        yield S3BucketPlan(name, aws_region(region), term)


def ensure_s3_buckets(
    client: "S3Client", prefix: str, region: str, policy: BackupsPolicy, *, owner: str | None = None
) -> tuple[str, ...]:
    """Make a region's buckets where they are missing, lock all, and return the names of those made.

    Raises:
        Refused: a bucket is there with other terms, or S3 refuses.
        Transient: S3 does not answer; run it again.
    """
    plans = tuple(s3_bucket_plans(prefix, region, policy))
    return tuple(plan.name for plan in plans if ensure_s3_bucket(client, plan, owner=owner))


def ensure_s3_bucket(client: "S3Client", plan: S3BucketPlan, *, owner: str | None = None) -> bool:
    """Make a bucket if it is missing, complete one that a crash left half made, and say whether it was made.

    Args:
        client: as `s3_client` makes it, for the bucket's region.
        plan: the bucket.
        owner: the account that it must belong to; None for any.

    Raises:
        Refused: it is there with other terms, it is somebody else's, or S3 refuses.
        Transient: S3 does not answer; run it again.
    """
    expected: dict[str, Any] = {"ExpectedBucketOwner": owner} if owner else {}
    with Watch(_LIMITS.whole_seconds):
        made = False
        try:
            seen = bucket_seen(client, plan.name, **expected)
        except NotFound:
            made = _make(client, plan)
            seen = bucket_seen(client, plan.name, **expected)
        half_made = seen.lock_days is None and seen.age_days in (None, plan.term.age_days)
        if half_made and seen.region == plan.region and _is_ours_and_empty(client, plan, expected):
            _set_terms(client, plan, expected)
            seen = bucket_seen(client, plan.name, **expected)
    if seen != plan.terms:
        raise Refused(
            f"s3://{plan.name} is there with other terms: {seen}, and should have {plan.terms}.",
            hint="Choose another name; what is locked already keeps its terms.",
        )
    return made


def bucket_policy(bucket: str, partition: str = "aws") -> dict[str, Any]:
    """What the bucket refuses to everybody: to write over a name, to hide an object, and to speak in the clear.

    None of it is what keeps an object, the lock is; it keeps newer versions and markers from standing before one. The
    calls of a multipart upload before its last cannot carry the condition, and make no object. Lifecycle is not bound.
    """
    objects, all_of_it = f"arn:{partition}:s3:::{bucket}/*", f"arn:{partition}:s3:::{bucket}"
    refused = {"Effect": "Deny", "Principal": "*"}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                **refused,
                "Sid": "WriteOnce",
                "Action": "s3:PutObject",
                "Resource": objects,
                "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
            },
            {**refused, "Sid": "HideNothing", "Action": "s3:DeleteObject", "Resource": objects},
            {
                **refused,
                "Sid": "OverTlsAlone",
                "Action": "s3:*",
                "Resource": [all_of_it, objects],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }


def _make(client: "S3Client", plan: S3BucketPlan) -> bool:
    """Make the bucket; False if another one was as fast."""
    place: Any = {"CreateBucketConfiguration": {"LocationConstraint": plan.region}}
    try:
        with explaining(f"make s3://{plan.name}"):
            client.create_bucket(
                Bucket=plan.name,
                ObjectLockEnabledForBucket=True,  # and with it versioning
                **({} if plan.region == _FIRST_REGION else place),
            )
    except Refused as error:
        if "BucketAlreadyOwnedByYou" in error.sentence:
            return False
        raise
    return True


def _is_ours_and_empty(client: "S3Client", plan: S3BucketPlan, expected: dict[str, Any]) -> bool:
    """Whether a bucket without terms is one that was begun here: made to be locked, and nothing in it yet."""
    try:
        with explaining(f"look at s3://{plan.name}"):
            client.get_object_lock_configuration(Bucket=plan.name, **expected)
            listed = client.list_object_versions(Bucket=plan.name, MaxKeys=1, **expected)
    except NotFound:
        return False
    return listed.get("Name") == plan.name and not listed.get("Versions") and not listed.get("DeleteMarkers")


def _set_terms(client: "S3Client", plan: S3BucketPlan, expected: dict[str, Any]) -> None:
    """Everything that a new bucket lacks; the lock comes last, since without it the bucket gets no backup."""
    rules: list[LifecycleRuleTypeDef] = [
        {
            "ID": "everything-goes",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"Days": plan.term.age_days - HIDDEN_DAYS},
            "NoncurrentVersionExpiration": {"NoncurrentDays": HIDDEN_DAYS},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
        {
            "ID": "markers-too",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
    ]
    policy = json.dumps(bucket_policy(plan.name, client.meta.partition))
    with explaining(f"set the terms of s3://{plan.name}"):
        client.put_public_access_block(
            Bucket=plan.name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
            **expected,
        )
        client.put_bucket_policy(Bucket=plan.name, Policy=policy, **expected)
        client.put_bucket_lifecycle_configuration(Bucket=plan.name, LifecycleConfiguration={"Rules": rules}, **expected)
        client.put_object_lock_configuration(
            Bucket=plan.name,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": plan.term.lock_days}},
            },
            **expected,
        )
